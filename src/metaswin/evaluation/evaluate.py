"""Evaluate every arm of every endpoint from the folds' test predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from metaswin.evaluation.curves import mean_roc, roc
from metaswin.evaluation.gather import ARM, EndpointData, gather
from metaswin.evaluation.intervals import mean_over_folds
from metaswin.evaluation.metrics import METRICS, fold_metrics
from metaswin.evaluation.settings import EvaluationSettings
from metaswin.evaluation.strata import Pairs, cells
from metaswin.files import read_table, write_json, write_table

# Known outcomes count 1 each, or by inverse probability of censoring.
WEIGHTINGS = ("", "_ipcw")
COLUMNS = [
    "endpoint", "repeat", "fold", "patient", "arm", "head", "probability", "threshold", "label", "time", "event",
    "weight",
]  # fmt: skip


def evaluate(inputs: Mapping[str, Any], outputs: Mapping[str, str], settings: EvaluationSettings, seed: int) -> None:
    """Write all tables of the evaluation.

    Parameters
    ----------
    inputs : mapping
        Lists ``predictions, fits, folds, facts`` (see `metaswin.evaluation.gather.gather`) and ``clinical``.
    outputs : mapping
        ``predictions, folds, summary, comparisons, strata, roc, deaths`` (Parquet) and ``facts`` (JSON).
    settings, seed
        The seed serves the bootstrap of the strata.
    """
    endpoints = gather(inputs["predictions"], inputs["fits"], inputs["folds"], inputs["facts"])
    clinical = read_table(inputs["clinical"]).set_index("patient")
    tables: dict[str, list[pd.DataFrame]] = {
        name: [] for name in ("predictions", "folds", "summary", "comparisons", "strata", "roc", "deaths")
    }
    for data in endpoints:
        folds = fold_table(data)
        tables["predictions"].append(data.predictions[COLUMNS])
        tables["folds"].append(folds)
        tables["summary"].append(summary_table(data, folds, settings.confidence))
        tables["comparisons"].append(comparison_table(data, folds, settings.confidence))
        tables["strata"].append(strata_table(data, clinical, settings, seed))
        tables["roc"].append(roc_table(data))
        tables["deaths"].append(death_table(data))
    for name, parts in tables.items():
        write_table(outputs[name], pd.concat(parts, ignore_index=True))
    write_json(outputs["facts"], {"confidence": settings.confidence, "endpoints": [_facts(data) for data in endpoints]})


def _facts(data: EndpointData) -> dict[str, Any]:
    return {
        "name": data.name,
        "horizon_days": data.horizon,
        "deaths": data.settings.get("deaths") if data.horizon is not None else None,
        "headline": data.headline,
        "weighting": "ipcw" if data.horizon is not None else "known",
        "modalities": data.modalities,
        "notes": data.notes,
        "warnings": data.warnings,
        "test_to_train": data.ratio,
    }


def fold_table(data: EndpointData) -> pd.DataFrame:
    """Metrics of every arm, head, repeat and fold; a missing one has its reason in the column ``<metric>_why``."""
    records = []
    for (repeat, fold, arm, head), rows in data.predictions.groupby(["repeat", "fold", *ARM], sort=True):
        label = rows["label"].to_numpy(dtype="float64")
        probability = rows["probability"].to_numpy(dtype="float64")
        threshold = float(rows["threshold"].iloc[0])
        record = {
            "endpoint": data.name,
            "arm": arm,
            "head": head,
            "repeat": repeat,
            "fold": fold,
            "n": int(np.sum(~np.isnan(label))),
            "events": int(np.sum(label == 1)),
            "unknown": int(np.sum(np.isnan(label))),
            "threshold": threshold,
        }
        for suffix in _weightings(data):
            weight = rows["weight"].to_numpy(dtype="float64") if suffix else np.ones(len(rows))
            for metric, found in fold_metrics(label, probability, threshold, weight).items():
                record[metric + suffix] = found.value
                record[f"{metric}{suffix}_why"] = found.why
        records.append(record)
    numbers = [metric + suffix for metric in METRICS for suffix in WEIGHTINGS]
    table = pd.DataFrame(records)
    for number in numbers:
        if number not in table:
            table[number], table[f"{number}_why"] = np.nan, "no follow-up times: a plain column"
    return table.astype(dict.fromkeys(numbers, "float64"))


def _weightings(data: EndpointData) -> Sequence[str]:
    return WEIGHTINGS if data.horizon is not None else WEIGHTINGS[:1]


def summary_table(data: EndpointData, folds: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Mean over folds of each metric with the corrected interval, one row an arm and head."""
    counts = _counts(data)
    records = []
    for (arm, head), rows in folds.groupby(ARM, sort=True):
        record: dict[str, Any] = {"endpoint": data.name, "arm": arm, "head": head, **counts}
        record["headline"] = arm == data.headline
        for metric in METRICS:
            for suffix in WEIGHTINGS:
                name = metric + suffix
                why = _reasons(rows[f"{name}_why"])
                found = mean_over_folds(rows[name].to_numpy(), data.ratio, confidence, why)
                record |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
                record |= {f"{name}_folds": found.folds, f"{name}_why": found.why}
        records.append(record)
    numbers = [f"{m}{s}{limit}" for m in METRICS for s in WEIGHTINGS for limit in ("", "_low", "_high")]
    return pd.DataFrame(records).astype(dict.fromkeys(numbers, "float64"))


def _counts(data: EndpointData) -> dict[str, int]:
    patients = data.predictions.drop_duplicates("patient")["label"]
    events, nonevents = int((patients == 1).sum()), int((patients == 0).sum())
    return {
        "n": events + nonevents,
        "events": events,
        "nonevents": nonevents,
        "unknown": int(patients.isna().sum()),
        "folds": len(data.predictions[["repeat", "fold"]].drop_duplicates()),
    }


def _reasons(column: pd.Series) -> str:
    return "; ".join(sorted(set(column) - {""}))


def controls(arms: Sequence[str]) -> list[str]:
    """Arms the headline is held against: tumour volume alone and each clinical set alone."""
    return [arm for arm in arms if arm == "volume" or (arm.startswith("clinical:") and "+" not in arm)]


def comparison_table(data: EndpointData, folds: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Headline arm minus each control, fold by fold (corrected resampled t-test, Nadeau & Bengio 2003).

    Each head of the headline is compared with each head of the controls.
    """
    keys = ["repeat", "fold"]
    metrics = ["auc" + suffix for suffix in WEIGHTINGS]
    by_arm = {key: rows.set_index(keys)[metrics] for key, rows in folds.groupby(ARM, sort=True)}
    why = {key: {m: _reasons(rows[f"{m}_why"]) for m in metrics} for key, rows in folds.groupby(ARM, sort=True)}
    wanted = set(controls([arm for arm, _ in by_arm])) - {data.headline}
    records = []
    for (arm, head), ours in by_arm.items():
        if arm != data.headline:
            continue
        for (other, other_head), theirs in by_arm.items():
            if other not in wanted:
                continue
            for metric in metrics:
                reason = why[arm, head][metric] or why[other, other_head][metric]
                difference = (ours[metric] - theirs[metric]).to_numpy()
                found = asdict(mean_over_folds(difference, data.ratio, confidence, reason, signed=True))
                record = {"endpoint": data.name, "arm": arm, "head": head, "against": other, "against_head": other_head}
                records.append({**record, "metric": metric, **found})
    columns = ["endpoint", "arm", "head", "against", "against_head", "metric", "value", "low", "high", "p", "folds"]
    numbers = dict.fromkeys(["value", "low", "high", "p"], "float64")
    return pd.DataFrame(records, columns=[*columns, "why"]).astype({**numbers, "folds": "int64"})


def strata_table(data: EndpointData, clinical: pd.DataFrame, settings: EvaluationSettings, seed: int) -> pd.DataFrame:
    """AUC of every arm within each level of the columns `evaluation.strata`."""
    by_arm = {key: rows.reset_index(drop=True) for key, rows in data.predictions.groupby(ARM, sort=True)}
    reference = next(iter(by_arm.values()))
    known = reference["label"].notna()
    records = []
    for number, (column, level, patients) in enumerate(cells(clinical, settings.strata)):
        inside = reference["patient"].isin(patients)
        chosen = np.flatnonzero(inside & known)
        everyone = reference[inside].drop_duplicates("patient")
        pairs = Pairs(
            reference.iloc[chosen].reset_index(drop=True), settings.bootstrap, np.random.default_rng([seed, number])
        )
        base = {
            "endpoint": data.name,
            "column": column,
            "level": level,
            "n": pairs.events + pairs.nonevents,
            "events": pairs.events,
            "unknown": len(everyone) - pairs.events - pairs.nonevents,
        }
        for (arm, head), rows in by_arm.items():
            record = {**base, "arm": arm, "head": head}
            rows = rows.iloc[chosen]
            for suffix in WEIGHTINGS:
                weight = rows["weight"].to_numpy() if suffix else np.ones(len(rows))
                record |= _cell(pairs, rows["probability"].to_numpy(), weight, f"auc{suffix}", data, settings)
            records.append(record)
    columns = ["endpoint", "column", "level", "arm", "head", "n", "events", "unknown"]
    numbers = [f"auc{suffix}{limit}" for suffix in WEIGHTINGS for limit in ("", "_low", "_high")]
    reasons = [f"auc{suffix}_why" for suffix in WEIGHTINGS]
    types = {**dict.fromkeys(numbers, "float64"), **dict.fromkeys(["n", "events", "unknown"], "int64")}
    return pd.DataFrame(records, columns=[*columns, *numbers, *reasons]).astype(types)


def _cell(
    pairs: Pairs, scores: np.ndarray, weight: np.ndarray, name: str, data: EndpointData, settings: EvaluationSettings
) -> dict[str, Any]:
    few = settings.min_cell_events
    missing = {name: None, f"{name}_low": None, f"{name}_high": None}
    if name == "auc_ipcw" and data.horizon is None:
        return {**missing, f"{name}_why": "no follow-up times: a plain column"}
    for count, what in [(pairs.events, "event"), (pairs.nonevents, "non-event")]:
        if count < few:
            plural = "s" if count != 1 else ""
            return {**missing, f"{name}_why": f"{count} {what}{plural}, fewer than {few}"}
    found = pairs.estimate(scores, weight, settings.confidence)
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high, f"{name}_why": found.why}


def roc_table(data: EndpointData) -> pd.DataFrame:
    """Mean ROC curve of every arm and head over the folds that hold both outcomes, weighted as the headline is."""
    curves: dict[tuple[str, str], list] = {}
    known = data.predictions[data.predictions["label"].notna()]
    for (_, _, arm, head), rows in known.groupby(["repeat", "fold", *ARM], sort=True):
        labels, scores = rows["label"].to_numpy() == 1, rows["probability"].to_numpy()
        weight = rows["weight"].to_numpy()
        if labels.any() and not labels.all() and np.all(np.isfinite(scores)) and np.all(np.isfinite(weight)):
            curves.setdefault((arm, head), []).append(roc(labels, scores, weight))
    parts = [mean_roc(found).assign(arm=arm, head=head) for (arm, head), found in sorted(curves.items())]
    columns = ["endpoint", "arm", "head", "fpr", "tpr", "tpr_sd", "folds"]
    return pd.concat(parts, ignore_index=True).assign(endpoint=data.name)[columns] if parts else _empty(columns)


def _empty(columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype="str" if name in ("endpoint", *ARM) else "float64") for name in columns})


def death_table(data: EndpointData) -> pd.DataFrame:
    """Numbers of patients under each rule of deaths, and which rule this run uses."""
    used = data.settings.get("deaths", "nonevent")
    return pd.DataFrame(
        [
            {"endpoint": data.name, "rule": rule, "in_use": rule == used or len(data.counts) == 1, **numbers}
            for rule, numbers in sorted(data.counts.items(), reverse=True)
        ]
    )
