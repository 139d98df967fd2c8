"""Compare the primary feature set with its baselines in each fold, and adjust the confirmatory tests."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metaswin.config.evaluation import EvaluationSettings
from metaswin.core.formatting import SIGNATURE
from metaswin.evaluation.fold_results import fold_results
from metaswin.evaluation.intervals import Estimate, mean_over_folds
from metaswin.evaluation.metrics import ANYTHING
from metaswin.evaluation.predictions import UNUSABLE, EndpointData, Scored
from metaswin.evaluation.summary import PLAIN, WEIGHTINGS, reasons, weightings
from metaswin.evaluation.table_schema import from_records

CLINICAL = "clinical:"
CONFIRMATORY = "confirmatory"
TYPES = {
    **dict.fromkeys(["against", "against_classifier", "metric"], "str"),
    **dict.fromkeys(["value", "low", "high", "p", "error"], "float64"),
    **{"folds": "int64", "why": "str", "threshold_probability": "float64", "family": "str", "p_holm": "float64"},
}


def baselines(feature_sets: Sequence[str]) -> list[str]:
    """Return the baselines among `feature_sets`: volume alone, each clinical set alone, each published signature."""
    return [
        feature_set
        for feature_set in feature_sets
        if feature_set == "volume"
        or feature_set.startswith(SIGNATURE)
        or (feature_set.startswith(CLINICAL) and "+" not in feature_set)
    ]


def confirmatory_feature_sets(
    feature_sets: Sequence[str], primary: str, sets: Mapping[str, Sequence[str]], chosen: str | None
) -> list[str]:
    """Return the baselines of the confirmatory family: volume and one clinical set that is named before the run.

    The primary feature set itself is never one of them.

    Parameters
    ----------
    feature_sets : sequence of str
        Feature sets of the run.
    primary : str
    sets : mapping
        Clinical set → columns, in the order of the configuration.
    chosen : str or None
        ``evaluation.confirmatory_clinical_set``. None selects the set with the most columns among the sets that are
        feature sets, or the first of several. Results are never used for this choice.
    """
    others = set(feature_sets) - {primary}
    named = [name for name in sets if CLINICAL + name in others]
    largest = max(named, key=lambda name: len(sets[name]), default=None)
    name = chosen if chosen in named else largest
    return [*(["volume"] if "volume" in others else []), *([CLINICAL + name] if name else [])]


def holm(p: NDArray) -> NDArray:
    """Adjust p-values (Holm 1979, Scand J Stat 6:65-70); a missing p-value counts as 1 and stays missing."""
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
    """Compare the primary feature set with each baseline on the same test rows (`metaswin.evaluation.intervals`).

    Each classifier of the primary model is compared with each classifier of the baselines by AUC, Brier score (below 0
    favours the primary model) and net benefit at a threshold probability. The differences in the primary AUC from
    `confirmatory_feature_sets` with `settings.primary_classifier` on both sides are confirmatory, and Holm's method
    adjusts their p-values. All other differences are exploratory. A published signature is compared on the rows that
    have its score. If its score is not a risk, only the AUC is compared.
    """
    thresholds = _thresholds(data, settings)
    feature_sets = list(dict.fromkeys(feature_set for feature_set, _ in data.feature_sets))
    family = confirmatory_feature_sets(feature_sets, data.primary, sets, settings.confirmatory_clinical_set)
    against = set(baselines(feature_sets)) - {data.primary}
    unknown = {
        key: {metric: reasons(rows[f"{metric}_why"]) for metric in COMPARED if f"{metric}_why" in rows}
        for key, rows in folds.groupby(["feature_set", "classifier"], sort=True)
    }
    records = []
    for ours, theirs in product(unknown, unknown):
        if ours[0] != data.primary or theirs[0] not in against:
            continue
        planned = theirs[0] in family and ours[1] == theirs[1] == settings.primary_classifier
        for name in COMPARED:
            metric = name.removesuffix("_ipcw")
            suffix = name.removeprefix(metric)
            if suffix in weightings(data):
                both = _same_rows(data.feature_sets[ours], data.feature_sets[theirs])
                results = fold_results(metric, both[0], bool(suffix), minus=both[1], thresholds=thresholds)
                why = unknown[ours].get(name) or unknown[theirs].get(name) or both[1][0].score_only or UNUSABLE
                bounds = BOUNDS.get(metric)
                found = mean_over_folds(
                    results, data.ratio, settings.confidence, why, signed=True, bounds=bounds, few=data.few
                )
            else:
                found = Estimate(why=PLAIN)
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


def _same_rows(ours: list[Scored], theirs: list[Scored]) -> tuple[list[Scored], list[Scored]]:
    """Restrict both models to the patients who have a score if the second one is a published signature."""
    if not theirs[0].feature_set.startswith(SIGNATURE):
        return ours, theirs
    return [part.among(other.patients) for part, other in zip(ours, theirs, strict=True)], theirs


def _thresholds(data: EndpointData, settings: EvaluationSettings) -> dict[tuple[int, int], float]:
    """Return the threshold probability of each repeat and fold: the configured one, or the training prevalence."""
    if settings.net_benefit_threshold == "prevalence":
        return data.prevalence
    return dict.fromkeys(data.prevalence, settings.net_benefit_threshold)
