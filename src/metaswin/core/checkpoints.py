"""Read torch checkpoints of other programs without running code that they may contain.

A checkpoint is a Python pickle, which can run any code when it is loaded. Torch's ``weights_only`` option reads only
tensors and plain values. nnU-Net stores some numpy numbers (its log, its best score) together with its weights and
loads with ``weights_only=False``. This module allows these numbers by name and nothing else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metaswin.core.errors import UserError


def read_checkpoint(path: str | Path) -> Any:
    """Return the content of a checkpoint: tensors, plain values and numpy numbers.

    Raises
    ------
    UserError
        If the file cannot be read, or if it contains anything else.
    """
    import torch

    with weights_only():
        return torch.load(path, map_location="cpu")


@contextmanager
def weights_only() -> Iterator[None]:
    """Make each `torch.load` of this process read weights only, even if its caller asks for more.

    Raises
    ------
    UserError
        From `torch.load`, if a checkpoint contains more than tensors, plain values and numpy numbers.
    """
    import pickle

    import torch

    load = torch.load

    def load_weights(file: Any, *arguments: Any, **options: Any) -> Any:
        options["weights_only"] = True
        try:
            return load(file, *arguments, **options)
        except pickle.UnpicklingError as error:
            name = Path(file).name if isinstance(file, str | Path) else "a checkpoint"
            raise UserError(
                f"{name} contains more than weights or is damaged. It was not opened, because a checkpoint can run any "
                f"code when it is loaded. Get it again from a source that you trust "
                f"({str(error).splitlines()[0][:200]})"
            ) from None

    with torch.serialization.safe_globals(_numbers()):
        torch.load = load_weights  # type: ignore[assignment]
        try:
            yield
        finally:
            torch.load = load


def _numbers() -> list[Any]:
    """Return the classes and functions that a pickled numpy number refers to, with their names in numpy 1 and 2."""
    import codecs

    import numpy as np
    from numpy._core.multiarray import scalar

    kinds = [
        getattr(np.dtypes, name) for name in np.dtypes.__all__ if name.startswith(("Float", "Int", "UInt", "Bool"))
    ]
    names = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return [*names, np.dtype, *kinds, (codecs.encode, "_codecs.encode")]
