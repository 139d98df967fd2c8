"""Read torch checkpoints of other programs without running what may be in them.

A checkpoint is a Python pickle, which can run any code when it is loaded. Torch's ``weights_only`` reads tensors and
plain values only. nnU-Net stores some numpy numbers beside its weights (its log, its best score) and loads with
``weights_only=False``; here these numbers are allowed by name, and nothing else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metaswin.core.errors import UserError


def read_checkpoint(path: str | Path) -> Any:
    """Content of a checkpoint: tensors, plain values, numpy numbers.

    Raises
    ------
    UserError
        If it cannot be read, or holds anything else.
    """
    import torch

    with weights_only():
        return torch.load(path, map_location="cpu")


@contextmanager
def weights_only() -> Iterator[None]:
    """Within it, each `torch.load` of this process reads weights only, whatever its caller asks for.

    Raises
    ------
    UserError
        From `torch.load`: where a checkpoint holds more than tensors, plain values and numpy numbers.
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
                f"{name} holds more than weights, which could run any code when loaded, or is damaged: it is not "
                f"opened. Get it again from a source that you trust ({str(error).splitlines()[0][:200]})"
            ) from None

    with torch.serialization.safe_globals(_numbers()):
        torch.load = load_weights  # type: ignore[assignment]
        try:
            yield
        finally:
            torch.load = load


def _numbers() -> list[Any]:
    """What a pickled numpy number consists of, under its names in numpy 1 and 2."""
    import codecs

    import numpy as np
    from numpy._core.multiarray import scalar

    kinds = [
        getattr(np.dtypes, name) for name in np.dtypes.__all__ if name.startswith(("Float", "Int", "UInt", "Bool"))
    ]
    names = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return [*names, np.dtype, *kinds, (codecs.encode, "_codecs.encode")]
