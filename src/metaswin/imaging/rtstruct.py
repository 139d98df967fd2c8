"""Read the contours of an RTSTRUCT."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataelem import RawDataElement

from metaswin.imaging.dicom import read_dicom, unreadable

if TYPE_CHECKING:
    from pydicom import Dataset

TAGS = [
    "Modality",
    "ReferencedFrameOfReferenceSequence",
    "ROIContourSequence",
    "StructureSetROISequence",
]
# CLOSEDPLANAR_XOR (PS3.3 C.8.8.6.3) states the even-odd rule explicitly; here it applies to every closed contour.
CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "")


@dataclass(frozen=True)
class Roi:
    """One region of interest.

    Attributes
    ----------
    name : str
        Name as found (private).
    contours : list of ndarray, shape (n, 3)
        Closed contours, points in mm (LPS).
    images : list of str
        SOP instance UID that each contour references; empty if it references none (private).
    skipped : int
        Number of open contours, points and contours whose data cannot be read.
    """

    name: str
    contours: list[np.ndarray]
    images: list[str]
    skipped: int


@dataclass(frozen=True)
class StructureSet:
    """ROIs by number, and the frames of reference in which they are drawn (private)."""

    rois: dict[int, Roi]
    frames: frozenset[str]


def read_rtstruct(path: str | Path, numbers: set[int] | None = None) -> StructureSet:
    """Read an RTSTRUCT: all ROIs, or only those with `numbers`.

    Raises
    ------
    BadData
        ``file-missing`` or ``file-unreadable``.
    """
    header = read_dicom(path, TAGS)
    try:
        if header.get("Modality") != "RTSTRUCT":
            raise ValueError("not an RTSTRUCT")
        names = {
            int(item.ROINumber): str(item.get("ROIName", "")) for item in header.get("StructureSetROISequence", [])
        }
        frames = {str(i.FrameOfReferenceUID) for i in header.get("ReferencedFrameOfReferenceSequence", [])}
        rois = {}
        for item in header.get("ROIContourSequence", []):
            number = int(item.ReferencedROINumber)
            if numbers is None or number in numbers:
                rois[number] = _roi(names.get(number, ""), item)
    except (AttributeError, TypeError, ValueError) as error:
        raise unreadable(path, error) from error
    # An ROI without any contour item is empty, not missing.
    for number in names.keys() - rois.keys():
        if numbers is None or number in numbers:
            rois[number] = Roi(names[number], [], [], 0)
    return StructureSet(dict(sorted(rois.items())), frozenset(frames))


def _roi(name: str, item: "Dataset") -> Roi:
    contours, images, skipped = [], [], 0
    for contour in item.get("ContourSequence") or []:
        points = _points(contour) if str(contour.get("ContourGeometricType") or "") in CLOSED else None
        if points is None:
            skipped += 1
            continue
        contours.append(points)
        references = contour.get("ContourImageSequence") or []
        images.append(str(references[0].get("ReferencedSOPInstanceUID", "")) if len(references) else "")
    return Roi(name, contours, images, skipped)


def _points(contour: "Dataset") -> np.ndarray | None:
    """Return the points (n, 3) of a contour; None if its data are not a whole number of finite triples.

    The text is parsed as one array, because pydicom's own decimal strings need a microsecond and an object per number.
    """
    if "ContourData" not in contour:
        return None
    element = contour.get_item("ContourData")
    try:
        if isinstance(element, RawDataElement):
            values = np.array((element.value or b"").strip(b"\0 ").split(b"\\"), dtype=float)
        else:
            values = np.array(element.value, dtype=float)
    except ValueError:
        return None
    whole = values.size > 0 and values.size % 3 == 0 and np.isfinite(values).all()
    return values.reshape(-1, 3) if whole else None
