"""Convert one patient's CT and tumour to NIfTI (rule ``convert_images``)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metaswin.config.imaging import ImagesSettings
from metaswin.core.files import read_json, write_json, write_volume
from metaswin.core.grid import Grid
from metaswin.core.problems import BadData, Findings
from metaswin.core.status import patient_job
from metaswin.imaging.contours import Drawing, frame_mismatch
from metaswin.imaging.ct import Ct, read_ct
from metaswin.imaging.nifti import read_image, read_mask
from metaswin.imaging.rtstruct import read_rtstruct

LABELS = {"primary": 1, "nodes": 2}
PLAUSIBLE_HU = (-300.0, 300.0)  # median of a soft-tissue lesion; includes contrast medium and partial lung


def convert_patient(
    source: str | Path,
    ct: str | Path,
    tumor: str | Path,
    facts: str | Path,
    status: str | Path,
    settings: ImagesSettings,
    details: str | Path,
    threads: int = 1,
) -> None:
    """Convert the patient of `source` (``private/sources/<patient>.json``, see `docs/artefacts.md`).

    Writes the CT (HU), the label map of the tumour on the CT's grid (1 primary, 2 nodes; where both overlap, primary
    is kept), the facts of the image and the status. Bad data produce a status that excludes the patient. `threads` is
    the number of threads of the nnU-Net.

    Raises
    ------
    UserError
        If the nnU-Net model folder cannot be used.
    """
    record = read_json(source)
    with patient_job(record["patient"], "images", status, [ct, tumor, facts], details) as findings:
        image = _read_image(record, settings, findings)
        masks = _masks(record["tumor"], image, settings, findings, threads)
        labels = label_map(masks, image.grid, findings)
        _check_lesion_hu(image.array, labels, findings)
        write_volume(ct, image.grid.image(image.array))
        write_volume(tumor, image.grid.image(labels))
        write_json(facts, _facts(image, labels, record["tumor"]["kind"]))


def label_map(masks: dict[str, np.ndarray], grid: Grid, findings: Findings) -> np.ndarray:
    """Return the label map (uint8; slices, rows, columns) of the masks of both roles.

    Raises
    ------
    BadData
        ``empty-mask`` or ``contour-outside-image``, if no role has a voxel.
    """
    labels = np.zeros(grid.shape, dtype=np.uint8)
    for role in ("nodes", "primary"):
        if role in masks:
            labels[masks[role]] = LABELS[role]
    if not labels.any():
        hints = [w.found for w in findings.warnings if w.code.startswith(("contour", "seg-outside"))]
        raise BadData(
            "contour-outside-image" if _all_outside(findings) else "empty-mask",
            "a tumour without a voxel" + (f" ({'; '.join(hints)})" if hints else ""),
            "a drawn tumour within the CT",
            "check that the contours belong to this CT, or draw the tumour again",
        )
    for role in masks:
        if not (labels == LABELS[role]).any():
            findings.warn(
                "empty-role",
                f"{role} without a voxel of their own",
                "a drawn lesion",
                "check the drawing: the patient is kept without this region",
            )
    return labels


def _all_outside(findings: Findings) -> bool:
    return any(warning.code == "contour-outside-image" for warning in findings.warnings)


def _read_image(record: dict[str, Any], settings: ImagesSettings, findings: Findings) -> Ct:
    if record["kind"] == "dicom":
        return read_ct(record["ct"], settings, findings)
    return read_image(record["ct"], settings)


def _masks(
    tumor: dict[str, Any], image: Ct, settings: ImagesSettings, findings: Findings, threads: int
) -> dict[str, np.ndarray]:
    """Return the mask of each role that the source names."""
    kind = tumor["kind"]
    if kind == "rtstruct":
        return _contour_masks(tumor, image, findings)
    if kind == "seg":
        from metaswin.imaging.seg import read_seg

        return read_seg(tumor["path"], _numbers(tumor), image.grid, findings, settings.seg_threshold, image.frame)
    if kind == "nnunet":
        from metaswin.imaging.nnunet import predict_tumor

        return predict_tumor(image, settings.nnunet, threads)
    return {role: read_mask(tumor[role], image.grid, findings) for role in LABELS if tumor.get(role)}


def _numbers(tumor: dict[str, Any]) -> dict[str, Sequence[int]]:
    """Return the ROI or segment numbers of each role that has any."""
    return {role: [int(roi["number"]) for roi in rois] for role, rois in tumor["rois"].items() if rois}


def _contour_masks(tumor: dict[str, Any], image: Ct, findings: Findings) -> dict[str, np.ndarray]:
    roles = _numbers(tumor)
    wanted = {number for numbers in roles.values() for number in numbers}
    structures = read_rtstruct(tumor["path"], wanted)
    gone = wanted - structures.rois.keys()
    if gone:
        raise BadData(
            "roi-missing",
            f"contours without {len(gone)} of the {len(wanted)} chosen ROIs",
            "the ROIs that were found when the data were indexed",
            "index the data again",
            f"{tumor['path']}: no ROI {sorted(gone)}",
        )
    frame_mismatch(structures.frames, image.frame, findings)
    drawing = Drawing(image.grid, image.instances)
    masks = {
        role: np.logical_or.reduce([drawing.draw(structures.rois[number]) for number in numbers])
        for role, numbers in roles.items()
    }
    drawing.report(findings)
    return masks


def _check_lesion_hu(array: np.ndarray, labels: np.ndarray, findings: Findings) -> None:
    median = float(np.median(array[labels > 0]))
    if not PLAUSIBLE_HU[0] <= median <= PLAUSIBLE_HU[1]:
        findings.warn(
            "implausible-hu",
            f"a median of {median:.0f} HU in the tumour",
            f"soft tissue, {PLAUSIBLE_HU[0]:.0f} to {PLAUSIBLE_HU[1]:.0f} HU",
            "check that the contours belong to this CT and that its values are HU",
        )


def _facts(image: Ct, labels: np.ndarray, kind: str) -> dict[str, Any]:
    grid = image.grid
    volumes = {role: np.count_nonzero(labels == n) * grid.voxel_volume for role, n in LABELS.items()}
    return {
        "size": list(grid.size),
        "spacing": [round(s, 6) for s in grid.spacing],
        "direction": [round(d, 9) for d in grid.direction],
        **image.facts,
        "tumor_source": kind,
        "automatic": kind == "nnunet",
        "volumes_mm3": {role: round(volume, 3) for role, volume in volumes.items()},
    }
