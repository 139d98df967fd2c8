"""Read a CT series: HU, slices sorted by position, orientation kept, every geometric trap named."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from metaswin.images.acquisition import UNKNOWN, acquisition
from metaswin.images.dicom import read_dicom, unreadable
from metaswin.images.grid import Grid
from metaswin.images.multiframe import TAGS as FRAME_TAGS
from metaswin.images.multiframe import split_frames
from metaswin.images.padding import AIR, padding
from metaswin.images.settings import ImagesSettings
from metaswin.images.slices import check_slices, slice_grid
from metaswin.problems import BadData, Findings

if TYPE_CHECKING:
    from pydicom import Dataset

TAGS = [
    "BitsAllocated",
    "BitsStored",
    "Columns",
    "ConvolutionKernel",
    "FrameOfReferenceUID",
    "HighBit",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "ImageType",
    "KVP",
    "Manufacturer",
    "ManufacturerModelName",
    "Modality",
    "NumberOfFrames",
    "PhotometricInterpretation",
    "PixelData",
    "PixelPaddingRangeLimit",
    "PixelPaddingValue",
    "PixelRepresentation",
    "PixelSpacing",
    "PlanarConfiguration",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "Rows",
    "SamplesPerPixel",
    "SliceThickness",
    "SOPClassUID",
    "SOPInstanceUID",
    *FRAME_TAGS,
]
INT16 = np.iinfo(np.int16)


@dataclass(frozen=True)
class Ct:
    """A CT in HU.

    Attributes
    ----------
    array : ndarray, int16 or float32, shape (slices, rows, columns)
        HU; int16 where all values are whole.
    grid : Grid
        Its voxel grid.
    facts : dict
        Acquisition facts, see `metaswin.images.acquisition`.
    frame : str or None
        Frame of reference UID (private).
    instances : frozenset of str
        SOP instance UIDs of the slices (private).
    """

    array: np.ndarray
    grid: Grid
    facts: dict[str, str | float | None] = field(default_factory=lambda: dict(UNKNOWN))
    frame: str | None = None
    instances: frozenset[str] = frozenset()


def read_ct(paths: Sequence[str | Path], settings: ImagesSettings, findings: Findings) -> Ct:
    """Read the DICOM files of one CT series in any order.

    Raises
    ------
    BadData
        The series cannot be used: see the codes in `metaswin.images.slices` and `check_hu`.
    """
    slices = check_slices(
        [frame for path in paths for frame in split_frames(read_dicom(path, TAGS))], settings, findings
    )
    grid = slice_grid(slices, settings)
    first = slices[0]
    facts, frame = acquisition(first), first.get("FrameOfReferenceUID")
    instances = frozenset(str(s.get("SOPInstanceUID", "")) for s in slices)
    array = whole_numbers(_stack(slices, grid))
    check_hu(array)
    return Ct(array, grid, facts, str(frame) if frame else None, instances)


def check_hu(array: np.ndarray) -> None:
    """Check that the values can be HU: some voxel lies below 0 HU (water), as air, fat and noise do.

    Voxels at and below the end of the scale (-1024 HU) do not count, they may be padding.

    Raises
    ------
    BadData
        ``not-hu``: grey values of a window, an offset of 1000 never subtracted, one value everywhere, or values that
        are not finite.
    """
    high = float(array.max())
    low = float(np.min(array, where=~(array <= AIR), initial=high))
    if not (np.isfinite(low) and np.isfinite(high)) or low >= 0 or low == high:
        raise BadData(
            "not-hu",
            f"values from {low:g} to {high:g}",
            "finite Hounsfield units, with air and fat below 0",
            "export the CT with its rescale slope and intercept, or subtract the offset",
        )


def whole_numbers(array: np.ndarray) -> np.ndarray:
    """The array (slices, rows, columns) as int16 where all its values are whole and fit, else as float32."""
    if array.dtype == np.int16:
        return array
    if np.issubdtype(array.dtype, np.integer):
        fits = array.min() >= INT16.min and array.max() <= INT16.max
    else:
        fits = all(bool(np.all((s >= INT16.min) & (s <= INT16.max) & (np.rint(s) == s))) for s in array)
    return array.astype(np.int16 if fits else np.float32)


def _stack(slices: "list[Dataset]", grid: Grid) -> np.ndarray:
    """HU of sorted slices; each slice's pixel data are let go once read, so that memory holds the volume once."""
    scales = [(float(s.RescaleSlope), float(s.RescaleIntercept)) for s in slices]
    whole = all(slope.is_integer() and intercept.is_integer() for slope, intercept in scales)
    volume = np.empty(grid.shape, dtype=np.int16 if whole else np.float32)
    for index, (slope, intercept) in enumerate(scales):
        header, slices[index] = slices[index], None
        stored = _pixels(header)
        outside = padding(header, stored, slope, intercept)
        if volume.dtype == np.int16:
            hu = stored.astype(np.int32) * int(slope) + int(intercept)
            if outside is not None:
                hu[outside] = AIR
            if hu.min() < INT16.min or hu.max() > INT16.max:
                volume = volume.astype(np.float32)
        else:
            hu = stored * slope + intercept
            if outside is not None:
                hu[outside] = AIR
        volume[index] = hu
    return volume


def _pixels(header: "Dataset") -> np.ndarray:
    try:
        return header.pixel_array
    except MemoryError:
        raise
    except Exception as error:
        raise unreadable(header.filename, error) from error
