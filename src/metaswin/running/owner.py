"""Who runs the workflow in a folder: an OS file lock that ends with its process, however that ends.

Snakemake's own lock is a file that a killed run leaves behind, and does not name its owner.
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
# Some network file systems know no such locks.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@dataclass(frozen=True)
class Owner:
    """A process that runs, or ran, the workflow in a folder; `since` is ISO 8601, local time.

    `machine` is where its process number means something: see `this_machine`.
    """

    host: str
    pid: int
    since: str
    machine: str = ""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


def hold(directory: str | Path) -> bool:
    """Take the lock of `directory` for the life of this process, and of a program it becomes by `os.exec`.

    Returns
    -------
    bool
        False where another process has it. True, too, where the file system knows no locks.

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
    # No `with`: the descriptor stays open as long as the process lives. Its children do not inherit it.
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
    """Replace this process by `command`, which keeps the lock that `hold` took."""
    os.set_inheritable(_HELD[(Path(directory) / LOCK).resolve()], True)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)


def this_machine() -> str:
    """The kernel since its start and the process numbers seen from here (Linux); empty where neither is known.

    It stays when the machine changes its name. Another container on the machine is another one: its processes cannot be
    seen. The id of /etc/machine-id is not used, since containers of one image may share it on many machines.
    """
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def is_elsewhere(owner: Owner) -> bool:
    """Whether the jobs of `owner` may run where they cannot be seen from here."""
    here = this_machine()
    return owner.host != socket.gethostname() and not (here and owner.machine == here)


def last_owner(directory: str | Path) -> Owner | None:
    """Who held the lock last, alive or not; None if there was none."""
    try:
        return Owner(**json.loads((Path(directory) / LOCK).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def live_owner(directory: str | Path) -> Owner | None:
    """Who holds the lock now; None where it is free."""
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
    """Whether this process holds the lock, by `hold` or by what it was before `os.exec`."""
    owner = live_owner(directory)
    return owner is not None and (owner.pid, owner.host) == (os.getpid(), socket.gethostname())
