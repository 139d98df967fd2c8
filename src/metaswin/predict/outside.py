"""Where a patient lies outside what the models saw."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from metaswin.bundle.ranges import UNITS
from metaswin.clinical.predictors import UNKNOWN, normalised

WORDS = {
    "pixel_spacing": "pixel spacing",
    "slice_spacing": "slice spacing",
    "slice_thickness": "slice thickness",
    "kvp": "tube voltage",
    "volume_tumor_mm3": "tumour volume",
}


def image_warnings(facts: Mapping[str, Any], seen: Mapping[str, Any]) -> list[str]:
    """Facts of an image outside the training ranges, in words.

    Parameters
    ----------
    facts : mapping
        Row of `metaswin.bundle.ranges.image_facts`.
    seen : mapping
        The part ``image`` of ``ranges.json``.
    """
    found = []
    for name, (low, high) in seen["numbers"].items():
        found += _outside(WORDS[name], facts.get(name), low, high, f" {UNITS[name]}")
    for name, levels in seen["levels"].items():
        value = facts.get(name)
        if pd.isna(value):
            found.append(f"{name} not stated in the image")
        elif str(value) not in levels:
            found.append(f"{name} {value}: no training patient had it")
    return found


def clinical_warnings(row: Mapping[str, Any], seen: Mapping[str, Any]) -> list[str]:
    """Clinical values outside the training ranges and categories that no model knows, in words.

    Parameters
    ----------
    row : mapping
        Column → value.
    seen : mapping
        The part ``clinical`` of ``ranges.json``.
    """
    found = []
    for name, (low, high) in seen["numbers"].items():
        found += _outside(name, row.get(name), low, high, "")
    for name, levels in seen["levels"].items():
        (value,) = normalised(pd.Series([row.get(name)], dtype=object))
        if value not in (*levels, UNKNOWN):
            found.append(f"{name} {value}: the models do not know it and count it as unknown")
    return found


def _outside(what: str, value: Any, low: float, high: float, unit: str) -> list[str]:
    if pd.isna(value) or low <= float(value) <= high:
        return []
    return [f"{what} {float(value):,.4g}{unit}: the training patients had {low:,g} to {high:,g}{unit}"]
