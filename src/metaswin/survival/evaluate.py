"""Evaluate the hazard head of every endpoint that has one."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from metaswin.clinical.label import METASTASIS
from metaswin.evaluation.intervals import mean_over_folds
from metaswin.files import write_json, write_table
from metaswin.survival.calibration import calibration_table
from metaswin.survival.curves import curve_table
from metaswin.survival.gather import SurvivalData, gather
from metaswin.survival.gray import gray_test
from metaswin.survival.metrics import METRICS, survival_metrics
from metaswin.survival.settings import SurvivalSettings

BOUNDS = {"observed_expected": (0.0, np.inf)}


def evaluate_survival(
    inputs: Mapping[str, Sequence[str]], outputs: Mapping[str, str], settings: SurvivalSettings, confidence: float
) -> None:
    """Write all tables of the evaluation in time.

    Parameters
    ----------
    inputs : mapping
        Lists ``predictions, fits, folds, facts``, see `metaswin.survival.gather.gather`.
    outputs : mapping
        ``summary, folds, curves, calibration, tests`` (Parquet) and ``facts`` (JSON).
    settings : SurvivalSettings
    confidence : float
        Of all intervals, such as 0.95.
    """
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in outputs if name != "facts"}
    facts = []
    for data in gather(inputs["predictions"], inputs["fits"], inputs["folds"], inputs["facts"]):
        folds = fold_table(data)
        tables["folds"].append(folds)
        tables["summary"].append(summary_table(data, folds, confidence))
        tables["curves"].append(curve_table(data, settings.groups, confidence))
        tables["calibration"].append(calibration_table(data, settings.calibration_bins, confidence))
        tables["tests"].append(gray_table(data))
        facts.append(_facts(data))
    for name, parts in tables.items():
        write_table(outputs[name], pd.concat(parts, ignore_index=True))
    write_json(outputs["facts"], {"confidence": confidence, "groups": settings.groups, "endpoints": facts})


def fold_table(data: SurvivalData) -> pd.DataFrame:
    """Every metric of every arm, repeat and fold: ``endpoint, arm, repeat, fold, metric, value, why``."""
    records = []
    for part in data.folds:
        columns = (part.rows[name].to_numpy() for name in ("time", "event", "label"))
        time, event, label = columns
        for arm in data.arms:
            found = survival_metrics(part.risks[arm], time, event, label, data.horizon, part.censoring)
            base = {"endpoint": data.name, "arm": arm, "repeat": part.repeat, "fold": part.fold}
            for metric, value in found.items():
                records.append({**base, "metric": metric, "value": value.value, "why": part.why or value.why})
    return pd.DataFrame(records).astype({"value": "float64"})


def summary_table(data: SurvivalData, folds: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Mean over folds of each metric with the corrected interval: ``value, low, high, folds, why``."""
    records = []
    for arm in data.arms:
        for metric in METRICS:
            rows = folds[(folds["arm"] == arm) & (folds["metric"] == metric)]
            why = "; ".join(sorted(set(rows["why"]) - {""}))
            found = asdict(
                mean_over_folds(rows["value"].to_numpy(), data.ratio, confidence, why, bounds=BOUNDS.get(metric))
            )
            kept = {name: found[name] for name in ("value", "low", "high", "folds", "why")}
            records.append({"endpoint": data.name, "arm": arm, "metric": metric, **kept})
    return pd.DataFrame(records).astype(dict.fromkeys(["value", "low", "high"], "float64"))


def gray_table(data: SurvivalData) -> pd.DataFrame:
    """Gray's test of the incidence of DM between risk groups, for every arm and repeat (repeats are not pooled).

    A patient's group comes from a model that did not see the patient; but the folds' models share patients, so the
    groups are not independent of each other as the test assumes.
    """
    records = []
    for arm in data.arms:
        for repeat in data.repeats:
            rows = data.pooled(arm, repeat)
            rows = rows[rows["group"] >= 0]
            result = asdict(
                gray_test(rows["time"].to_numpy(), rows["event"].to_numpy(), rows["group"].to_numpy(), METASTASIS)
            )
            result["why"] = data.why or result["why"]
            base = {"endpoint": data.name, "arm": arm, "test": "gray", "repeat": repeat}
            records.append({**base, "groups": int(rows["group"].nunique()), **result})
    return pd.DataFrame(records).astype(dict.fromkeys(["statistic", "df", "p"], "float64"))


def _facts(data: SurvivalData) -> dict[str, Any]:
    return {
        "name": data.name,
        "horizon_days": data.horizon,
        "headline": data.headline,
        "arms": data.arms,
        "training": data.training,
    }
