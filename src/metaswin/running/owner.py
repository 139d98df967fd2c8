"""Lock a folder by an OS file lock and identify the process that runs the workflow in it.

The operating system releases the lock when the process ends, for whatever reason. Snakemake's own lock is a file that
remains after a killed run and does not name its owner.
"""

import errno
import fcntl
import json
import os
import socket
import sys
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from metaswin.core.errors import UserError
from metaswin.core.files import WRITE_ERRORS

LOCK = Path(".snakemake/metaswin.lock")
# Some network file systems do not support such locks.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@dataclass(frozen=True)
class Owner:
    """A process that runs, or ran, the workflow in a folder; `since` is ISO 8601, local time.

    `machine` identifies the machine on which its process number is valid: see `this_machine`.
    """

    host: str
    pid: int
    since: str
    machine: str = ""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


def hold(directory: str | Path) -> bool:
    """Take the lock of `directory` for the life of this process, also after `os.exec` replaces its program.

    Returns
    -------
    bool
        False if another process holds the lock. True also if the file system does not support locks.

    Raises
    ------
    UserError
        If the folder cannot be written to.
    """
    path = Path(directory) / LOCK
    try:
        return _hold(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {WRITE_ERRORS.get(error.errno or 0, error.strerror)}") from None


def _hold(path: Path) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    # No `with`: the descriptor must stay open as long as the process lives. Child processes do not inherit it.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o664)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    owner = Owner(socket.gethostname(), os.getpid(), datetime.now().isoformat(" ", "seconds"), this_machine())
    os.truncate(descriptor, 0)
    os.write(descriptor, json.dumps(asdict(owner)).encode())
    _HELD[path.resolve()] = descriptor
    return True


_HELD: dict[Path, int] = {}


def become(directory: str | Path, command: list[str]) -> None:
    """Replace this process by `command`, which keeps the lock that `hold` has taken."""
    os.set_inheritable(_HELD[(Path(directory) / LOCK).resolve()], True)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)


def this_machine() -> str:
    """Return an id of the running kernel and of the process-number namespace (Linux); empty if it cannot be read.

    The id does not change when the machine is renamed. Another container on the machine has another id, because its
    processes cannot be seen from here. The id in /etc/machine-id is not used, because containers of one image may
    share it on many machines.
    """
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def is_elsewhere(owner: Owner) -> bool:
    """Return whether the jobs of `owner` may run where they cannot be seen from here."""
    here = this_machine()
    return owner.host != socket.gethostname() and not (here and owner.machine == here)


def last_owner(directory: str | Path) -> Owner | None:
    """Return the process that held the lock last, whether it still runs or not; None if there was none."""
    try:
        return Owner(**json.loads((Path(directory) / LOCK).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def live_owner(directory: str | Path) -> Owner | None:
    """Return the process that holds the lock now; None if the lock is free."""
    try:
        descriptor = os.open(Path(directory) / LOCK, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return last_owner(directory)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def is_mine(directory: str | Path) -> bool:
    """Return whether this process holds the lock, including a lock taken before `os.exec`."""
    owner = live_owner(directory)
    return owner is not None and (owner.pid, owner.host) == (os.getpid(), socket.gethostname())
