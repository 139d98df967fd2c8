"""How the kernels are compiled: without the interpreter's lock, IEEE arithmetic as in numpy, kept on disk if asked."""

from collections.abc import Callable
from pathlib import Path

import numba

_KERNELS: list = []


def kernel(function: Callable) -> Callable:
    """Compile a kernel at its first call; the machine code is kept where `cache_kernels` says, else nowhere.

    Sums are not reordered (no fast-math), so that values do not depend on the machine.
    """
    compiled = numba.njit(nogil=True, error_model="numpy")(function)
    _KERNELS.append(compiled)
    return compiled


def cache_kernels(folder: Path) -> None:
    """Read the machine code of all kernels from `folder` from now on, and write there what it lacks."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        for compiled in _KERNELS:
            compiled.enable_caching()
    finally:
        numba.config.CACHE_DIR = before
