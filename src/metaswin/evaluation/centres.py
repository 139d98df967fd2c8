"""Evaluate each centre with the model that was trained without it, and the variation between the centres."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from metaswin.config.evaluation import EvaluationSettings
from metaswin.evaluation.fold_results import fold_results
from metaswin.evaluation.intervals import FEWEST, Estimate, mean_over_folds
from metaswin.evaluation.meta_analysis import pool
from metaswin.evaluation.metrics import BOUNDS, METRICS
from metaswin.evaluation.predictions import EndpointData, Scored
from metaswin.evaluation.strata import COUNTS, with_shown_counts
from metaswin.evaluation.summary import reasons, weightings
from metaswin.evaluation.table_schema import from_records

# Metrics for which the variation between centres is estimated. The true values of the centres are assumed to be normal.
# For the AUC, this assumption is made on the logit scale (Snell et al. 2018, Stat Methods Med Res 27:3505-3522).
SPREAD = ("auc", "calibration_intercept", "calibration_slope")
FEWEST_CENTRES = 3

Numbers = Callable[[Any], Any]


def centre_table(data: EndpointData, folds: pd.DataFrame, settings: EvaluationSettings) -> pd.DataFrame:
    """Compute the metrics of every feature set and classifier in each centre, with the model not trained on it.

    The interval is that of this fitted model over samples of the centre's patients (DeLong's variance for the AUC,
    otherwise `metaswin.evaluation.influence`). It has no part for the variance of the fits, because the model is
    held fixed. Counts are suppressed as in the strata.

    Parameters
    ----------
    data : EndpointData
    folds : DataFrame
        `metaswin.evaluation.summary.fold_table`.
    settings : EvaluationSettings

    Returns
    -------
    DataFrame
        ``endpoint, column`` (``folds.by``)``, level`` (the centre)``, feature_set, classifier, metric, fold``, counts,
        ``value, low, high, error, why``. No rows if the folds are not centres.
    """
    known = {
        (row["feature_set"], row["classifier"], row["repeat"], row["fold"]): row for row in folds.to_dict("records")
    }
    records = []
    for part in data.scored if data.by is not None else []:
        row = known[part.feature_set, part.classifier, part.repeat, part.fold]
        place = {
            "column": data.by,
            "level": data.centres[part.fold],
            "feature_set": part.feature_set,
            "classifier": part.classifier,
            "fold": part.fold,
            **{name: row[name] for name in COUNTS},
        }
        for metric in METRICS:
            for suffix in weightings(data):
                why = reasons([row[f"{metric}{suffix}_why"]])
                found = _of_centre(metric, part, bool(suffix), why, settings)
                numbers = {"value": found.value, "low": found.low, "high": found.high, "error": found.error}
                records.append({**place, "metric": metric + suffix, **numbers, "why": found.why})
    columns = {"fold": "int64", **dict.fromkeys(COUNTS, "Int64")}
    columns |= {**dict.fromkeys(["value", "low", "high", "error"], "float64"), "why": "str"}
    keys = ("column", "level", "feature_set", "classifier", "metric")
    return with_shown_counts(from_records(records, data.name, columns, keys), settings.min_cell_events)


def _of_centre(metric: str, part: Scored, weighted: bool, why: str, settings: EvaluationSettings) -> Estimate:
    events, nonevents = int(np.sum(part.label == 1)), int(np.sum(part.label == 0))
    least, what = min((events, "events"), (nonevents, "non-events"))
    if least < settings.min_cell_events:
        return Estimate(why=f"fewer than {settings.min_cell_events} {what}")
    few = f"fewer than {FEWEST} {what}" if least < FEWEST else ""
    found = replace(fold_results(metric, [part], weighted), fitted=False)  # this model is held fixed
    return mean_over_folds(found, 0.0, settings.confidence, why, bounds=BOUNDS.get(metric), few=few)


def between_centres_table(centres: pd.DataFrame, endpoint: str, confidence: float) -> pd.DataFrame:
    """Compute the mean over centres, the variation between them and a prediction interval for a new centre.

    The method is a random-effects meta-analysis of the centres with an interval
    (`metaswin.evaluation.meta_analysis`). A fold of several centres counts as one centre. The estimates of the centres
    are treated as independent, although the models share training rows.

    Parameters
    ----------
    centres : DataFrame
        `centre_table`.
    endpoint : str
    confidence : float

    Returns
    -------
    DataFrame
        ``feature_set, classifier, metric`` (those of `SPREAD`)``, centres`` (with an interval)``, lowest, highest``
        (their values)``, mean, low, high, tau`` (for the AUC on the logit scale)``, predicted_low, predicted_high,
        why`` (reason if only the range is given).
    """
    records = []
    for (feature_set, classifier, metric), rows in centres.groupby(["feature_set", "classifier", "metric"], sort=True):
        if metric.removesuffix("_ipcw") in SPREAD:
            base = {"feature_set": feature_set, "classifier": classifier, "metric": metric}
            records.append({**base, **_spread(rows, metric.removesuffix("_ipcw") == "auc", confidence)})
    numbers = ["lowest", "highest", "mean", "low", "high", "tau", "predicted_low", "predicted_high"]
    columns = {"centres": "int64", **dict.fromkeys(numbers, "float64"), "why": "str"}
    return from_records(records, endpoint, columns, ("feature_set", "classifier", "metric"))


def _spread(rows: pd.DataFrame, on_logit: bool, confidence: float) -> dict[str, Any]:
    usable = rows[rows["error"].notna() & rows["low"].notna()]
    usable = usable[usable["value"].between(0, 1, inclusive="neither")] if on_logit else usable
    value, error, count = usable["value"].to_numpy(), usable["error"].to_numpy(), len(usable)
    found: dict[str, Any] = {"centres": count, "lowest": None, "highest": None, "why": ""}
    found |= dict.fromkeys(["mean", "low", "high", "tau", "predicted_low", "predicted_high"])
    if count:
        found |= {"lowest": value.min(), "highest": value.max()}
    if count < FEWEST_CENTRES:
        why = f"{count} centre{'s' if count != 1 else ''} with an interval, fewer than {FEWEST_CENTRES}"
        return {**found, "why": why}
    back: Numbers = expit if on_logit else float
    pooled = pool(logit(value) if on_logit else value, error / (value * (1 - value)) if on_logit else error, confidence)
    limits = {name: getattr(pooled, name) for name in ("low", "high", "predicted_low", "predicted_high")}
    return {**found, "mean": back(pooled.value), "tau": pooled.tau2**0.5, **{k: back(v) for k, v in limits.items()}}
