"""What headers say of the geometry of a series: whether its slices stack up, and whether contours lie in it.

The same is checked again where pixels are read (`metaswin.images.slices`); here it is known before any long work.
"""

import math
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from metaswin.ingest.codes import INGEST, count, problem
from metaswin.problems import BadData, Problem

if TYPE_CHECKING:
    from metaswin.images.settings import ImagesSettings
    from metaswin.ingest.choice import Series
    from metaswin.ingest.rois import Roi

SAME_POSITION = 0.01  # mm: two slices closer than this lie at one position


def stack(part: dict[str, list[Any]]) -> dict[str, Any]:
    """Geometry of the files of one part of a series (columns of `metaswin.ingest.headers.Header`).

    Returns
    -------
    dict
        `along`, the sorted positions along the normal (mm), one of those that coincide; `across` and `down`, where the
        first pixel of the lowest slice lies; `orientation` and `column_spacing` of that slice; `unplaced`, files
        without a position; `repeated`, files at the position of another; `drift` (mm), how far slices shift in
        their own plane.
    """
    known = [place for place, position in enumerate(part["position"]) if math.isfinite(position)]
    along: list[float] = []
    for position in sorted(part["position"][place] for place in known):
        if not along or position - along[-1] > SAME_POSITION:
            along.append(round(position, 4))
    first = min(known, key=lambda place: part["position"][place], default=0)
    across, down = part["across"][first], part["down"][first]
    shifts = [math.hypot(part["across"][place] - across, part["down"][place] - down) for place in known]
    return {
        "orientation": part["orientation"][first],
        "column_spacing": part["column_spacing"][first],
        "across": across,
        "down": down,
        "along": along,
        "unplaced": len(part["position"]) - len(known),
        "repeated": len(known) - len(along),
        "drift": round(max(shifts, default=0.0), 4),
    }


def check_series(patient: str, ct: "Series", settings: "ImagesSettings") -> list[Problem]:
    """Problems of the chosen CT that its headers show. Frames of a multi-frame image are not placed here."""
    problems = []
    if ct.no_hu:
        problems.append(problem(patient, "not-hu", ct.no_hu))
    if ct.lossy:
        problems.append(problem(patient, "lossy-compression", "a CT that was compressed with loss"))
    if ct.frames > len(ct.paths):
        return problems
    if ct.unplaced or not ct.pixel_spacing > 0:
        found = count(ct.unplaced, "slice") if ct.unplaced else "slices"
        problems.append(
            problem(patient, "incomplete-header", f"{found} without position, orientation or pixel spacing")
        )
        return problems
    if ct.repeated:
        problems.append(problem(patient, "repeated-positions", f"{count(ct.repeated, 'slice')} at another's position"))
    try:
        _check_stack(ct, settings)
    except BadData as bad:
        problems.append(Problem(patient, INGEST, **bad.facts))
    return problems


def check_contours(patient: str, ct: "Series", rois: "dict[str, list[Roi]]") -> list[Problem]:
    """``contour-outside-image`` where every chosen ROI lies far outside the CT; near ones are left to the images."""
    boxes = [roi.box for chosen in rois.values() for roi in chosen]
    if not boxes or not ct.along or not ct.pixel_spacing > 0 or not all(box and _outside(box, ct) for box in boxes):
        return []
    return [problem(patient, "contour-outside-image", f"{count(len(boxes), 'ROI')}, all outside the image")]


def _check_stack(ct: "Series", settings: "ImagesSettings") -> None:
    from metaswin.images.slices import check_number, check_tilt, slice_spacing

    check_number(len(ct.along), settings)
    check_tilt(ct.drift, min(ct.pixel_spacing, ct.column_spacing))
    if len(ct.along) > 1:
        slice_spacing(np.array(ct.along), settings)


def _outside(box: "list[float]", ct: "Series") -> bool:
    """Whether a box (least and greatest x, y, z; mm) lies beyond one end of the CT, by half its length and a voxel."""
    cosines = np.array(ct.orientation.split(), dtype=float)
    axes = np.stack([cosines[:3], cosines[3:], np.cross(cosines[:3], cosines[3:])])
    corners = np.array(list(product(*zip(box[:3], box[3:], strict=True)))) @ axes.T
    spacing = (ct.along[-1] - ct.along[0]) / max(len(ct.along) - 1, 1)
    steps = np.array([ct.column_spacing, ct.pixel_spacing, spacing])
    low = np.array([ct.across, ct.down, ct.along[0]])
    high = low + steps * (np.array([ct.columns, ct.rows, len(ct.along)]) - 1)
    margin = steps + 0.5 * np.ptp(corners, axis=0)
    return bool(((corners < low - margin).all(axis=0) | (corners > high + margin).all(axis=0)).any())
