"""Group the headers of one patient's files into series and contour sets."""

import hashlib
import json
import re
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from metaswin.ingest.references import CONTOUR_CLASSES

if TYPE_CHECKING:
    import pandas as pd

# fmt: off
PUBLIC_COLUMNS = [
    "patient", "series", "modality", "files", "manufacturer", "model", "kernel", "kvp", "contrast", "rows", "columns",
    "pixel_spacing", "slice_spacing", "slice_thickness",
]
PRIVATE_COLUMNS = [
    "usable", "image", "localizer", "kernel_name", "sop_class", "series_uid", "study_uid", "frame_uid", "date",
    "image_type", "frames", "part", "paths", "state", "referenced_series", "referenced_frames", "referenced_absent",
    "sops_referenced", "sops_found", "rois", "contour_time", "damaged",
]
# fmt: on

SAFE_TEXT = re.compile(r"[A-Za-z0-9 ._+/-]{1,32}")
SAME = ["modality", "sop_class", "localizer", "rows", "columns", "orientation", "spacing", "kernel", "frame"]


def series_key(series_uid: str) -> str:
    """Public key of a series: ``s-`` and 10 hex digits of the SHA-256 of its SeriesInstanceUID."""
    return "s-" + hashlib.sha256(series_uid.encode()).hexdigest()[:10]


def safe_text(value: str) -> str:
    """A manufacturer, model or kernel as it may be published: as it is where it looks harmless, else hashed."""
    if not value or SAFE_TEXT.fullmatch(value):
        return value
    return "h-" + hashlib.sha256(value.encode()).hexdigest()[:10]


def group_series(files: "pd.DataFrame") -> "pd.DataFrame":
    """One row a series part or contour set.

    A series whose files differ in geometry, kernel, kind or frame of reference is taken apart; its largest part
    keeps the series' key, the others are numbered (``s-0123456789-2``). So are repeated positions that the
    acquisition number or the image type tells apart.

    Parameters
    ----------
    files : pandas.DataFrame
        Readable files: the columns of `metaswin.ingest.headers.Header` and `patient` (study id), `usable` (whether
        that id may be used), `full_path`. No file is in it twice.

    Returns
    -------
    pandas.DataFrame
        `PUBLIC_COLUMNS` and `PRIVATE_COLUMNS`, sorted by patient and key. Distances in mm. `paths` and the
        references are lists, `rois` is JSON, `state` a hash of the files' names, sizes and times of change.
    """
    import pandas as pd

    files = files.copy()
    files["localizer"] = files["image_type"].str.contains("LOCALIZER", regex=False)
    sops = files.groupby("sop")["series"].first().to_dict()
    present = set(files["series"])
    rows: list[dict[str, Any]] = []
    for (patient, _), members in files.groupby(["patient", "series"], sort=True):
        parts = sorted(_parts(members), key=lambda part: (-len(part), part["path"].iloc[0]))
        for number, part in enumerate(parts, start=1):
            row = _row(part, sops, present)
            row["patient"] = patient
            row["part"] = number
            row["series"] += f"-{number}" if number > 1 else ""
            rows.append(row)
    table = pd.DataFrame(rows, columns=PUBLIC_COLUMNS + PRIVATE_COLUMNS)
    return table.sort_values(["patient", "series"], ignore_index=True)


def public_series(series: "pd.DataFrame") -> "pd.DataFrame":
    """The public columns of the usable patients' series."""
    return series.loc[series["usable"].astype(bool), PUBLIC_COLUMNS].reset_index(drop=True)


def _parts(members: "pd.DataFrame") -> list["pd.DataFrame"]:
    if members["sop_class"].isin(CONTOUR_CLASSES).any():
        keys: list[str] = ["sop_class", "sop"]
    else:
        keys = SAME
    parts = []
    for _, part in members.groupby(keys, dropna=False, sort=True):
        parts.extend(_untangled(part))
    return parts


def _untangled(part: "pd.DataFrame") -> list["pd.DataFrame"]:
    """Split a part with repeated positions by what tells its repeats apart; as it is where nothing does."""
    if not _repeats(part):
        return [part]
    for column in ("acquisition", "image_type"):
        split = [group for _, group in part.groupby(column, sort=True)]
        if len(split) > 1 and not any(_repeats(group) for group in split):
            return split
    return [part]


def _repeats(part: "pd.DataFrame") -> bool:
    return bool(part["position"].dropna().round(2).duplicated().any())


def _row(part: "pd.DataFrame", sops: dict[Hashable, str], present: set[str]) -> dict[str, Any]:
    part = part.sort_values("path")
    first = part.iloc[0]
    contours = json.loads(first["contours"]) if first["contours"] else None
    positions = part["position"].dropna().round(4).drop_duplicates().sort_values()
    measured = positions.diff().median() if len(positions) > 1 else first["slice_spacing"]
    row = {
        "series": series_key(first["series"]),
        "modality": first["modality"] if re.fullmatch(r"[A-Z]{2,16}", first["modality"]) else "unknown",
        "files": len(part),
        "manufacturer": safe_text(first["manufacturer"]),
        "model": safe_text(first["model"]),
        "kernel": safe_text(first["kernel"]),
        "kvp": first["kvp"],
        "contrast": bool(part["contrast"].any()),
        "rows": first["rows"],
        "columns": first["columns"],
        "pixel_spacing": first["spacing"],
        "slice_spacing": measured,
        "slice_thickness": first["thickness"],
        "usable": bool(first["usable"]),
        "image": contours is None and first["rows"] > 0,
        "localizer": bool(first["localizer"]),
        "kernel_name": first["kernel"],
        "sop_class": first["sop_class"],
        "series_uid": first["series"],
        "study_uid": first["study"],
        "frame_uid": first["frame"],
        "date": min((date for date in part["date"] if date), default=""),
        "image_type": first["image_type"],
        "frames": int(part["frames"].sum()),
        "paths": part["full_path"].tolist(),
        "state": _state(part),
        "damaged": 0,
    }
    return {**row, **_references(contours, sops, present)}


def _references(contours: dict[str, Any] | None, sops: dict[Hashable, str], present: set[str]) -> dict[str, Any]:
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


def _state(part: "pd.DataFrame") -> str:
    digest = hashlib.sha256()
    for path, size, changed in zip(part["path"], part["size"], part["mtime_ns"], strict=True):
        digest.update(f"{path}\0{size}\0{changed}\n".encode())
    return digest.hexdigest()[:16]
