"""The primary feature set against its baselines, fold by fold, and the family of confirmatory tests."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metaswin.config.evaluation import EvaluationSettings
from metaswin.evaluation.curves import net_benefit
from metaswin.evaluation.intervals import added_variance, by_prevalence, mean_over_folds
from metaswin.evaluation.metrics import ANYTHING
from metaswin.evaluation.predictions import EndpointData, Scored
from metaswin.evaluation.summary import PLAIN, WEIGHTINGS, reasons, weightings
from metaswin.evaluation.table_schema import from_records

CLINICAL = "clinical:"
UNUSABLE = "one outcome only, or a prediction is missing"
CONFIRMATORY = "confirmatory"
TYPES = {
    **dict.fromkeys(["against", "against_classifier", "metric"], "str"),
    **dict.fromkeys(["value", "low", "high", "p"], "float64"),
    **{"folds": "int64", "why": "str", "threshold_probability": "float64", "family": "str", "p_holm": "float64"},
}


def baselines(feature_sets: Sequence[str]) -> list[str]:
    """Return the baselines among `feature_sets`: tumour volume alone and each clinical set alone."""
    return [
        feature_set
        for feature_set in feature_sets
        if feature_set == "volume" or (feature_set.startswith(CLINICAL) and "+" not in feature_set)
    ]


def confirmatory_feature_sets(
    feature_sets: Sequence[str], primary: str, sets: Mapping[str, Sequence[str]], chosen: str | None
) -> list[str]:
    """Return the baselines of the confirmatory family: volume and one clinical set that is named before the run.

    The primary feature set itself is never among them.

    Parameters
    ----------
    feature_sets : sequence of str
        Feature sets of the run.
    primary : str
    sets : mapping
        Clinical set → columns, in the config's order.
    chosen : str or None
        ``evaluation.confirmatory_clinical_set``; None takes, among the sets that are feature sets, the one with the
        most columns, the first of them: results never choose it.
    """
    others = set(feature_sets) - {primary}
    named = [name for name in sets if CLINICAL + name in others]
    largest = max(named, key=lambda name: len(sets[name]), default=None)
    name = chosen if chosen in named else largest
    return [*(["volume"] if "volume" in others else []), *([CLINICAL + name] if name else [])]


def holm(p: NDArray) -> NDArray:
    """Adjusted p values (Holm 1979, Scand J Stat 6:65-70); a missing one counts as 1 and stays missing."""
    filled = np.where(np.isnan(p), 1.0, p)
    order = np.argsort(filled, kind="stable")
    adjusted = np.maximum.accumulate(filled[order] * np.arange(len(p), 0, -1))
    found = np.empty(len(p))
    found[order] = np.minimum(adjusted, 1.0)
    return np.where(np.isnan(p), np.nan, found)


COMPARED = [metric + suffix for metric in ("auc", "brier", "net_benefit") for suffix in WEIGHTINGS]
BOUNDS = {"net_benefit": ANYTHING}


def comparison_table(
    data: EndpointData, folds: pd.DataFrame, settings: EvaluationSettings, sets: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """Primary feature set minus each baseline, fold by fold (corrected resampled t-test, Nadeau & Bengio 2003).

    Each classifier of the primary model is compared with each classifier of the baselines, in AUC, Brier score (below 0
    favours the primary model) and net benefit at a threshold probability. The differences in the primary AUC against
    `confirmatory_feature_sets` with `settings.primary_classifier` on both sides are confirmatory, and Holm's method
    adjusts their p values. All other differences are exploratory. The variance of the prevalence is added to metrics
    that depend on it (`metaswin.evaluation.intervals`).
    """
    thresholds = _thresholds(data, settings)
    feature_sets = list(dict.fromkeys(feature_set for feature_set, _ in data.feature_sets))
    family = confirmatory_feature_sets(feature_sets, data.primary, sets, settings.confirmatory_clinical_set)
    against = set(baselines(feature_sets)) - {data.primary}
    measured = {
        key: _measured(data, rows, thresholds) for key, rows in folds.groupby(["feature_set", "classifier"], sort=True)
    }
    records = []
    for ours, theirs in product(measured, measured):
        if ours[0] != data.primary or theirs[0] not in against:
            continue
        planned = theirs[0] in family and ours[1] == theirs[1] == settings.primary_classifier
        differences = _differences(measured[ours], measured[theirs])
        for name, (difference, why, slopes) in differences.items():
            metric = name.removesuffix("_ipcw")
            added = added_variance(slopes, data.share_variance[name.removeprefix(metric)])
            bounds = BOUNDS.get(metric)
            found = mean_over_folds(
                difference, data.ratio, settings.confidence, why, signed=True, bounds=bounds, added=added
            )
            records.append(
                {
                    **{
                        "feature_set": ours[0],
                        "classifier": ours[1],
                        "against": theirs[0],
                        "against_classifier": theirs[1],
                    },
                    **{"metric": name, **asdict(found)},
                    "threshold_probability": np.mean(list(thresholds.values())) if metric in BOUNDS else None,
                    "family": CONFIRMATORY if planned and name == "auc" + data.suffix else "exploratory",
                    "p_holm": None,
                }
            )
    table = from_records(records, data.name, TYPES)
    confirmatory = table["family"] == CONFIRMATORY
    table.loc[confirmatory, "p_holm"] = holm(table.loc[confirmatory, "p"].to_numpy())
    return table


def _thresholds(data: EndpointData, settings: EvaluationSettings) -> dict[tuple[int, int], float]:
    """Threshold probability of each repeat and fold: the configured one, or the prevalence of its training rows."""
    if settings.net_benefit_threshold == "prevalence":
        return data.prevalence
    return dict.fromkeys(data.prevalence, settings.net_benefit_threshold)


def _measured(data: EndpointData, rows: pd.DataFrame, thresholds: Mapping[tuple[int, int], float]) -> pd.DataFrame:
    """Return the fold rows of one feature set and classifier, with the net benefit at the threshold probability."""
    parts = data.feature_sets[rows["feature_set"].iloc[0], rows["classifier"].iloc[0]]
    added: dict[str, list] = {}
    for suffix in WEIGHTINGS:
        why = UNUSABLE if suffix in weightings(data) else PLAIN
        usable = [part.usable and why != PLAIN for part in parts]
        found = [
            _net_benefit(part, suffix, thresholds[part.repeat, part.fold]) if can else (np.nan, np.nan)
            for part, can in zip(parts, usable, strict=True)
        ]
        added[f"net_benefit{suffix}"] = [value for value, _ in found]
        added[f"net_benefit{suffix}_by_prevalence"] = [slope for _, slope in found]
        added[f"net_benefit{suffix}_why"] = ["" if can else why for can in usable]
    return rows.assign(**added)


def _net_benefit(part: Scored, suffix: str, threshold: float) -> tuple[float, float]:
    """Net benefit of one fold, and its change with the prevalence."""
    labels, scores, weights = part.known

    def benefit(labels: NDArray, scores: NDArray, sample_weight: NDArray) -> float:
        return float(net_benefit(labels, scores, sample_weight, np.array([threshold]))[0])

    rows = labels, scores, weights if suffix else np.ones(len(labels))
    return benefit(*rows), float(by_prevalence(benefit, *rows))


def _differences(ours: pd.DataFrame, theirs: pd.DataFrame) -> dict[str, tuple[NDArray, str, NDArray]]:
    """Difference in each fold, why some are missing, and its change with the prevalence, by metric."""
    found = {}
    for name in COMPARED:
        slope = f"{name}_by_prevalence"
        slopes = ours[slope].to_numpy() - theirs[slope].to_numpy() if slope in ours else np.zeros(len(ours))
        why = reasons(ours[f"{name}_why"]) or reasons(theirs[f"{name}_why"])
        found[name] = (ours[name].to_numpy() - theirs[name].to_numpy(), why, slopes)
    return found
