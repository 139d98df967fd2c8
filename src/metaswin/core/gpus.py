"""One GPU a job: jobs on one machine share its GPUs by file locks."""

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
    """Hold one GPU that this process sees, made torch's current one; yields its number among these.

    Yields None at once where no GPU is `wanted` or seen.

    Jobs know each other's GPUs by the devices' UUIDs, whatever `CUDA_VISIBLE_DEVICES` or a cgroup makes of the
    numbers. Waits while other jobs hold all of them.
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
    """Hold the lock of one of `names`; yields its place among them, looked for every few `seconds`.

    The locks are OS locks (`flock`) on files in `folder`, taken back by the system however a process ends. The files
    stay: removing one would let two processes hold the same name.
    """
    descriptors = [_open(Path(folder) / f"metaswin-gpu-{name}.lock") for name in names]
    try:
        number = _free(descriptors)
        if number is None:
            logger.info("other jobs hold all %d GPUs: waiting for one", len(names))
        while number is None:
            time.sleep(seconds)
            number = _free(descriptors)
        yield number
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _free(descriptors: Sequence[int]) -> int | None:
    """Take the first free one and hold it."""
    for number, descriptor in enumerate(descriptors):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return number
    return None


def _open(path: Path) -> int:
    """The file to read, made where it is not there; other users lock the same one, so all may read it."""
    while True:
        try:
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            pass
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            continue  # another job made it meanwhile
        os.fchmod(descriptor, 0o644)
        return descriptor
