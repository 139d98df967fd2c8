"""Rows of the index: a CT series and a contour set."""

import json

from metaswin.cohort.choice import CT_CLASSES
from metaswin.cohort.contour_sets import RTSTRUCT


def ct(series: str = "ct", **others: object) -> dict[str, object]:
    row = {
        "series": f"s-{series}", "modality": "CT", "files": 50, "image": True, "localizer": False,
        "sop_class": CT_CLASSES[0], "series_uid": series, "study_uid": "study", "frame_uid": "frame",
        "date": "20200110", "kernel_name": "B30f", "contrast": False, "frames": 50, "part": 1,
        "paths": [f"{series}/1"], "state": "x", "referenced_series": [], "referenced_frames": [],
        "referenced_absent": 0, "sops_referenced": 0, "sops_found": 0, "rois": "[]", "contour_time": "",
        "rows": 64, "columns": 64, "pixel_spacing": 1.0, "column_spacing": 1.0, "orientation": "1 0 0 0 1 0",
        "across": 0.0, "down": 0.0, "along": [float(z) for z in range(50)], "unplaced": 0, "repeated": 0, "drift": 0.0,
        "no_hu": "", "lossy": False, "named": 0,
    }  # fmt: skip
    return {**row, **others}


def contours(series: str = "rs", names: dict[str, int] | None = None, **others: object) -> dict[str, object]:
    names = {"GTVp": 5} if names is None else names
    rois = [{"number": n, "name": name, "contours": many} for n, (name, many) in enumerate(names.items(), start=1)]
    facts = {
        "modality": "RTSTRUCT", "image": False, "sop_class": RTSTRUCT, "frames": 1, "files": 1,
        "referenced_series": ["ct"], "referenced_frames": ["frame"], "sops_referenced": 50, "sops_found": 50,
        "rois": json.dumps(rois), "contour_time": "20200111",
    }  # fmt: skip
    return ct(series, **{**facts, **others})
