"""Device, threads and arithmetic of a job."""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch

from metaswin.core.errors import UserError
from metaswin.core.gpus import own_gpu

# Options of mallopt(3) of the GNU C library.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4


def choose_device(setting: str) -> torch.device:
    """The device of `deep.device`; ``auto`` takes the GPU where there is one."""
    there = torch.cuda.is_available()
    if setting == "cuda" and not there:
        raise UserError("deep.device is cuda, but torch finds no GPU here; set it to auto or cpu")
    return torch.device("cuda" if there and setting != "cpu" else "cpu")


@contextmanager
def own_device(setting: str) -> Iterator[torch.device]:
    """The device of `deep.device` for this job: of several GPUs one that no other job holds."""
    device = choose_device(setting)
    with own_gpu(device.type == "cuda") as number:
        yield device if number is None else torch.device("cuda", number)


@contextmanager
def reproducible(threads: int, device: torch.device) -> Iterator[None]:
    """Compute so that the same job gives the same bits on the CPU; on a GPU a few operations have no such form.

    Denormal numbers are flushed to zero: the masked entries of shifted windows have weights of e^-100, and
    arithmetic on these made a step half as slow again.
    """
    before = torch.get_num_threads()
    # Must be set before the first matrix product on a GPU.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_flush_denormal(True)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    deterministic: Any = torch.utils.deterministic  # a module whose class makes the attribute
    fill = deterministic.fill_uninitialized_memory
    deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        deterministic.fill_uninitialized_memory = fill
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(before)
        torch.set_flush_denormal(False)


def keep_freed_memory() -> None:
    """Let the process keep what it frees instead of giving it back and faulting it in again at every step.

    Attention makes tensors of 10–200 MB that the GNU C library maps and unmaps each time; without that a step takes
    30–60 % less time. Does nothing with another C library. For job scripts: it lasts as long as the process.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_TOP_PAD, 2**28)


def not_compiled(function: Callable) -> Callable:
    """Keep torch.compile out of `function`.

    As torch.compiler.disable, which loads torch's compiler where it decorates: 2–4 s of every job, compiled or not.
    """

    @wraps(function)
    def call(*arguments):
        if torch.compiler.is_compiling():
            return torch.compiler.disable(function)(*arguments)
        return function(*arguments)

    return call
