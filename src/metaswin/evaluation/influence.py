"""Compute influence functions of the metrics of one fold, which describe the effect of each test row on a metric.

The model is held fixed. A metric is a function of the weighted rows. The influence of row i is ``w_i dM / dw_i``.
Influences add up to about 0, and the sum of their squares estimates the variance of the metric over samples of test
rows (infinitesimal jackknife, Efron 1982, The Jackknife, the Bootstrap and Other Resampling Plans). For the AUC this is
DeLong's variance. The difference of the influences of two models on the same rows gives the variance of the paired
difference.

Inverse-probability-of-censoring weights are treated as known. Estimated weights give a smaller variance (Robins &
Rotnitzky 1992), so intervals with known weights are conservative.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from metaswin.evaluation.metrics import calibration_intercept, calibration_slope

Linearised = tuple[float, NDArray | None]


def linearised(
    metric: str, labels: NDArray, scores: NDArray, weights: NDArray, threshold: float | None = None
) -> Linearised:
    """Compute a metric of one fold and the influence of each row on it.

    Parameters
    ----------
    metric : str
        One of `metaswin.evaluation.metrics.METRICS`, or ``net_benefit``.
    labels : array of bool, shape (n,)
    scores, weights : array, shape (n,)
        Predicted probabilities, and weights with a positive sum.
    threshold : float or None
        Threshold of positive rows (``acc``, ``sen``, ``spe``), or threshold probability (``net_benefit``).

    Returns
    -------
    float
        The metric. NaN if it is not estimable.
    array, shape (n,), or None
        Influences. None if they have no variance because a required outcome has fewer than two rows.
    """
    if metric in ("acc", "sen", "spe", "net_benefit"):
        if threshold is None or not np.isfinite(threshold):
            return np.nan, None
        called = scores >= threshold
        if metric == "net_benefit":
            return _mean(np.where(called, np.where(labels, 1.0, -threshold / (1 - threshold)), 0.0), weights)
        chosen = {"acc": np.ones(len(labels), dtype=bool), "sen": labels, "spe": ~labels}[metric]
        return _mean((called == labels).astype(float), weights, chosen)
    if metric == "brier":
        return _mean((scores - labels) ** 2, weights)
    if labels.all() or not labels.any():
        return np.nan, None
    return {
        "auc": _auc,
        "pr_auc": _average_precision,
        "calibration_intercept": _calibration_intercept,
        "calibration_slope": _calibration_slope,
    }[metric](labels, scores, weights)


def _mean(values: NDArray, weights: NDArray, chosen: NDArray | None = None) -> Linearised:
    """Return the weighted mean of the `chosen` rows."""
    weights = weights if chosen is None else np.where(chosen, weights, 0.0)
    rows = np.count_nonzero(weights)
    if not rows:
        return np.nan, None
    mean = float(np.sum(weights * values) / weights.sum())
    return mean, weights * (values - mean) / weights.sum() * np.sqrt(rows / (rows - 1)) if rows > 1 else None


def _below(scores: NDArray, of: NDArray, weights: NDArray) -> NDArray:
    """Return, for each row, the weighted proportion of the rows in `of` with a lower score; ties count one half."""
    order = np.argsort(of, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(weights[order])])
    left, right = (np.searchsorted(of[order], scores, side=side) for side in ("left", "right"))
    return (total[left] + total[right]) / (2 * total[-1])


def _auc(labels: NDArray, scores: NDArray, weights: NDArray) -> Linearised:
    above = _below(scores[labels], scores[~labels], weights[~labels])
    below = 1 - _below(scores[~labels], scores[labels], weights[labels])
    auc = float(np.sum(weights[labels] * above) / weights[labels].sum())
    if min(len(above), len(below)) < 2:
        return auc, None
    found = np.empty(len(labels))
    for chosen, placements in ((labels, above), (~labels, below)):
        w, rows = weights[chosen], len(placements)
        found[chosen] = w * (placements - auc) / w.sum() * np.sqrt(rows / (rows - 1))
    return auc, found


def _average_precision(labels: NDArray, scores: NDArray, weights: NDArray) -> Linearised:
    """Return the mean over events of the precision at their scores (ties share the lowest rank)."""
    order = np.argsort(-scores, kind="stable")
    s, w, event = scores[order], weights[order], labels[order]
    last = np.searchsorted(-s, -s, side="right") - 1  # last row with the same score
    first = np.searchsorted(-s, -s, side="left")
    true, called = np.cumsum(w * event)[last], np.cumsum(w)[last]
    precision = true / called
    events = np.sum(w * event)
    average = float(np.sum(w * event * precision) / events)
    if min(event.sum(), (~event).sum()) < 2:
        return average, None
    # A row affects the precision at every score that is not higher than its own score.
    onwards = [np.cumsum((w * event * part)[::-1])[::-1][first] for part in (1 / called, true / called**2)]
    moved = (event * (precision - average) + event * onwards[0] - onwards[1]) / events
    found = np.empty(len(s))
    found[order] = w * moved * np.sqrt(len(s) / (len(s) - 1))
    return average, found


def _calibration_intercept(labels: NDArray, scores: NDArray, weights: NDArray) -> Linearised:
    intercept = calibration_intercept(labels, scores, weights).value
    if intercept is None:
        return np.nan, None
    p = expit(logit(scores) + intercept)
    return intercept, weights * (labels - p) / np.sum(weights * p * (1 - p))


def _calibration_slope(labels: NDArray, scores: NDArray, weights: NDArray) -> Linearised:
    slope = calibration_slope(labels, scores, weights).value
    if slope is None:
        return np.nan, None
    # The logits are centred. Otherwise a very large slope of nearly constant predictions gives an intercept outside the
    # searched range.
    logits = logit(scores)
    logits = logits - logits.mean()
    intercept = calibration_intercept(labels, expit(slope * logits), weights).value
    if intercept is None:
        return slope, None
    p = expit(intercept + slope * logits)
    design = np.stack([np.ones(len(logits)), logits], axis=1)
    information = (design * (weights * p * (1 - p))[:, None]).T @ design
    scored = design * (weights * (labels - p))[:, None]
    return slope, np.linalg.solve(information, scored.T)[1]


def variance(influences: NDArray | None) -> float:
    """Return the variance over samples of test rows; NaN if there are no influences."""
    return float(np.sum(influences**2)) if influences is not None else np.nan
