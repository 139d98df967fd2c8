"""Read the user's own organ masks: NIfTI files, and ROIs of the RTSTRUCT that contains the tumour."""

import re

import numpy as np

from metaswin.config.imaging import TISSUES
from metaswin.core.files import read_json
from metaswin.core.problems import BadData
from metaswin.imaging.contours import Drawing
from metaswin.imaging.nifti import read_mask
from metaswin.imaging.organ_labels import Organs, Request
from metaswin.imaging.rtstruct import read_rtstruct

FIRST_ORGAN = len(TISSUES) + 1


def read_organs(request: Request) -> Organs:
    """Return the label map of the user's organs on the CT's grid; the rest of the volume may be labelled as tissues.

    An organ that a patient does not have causes a warning. An organ mask that does not fit the CT excludes the
    patient.

    Raises
    ------
    BadData
        ``geometry-mismatch``, ``file-unreadable`` or ``not-3d``, see `metaswin.imaging.nifti.read_mask`.
    """
    settings = request.settings.masks
    drawn = _from_contours(request) | _from_files(request)
    absent = [name for name in settings.names if name not in drawn]
    if absent:
        request.findings.warn(
            "organ-missing",
            f"no mask of {', '.join(absent)}",
            "a mask of every organ of organs.masks",
            "no action needed if the organ was not drawn: the patient is kept without it",
        )
    labels = {name: FIRST_ORGAN + index for index, name in enumerate(settings.names)}
    array = np.zeros(request.ct.shape, dtype=np.uint8 if max(labels.values()) <= 255 else np.uint16)
    if settings.tissues:
        from metaswin.imaging.tissues import segment_tissues

        tissues = segment_tissues(request.ct, request.tumor > 0, request.grid, request.settings.threshold)
        array[:] = tissues.array
        labels = tissues.labels | labels
    for name in reversed(settings.names):
        if name in drawn:
            array[drawn[name]] = labels[name]
    return Organs(array, labels)


def _from_files(request: Request) -> dict[str, np.ndarray]:
    settings, drawn = request.settings.masks, {}
    # The names of the user's files contain the patient's own id, even if the study id is a pseudonym.
    own = request.patient if request.source is None else read_json(request.source).get("id", request.patient)
    for organ in settings.organs:
        try:
            path = (settings.pattern or "").format(patient=own, organ=organ)
            drawn[organ] = read_mask(path, request.grid, request.findings)
        except BadData as bad:
            if bad.facts["code"] != "file-missing":
                raise
    return drawn


def _from_contours(request: Request) -> dict[str, np.ndarray]:
    patterns = request.settings.masks.rtstruct_rois
    if not patterns or request.source is None:
        return {}
    tumor = read_json(request.source)["tumor"]
    if tumor["kind"] != "rtstruct":
        return {}
    structures = read_rtstruct(tumor["path"])
    drawing, drawn = Drawing(request.grid), {}
    for organ, expressions in patterns.items():
        rois = [
            roi
            for roi in structures.rois.values()
            if any(re.fullmatch(expression, roi.name.strip(), re.IGNORECASE) for expression in expressions)
        ]
        mask = np.logical_or.reduce([drawing.draw(roi) for roi in rois]) if rois else np.zeros(())
        if mask.any():
            drawn[organ] = mask
    drawing.report(request.findings)
    return drawn
