"""What is measured in one fold, each metric with weights: scikit-learn's metrics, and a reason where there is none.

A quantity that cannot be estimated is None with a reason; it is never NaN and never a number. With inverse-probability-
of-censoring weights

- the AUC is the cumulative/dynamic AUC of Uno et al. 2007 (JASA 102:527-537); with deaths as non-events it is the one
  of Blanche et al. 2013 (Stat Med 32:5381-5397) whose controls include patients with a competing event;
- average precision is that at the horizon (Yuan et al. 2018, Front Public Health 6:57). It is a sum of steps and not
  a trapezoid: between two points of the curve precision does not follow a line (Davis & Goadrich 2006, ICML, 233-240);
- the Brier score is the one at the horizon (Graf et al. 1999, Stat Med 18:2529-2545; Gerds & Schumacher 2006, Biom J
  48:1029-1040), divided by the sum of the weights.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from metaswin.evaluation.calibration import calibration_intercept, calibration_slope
from metaswin.evaluation.value import Value

NEEDS_BOTH = ("auc", "pr_auc", "calibration_intercept", "calibration_slope")
AT_THRESHOLD = ("acc", "sen", "spe")
METRICS = ("auc", *AT_THRESHOLD, "pr_auc", "brier", "calibration_intercept", "calibration_slope")
# What a metric can be, where that is not [0, 1].
ANYTHING = (-np.inf, np.inf)
BOUNDS = {"calibration_intercept": ANYTHING, "calibration_slope": ANYTHING}


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
    found = {"brier": Value(float(brier_score_loss(y, p, sample_weight=w)))}
    if no_events or no_nonevents:
        found |= dict.fromkeys(NEEDS_BOTH, Value(why=no_events or no_nonevents))
    else:
        found["auc"] = Value(float(roc_auc_score(y, p, sample_weight=w)))
        found["pr_auc"] = Value(float(average_precision_score(y, p, sample_weight=w)))
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
