"""Choose the device, the threads and the arithmetic of a job."""

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
    """Return the device of `deep.device`; ``auto`` is the GPU if there is one, else the CPU."""
    there = torch.cuda.is_available()
    if setting == "cuda" and not there:
        raise UserError("deep.device is cuda, but torch finds no GPU on this computer; set it to auto or cpu")
    return torch.device("cuda" if there and setting != "cpu" else "cpu")


@contextmanager
def own_device(setting: str) -> Iterator[torch.device]:
    """Yield the device of `deep.device` for this job; if there are several GPUs, one that no other job uses."""
    device = choose_device(setting)
    with own_gpu(device.type == "cuda") as number:
        yield device if number is None else torch.device("cuda", number)


@contextmanager
def reproducible(threads: int, device: torch.device) -> Iterator[None]:
    """Make the computations bitwise reproducible on the CPU. On a GPU, a few operations have no reproducible form.

    Denormal numbers are set to zero. The masked entries of shifted windows have weights of e^-100, and arithmetic on
    them made a step take half as long again.
    """
    before = torch.get_num_threads()
    # Must be set before the first matrix product on a GPU.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_flush_denormal(True)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    deterministic: Any = torch.utils.deterministic  # a module whose class defines the attribute
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
    """Keep freed memory in the process instead of returning it to the operating system at every step.

    Attention allocates tensors of 10–200 MB, which the GNU C library otherwise maps and unmaps each time. Without this
    mapping, a step takes 30–60 % less time. The function has no effect with another C library. Only job scripts should
    call it, because the change lasts as long as the process.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_TOP_PAD, 2**28)


def not_compiled(function: Callable) -> Callable:
    """Exclude `function` from torch.compile.

    The effect is that of torch.compiler.disable. That decorator loads torch's compiler when it is applied, which takes
    2–4 s in every job, even if the job does not compile.
    """

    @wraps(function)
    def call(*arguments):
        if torch.compiler.is_compiling():
            return torch.compiler.disable(function)(*arguments)
        return function(*arguments)

    return call
