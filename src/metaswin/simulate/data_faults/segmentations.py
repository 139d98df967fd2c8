"""Define faults of DICOM segmentations (SEG), with ``ingest.tumor_source: seg``."""

import warnings
from typing import Any

import numpy as np

from metaswin.simulate.data_faults.case import GRID, RADIUS, Case, DataFault


def binary(case: Case) -> None:
    _write(case, _lesion()[..., None])


def label_map(case: Case) -> None:
    _write(case, _lesion()[..., None], kind="LABELMAP")


def fractional(case: Case) -> None:
    """Write values of at least half of the maximum within the lesion and smaller values around it."""
    x, y, z = GRID.coordinates()
    distance = np.sqrt(x**2 + y**2 + z**2)
    share = np.where(distance < RADIUS, 0.8, np.where(distance < RADIUS + 6, 0.3, 0.0))
    _write(case, share[..., None], kind="FRACTIONAL")


def several_segments(case: Case) -> None:
    """Write the two halves of the lesion as two segments of the primary, and an organ."""
    lesion = _lesion()
    upper = lesion.copy()
    upper[: len(lesion) // 2] = False
    organ = np.zeros_like(lesion)
    organ[:, 2:4, 2:4] = True
    _write(case, np.stack([lesion & ~upper, upper, organ], axis=-1), labels=["GTVp1", "GTVp2", "Parotid"])


def other_grid(case: Case) -> None:
    """Write voxels of half the size: each voxel of the CT contains eight of them."""
    fine = _lesion().repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
    _write(case, fine[..., None], finer=2)


def outside(case: Case) -> None:
    """Write a lesion that extends beyond the edge of the CT, on the same lattice."""
    wide = np.zeros((*GRID.shape[:2], GRID.shape[2] + 6, 1), dtype=bool)
    wide[3:5, 6:10, 11:18] = True
    _write(case, wide)


def other_frame(case: Case) -> None:
    for image in case.slices:
        image.FrameOfReferenceUID = case.subject.uid("other-frame")
    _write(case, _lesion()[..., None])
    for image in case.slices:
        image.FrameOfReferenceUID = case.subject.uid("frame")


def no_matching_segment(case: Case) -> None:
    _write(case, _lesion()[..., None], labels=["Tumour"])


def _lesion() -> np.ndarray:
    x, y, z = GRID.coordinates()
    return np.sqrt(x**2 + y**2 + z**2) < RADIUS


def _write(case: Case, mask: np.ndarray, kind: str = "BINARY", labels: list[str] | None = None, finer: int = 1) -> None:
    """Write `mask` (slices, rows, columns, segments) as a SEG on the CT's lattice, or one `finer` times finer."""
    import highdicom
    from pydicom.sr.codedict import codes

    case.structures = None
    first = case.slices[0]
    spacing = [step / finer for step in GRID.spacing[::-1]]
    shift = (finer - 1) / 2 * np.array(spacing[::-1])
    position = np.array(first.ImagePositionPatient, dtype=float) - shift
    labels = labels or ["GTVp"]
    segments = [
        highdicom.seg.SegmentDescription(number, label, codes.SCT.Tissue, codes.SCT.Neoplasm, "MANUAL")
        for number, label in enumerate(labels, start=1)
    ]
    volume = highdicom.Volume.from_components(
        direction=np.eye(3)[:, ::-1].ravel().tolist(),
        spacing=spacing,
        coordinate_system="PATIENT",
        position=position.tolist(),
        array=mask.astype(float if kind == "FRACTIONAL" else np.uint8),
        channels={"SegmentNumber": list(range(1, len(labels) + 1))},
    )
    more: dict[str, Any] = {"max_fractional_value": 200} if kind == "FRACTIONAL" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        segmentation = highdicom.seg.Segmentation(
            case.slices, volume, kind, segments, case.subject.uid("seg-series"), 7, case.subject.uid("seg"), 1,
            "metaswin", "phantom", "1", "1", **more,
        )  # fmt: skip
    case.save(segmentation, "SEG/1")


SEGMENTATIONS = [
    DataFault("seg-binary", binary),
    DataFault("seg-label-map", label_map),
    DataFault("seg-fractional", fractional),
    DataFault("seg-several-segments", several_segments, {"several-rois": False}),
    DataFault("seg-other-grid", other_grid, {"seg-resampled": False}),
    DataFault("seg-outside", outside, {"seg-outside-image": False}, volume=False),
    DataFault("seg-other-frame", other_frame, {"other-frame-of-reference": False}),
    DataFault("seg-no-matching-segment", no_matching_segment, {"no-matching-roi": True}),
]
