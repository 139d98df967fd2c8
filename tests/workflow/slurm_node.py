"""A real Slurm of one node: Debian's daemons in a folder of their own, no accounting, jobs over their memory killed.

The node says that it has one GPU. Slurm hands it out as it does any; there is none behind it.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

CONF_FILE = Path("/etc/slurm/slurm.conf")  # Snakemake's plugin keeps SLURM_CONF from jobs
GRES_FILE = CONF_FILE.with_name("gres.conf")
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scancel", "munged", "munge")
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={slurmd_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
SlurmUser=root
SlurmdUser=root
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SchedulerParameters=sched_min_interval=200000,batch_sched_delay=0,sched_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MinJobAge=600
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
JobCompType=jobcomp/none
AccountingStorageType=accounting_storage/none
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:1 State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
"""
GRES = "Name=gpu Count=1 File=/dev/null\n"


def absent() -> str:
    """Why Slurm cannot be started here; empty where it can."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if missing:
        return f"no {', '.join(missing)}: apt-get install slurm-wlm munge"
    if os.geteuid():
        return "Slurm's daemons need root"
    return f"this machine has a Slurm of its own: {CONF_FILE}" if CONF_FILE.exists() else ""


class SlurmNode:
    """The daemons; `environment` is what a command needs to find their programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("munge", "state", "spool"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        ports = iter(_free_ports(2))
        conf = CONF.format(
            folder=folder,
            host=socket.gethostname().split(".")[0],
            port=next(ports),
            slurmd_port=next(ports),
            cpus=os.cpu_count(),
            memory=psutil.virtual_memory().total // 2**20 - 512,
        )
        CONF_FILE.write_text(conf)
        GRES_FILE.write_text(GRES)
        self.environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}

    def start(self) -> None:
        """Start all three daemons and wait until the node takes jobs."""
        munge = self.folder / "munge"
        (munge / "key").write_bytes(os.urandom(1024))
        user = pwd.getpwnam("munge")
        for path in (munge, munge / "key"):
            os.chown(path, user.pw_uid, user.pw_gid)
        (munge / "key").chmod(0o400)
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        options = [f"--{option}={munge / name}" for option, name in files.items()]
        self.call("runuser", "-u", "munge", "--", "munged", "--force", *options)
        self.call("slurmctld")
        self.start_slurmd()

    def start_slurmd(self) -> None:
        self.call("slurmd")
        self.wait(lambda: self.call("sinfo", "-h", "-o", "%t").strip() in ("idle", "mix", "alloc"))

    def kill_slurmd(self) -> None:
        """SIGKILL to the node's daemon; the steps of running jobs live on."""
        os.kill(int((self.folder / "slurmd.pid").read_text()), signal.SIGKILL)

    def stop(self) -> None:
        CONF_FILE.unlink()
        GRES_FILE.unlink()
        for path in (self.folder / "slurmd.pid", self.folder / "slurmctld.pid", self.folder / "munge/pid"):
            if path.is_file():
                try:
                    os.kill(int(path.read_text()), signal.SIGKILL)
                except ProcessLookupError:
                    continue

    def call(self, *command: str) -> str:
        done = subprocess.run(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}")
        return done.stdout

    def running(self) -> dict[str, str]:
        """Jobs that run now: id → what Snakemake has said in the comment, the rule or "group_rules"."""
        lines = self.call("squeue", "-h", "-t", "RUNNING", "-o", "%A %k").splitlines()
        return {words[0]: words[1].removeprefix("rule_") for words in map(str.split, lines)}

    @staticmethod
    def wait(condition: Callable[[], object], seconds: float = 60.0) -> None:
        """Wait until a condition holds.

        Raises
        ------
        TimeoutError
            If it never did.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if condition():
                    return
            except RuntimeError:  # a daemon that does not answer yet
                pass
            time.sleep(0.2)
        raise TimeoutError("Slurm did not come to it in time")


def _free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
