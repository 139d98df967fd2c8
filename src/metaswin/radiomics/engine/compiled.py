"""How the kernels are compiled: cached on disk, without the interpreter's lock, IEEE arithmetic as in numpy."""

from collections.abc import Callable

import numba


def kernel(function: Callable) -> Callable:
    """Compile a kernel at its first call.

    The machine code is kept in ``__pycache__`` beside the source, or in ``NUMBA_CACHE_DIR`` if that is set.
    Sums are not reordered (no fast-math), so that values do not depend on the machine.
    """
    return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
