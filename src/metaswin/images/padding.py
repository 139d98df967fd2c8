"""Padding: pixels outside the reconstruction circle, stored as a value that is no HU."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pydicom import Dataset

AIR = -1024  # HU that padding gets
HIGHEST = 3071  # end of the 12-bit CT scale


def padding(header: "Dataset", stored: np.ndarray, slope: float, intercept: float) -> np.ndarray | None:
    """Pixels that hold PixelPaddingValue, or a value up to PixelPaddingRangeLimit (PS3.3 C.7.5.1.1.2).

    A padding value within the CT scale (-1024 to 3071 HU, its end left out) is left alone: files name 0 or -1000 as
    padding that tissue and air have too.

    Parameters
    ----------
    header : Dataset
        Header of the slice.
    stored : ndarray of int
        Stored values.
    slope, intercept : float
        Rescale to HU.

    Returns
    -------
    ndarray of bool or None
        None where the slice has no such pixel.
    """
    ends = [_as_stored(header.get(name), stored.dtype) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    known = [end for end in ends if end is not None]
    if ends[0] is None or any(AIR <= end * slope + intercept < HIGHEST for end in known):
        return None
    mask = (stored >= min(known)) & (stored <= max(known))
    return mask if mask.any() else None


def _as_stored(value: object, dtype: np.dtype) -> int | None:
    """The value in the range of the pixels' type: some files write -2000 as 63536 and the other way round."""
    try:
        number = int(str(value))
    except ValueError:
        return None
    limits = np.iinfo(dtype)
    period = int(limits.max) - int(limits.min) + 1
    return (number - int(limits.min)) % period + int(limits.min)
