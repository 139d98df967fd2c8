"""Define faults of contours (RTSTRUCT)."""

import copy
from collections.abc import Callable

import numpy as np
from pydicom.dataset import Dataset

from metaswin.simulate.data_faults.case import Case, DataFault


def no_matching_roi(case: Case) -> None:
    _names(case)[1].ROIName = "GVTp left"


def several_rois(case: Case) -> None:
    """Divide the lesion into two halves with one ROI each."""
    drawn = case.rtstruct.ROIContourSequence[1]
    half = len(drawn.ContourSequence) // 2
    _add_roi(case, "GTVp2", list(drawn.ContourSequence[half:]))
    drawn.ContourSequence = drawn.ContourSequence[:half]


def empty_roi(case: Case) -> None:
    case.rtstruct.ROIContourSequence[1].ContourSequence = []


def one_empty_roi(case: Case) -> None:
    _add_roi(case, "GTVn", [])


def no_rtstruct(case: Case) -> None:
    case.structures = None


def referenced_series_absent(case: Case) -> None:
    reference = case.rtstruct.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    reference.RTReferencedSeriesSequence[0].SeriesInstanceUID = case.subject.uid("elsewhere")
    _rename_images(case)


def references_match_nothing(case: Case) -> None:
    _rename_images(case)


def no_references(case: Case) -> None:
    del case.rtstruct.ReferencedFrameOfReferenceSequence, case.rtstruct.FrameOfReferenceUID
    for roi in _names(case):
        del roi.ReferencedFrameOfReferenceUID
    for contour in case.contours():
        del contour.ContourImageSequence


def other_frame(case: Case) -> None:
    case.rtstruct.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = case.subject.uid("other-frame")


def contours_of_another_ct(case: Case) -> None:
    other_frame(case)
    case.rtstruct.FrameOfReferenceUID = case.subject.uid("other-frame")
    for roi in _names(case):
        roi.ReferencedFrameOfReferenceUID = case.subject.uid("other-frame")
    referenced_series_absent(case)


def two_rtstructs(case: Case) -> None:
    older = copy.deepcopy(case.rtstruct)
    older.SOPInstanceUID, older.StructureSetDate = case.subject.uid("older"), "20190101"
    case.save(older, "RTSTRUCT/older")


def off_slices(case: Case) -> None:
    _each(case, lambda points: np.add(points, (0, 0, 1.0)))


def keyhole(case: Case) -> None:
    """Draw a hole as one line with a channel (keyhole), and fill the hole by an additional contour."""
    for contour in case.contours():
        outer = _points(contour)
        centre = outer.mean(axis=0)
        inner = centre + 0.4 * (outer - centre)
        _set(contour, np.concatenate([outer, outer[:1], inner[:1], inner[::-1]]))
        _add_contour(case, contour, inner)


def hole(case: Case) -> None:
    """Draw the same hole as a contour within the contour, and fill the hole by an additional contour."""
    for contour in case.contours():
        outer = _points(contour)
        centre = outer.mean(axis=0)
        _add_contour(case, contour, centre + 0.4 * (outer - centre))
        _add_contour(case, contour, centre + 0.39 * (outer - centre))


def open_contour(case: Case) -> None:
    marker = copy.deepcopy(case.contours()[0])
    marker.ContourGeometricType = "OPEN_PLANAR"
    case.rtstruct.ROIContourSequence[1].ContourSequence.append(marker)


def only_open_contours(case: Case) -> None:
    for contour in case.contours():
        contour.ContourGeometricType = "OPEN_PLANAR"


def outside(case: Case) -> None:
    _each(case, lambda points: np.add(points, (500.0, 0, 0)))


def partly_outside(case: Case) -> None:
    _each(case, lambda points: np.add(points, (34.0, 0, 0)))


def no_area(case: Case) -> None:
    line = copy.deepcopy(case.contours()[0])
    points = _points(line)
    _set(line, np.repeat(points[:1], 4, axis=0))
    case.rtstruct.ROIContourSequence[1].ContourSequence.append(line)


def drawn_twice(case: Case) -> None:
    case.rtstruct.ROIContourSequence[1].ContourSequence.append(copy.deepcopy(case.contours()[0]))


def between_slices(case: Case) -> None:
    for contour in case.contours():
        _add_contour(case, contour, np.add(_points(contour), (0, 0, 1.0)))


def every_second_slice(case: Case) -> None:
    kept = case.rtstruct.ROIContourSequence[1]
    kept.ContourSequence = list(kept.ContourSequence)[::2]


def not_parallel(case: Case) -> None:
    slanted = _points(case.contours()[0])
    slanted[:, 2] += slanted[:, 0] - slanted[:, 0].mean()
    _add_contour(case, case.contours()[0], slanted)


def _names(case: Case) -> list[Dataset]:
    return list(case.rtstruct.StructureSetROISequence)


def _rename_images(case: Case) -> None:
    """Make the contours reference images that do not exist."""
    for number, item in enumerate(case.image_references()):
        item.ReferencedSOPInstanceUID = case.subject.uid("absent", number)


def _points(contour: Dataset) -> np.ndarray:
    return np.array(contour.ContourData, dtype=float).reshape(-1, 3)


def _set(contour: Dataset, points: np.ndarray) -> None:
    contour.ContourData = [f"{value:.7g}" for value in points.ravel()]
    contour.NumberOfContourPoints = len(points)


def _each(case: Case, change: Callable[[np.ndarray], np.ndarray]) -> None:
    for contour in case.contours():
        _set(contour, change(_points(contour)))


def _add_contour(case: Case, like: Dataset, points: np.ndarray) -> None:
    contour = copy.deepcopy(like)
    _set(contour, points)
    case.rtstruct.ROIContourSequence[1].ContourSequence.append(contour)


def _add_roi(case: Case, name: str, contours: list[Dataset]) -> None:
    header, drawn = copy.deepcopy(_names(case)[1]), copy.deepcopy(case.rtstruct.ROIContourSequence[1])
    header.ROIName = name
    header.ROINumber = drawn.ReferencedROINumber = len(_names(case)) + 1
    drawn.ContourSequence = contours
    case.rtstruct.StructureSetROISequence.append(header)
    case.rtstruct.ROIContourSequence.append(drawn)


CONTOURS = [
    DataFault("no-matching-roi", no_matching_roi, {"no-matching-roi": True}),
    DataFault("several-rois", several_rois, {"several-rois": False}),
    DataFault("empty-roi", empty_roi, {"empty-roi": True}),
    DataFault("one-empty-roi", one_empty_roi, {"empty-roi-left-out": False}),
    DataFault("no-rtstruct", no_rtstruct, {"no-contours": True}),
    DataFault("referenced-series-absent", referenced_series_absent,
           {"referenced-series-absent": False, "contour-images-unmatched": False, "contours-by-position": False}),
    DataFault("references-match-nothing", references_match_nothing,
           {"contour-images-unmatched": False, "contours-by-position": False}),
    DataFault("no-references", no_references, {"contours-without-reference": False}),
    DataFault("other-frame", other_frame, {"other-frame-of-reference": False}),
    DataFault("contours-of-another-ct", contours_of_another_ct, {"contours-without-ct": True}),
    DataFault("two-rtstructs", two_rtstructs, {"several-contour-sets": False}),
    DataFault("off-slices", off_slices, {"contours-off-slices": False}),
    DataFault("keyhole", keyhole),
    DataFault("hole", hole),
    DataFault("open-contour", open_contour, {"contours-not-closed": False}),
    DataFault("only-open-contours", only_open_contours, {"empty-roi": True}),
    DataFault("outside", outside, {"contour-outside-image": True}),
    DataFault("partly-outside", partly_outside, {"contour-outside-image": False, "implausible-hu": False},
           volume=False),
    DataFault("no-area", no_area, {"contours-without-area": False}),
    DataFault("drawn-twice", drawn_twice, {"contours-twice": False}),
    DataFault("between-slices", between_slices, {"contours-between-slices": False}),
    DataFault("every-second-slice", every_second_slice, {"contours-skip-slices": False}, volume=False),
    DataFault("not-parallel", not_parallel, {"contours-not-parallel": False}),
]  # fmt: skip
