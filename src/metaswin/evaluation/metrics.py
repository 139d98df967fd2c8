"""Compute the weighted metrics of one fold, each with a reason if it cannot be estimated.

A metric that cannot be estimated is None with a reason. It is never NaN and never a number. With inverse-probability-
of-censoring weights, the metrics are the following:

- The AUC is the cumulative/dynamic AUC of Uno et al. 2007 (JASA 102:527-537). With deaths as non-events, it is the AUC
  of Blanche et al. 2013 (Stat Med 32:5381-5397), whose controls include patients with a competing event.
- Average precision is that at the horizon (Yuan et al. 2018, Front Public Health 6:57). It is a sum of steps and not of
  trapezoids, because precision is not linear between two points of the curve (Davis & Goadrich 2006, ICML, 233-240).
- The Brier score is that at the horizon (Graf et al. 1999, Stat Med 18:2529-2545; Gerds & Schumacher 2006, Biom J
  48:1029-1040), divided by the sum of the weights.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

TEST_ROWS_BEYOND = "some test rows have a longer follow-up than every training row"


@dataclass(frozen=True)
class Value:
    """Store a number, or the reason why there is none.

    Attributes
    ----------
    value : float or None
        None if it is not estimable.
    why : str
        Reason if there is no value, otherwise empty.
    """

    value: float | None = None
    why: str = ""


def cox_snell(labels: NDArray, probabilities: NDArray) -> float:
    """Compute the Cox-Snell R² of predictions that were not fitted on these rows.

    R² is ``1 - exp(-2 (l - l0) / n)`` with the log-likelihoods l of the predictions and l0 of the prevalence (Cox &
    Snell 1989, The Analysis of Binary Data, 208-209). It is below 0 if the prevalence predicts better. It is NaN if an
    outcome or a prediction is missing, or if a prediction of exactly 0 or 1 is wrong.

    Parameters
    ----------
    labels : array of bool, shape (n,)
    probabilities : array, shape (n,)
    """
    if len(labels) == 0 or labels.all() or not labels.any() or not np.isfinite(probabilities).all():
        return np.nan
    with np.errstate(divide="ignore", over="ignore"):
        ours = np.mean(np.log(np.where(labels, probabilities, 1 - probabilities)))
        share = labels.mean()
        found = 1 - np.exp(-2 * (ours - share * np.log(share) - (1 - share) * np.log(1 - share)))
    return float(found) if np.isfinite(found) else np.nan


ONE_OUTCOME = "all outcomes are the same"
INFINITE = "a prediction of exactly 0 or 1 has an infinite logit"
CONSTANT = "all predictions are the same, so there is no slope"
SEPARATED = "the predictions separate events from non-events, so there is no finite slope"
NOT_CONVERGED = "the fit of the slope did not converge"
# Logits and their recalibration are far within this limit.
FARTHEST = 100.0


def calibration_intercept(labels: NDArray, probabilities: NDArray, weights: NDArray) -> Value:
    """Compute the calibration in the large, a of ``logit P(y = 1) = a + logit p``.

    A value of 0 is perfect. A value above 0 means that the risks are too low. The slope is fixed at 1 (Cox 1958,
    Biometrika 45:562-565; Steyerberg 2019, Clinical Prediction Models, section 15.3; Van Calster et al. 2019, BMC Med
    17:230). The intercept is the root of the weighted score equation.

    Parameters
    ----------
    labels : array of bool, shape (n,)
    probabilities, weights : array, shape (n,)
    """
    if labels.all() or not labels.any():
        return Value(why=ONE_OUTCOME)
    logits = logit(probabilities)
    if not np.all(np.isfinite(logits)):
        return Value(why=INFINITE)

    def score(intercept: float) -> float:
        return float(np.sum(weights * (labels - expit(intercept + logits))))

    return Value(float(brentq(score, -FARTHEST, FARTHEST, xtol=1e-10)))


def calibration_slope(labels: NDArray, probabilities: NDArray, weights: NDArray) -> Value:
    """Compute the calibration slope, b of ``logit P(y = 1) = a + b logit p``.

    A value of 1 is perfect. A value below 1 means that the predictions are too extreme. The estimate is the weighted
    maximum likelihood (Cox 1958, Biometrika 45:562-565; Steyerberg 2019, section 15.3). It exists if the predictions of
    events and non-events overlap (Albert & Anderson 1984, Biometrika 71:1-10).

    Parameters
    ----------
    labels : array of bool, shape (n,)
    probabilities, weights : array, shape (n,)
    """
    if labels.all() or not labels.any():
        return Value(why=ONE_OUTCOME)
    logits = logit(probabilities)
    if not np.all(np.isfinite(logits)):
        return Value(why=INFINITE)
    spread = float(np.std(logits))
    if np.ptp(logits) <= 1e-9 * max(1.0, float(np.abs(logits).max())):
        return Value(why=CONSTANT)
    events, nonevents = logits[labels], logits[~labels]
    if events.min() >= nonevents.max() or events.max() <= nonevents.min():
        return Value(why=SEPARATED)
    scaled = (logits - logits.mean()) / spread
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10)
    with warnings.catch_warnings():
        # scikit-learn warns if the fit does not converge or the information matrix is singular.
        warnings.simplefilter("error")
        try:
            model.fit(scaled[:, None], labels, sample_weight=weights / weights.sum())
        except Warning:
            return Value(why=NOT_CONVERGED)
    return Value(float(model.coef_[0, 0]) / spread)


NEEDS_BOTH = ("auc", "pr_auc", "calibration_intercept", "calibration_slope")
AT_THRESHOLD = ("acc", "sen", "spe")
METRICS = ("auc", *AT_THRESHOLD, "pr_auc", "brier", "calibration_intercept", "calibration_slope")
# Ranges of metrics that are not in [0, 1].
ANYTHING = (-np.inf, np.inf)
BOUNDS = {"calibration_intercept": ANYTHING, "calibration_slope": ANYTHING}
# Metrics that use only the order of the predictions. They also apply to a score that is not a risk.
DISCRIMINATION = ("auc", "pr_auc")


def fold_metrics(
    labels: NDArray, probabilities: NDArray, threshold: float | None, weights: NDArray, score_only: str = ""
) -> dict[str, Value]:
    """Compute the metrics of the test rows of one fold.

    Parameters
    ----------
    labels : array, shape (n,)
        0, 1 or NaN (unknown). Rows with an unknown label are excluded.
    probabilities : array, shape (n,)
        Predicted probability of the event.
    threshold : float or None
        Rows at or above it are positive. None if the training rows gave no threshold.
    weights : array, shape (n,)
        1 for the plain metrics, otherwise inverse-probability-of-censoring weights.
    score_only : str
        Reason if the predictions are scores and not risks. Then only the metrics of `DISCRIMINATION` are computed.

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
        return dict.fromkeys(METRICS, Value(why=TEST_ROWS_BEYOND))
    if not y.size:
        return dict.fromkeys(METRICS, Value(why="no known outcome in the fold's test rows"))
    no_events = "no events in the fold's test rows" if not y.any() else ""
    no_nonevents = "no non-events in the fold's test rows" if y.all() else ""
    if score_only:
        both = no_events or no_nonevents
        auc, average = (Value(why=both), Value(why=both)) if both else _ranked(y, p, w)
        return {**dict.fromkeys(METRICS, Value(why=score_only)), "auc": auc, "pr_auc": average}
    found = {"brier": Value(float(brier_score_loss(y, p, sample_weight=w)))}
    if no_events or no_nonevents:
        found |= dict.fromkeys(NEEDS_BOTH, Value(why=no_events or no_nonevents))
    else:
        found["auc"], found["pr_auc"] = _ranked(y, p, w)
        found["calibration_intercept"] = calibration_intercept(y, p, w)
        found["calibration_slope"] = calibration_slope(y, p, w)
    if threshold is None or not np.isfinite(threshold):
        return {**found, **dict.fromkeys(AT_THRESHOLD, Value(why="the training rows gave no threshold"))}
    called = p >= threshold
    found["acc"] = _share(called == y, w, "")
    found["sen"] = _share(called[y], w[y], no_events)
    found["spe"] = _share(~called[~y], w[~y], no_nonevents)
    return found


def _ranked(labels: NDArray, scores: NDArray, weights: NDArray) -> tuple[Value, Value]:
    """Return AUC and average precision."""
    metrics = (roc_auc_score, average_precision_score)
    auc, average = (Value(float(metric(labels, scores, sample_weight=weights))) for metric in metrics)
    return auc, average


def _share(hits: NDArray, weights: NDArray, why: str) -> Value:
    if hits.size == 0:
        return Value(why=why)
    return Value(float(np.sum(weights * hits) / np.sum(weights)))


def missing_predictions(probabilities: NDArray) -> str:
    """Return the reason for predictions that are not finite."""
    count = int(np.sum(~np.isfinite(probabilities)))
    return "1 prediction is missing" if count == 1 else f"{count} predictions are missing"
