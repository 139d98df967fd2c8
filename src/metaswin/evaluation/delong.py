"""Compute DeLong's variance of the AUC for fitted models."""

from dataclasses import asdict

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from metaswin.evaluation.intervals import FEWEST, NO_VARIANCE, Estimate, too_few
from metaswin.evaluation.predictions import UNUSABLE, EndpointData, Scored
from metaswin.evaluation.table_schema import from_records

NO_SPREAD = "the variance is 0: events and non-events do not overlap"


def delong(positive: NDArray, negative: NDArray) -> tuple[float, float]:
    """Return the AUC and its variance (DeLong et al. 1988, Biometrics 44:837-845) in O(n log n).

    The placements of the rows come from midranks among all rows and among the rows with the same outcome (Sun & Xu
    2014, IEEE Signal Process Lett 21:1389-1393, algorithm 2). The variance is the sum of the sample variances of the
    placements, each divided by the number of events or of non-events.

    Parameters
    ----------
    positive, negative : array, shapes (n1,) and (n0,)
        Scores of events and of non-events, at least two of each.
    """
    ranks = rankdata(np.concatenate([positive, negative]))
    n1, n0 = len(positive), len(negative)
    above = (ranks[:n1] - rankdata(positive)) / n0
    below = 1 - (ranks[n1:] - rankdata(negative)) / n1
    return float(above.mean()), float(above.var(ddof=1) / n1 + below.var(ddof=1) / n0)


def fold_interval(positive: NDArray, negative: NDArray, confidence: float) -> Estimate:
    """Return the AUC of one fold with the interval for its fitted model.

    There are no limits with fewer than 10 events or non-events.
    """
    for scores, what in [(positive, "event"), (negative, "non-event")]:
        if len(scores) < FEWEST:
            plural = "s" if len(scores) != 1 else ""
            return Estimate(why=f"{len(scores)} {what}{plural} in the fold, fewer than {FEWEST}", folds=1)
    return _interval(*delong(positive, negative), confidence, 1)


def repeat_interval(folds: list[tuple[NDArray, NDArray]], confidence: float, why: str = "") -> Estimate:
    """Return the mean of the folds' AUCs in one repeat, with the interval for the models fitted in it.

    The test rows of the folds are different patients, and the models are held fixed. Therefore the variance of the
    mean is ``sum(var) / K^2``. Scores of two folds are never compared, and repeats are never joined. The interval
    ignores that other training rows would have given other models.

    Parameters
    ----------
    folds : list of (array, array)
        Scores of events and of non-events of each usable fold. Folds without both outcomes are excluded.
    confidence : float
        Confidence level, for example 0.95.
    why : str
        Reason if folds are missing.
    """
    if not folds:
        return Estimate(why=why or "no folds")
    auc = float(np.mean([np.mean(_placements(*fold)) for fold in folds]))
    events, nonevents = (sum(len(fold[kind]) for fold in folds) for kind in (0, 1))
    if few := too_few(events, nonevents):
        return Estimate(auc, folds=len(folds), why=few)
    if any(min(len(positive), len(negative)) < 2 for positive, negative in folds):
        return Estimate(auc, folds=len(folds), why=NO_VARIANCE)
    variance = sum(delong(*fold)[1] for fold in folds) / len(folds) ** 2
    return _interval(auc, variance, confidence, len(folds), why)


def _placements(positive: NDArray, negative: NDArray) -> NDArray:
    ranks = rankdata(np.concatenate([positive, negative]))[: len(positive)]
    return (ranks - rankdata(positive)) / len(negative)


def _interval(auc: float, variance: float, confidence: float, folds: int, why: str = "") -> Estimate:
    if variance <= 0:
        return Estimate(auc, folds=folds, why=NO_SPREAD)
    half = float(norm.ppf((1 + confidence) / 2)) * variance**0.5
    return Estimate(auc, max(auc - half, 0.0), min(auc + half, 1.0), None, folds, why)


def delong_table(data: EndpointData, confidence: float) -> pd.DataFrame:
    """Compute the interval of every feature set, classifier and repeat from known outcomes, without weights."""
    records = []
    for (feature_set, classifier), parts in data.feature_sets.items():
        repeats = sorted({part.repeat for part in parts})
        for repeat in repeats:
            folds = [part for part in parts if part.repeat == repeat]
            used = [scores for scores in map(both, folds) if scores is not None]
            missing = len(folds) - len(used)
            why = f"{missing} of {len(folds)} folds excluded: {UNUSABLE}" if missing else ""
            found = asdict(repeat_interval(used, confidence, why))
            records.append(
                {
                    "feature_set": feature_set,
                    "classifier": classifier,
                    "repeat": repeat,
                    "auc": found.pop("value"),
                    **found,
                }
            )
    columns: dict[str, type | str] = {
        "repeat": int, "folds": int, "auc": float, "low": float, "high": float, "why": "str",
    }  # fmt: skip
    return from_records(records, data.name, columns)


def both(part: Scored) -> tuple[NDArray, NDArray] | None:
    """Return the scores of events and of non-events; None if an outcome or a score is missing."""
    labels, scores, _ = part.known
    if labels.all() or not labels.any() or not np.isfinite(scores).all():
        return None
    return scores[labels], scores[~labels]
