"""Collect the facts of a run for its bundle: configuration, clinical columns, training ranges, performance."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from metaswin.config.feature_sets import CLINICAL
from metaswin.evaluation.metrics import METRICS
from metaswin.features.encoder import CategoryColumn
from metaswin.models.fusion import FittedFeatureSet
from metaswin.report.files import portable

# Numeric facts of an image, in the order of the output.
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
    """Return the known facts `NUMBERS` and `TEXTS` of the patients' images, one row per patient.

    Parameters
    ----------
    used : DataFrame
        ``cohort/used.parquet``.
    images : mapping
        Patient → content of ``image.json``. Empty without images.
    """
    table = used.set_index("patient")
    for patient, facts in images.items():
        table.loc[patient, "pixel_spacing"] = facts["spacing"][0]
        for name in ("slice_thickness", "kvp"):
            table.loc[patient, name] = facts.get(name)
    return table[[name for name in (*NUMBERS, *TEXTS) if name in table]]


def seen(table: pd.DataFrame, kinds: Mapping[str, str]) -> dict[str, Any]:
    """Return the ranges of the numeric columns of `table` and the levels of the other columns.

    Ranges are rounded outwards to two significant digits. Values that have no more digits, such as ages in whole years,
    are not changed.

    Parameters
    ----------
    table : DataFrame
        One row per training patient.
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
    """Round both ends outwards to two significant digits."""
    return [_rounded(low, math.floor), _rounded(high, math.ceil)]


def _rounded(value: float, direction: Any) -> float:
    if value == 0:
        return 0.0
    digits = 1 - math.floor(math.log10(abs(value)))
    scale = 10.0**digits
    # 0.3 * 10 is slightly above 3 in floating point. It must not be rounded up to 4.
    return round(direction(round(value * scale, 9)) / scale, max(digits, 0))


# Settings that name paths on the machine of the training run.
PLACES = [
    ("deep", "pretrained"), ("organs", "totalsegmentator", "weights"), ("organs", "masks", "pattern"),
    ("images", "nnunet", "model_folder"), ("embedding", "model"), ("embedding", "table"),
]  # fmt: skip
# Sections of the configuration that apply to new patients.
STAGES = [
    "seed", "source", "clinical", "cohort", "endpoints", "ingest", "images", "organs", "anatomy", "regions",
    "qc_images", "radiomics", "patches", "deep", "embedding",
]  # fmt: skip


def travelling(config: Mapping[str, Any], kinds: Mapping[str, str]) -> dict[str, Any]:
    """Return the configuration that applies to new patients, without paths and with the kind of each predictor.

    Parameters
    ----------
    config : mapping
        All settings as plain values.
    kinds : mapping
        Clinical column → ``numeric`` or ``category``. The kind is stored because a guess from the values of a few new
        rows may differ.
    """
    kept = {name: value for name, value in portable(config).items() if name in STAGES}
    for place in PLACES:
        kept = _without(kept, place)
    columns = {
        name: {**column, "kind": kinds.get(name, column["kind"])}
        for name, column in kept["clinical"]["columns"].items()
    }
    return {**kept, "clinical": {**kept["clinical"], "columns": columns}}


def clinical_columns(
    config: Mapping[str, Any], modalities: Iterable[str], sets: Mapping[str, Sequence[str]]
) -> list[str]:
    """Return the columns of the clinical table that the bundled feature sets use."""
    names = [
        column
        for modality in modalities
        if modality.startswith(CLINICAL)
        for column in sets[modality.removeprefix(CLINICAL)]
    ]
    known = {name.strip(): name for name in config["clinical"]["columns"]}
    return list(dict.fromkeys(known[name.strip()] for name in names))


def known_levels(feature_sets: Iterable[FittedFeatureSet]) -> dict[str, list[str]]:
    """Return the levels of each category that any of the fitted feature sets distinguishes."""
    found: dict[str, set[str]] = {}
    for feature_set in feature_sets:
        for modality, encoder in feature_set.encoders.items():
            for column in encoder.columns:
                if modality.startswith(CLINICAL) and isinstance(column, CategoryColumn):
                    found.setdefault(column.name, set()).update(column.levels)
    return {name: sorted(levels) for name, levels in sorted(found.items())}


def training_ranges(
    images: pd.DataFrame, clinical: pd.DataFrame, kinds: Mapping[str, str], levels: Mapping[str, list[str]]
) -> dict[str, Any]:
    """Return the ranges and levels of the images and clinical columns of the training patients.

    Parameters
    ----------
    images, clinical : DataFrame
        One row per training patient. `clinical` has the columns of `kinds`.
    kinds : mapping
        Clinical column → ``numeric`` or ``category``.
    levels : mapping
        Category → levels that the models know. Rare levels are suppressed.
    """
    kind = {name: "numeric" for name in NUMBERS if name in images} | {n: "category" for n in TEXTS if n in images}
    numeric = {name: kind for name, kind in kinds.items() if kind == "numeric"}
    return {
        "image": seen(images, kind),
        "clinical": {"numbers": seen(clinical, numeric)["numbers"], "levels": dict(levels)},
    }


def internal_figures(
    summary: pd.DataFrame, endpoint: str, feature_sets: Sequence[str], classifier: str, suffix: str
) -> dict[str, Any]:
    """Return the metrics of the run for the bundled feature sets.

    The result is ``{feature_set: {metric: {value, low, high, why}}}``. `suffix` is the suffix of the primary metrics of
    the endpoint.
    """
    rows = summary[(summary["endpoint"] == endpoint) & (summary["classifier"] == classifier)].set_index("feature_set")
    found: dict[str, Any] = {}
    for feature_set in feature_sets:
        row = rows.loc[feature_set]
        found[feature_set] = {
            metric: {
                **{key: _number(row[f"{metric}{suffix}{limit}"]) for key, limit in
                   (("value", ""), ("low", "_low"), ("high", "_high"))},
                "why": str(row[f"{metric}{suffix}_why"]),
            }
            for metric in METRICS
        }  # fmt: skip
    return found


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _without(config: dict[str, Any], place: Sequence[str]) -> dict[str, Any]:
    first, *rest = place
    if first not in config:
        return config
    if rest:
        return {**config, first: _without(config[first], rest)}
    return {key: value for key, value in config.items() if key != first}
