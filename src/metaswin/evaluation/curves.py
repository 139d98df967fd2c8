"""Compute ROC, precision-recall, decision and calibration curves."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm, rankdata
from sklearn.metrics import precision_recall_curve, roc_curve

from metaswin.evaluation.fold_results import fold_results
from metaswin.evaluation.intervals import mean_over_folds
from metaswin.evaluation.metrics import ANYTHING
from metaswin.evaluation.predictions import UNUSABLE, EndpointData, Scored
from metaswin.evaluation.table_schema import from_records, tabled

GRID = np.linspace(0, 1, 101)


def mean_roc(curves: list[tuple[NDArray, NDArray]]) -> pd.DataFrame:
    """Average the curves of the folds vertically (Fawcett 2006, Pattern Recognit Lett 27:861-874, algorithm 3).

    Returns
    -------
    DataFrame
        ``fpr, tpr, tpr_sd, folds``. The standard deviation over folds is missing if there is only one fold.
    """
    heights = np.array([np.interp(GRID, fpr, tpr) for fpr, tpr in curves])
    heights[:, 0] = 0.0
    spread = heights.std(axis=0, ddof=1) if len(curves) > 1 else np.full(len(GRID), np.nan)
    return pd.DataFrame({"fpr": GRID, "tpr": heights.mean(axis=0), "tpr_sd": spread, "folds": len(curves)})


def recall_precision(labels: NDArray, scores: NDArray, weights: NDArray) -> tuple[NDArray, NDArray]:
    """Return recall and precision at every distinct score, from the highest score down."""
    precision, recall, _ = precision_recall_curve(labels, scores, sample_weight=weights)
    # scikit-learn starts at the lowest score and adds a last point that does not belong to a score.
    return recall[-2::-1], precision[-2::-1]


def mean_precision(curves: list[tuple[NDArray, NDArray]]) -> pd.DataFrame:
    """Average the precision at each recall over folds; the curve of each fold is a step function.

    The precision at recall r is that of the highest threshold with a recall of at least r. Therefore the area below the
    average curve is the mean of the average precisions of the folds.

    Parameters
    ----------
    curves : list of (recall, precision)
        Curve of each fold, with increasing recall.

    Returns
    -------
    DataFrame
        ``recall, precision, precision_sd, folds``.
    """
    steps = [precision[_reached(recall)] for recall, precision in curves]
    spread = np.std(steps, axis=0, ddof=1) if len(curves) > 1 else np.full(len(GRID), np.nan)
    columns = {"recall": GRID, "precision": np.mean(steps, axis=0), "precision_sd": spread, "folds": len(curves)}
    return pd.DataFrame(columns)


def _reached(recall: NDArray) -> NDArray:
    """Return the position of the first threshold with at least each recall of the grid.

    The comparison has a tolerance, because sums of weights are not exact.
    """
    return np.minimum(np.searchsorted(recall, GRID - 1e-9), len(recall) - 1)


def curve_tables(data: EndpointData) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compute mean ROC and precision-recall curves of every feature set and classifier, with the primary weighting.

    Folds without both outcomes or with missing predictions are excluded.
    """
    rocs, precisions = [], []
    for (feature_set, classifier), folds in data.feature_sets.items():
        used = [part.known for part in folds if part.usable]
        if used:
            rates = [roc_curve(y, p, sample_weight=w, drop_intermediate=False)[:2] for y, p, w in used]
            rocs.append(mean_roc(rates).assign(feature_set=feature_set, classifier=classifier))
            steps = [recall_precision(*rows) for rows in used]
            precisions.append(mean_precision(steps).assign(feature_set=feature_set, classifier=classifier))
    return (
        tabled(rocs, data.name, {"fpr": float, "tpr": float, "tpr_sd": float, "folds": int}),
        tabled(precisions, data.name, {"recall": float, "precision": float, "precision_sd": float, "folds": int}),
    )


def net_benefit(labels: NDArray, probabilities: NDArray, weights: NDArray, thresholds: NDArray) -> NDArray:
    """Compute the net benefit of treating all patients with a predicted risk at or above each threshold.

    The net benefit is ``TP / n - FP / n * t / (1 - t)`` with weighted counts (Vickers & Elkin 2006, Med Decis Making
    26:565-574). With inverse-probability-of-censoring weights, it is the net benefit at the horizon (Vickers et al.
    2008, BMC Med Inform Decis Mak 8:53, with weights instead of Kaplan-Meier proportions).

    Parameters
    ----------
    labels : array of bool, shape (n,)
    probabilities, weights : array, shape (n,)
        Weights with a positive sum.
    thresholds : array, shape (m,)
        Within (0, 1).
    """
    order = np.argsort(probabilities, kind="stable")
    first = np.searchsorted(probabilities[order], thresholds, side="left")
    true, false = (
        np.append(np.cumsum((weights * chosen)[order][::-1])[::-1], 0.0)[first] for chosen in (labels, ~labels)
    )
    return (true - false * thresholds / (1 - thresholds)) / weights.sum()


def treat_all(labels: NDArray, weights: NDArray, thresholds: NDArray) -> NDArray:
    """Compute the net benefit of treating all patients."""
    return net_benefit(labels, np.ones(len(labels)), weights, thresholds)


def thresholds(limits: tuple[float, float]) -> NDArray:
    """Return the threshold probabilities of the curve, in steps of .01 from the first to the last limit."""
    return np.round(np.arange(limits[0], limits[1] + 1e-9, 0.01), 4)


def decision_table(data: EndpointData, limits: tuple[float, float], confidence: float) -> pd.DataFrame:
    """Compute the net benefit of every feature set and classifier at each threshold probability.

    Each value is a mean over folds with its interval (`metaswin.evaluation.intervals`) and the primary weighting. Folds
    without both outcomes or with missing predictions are excluded. ``treat_all`` is the mean over the same folds.
    Treating no patient has the net benefit 0.
    """
    grid = thresholds(limits)
    records = []
    for (feature_set, classifier), folds in data.feature_sets.items():
        why = folds[0].score_only
        usable = [] if why else [part for part in folds if part.usable]
        rows = [part.known for part in usable]
        everybody = np.mean([treat_all(one[0], one[2], grid) for one in rows], axis=0) if rows else grid * np.nan
        missing = (
            f"{len(folds) - len(usable)} of {len(folds)} folds excluded: {UNUSABLE}" if len(usable) < len(folds) else ""
        )
        for place, threshold in enumerate(grid):
            at = {(part.repeat, part.fold): float(threshold) for part in usable}
            results = fold_results("net_benefit", usable, weighted=True, thresholds=at)
            found = mean_over_folds(results, data.ratio, confidence, why or UNUSABLE, bounds=ANYTHING, few=data.few)
            record = {
                "feature_set": feature_set,
                "classifier": classifier,
                "threshold_probability": threshold,
                "net_benefit": found.value,
            }
            limits_and_all = {
                "low": found.low,
                "high": found.high,
                "treat_all": everybody[place],
                "why": found.why or missing,
            }
            records.append({**record, **limits_and_all})
    numbers = dict.fromkeys(["threshold_probability", "net_benefit", "low", "high", "treat_all"], float)
    return from_records(records, data.name, {**numbers, "why": "str"})


# Smallest number of patients in a bin. If a bin had fewer, the number of bins is reduced.
FEWEST = 20


def wilson(share: float, n: float, confidence: float) -> tuple[float, float]:
    """Return the interval of a proportion (Wilson 1927, J Am Stat Assoc 22:209-212).

    Parameters
    ----------
    share : float
    n : float
        Number of rows. With weights, the effective number.
    confidence : float
        Confidence level, for example 0.95.
    """
    z = float(norm.ppf((1 + confidence) / 2))
    middle, half = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = ((middle + sign * half) / (1 + z**2 / n) for sign in (-1, 1))
    return float(max(low, 0.0)), float(min(high, 1.0))


def quantile_bins(scores: NDArray, bins: int) -> NDArray:
    """Return the bin 0 … bins - 1 of each score by its midrank; equal scores share a bin, and bins may be empty."""
    return np.minimum((bins * (rankdata(scores) - 0.5) / len(scores)).astype(int), bins - 1)


def reliability(folds: list[Scored], bins: int, confidence: float) -> pd.DataFrame:
    """Compute predicted and observed risk by bin.

    The limits of the bins are quantiles of the predictions of each fold, because the models of the folds have different
    scales. Rows of the same bin are then combined over folds and repeats. The interval is Wilson's for the observed
    proportion. Each patient of a bin counts once, because repeats contain the same patients. With weights, the number
    of patients is Kish's effective number, (sum w)² / sum w² (Kish 1965, Survey Sampling). The interval applies to
    these fitted models.

    Parameters
    ----------
    folds : list of Scored
        Usable folds of one feature set and classifier, at least one.
    bins : int
        Largest number of bins. There are fewer bins if a bin would have fewer than `FEWEST` patients.
    confidence : float

    Returns
    -------
    DataFrame
        ``bin`` (from 1), ``n`` (patients), ``predicted, observed, low, high, why``.
    """
    repeats = len({part.repeat for part in folds})
    rows = [part.known for part in folds]
    total = sum(len(labels) for labels, _, _ in rows) / repeats
    bins = int(max(1, min(bins, total // FEWEST)))
    place = np.concatenate([quantile_bins(scores, bins) for _, scores, _ in rows])
    labels, scores, weights = (np.concatenate(column) for column in zip(*rows, strict=True))
    records = []
    for number in np.unique(place):
        inside = place == number
        w = weights[inside]
        observed = float(np.sum(w * labels[inside]) / w.sum())
        effective = w.sum() ** 2 / np.sum(w**2) / repeats
        low, high = wilson(observed, effective, confidence)
        predicted = float(np.sum(w * scores[inside]) / w.sum())
        n = round(float(inside.sum()) / repeats)
        found = {"bin": int(number) + 1, "n": n, "predicted": predicted, "observed": observed}
        records.append({**found, "low": low, "high": high, "why": ""})
    return pd.DataFrame(records)


def calibration_table(data: EndpointData, bins: int, confidence: float) -> pd.DataFrame:
    """Compute the reliability curve of every feature set and classifier, with the primary weighting.

    A model without a curve has one row with the reason.
    """
    records = []
    for (feature_set, classifier), folds in data.feature_sets.items():
        why = folds[0].score_only or "no fold has both outcomes and all predictions"
        usable = [part for part in folds if part.usable and not part.score_only]
        key = {"feature_set": feature_set, "classifier": classifier}
        if usable:
            records += [{**key, **row} for row in reliability(usable, bins, confidence).to_dict("records")]
        else:
            missing = dict.fromkeys(["predicted", "observed", "low", "high"])
            records.append({**key, "bin": 0, "n": 0, **missing, "why": why})
    columns: dict[str, type | str] = {
        "bin": int, "n": int, "predicted": float, "observed": float, "low": float, "high": float, "why": "str",
    }  # fmt: skip
    return from_records(records, data.name, columns)
