"""Read a CT series as a volume in HU: sort the slices, split multi-frame files and replace padding values."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metaswin.config.imaging import ImagesSettings
from metaswin.core.acquisition import UNKNOWN, acquisition
from metaswin.core.grid import Grid
from metaswin.core.problems import BadData, Findings
from metaswin.core.slices import check_slices, slice_grid
from metaswin.imaging.dicom import read_dicom, unreadable

if TYPE_CHECKING:
    from pydicom import Dataset


AIR = -1024  # HU of replaced padding
HIGHEST = 3071  # end of the 12-bit CT scale


def padding(header: "Dataset", stored: np.ndarray, slope: float, intercept: float) -> np.ndarray | None:
    """Return the pixels with PixelPaddingValue or a value up to PixelPaddingRangeLimit (PS3.3 C.7.5.1.1.2).

    A padding value within the CT scale (-1024 to 3070 HU) is not replaced, because some files declare 0 or -1000 as
    padding, and tissue and air have these values too.

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
        None if the slice has no such pixel.
    """
    ends = [_as_stored(header.get(name), stored.dtype) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    known = [end for end in ends if end is not None]
    if ends[0] is None or any(AIR <= end * slope + intercept < HIGHEST for end in known):
        return None
    mask = (stored >= min(known)) & (stored <= max(known))
    return mask if mask.any() else None


def _as_stored(value: object, dtype: np.dtype) -> int | None:
    """Return the value in the range of the pixel type; some files write -2000 as 63536 or the reverse."""
    try:
        number = int(str(value))
    except ValueError:
        return None
    limits = np.iinfo(dtype)
    period = int(limits.max) - int(limits.min) + 1
    return (number - int(limits.min)) % period + int(limits.min)


# Functional group → its elements with the names that they have in a classic slice (PS3.3 C.7.6.16 and C.8.15.3).
GROUPS = {
    "PlanePositionSequence": {"ImagePositionPatient": "ImagePositionPatient"},
    "PlaneOrientationSequence": {"ImageOrientationPatient": "ImageOrientationPatient"},
    "PixelMeasuresSequence": {"PixelSpacing": "PixelSpacing", "SliceThickness": "SliceThickness"},
    "PixelValueTransformationSequence": {
        "RescaleIntercept": "RescaleIntercept",
        "RescaleSlope": "RescaleSlope",
        "RescaleType": "RescaleType",
    },
    "CTImageFrameTypeSequence": {"FrameType": "ImageType"},
    "CTReconstructionSequence": {"ConvolutionKernel": "ConvolutionKernel"},
    "CTXRayDetailsSequence": {"KVP": "KVP"},
}
PER_FRAME, SHARED = "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"
FRAME_TAGS = [PER_FRAME, SHARED]


def split_frames(image: "Dataset") -> "list[Dataset]":
    """Return the frames of a multi-frame CT as slices, each with its own position, orientation, spacing and rescale.

    A classic slice, or an image without functional groups, is returned unchanged.

    Raises
    ------
    BadData
        ``file-unreadable``, if the pixels cannot be decoded or their number of frames differs from the description.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    described = image.get(PER_FRAME)
    if not described:
        return [image]
    pixels = _frame_pixels(image, len(described))
    shared = (image.get(SHARED) or [Dataset()])[0]
    common = Dataset()
    common.update({tag: element for tag, element in image.items() if element.tag not in _dropped()})
    frames = []
    for groups, plane in zip(described, pixels, strict=True):
        frame = Dataset()
        frame.update(common)
        for name, value in _values(groups, shared).items():
            setattr(frame, name, value)
        frame.file_meta = FileMetaDataset()
        frame.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        frame.NumberOfFrames = 1
        frame.PixelData = np.ascontiguousarray(plane, dtype=plane.dtype.newbyteorder("<")).tobytes()
        frame.filename = image.filename
        frames.append(frame)
    return frames


def _values(groups: "Dataset", shared: "Dataset") -> dict[str, Any]:
    """Return the elements of one frame; the frame's own groups override the shared ones."""
    values = {}
    for sequence, names in GROUPS.items():
        items = groups.get(sequence) or shared.get(sequence) or []
        for source, target in names.items():
            if items and source in items[0]:
                values[target] = items[0][source].value
    return values


def _frame_pixels(image: "Dataset", frames: int) -> np.ndarray:
    """Return the stored values, shape (frames, rows, columns)."""
    try:
        pixels = image.pixel_array
        return pixels.reshape(frames, *pixels.shape[-2:])
    except MemoryError:
        raise
    except Exception as error:
        raise unreadable(image.filename, error) from error


def _dropped() -> set[int]:
    from pydicom.datadict import tag_for_keyword

    return {int(tag_for_keyword(name) or 0) for name in (*FRAME_TAGS, "PixelData")}


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
        HU; int16 if all values are whole numbers that fit.
    grid : Grid
        The voxel grid.
    facts : dict
        Acquisition facts, see `metaswin.core.acquisition`.
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
    """Read the DICOM files of one CT series; the order of the files does not matter.

    Raises
    ------
    BadData
        If the series cannot be used; see the codes in `metaswin.core.slices` and `check_hu`.
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
    """Check that the values can be HU: some voxels must be below 0 HU (water), as air, fat and noise are.

    Voxels at or below the end of the scale (-1024 HU) are ignored, because they may be padding.

    Raises
    ------
    BadData
        ``not-hu``, for grey values of a display window, an offset of 1000 that was not subtracted, a constant image,
        or values that are not finite.
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
    """Return the array (slices, rows, columns) as int16 if all values are whole and fit, else as float32."""
    if array.dtype == np.int16:
        return array
    if np.issubdtype(array.dtype, np.integer):
        fits = array.min() >= INT16.min and array.max() <= INT16.max
    else:
        fits = all(bool(np.all((s >= INT16.min) & (s <= INT16.max) & (np.rint(s) == s))) for s in array)
    return array.astype(np.int16 if fits else np.float32)


def _stack(slices: list[Any], grid: Grid) -> np.ndarray:
    """Return the HU of sorted slices.

    The pixel data of each slice are released after reading, so that memory contains the volume only once.
    """
    scales = [(float(s.RescaleSlope), float(s.RescaleIntercept)) for s in slices]
    whole = all(slope.is_integer() and intercept.is_integer() for slope, intercept in scales)
    volume = np.empty(grid.shape, dtype=np.int16 if whole else np.float32)
    for index, (slope, intercept) in enumerate(scales):
        header, slices[index] = slices[index], None
        stored = _pixels(header)
        outside = padding(header, stored, slope, intercept)
        if volume.dtype == np.int16:
            hu: np.ndarray = stored.astype(np.int32) * int(slope) + int(intercept)
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
