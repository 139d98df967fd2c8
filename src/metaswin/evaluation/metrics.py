"""What is measured in one fold: AUC, accuracy, sensitivity and specificity, each with optional weights.

A quantity that cannot be estimated is None with a reason; it is never NaN and never a number.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

METRICS = ("auc", "acc", "sen", "spe")


@dataclass(frozen=True)
class Value:
    """A number, or the reason why there is none.

    Attributes
    ----------
    value : float or None
        None where it is not estimable.
    why : str
        The reason; empty where there is a value.
    """

    value: float | None = None
    why: str = ""


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
    no_events = "no events in the fold's test rows" if not y.any() else ""
    no_nonevents = "no non-events in the fold's test rows" if y.all() else ""
    found: dict[str, Value] = {}
    if no_events or no_nonevents:
        found["auc"] = Value(why=no_events or no_nonevents)
    else:
        found["auc"] = Value(concordance(p[y], p[~y], w[y], w[~y]))
    if threshold is None or not np.isfinite(threshold):
        return {**found, **dict.fromkeys(METRICS[1:], Value(why="the training rows gave no threshold"))}
    called = p >= threshold
    found["acc"] = _share(called == y, w, "no known outcome in the fold's test rows")
    found["sen"] = _share(called[y], w[y], no_events)
    found["spe"] = _share(~called[~y], w[~y], no_nonevents)
    return found


def _share(hits: NDArray, weights: NDArray, why: str) -> Value:
    if hits.size == 0:
        return Value(why=why or "no rows")
    return Value(float(np.sum(weights * hits) / np.sum(weights)))


def missing_predictions(probabilities: NDArray) -> str:
    """The reason when predictions are not finite."""
    count = int(np.sum(~np.isfinite(probabilities)))
    return "1 prediction is missing" if count == 1 else f"{count} predictions are missing"
