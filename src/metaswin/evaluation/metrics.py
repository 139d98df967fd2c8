"""What is measured in one fold, each metric with optional weights.

A quantity that cannot be estimated is None with a reason; it is never NaN and never a number.
"""

import numpy as np
from numpy.typing import NDArray

from metaswin.evaluation.calibration import calibration_intercept, calibration_slope
from metaswin.evaluation.precision import average_precision
from metaswin.evaluation.value import Value

NEEDS_BOTH = ("auc", "pr_auc", "calibration_intercept", "calibration_slope")
AT_THRESHOLD = ("acc", "sen", "spe")
METRICS = ("auc", *AT_THRESHOLD, "pr_auc", "brier", "calibration_intercept", "calibration_slope")
# What a metric can be, where that is not [0, 1].
ANYTHING = (-np.inf, np.inf)
BOUNDS = {"calibration_intercept": ANYTHING, "calibration_slope": ANYTHING}


def concordance(positive: NDArray, negative: NDArray, weights_positive: NDArray, weights_negative: NDArray) -> float:
    """Weighted share of (event, non-event) pairs in which the event scores higher; ties count one half.

    With unit weights this is the area under the ROC curve (Hanley & McNeil 1982, Radiology 143:29-36, the
    Wilcoxon statistic). With inverse-probability-of-censoring weights it is the cumulative/dynamic AUC of Uno et
    al. 2007 (JASA 102:527-537); with deaths as non-events it is the one of Blanche et al. 2013 (Stat Med
    32:5381-5397) whose controls include patients with a competing event. Computed in O(n log n): for each event
    the weight of non-events below it is a cumulative sum.

    Parameters
    ----------
    positive, negative : array, shapes (n1,) and (n0,)
        Scores of events and of non-events.
    weights_positive, weights_negative : array, shapes (n1,) and (n0,)
        Weights, not negative, with a positive sum.
    """
    order = np.argsort(negative, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(weights_negative[order])])
    ranked = negative[order]
    less = below[np.searchsorted(ranked, positive, side="left")]
    up_to = below[np.searchsorted(ranked, positive, side="right")]
    share = np.sum(weights_positive * (less + up_to) / 2) / (np.sum(weights_positive) * below[-1])
    return float(min(share, 1.0))


def brier(labels: NDArray, probabilities: NDArray, weights: NDArray) -> float:
    """Weighted mean of (y - p)^2 (Brier 1950, Mon Weather Rev 78:1-3).

    With inverse-probability-of-censoring weights the Brier score at the horizon (Graf et al. 1999, Stat Med
    18:2529-2545; Gerds & Schumacher 2006, Biom J 48:1029-1040), divided by the sum of the weights.

    Parameters
    ----------
    labels : array of bool, shape (n,)
    probabilities, weights : array, shape (n,)
    """
    return float(np.sum(weights * (labels - probabilities) ** 2) / np.sum(weights))


def fold_metrics(
    labels: NDArray, probabilities: NDArray, threshold: float | None, weights: NDArray
) -> dict[str, Value]:
    """The metrics of one fold's test rows.

    Parameters
    ----------
    labels : array, shape (n,)
        0, 1 or NaN for unknown; unknown rows must have weight 0 or are left out by their label.
    probabilities : array, shape (n,)
        Predicted probability of the event.
    threshold : float or None
        A row is called positive at or above it; None where the training rows gave none.
    weights : array, shape (n,)
        1 everywhere for the plain metrics, inverse-probability-of-censoring weights otherwise.

    Returns
    -------
    dict of str to Value
        One for each of `METRICS`.
    """
    known = ~np.isnan(labels)
    y, p, w = labels[known] == 1, probabilities[known], weights[known]
    if not np.all(np.isfinite(p)):
        return dict.fromkeys(METRICS, Value(why=missing_predictions(p)))
    if not np.all(np.isfinite(w)):
        return dict.fromkeys(METRICS, Value(why="no training row is followed as long as some test rows"))
    if not y.size:
        return dict.fromkeys(METRICS, Value(why="no known outcome in the fold's test rows"))
    no_events = "no events in the fold's test rows" if not y.any() else ""
    no_nonevents = "no non-events in the fold's test rows" if y.all() else ""
    found = {"brier": Value(brier(y, p, w))}
    if no_events or no_nonevents:
        found |= dict.fromkeys(NEEDS_BOTH, Value(why=no_events or no_nonevents))
    else:
        found["auc"] = Value(concordance(p[y], p[~y], w[y], w[~y]))
        found["pr_auc"] = Value(average_precision(y, p, w))
        found["calibration_intercept"] = calibration_intercept(y, p, w)
        found["calibration_slope"] = calibration_slope(y, p, w)
    if threshold is None or not np.isfinite(threshold):
        return {**found, **dict.fromkeys(AT_THRESHOLD, Value(why="the training rows gave no threshold"))}
    called = p >= threshold
    found["acc"] = _share(called == y, w, "")
    found["sen"] = _share(called[y], w[y], no_events)
    found["spe"] = _share(~called[~y], w[~y], no_nonevents)
    return found


def _share(hits: NDArray, weights: NDArray, why: str) -> Value:
    if hits.size == 0:
        return Value(why=why)
    return Value(float(np.sum(weights * hits) / np.sum(weights)))


def missing_predictions(probabilities: NDArray) -> str:
    """The reason when predictions are not finite."""
    count = int(np.sum(~np.isfinite(probabilities)))
    return "1 prediction is missing" if count == 1 else f"{count} predictions are missing"
