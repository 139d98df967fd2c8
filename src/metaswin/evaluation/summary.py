"""Compute the metrics of every feature set and classifier, by fold and as means over folds with intervals."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from metaswin.evaluation.delong import both, fold_interval
from metaswin.evaluation.fold_results import fold_results
from metaswin.evaluation.intervals import Estimate, mean_over_folds
from metaswin.evaluation.metrics import BOUNDS, METRICS, Value, fold_metrics
from metaswin.evaluation.predictions import FEATURE_SET, EndpointData, Scored

# Known outcomes have the weight 1, or are weighted by inverse probability of censoring.
WEIGHTINGS = ("", "_ipcw")
PLAIN = "a plain column has no follow-up times"
# The rows of a published signature do not include patients without its score.
NO_SCORE = "no patient among the fold's test rows has a score"


def weightings(data: EndpointData) -> Sequence[str]:
    """Return the suffixes of the metrics that this endpoint has."""
    return WEIGHTINGS if data.horizon is not None else WEIGHTINGS[:1]


def fold_table(data: EndpointData, confidence: float = 0.95) -> pd.DataFrame:
    """Compute the metrics of every feature set, classifier, repeat and fold.

    The column ``<metric>_why`` gives the reason for a missing metric. ``delong_low, delong_high`` are DeLong's interval
    of the AUC of known outcomes, for the fitted model of this fold.
    """
    table = pd.DataFrame([_fold_record(part, data, confidence) for part in data.scored])
    numbers = [metric + suffix for metric in METRICS for suffix in WEIGHTINGS]
    for number in numbers:
        if number not in table:
            table[number], table[f"{number}_why"] = np.nan, PLAIN
    return table.astype(dict.fromkeys([*numbers, "delong_low", "delong_high"], "float64"))


def _fold_record(part: Scored, data: EndpointData, confidence: float) -> dict[str, Any]:
    record: dict[str, Any] = {
        "endpoint": data.name,
        **{name: getattr(part, name) for name in ("feature_set", "classifier", "repeat", "fold")},
        "n": int(np.sum(~np.isnan(part.label))),
        "events": int(np.sum(part.label == 1)),
        "unknown": int(np.sum(np.isnan(part.label))),
        "threshold": part.threshold,
    }
    for suffix in weightings(data):
        weight = part.weight if suffix else np.ones(len(part.label))
        found = fold_metrics(part.label, part.probability, part.threshold, weight, part.score_only)
        if not len(part.label):
            found = dict.fromkeys(METRICS, Value(why=NO_SCORE))
        for metric, value in found.items():
            record[metric + suffix] = value.value
            record[f"{metric}{suffix}_why"] = value.why
    outcomes = both(part)
    interval = fold_interval(*outcomes, confidence) if outcomes else None
    why = interval.why if interval else record["auc_why"]
    limits = (interval.low, interval.high) if interval else (None, None)
    return {**record, "delong_low": limits[0], "delong_high": limits[1], "delong_why": why}


def summary_table(data: EndpointData, folds: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Compute the mean over folds of each metric with its interval, one row per feature set and classifier."""
    counts = _counts(data)
    records = []
    for (feature_set, classifier), rows in folds.groupby(FEATURE_SET, sort=True):
        record: dict[str, Any] = {"endpoint": data.name, "feature_set": feature_set, "classifier": classifier, **counts}
        record["primary"] = feature_set == data.primary
        for metric in METRICS:
            for suffix in WEIGHTINGS:
                name = metric + suffix
                why = reasons(rows[f"{name}_why"])
                if suffix in weightings(data):
                    results = fold_results(metric, data.feature_sets[feature_set, classifier], weighted=bool(suffix))
                    bounds = BOUNDS.get(metric)
                    found = mean_over_folds(results, data.ratio, confidence, why, bounds=bounds, few=data.few)
                else:
                    found = Estimate(why=why)
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


def reasons(column: Iterable[str]) -> str:
    """Join the distinct reasons of the folds."""
    return "; ".join(sorted(set(column) - {""}))
