"""What goes into a backend of organ masks, and what comes out: one patient's CT, a label map with names.

Named groups of organs and tissues: ``bone`` is a skull as well as what is dense as bone.

The user's own organ masks: NIfTI files, and ROIs of the RTSTRUCT that holds the tumour.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from metaswin.config.imaging import TISSUES, OrgansSettings
from metaswin.core.files import read_json
from metaswin.core.grid import Grid
from metaswin.core.problems import BadData, Findings
from metaswin.imaging.contours import Drawing
from metaswin.imaging.nifti import read_mask
from metaswin.imaging.rtstruct import read_rtstruct


@dataclass(frozen=True)
class Request:
    """What a backend may use.

    Attributes
    ----------
    patient : str
        Study id.
    ct : ndarray, shape (slices, rows, columns)
        CT in HU.
    tumor : ndarray of uint8, same shape
        Label map of the tumour.
    grid : Grid
        Grid of both.
    settings : OrgansSettings
        Settings of all backends.
    source : Path or None
        The patient's source record (private), for backends that read more of the user's data.
    batch : Path or None
        What rule ``predict_organs`` wrote, for backend ``totalsegmentator``.
    store : Path or None
        Folder of the label maps it has drawn.
    findings : Findings
        Takes warnings.
    """

    patient: str
    ct: np.ndarray
    tumor: np.ndarray
    grid: Grid
    settings: OrgansSettings
    source: Path | None
    batch: Path | None
    store: Path | None
    findings: Findings


@dataclass(frozen=True)
class Organs:
    """A label map (uint8 or uint16; slices, rows, columns) and the label of each name; 0 is unlabelled."""

    array: np.ndarray
    labels: dict[str, int]


def resolve(groups: Mapping[str, Iterable[str]], labels: Mapping[str, int]) -> dict[str, list[int]]:
    """Labels of each group.

    Parameters
    ----------
    groups : mapping
        Group → names; ``*`` and ``?`` in a name stand for any letters and any letter.
    labels : mapping
        Name → label of the organ masks.

    Returns
    -------
    dict
        Group → labels, ascending; groups without any are left out.
    """
    found = {
        group: sorted({labels[name] for name in labels for pattern in names if fnmatchcase(name, pattern)})
        for group, names in groups.items()
    }
    return {group: values for group, values in found.items() if values}


def labels_of(name: str, facts: Mapping) -> list[int] | None:
    """Labels of a group, an organ or a tissue in ``organs.json``; None where it has no such name."""
    if name in facts.get("groups", {}):
        return facts["groups"][name]
    return [facts["labels"][name]] if name in facts["labels"] else None


FIRST_ORGAN = len(TISSUES) + 1


def read_organs(request: Request) -> Organs:
    """Label map of the user's organs on the CT's grid, tissues in the rest of the volume.

    An organ that a patient does not have is a warning; an organ mask that does not fit the CT excludes.

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
            "nothing, if the organ was not drawn: the patient goes on without it",
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
    # The user's files bear the patient's own id, also where a pseudonym stands for it.
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
