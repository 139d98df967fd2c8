"""Give each job a GPU of its own: the jobs on one machine share its GPUs by file locks."""

import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger("metaswin.core.gpus")


@contextmanager
def own_gpu(wanted: bool = True) -> Iterator[int | None]:
    """Lock one of the visible GPUs, make it torch's current device and yield its number among the visible GPUs.

    Yields None immediately if no GPU is `wanted` or visible. If other jobs hold all GPUs, the function waits.

    The locks are named by the UUIDs of the devices. Therefore jobs agree on a GPU even if `CUDA_VISIBLE_DEVICES` or a
    cgroup numbers the devices differently.
    """
    import torch

    if not (wanted and torch.cuda.is_available()):
        yield None
        return
    names = [str(torch.cuda.get_device_properties(number).uuid) for number in range(torch.cuda.device_count())]
    with hold_one(names, tempfile.gettempdir()) as number, torch.cuda.device(number):
        yield number


@contextmanager
def hold_one(names: Sequence[str], folder: str | Path, seconds: float = 2.0) -> Iterator[int]:
    """Lock one of `names` and yield its position; if all are locked, try again every `seconds`.

    The locks are OS locks (`flock`) on files in `folder`. The operating system releases a lock however the process
    ends. The files are kept: if one were removed, two processes could hold the lock of one name.
    """
    descriptors = [_open(Path(folder) / f"metaswin-gpu-{name}.lock") for name in names]
    try:
        number = _free(descriptors)
        if number is None:
            logger.info("other jobs use all %d GPUs: waiting for a free one", len(names))
        while number is None:
            time.sleep(seconds)
            number = _free(descriptors)
        yield number
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _free(descriptors: Sequence[int]) -> int | None:
    """Lock the first free file and return its position; None if all are locked."""
    for number, descriptor in enumerate(descriptors):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return number
    return None


def _open(path: Path) -> int:
    """Open the file for reading and create it if necessary; all users may read it, because they share the lock."""
    while True:
        try:
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            pass
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            continue  # another job has created it in the meantime
        os.fchmod(descriptor, 0o644)
        return descriptor
