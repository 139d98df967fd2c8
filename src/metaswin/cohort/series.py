"""Group DICOM headers into series and contour sets, and check their geometry.

The same checks are repeated when pixels are read (`metaswin.core.slices`). Here they run before any long computation.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from itertools import groupby, pairwise, product
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from metaswin.cohort.codes import INGEST, count, problem
from metaswin.cohort.contour_sets import CONTOUR_CLASSES
from metaswin.core.problems import BadData, Problem

if TYPE_CHECKING:
    import pandas as pd

    from metaswin.cohort.choice import Series
    from metaswin.cohort.contour_sets import Roi
    from metaswin.config.imaging import ImagesSettings


# fmt: off
PUBLIC_COLUMNS = [
    "patient", "series", "modality", "files", "manufacturer", "model", "kernel", "kvp", "contrast", "rows", "columns",
    "pixel_spacing", "slice_spacing", "slice_thickness",
]
PRIVATE_COLUMNS = [
    "usable", "image", "localizer", "kernel_name", "sop_class", "series_uid", "study_uid", "frame_uid", "date",
    "image_type", "frames", "part", "paths", "state", "referenced_series", "referenced_frames", "referenced_absent",
    "sops_referenced", "sops_found", "rois", "contour_time", "damaged",
    "orientation", "column_spacing", "across", "down", "along", "unplaced", "repeated", "drift", "no_hu", "lossy",
    "named",
]
# fmt: on

SAFE_TEXT = re.compile(r"[A-Za-z0-9 ._+/-]{1,32}")
SAME = ["modality", "sop_class", "localizer", "rows", "columns", "orientation", "pixel", "kernel", "frame"]
BLOCK = 4096  # files

Part = dict[str, list[Any]]
"""Files that belong together: one list per column, sorted by path."""


def series_key(series_uid: str) -> str:
    """Return the public key of a series: ``s-`` and 10 hex digits of the SHA-256 of its SeriesInstanceUID."""
    return "s-" + hashlib.sha256(series_uid.encode()).hexdigest()[:10]


def safe_text(value: str) -> str:
    """Return the public text of a manufacturer, model or kernel, which is hashed unless it matches `SAFE_TEXT`."""
    if not value or SAFE_TEXT.fullmatch(value):
        return value
    return "h-" + hashlib.sha256(value.encode()).hexdigest()[:10]


def group_series(files: "pd.DataFrame") -> "pd.DataFrame":
    """Return one row per series part or contour set.

    A series whose files differ in geometry, kernel, kind or frame of reference is divided into parts. The largest part
    keeps the key of the series, and the other parts are numbered (``s-0123456789-2``). Files with repeated positions
    are divided in the same way if the acquisition number or the image type distinguishes them.

    Parameters
    ----------
    files : pandas.DataFrame
        Readable files: the columns of `metaswin.cohort.headers.Header` and `patient` (study id), `usable` (whether
        that id may be used), `full_path`. No file occurs twice.

    Returns
    -------
    pandas.DataFrame
        `PUBLIC_COLUMNS` and `PRIVATE_COLUMNS`, sorted by patient and key. Distances are in mm. `named` is the number of
        images of this row that contours refer to. `paths` and the references are lists. `rois` is JSON. `state` is a
        hash of the files' names, sizes and times of change. `metaswin.cohort.series.stack` describes the geometry.
    """
    import pandas as pd

    files = files.sort_values("path", ignore_index=True)
    files["localizer"] = files["image_type"].str.contains("LOCALIZER", regex=False)
    files["pixel"] = files["spacing"].round(3)  # files of one series write 0.9765625 and 0.976562
    files["alike"] = files.groupby(SAME, dropna=False, sort=True).ngroup().astype("str")
    files["alike"] = files["alike"].where(~files["sop_class"].isin(CONTOUR_CLASSES), files["sop"])
    sops = dict(zip(files["sop"], files["series"], strict=True))
    named = {sop for text in files["contours"][files["contours"] != ""] for sop in json.loads(text)["sops"]}
    present = set(files["series"])
    rows: list[dict[str, Any]] = []
    for (patient, _), parts in groupby(_parts(files), key=lambda part: (part["patient"][0], part["series"][0])):
        members = [piece for part in parts for piece in _untangled(part)]
        members.sort(key=lambda part: (-len(part["path"]), part["path"][0]))
        for number, part in enumerate(members, start=1):
            row = _row(part, sops, present)
            row["named"] = sum(sop in named for sop in part["sop"])
            row["patient"] = patient
            row["part"] = number
            row["series"] += f"-{number}" if number > 1 else ""
            rows.append(row)
    table = pd.DataFrame(rows, columns=PUBLIC_COLUMNS + PRIVATE_COLUMNS)
    return table.sort_values(["patient", "series"], ignore_index=True)


def _parts(files: "pd.DataFrame") -> Iterator[Part]:
    """Yield groups of files with the same properties, series by series.

    The table is converted to lists for `BLOCK` files at a time, because Python objects need ten times the
    memory of the table.
    """
    files = files.sort_values(["patient", "series", "alike", "path"])
    ends = files.groupby(["patient", "series", "alike"], sort=True).size().cumsum().to_numpy()
    if not len(ends):
        return
    start = 0
    for block in np.split(ends, np.flatnonzero(np.diff(ends // BLOCK)) + 1):
        columns = {name: values.tolist() for name, values in files.iloc[start : block[-1]].items()}
        first = start
        for end in block.tolist():
            yield {name: values[start - first : end - first] for name, values in columns.items()}
            start = end


def public_series(series: "pd.DataFrame") -> "pd.DataFrame":
    """Return the public columns of the series of usable patients."""
    return series.loc[series["usable"].astype(bool), PUBLIC_COLUMNS].reset_index(drop=True)


def _untangled(part: Part) -> list[Part]:
    """Split a part with repeated positions by the column that distinguishes its repeats, if there is one."""
    if not _repeats(part["position"]):
        return [part]
    for column in ("acquisition", "image_type"):
        split = []
        for value in sorted(set(part[column])):
            chosen = [place for place, other in enumerate(part[column]) if other == value]
            split.append({name: [values[place] for place in chosen] for name, values in part.items()})
        if len(split) > 1 and not any(_repeats(piece["position"]) for piece in split):
            return split
    return [part]


def _repeats(positions: list[float]) -> bool:
    known = [round(position, 2) for position in positions if math.isfinite(position)]
    return len(set(known)) < len(known)


def _row(part: Part, sops: dict[str, str], present: set[str]) -> dict[str, Any]:
    first = {name: values[0] for name, values in part.items()}
    contours = json.loads(first["contours"]) if first["contours"] else None
    geometry = stack(part)
    distances = [upper - lower for lower, upper in pairwise(geometry["along"])]
    row = {
        "series": series_key(first["series"]),
        "modality": first["modality"] if re.fullmatch(r"[A-Z]{2,16}", first["modality"]) else "unknown",
        "files": len(part["path"]),
        "manufacturer": safe_text(first["manufacturer"]),
        "model": safe_text(first["model"]),
        "kernel": safe_text(first["kernel"]),
        "kvp": first["kvp"],
        "contrast": any(part["contrast"]),
        "rows": first["rows"],
        "columns": first["columns"],
        "pixel_spacing": first["spacing"],
        "slice_spacing": round(median(distances), 4) if distances else first["slice_spacing"],
        "slice_thickness": first["thickness"],
        "usable": first["usable"],
        "image": contours is None and first["rows"] > 0,
        "localizer": first["localizer"],
        "kernel_name": first["kernel"],
        "sop_class": first["sop_class"],
        "series_uid": first["series"],
        "study_uid": first["study"],
        "frame_uid": first["frame"],
        "date": min((date for date in part["date"] if date), default=""),
        "image_type": first["image_type"],
        "frames": sum(part["frames"]),
        **geometry,
        "no_hu": next((why for why in part["no_hu"] if why), ""),
        "lossy": any(part["lossy"]),
        "paths": part["full_path"],
        "state": _state(part),
        "damaged": 0,
    }
    return {**row, **_references(contours, sops, present)}


def _references(contours: dict[str, Any] | None, sops: dict[str, str], present: set[str]) -> dict[str, Any]:
    if contours is None:
        contours = {"series": [], "frames": [], "sops": [], "rois": [], "time": ""}
    found = [sops[sop] for sop in contours["sops"] if sop in sops]
    declared = contours["series"]
    return {
        "referenced_series": sorted({uid for uid in declared if uid in present} | set(found)),
        "referenced_frames": sorted(contours["frames"]),
        "referenced_absent": sum(uid not in present for uid in declared),
        "sops_referenced": len(contours["sops"]),
        "sops_found": len(found),
        "rois": json.dumps(contours["rois"], ensure_ascii=False),
        "contour_time": contours["time"],
    }


def _state(part: Part) -> str:
    digest = hashlib.sha256()
    for path, size, changed in zip(part["path"], part["size"], part["mtime_ns"], strict=True):
        digest.update(f"{path}\0{size}\0{changed}\n".encode())
    return digest.hexdigest()[:16]


SAME_POSITION = 0.01  # mm; two slices that are closer have the same position


def stack(part: dict[str, list[Any]]) -> dict[str, Any]:
    """Return the geometry of the files of one part of a series (columns of `metaswin.cohort.headers.Header`).

    Returns
    -------
    dict
        - `along`: sorted distinct positions along the normal (mm)
        - `across`, `down`: position of the first pixel of the lowest slice (mm)
        - `orientation`, `column_spacing`: those of the lowest slice
        - `unplaced`: number of files without a position
        - `repeated`: number of files at the position of another file
        - `drift`: largest shift of a slice in its plane (mm)
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
    """Return the problems in the headers of the chosen CT; the positions of multi-frame images are not checked here."""
    problems = []
    if ct.no_hu:
        problems.append(problem(patient, "not-hu", ct.no_hu))
    if ct.lossy:
        problems.append(problem(patient, "lossy-compression", "a CT with lossy compression"))
    if ct.frames > len(ct.paths):
        return problems
    if ct.unplaced or not ct.pixel_spacing > 0:
        found = count(ct.unplaced, "slice") if ct.unplaced else "slices"
        problems.append(
            problem(patient, "incomplete-header", f"{found} without position, orientation or pixel spacing")
        )
        return problems
    if ct.repeated:
        problems.append(problem(patient, "repeated-positions", f"{count(ct.repeated, 'slice')} at a repeated position"))
    try:
        _check_stack(ct, settings)
    except BadData as bad:
        problems.append(Problem(patient, INGEST, **bad.facts))
    return problems


def check_contours(patient: str, ct: "Series", rois: "dict[str, list[Roi]]") -> list[Problem]:
    """Report ``contour-outside-image`` if all chosen ROIs are far outside the CT; the images stage checks the rest."""
    boxes = [roi.box for chosen in rois.values() for roi in chosen]
    if not boxes or not ct.along or not ct.pixel_spacing > 0 or not all(box and _outside(box, ct) for box in boxes):
        return []
    return [problem(patient, "contour-outside-image", f"{count(len(boxes), 'ROI')}, all outside the image")]


def _check_stack(ct: "Series", settings: "ImagesSettings") -> None:
    from metaswin.core.slices import check_number, check_tilt, slice_spacing

    check_number(len(ct.along), settings)
    check_tilt(ct.drift, min(ct.pixel_spacing, ct.column_spacing))
    if len(ct.along) > 1:
        slice_spacing(np.array(ct.along), settings)


def _outside(box: "list[float]", ct: "Series") -> bool:
    """Return whether a box is beyond one end of the CT by more than a voxel and half the width of the box there.

    The box consists of the smallest and largest x, y, z (mm).
    """
    cosines = np.array(ct.orientation.split(), dtype=float)
    axes = np.stack([cosines[:3], cosines[3:], np.cross(cosines[:3], cosines[3:])])
    corners = np.array(list(product(*zip(box[:3], box[3:], strict=True)))) @ axes.T
    spacing = (ct.along[-1] - ct.along[0]) / max(len(ct.along) - 1, 1)
    steps = np.array([ct.column_spacing, ct.pixel_spacing, spacing])
    low = np.array([ct.across, ct.down, ct.along[0]])
    high = low + steps * (np.array([ct.columns, ct.rows, len(ct.along)]) - 1)
    margin = steps + 0.5 * np.ptp(corners, axis=0)
    return bool(((corners < low - margin).all(axis=0) | (corners > high + margin).all(axis=0)).any())
