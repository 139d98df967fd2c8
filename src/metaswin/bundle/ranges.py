"""What the training patients looked like: ranges, rounded outwards, and levels."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

# Facts of an image that are numbers, in the order in which they are told.
NUMBERS = ("pixel_spacing", "slice_spacing", "slice_thickness", "kvp", "volume_tumor_mm3")
TEXTS = ("manufacturer", "kernel")
UNITS = {
    "pixel_spacing": "mm",
    "slice_spacing": "mm",
    "slice_thickness": "mm",
    "kvp": "kV",
    "volume_tumor_mm3": "mm³",
}


def image_facts(used: pd.DataFrame, images: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Facts of the patients' images, one row a patient: those of `NUMBERS` and `TEXTS` that are known.

    Parameters
    ----------
    used : DataFrame
        ``cohort/used.parquet``.
    images : mapping
        Patient → contents of its ``image.json``; empty without images.
    """
    table = used.set_index("patient")
    for patient, facts in images.items():
        table.loc[patient, "pixel_spacing"] = facts["spacing"][0]
        for name in ("slice_thickness", "kvp"):
            table.loc[patient, name] = facts.get(name)
    return table[[name for name in (*NUMBERS, *TEXTS) if name in table]]


def seen(table: pd.DataFrame, kinds: Mapping[str, str]) -> dict[str, Any]:
    """Ranges of the numeric columns of `table` and levels of the others.

    Ranges are rounded outwards to two significant digits. Values that have no more digits, such as ages in whole years,
    stay as they are.

    Parameters
    ----------
    table : DataFrame
        One row a training patient.
    kinds : mapping
        Column → ``numeric`` or ``category``.
    """
    found: dict[str, Any] = {"numbers": {}, "levels": {}}
    for name, kind in kinds.items():
        if kind == "numeric":
            values = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype="float64")
            values = values[np.isfinite(values)]
            if values.size:
                found["numbers"][name] = outward(float(values.min()), float(values.max()))
        else:
            found["levels"][name] = sorted({str(value) for value in table[name].dropna()})
    return found


def outward(low: float, high: float) -> list[float]:
    """Both ends rounded outwards to two significant digits."""
    return [_rounded(low, math.floor), _rounded(high, math.ceil)]


def _rounded(value: float, direction: Any) -> float:
    if value == 0:
        return 0.0
    digits = 1 - math.floor(math.log10(abs(value)))
    scale = 10.0**digits
    # 0.3 * 10 is a hair above 3 in floats: that is no reason to take the next step.
    return round(direction(round(value * scale, 9)) / scale, max(digits, 0))
