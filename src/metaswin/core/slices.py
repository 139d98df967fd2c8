"""Check the geometry of a CT series: choose the slices, sort them and test whether they form one regular grid."""

from typing import TYPE_CHECKING

import numpy as np

from metaswin.core.acquisition import number
from metaswin.core.grid import Grid
from metaswin.core.problems import BadData, Findings

if TYPE_CHECKING:
    from pydicom import Dataset

    from metaswin.config.imaging import ImagesSettings

SAME_POSITION = 0.01  # mm: two slices closer than this have the same position
UNIT_TOLERANCE = 1e-3  # accepted deviation of the direction cosines from orthogonal unit vectors
# Header elements that every slice must have, and the number of values of each (0: not checked).
NEEDED = {
    "ImagePositionPatient": 3,
    "ImageOrientationPatient": 6,
    "PixelSpacing": 2,
    "Rows": 0,
    "Columns": 0,
    "PixelData": 0,
}
HU_TYPES = ("", "HU", "US")  # absent, Hounsfield, unspecified (PS3.3 C.11.1.1.2)
EXPORT = "export the series again, complete and with original slices"


def check_slices(slices: "list[Dataset]", settings: "ImagesSettings", findings: Findings) -> "list[Dataset]":
    """Remove localizers and copies, check the header of each slice, and sort by position along the slice normal.

    Returns
    -------
    list of Dataset
        Slices in ascending order along the cross product of row and column direction (a right-handed grid).

    Raises
    ------
    BadData
        ``not-ct``, ``not-hu``, ``multiframe-ct``, ``incomplete-header``, ``mixed-series``, ``duplicate-slices``
        or ``too-few-slices``.
    """
    images = [s for s in slices if "LOCALIZER" not in (s.get("ImageType") or [])]
    if len(images) < len(slices):
        findings.warn(
            "localizer-in-series",
            f"{len(slices) - len(images)} localizer images among the slices",
            "axial slices only",
            "no action needed: they are ignored",
        )
    for image in images:
        _check_slice(image)
    others = sum(not np.allclose(_layout(image), _layout(images[0]), rtol=0, atol=UNIT_TOLERANCE) for image in images)
    if others:
        raise BadData(
            "mixed-series",
            f"{others} of {len(images)} slices with another size, pixel spacing or orientation than the first",
            "one image size, pixel spacing and orientation in a series",
            EXPORT,
        )
    if images:
        images = _sorted_unique(images, findings)
    check_number(len(images), settings)
    return images


def slice_grid(slices: "list[Dataset]", settings: "ImagesSettings") -> Grid:
    """Return the grid of sorted slices.

    Raises
    ------
    BadData
        ``gantry-tilt``, ``missing-slices``, ``variable-spacing`` or ``slice-spacing-too-large``.
    """
    first = slices[0]
    row, column, normal = _axes(first)
    positions = np.array([s.ImagePositionPatient for s in slices], dtype=float)
    along = (positions - positions[0]) @ normal
    row_spacing, column_spacing = (float(v) for v in first.PixelSpacing)
    drift = np.linalg.norm(positions - positions[0] - np.outer(along, normal), axis=1).max()
    check_tilt(drift, min(row_spacing, column_spacing))
    spacing = slice_spacing(along, settings) if len(slices) > 1 else number(first, "SliceThickness") or 1.0
    return Grid(
        size=(int(first.Columns), int(first.Rows), len(slices)),
        spacing=(column_spacing, row_spacing, spacing),
        origin=tuple(positions[0].tolist()),
        direction=tuple(np.column_stack([row, column, normal]).ravel().tolist()),
    )


def check_number(slices: int, settings: "ImagesSettings") -> None:
    """Raise `BadData` (``too-few-slices``) if a series has fewer slices than the smallest accepted number."""
    if slices < settings.min_slices:
        raise BadData(
            "too-few-slices",
            f"{slices} slices",
            f"at least {settings.min_slices} (images.min_slices)",
            "choose another series, or lower images.min_slices",
        )


def check_tilt(drift: float, pixel: float) -> None:
    """Raise `BadData` (``gantry-tilt``) if slices shift by more than half a pixel in their own plane.

    Parameters
    ----------
    drift : float
        Largest shift (mm). Up to half a pixel it is accepted as a rounding error.
    pixel : float
        Smaller of the two pixel spacings (mm).
    """
    if drift > 0.5 * pixel:
        raise BadData(
            "gantry-tilt",
            f"slices that shift by {drift:.1f} mm in their own plane from the first to the last",
            "slices stacked at right angles (no gantry tilt)",
            "resample the series to an orthogonal grid with the scanner's or PACS' tools",
        )


def _check_slice(image: "Dataset") -> None:
    private = f"{image.filename}"
    if image.get("Modality", "CT") != "CT":
        raise BadData("not-ct", f"modality {image.Modality}", "CT", "choose the CT series", private)
    if int(image.get("NumberOfFrames") or 1) > 1:
        raise BadData(
            "multiframe-ct",
            "a multi-frame CT that does not describe its frames",
            "functional groups with the position of each frame, or one file per slice",
            "convert it to classic CT slices (dcm4che, highdicom) or to NIfTI and use a NIfTI sheet",
            private,
        )
    absent = [name for name, count in NEEDED.items() if not _has(image, name, count)]
    if absent:
        raise BadData(
            "incomplete-header", f"slices without {', '.join(absent)}", "the CT image module", EXPORT, private
        )
    if image.get("SamplesPerPixel", 1) != 1 or image.get("PhotometricInterpretation", "MONOCHROME2") != "MONOCHROME2":
        found = f"pixels of type {image.get('PhotometricInterpretation')}"
        raise BadData("not-hu", found, "MONOCHROME2 with one sample per pixel", EXPORT, private)
    rescale_type = str(image.get("RescaleType") or "")
    if rescale_type not in HU_TYPES:
        raise BadData("not-hu", "a rescale type other than HU", "Hounsfield units", "choose the HU series", private)
    if number(image, "RescaleSlope") is None or number(image, "RescaleIntercept") is None:
        raise BadData(
            "not-hu", "slices without rescale slope or intercept", "both values, as in any CT", EXPORT, private
        )
    if float(image.RescaleSlope) == 0:
        raise BadData("not-hu", "a rescale slope of 0", "the slope of Hounsfield units", EXPORT, private)


def _has(image: "Dataset", name: str, count: int) -> bool:
    try:
        value = image.get(name)
        return value is not None and (not count or len([float(v) for v in value]) == count)
    except (TypeError, ValueError):
        return False


def _layout(image: "Dataset") -> list[float]:
    """Return what all slices of a series must share: rows, columns, pixel spacing (mm) and direction cosines."""
    return [float(v) for v in (image.Rows, image.Columns, *image.PixelSpacing, *image.ImageOrientationPatient)]


def _axes(image: "Dataset") -> np.ndarray:
    """Return the unit vectors of row, column and slice direction, shape (3, 3)."""
    cosines = np.array(image.ImageOrientationPatient, dtype=float)
    row, column = cosines[:3], cosines[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(row @ column)) > UNIT_TOLERANCE:
        raise BadData(
            "incomplete-header",
            "row and column directions that are not orthogonal unit vectors",
            "ImageOrientationPatient of two orthogonal unit vectors",
            EXPORT,
            str(image.filename),
        )
    row = row / lengths[0]
    column = column - (column @ row) * row
    column = column / np.linalg.norm(column)
    return np.stack([row, column, np.cross(row, column)])


def _sorted_unique(images: "list[Dataset]", findings: Findings) -> "list[Dataset]":
    normal = _axes(images[0])[2]
    height = {id(image): float(np.array(image.ImagePositionPatient, dtype=float) @ normal) for image in images}
    images = sorted(images, key=lambda image: (height[id(image)], str(image.get("SOPInstanceUID", ""))))
    kept = images[:1]
    for image in images[1:]:
        previous = kept[-1]
        if height[id(image)] - height[id(previous)] > SAME_POSITION:
            kept.append(image)
        elif image.PixelData != previous.PixelData:
            raise BadData(
                "duplicate-slices",
                "different slices at one position",
                "one slice per position",
                "remove one of the two reconstructions or phases from the series",
                f"{previous.filename} and {image.filename}",
            )
    if len(kept) < len(images):
        findings.warn(
            "duplicate-slices",
            f"{len(images) - len(kept)} copies of slices",
            "one slice per position",
            "no action needed: the copies are ignored",
        )
    return kept


def slice_spacing(along: np.ndarray, settings: "ImagesSettings") -> float:
    """Return the slice distance (mm) of regular slices at the sorted positions `along` (mm, all different).

    Raises
    ------
    BadData
        ``missing-slices``, ``variable-spacing`` or ``slice-spacing-too-large``.
    """
    steps = np.diff(along)
    typical = float(np.median(steps))
    gaps = np.rint(steps / typical)
    # If every step is a multiple of the median step, the series is regular but lacks some slices.
    regular = np.abs(steps - gaps * typical).max() <= settings.max_spacing_deviation
    if regular and gaps.max() > 1:
        raise BadData(
            "missing-slices",
            f"{int((gaps - 1).sum())} missing slices; the usual slice distance is {typical:.3g} mm",
            "every slice of the series",
            "restore the missing files, or choose another series",
        )
    if steps.max() - steps.min() > settings.max_spacing_deviation:
        raise BadData(
            "variable-spacing",
            f"slice distances from {steps.min():.3g} to {steps.max():.3g} mm",
            f"distances within {settings.max_spacing_deviation:g} mm (images.max_spacing_deviation)",
            "choose a series with regular slices, or raise images.max_spacing_deviation",
        )
    spacing = float((along[-1] - along[0]) / (len(along) - 1))
    check_spacing(spacing, settings)
    return spacing


def check_spacing(spacing: float, settings: "ImagesSettings") -> None:
    """Raise `BadData` (``slice-spacing-too-large``) if a slice distance (mm) exceeds the largest accepted one."""
    if spacing > settings.max_slice_spacing:
        raise BadData(
            "slice-spacing-too-large",
            f"a slice distance of {spacing:.3g} mm",
            f"at most {settings.max_slice_spacing:g} mm (images.max_slice_spacing)",
            "choose a thinner series, or raise images.max_slice_spacing",
        )
