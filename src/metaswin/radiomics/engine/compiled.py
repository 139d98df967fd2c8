"""Compile the kernels without the interpreter's lock, with numpy's IEEE arithmetic; cache them on disk if requested."""

from collections.abc import Callable
from pathlib import Path

import numba

_KERNELS: list = []


def kernel(function: Callable) -> Callable:
    """Compile a kernel at its first call; the machine code is saved only if `cache_kernels` has named a folder.

    Sums are not reordered (no fast-math), so that values do not depend on the machine.
    """
    compiled = numba.njit(nogil=True, error_model="numpy")(function)
    _KERNELS.append(compiled)
    return compiled


def cache_kernels(folder: Path) -> None:
    """Read the machine code of all kernels from `folder` from now on, and write missing code there."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        for compiled in _KERNELS:
            compiled.enable_caching()
    finally:
        numba.config.CACHE_DIR = before
