"""Calibration intercept and slope of one set of predictions."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

from metaswin.evaluation.value import Value

ONE_OUTCOME = "all outcomes are the same"
INFINITE = "a prediction of exactly 0 or 1 has an infinite logit"
CONSTANT = "all predictions are the same: no slope"
SEPARATED = "the predictions separate events from non-events: no finite slope"
NOT_CONVERGED = "the fit of the slope did not converge"
# Logits and their recalibration lie far within this.
FARTHEST = 100.0
STEPS = 100


def calibration_intercept(labels: NDArray, probabilities: NDArray, weights: NDArray) -> Value:
    """Calibration in the large: a of ``logit P(y = 1) = a + logit p``; 0 is perfect, above 0 means risks too low.

    The slope is held at 1 (Cox 1958, Biometrika 45:562-565; Steyerberg 2019, Clinical Prediction Models, section
    15.3; Van Calster et al. 2019, BMC Med 17:230): the root of the weighted score equation.

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
    """b of ``logit P(y = 1) = a + b logit p``; 1 is perfect, below 1 means predictions too extreme.

    Weighted maximum likelihood by Newton's method (Cox 1958, Biometrika 45:562-565; Steyerberg 2019, section 15.3).
    It exists where the predictions of events and non-events overlap (Albert & Anderson 1984, Biometrika 71:1-10).

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
    slope = _newton(labels, (logits - logits.mean()) / spread, weights / weights.sum()) / spread
    return Value(slope) if np.isfinite(slope) else Value(why=NOT_CONVERGED)


def _newton(labels: NDArray, scaled: NDArray, weights: NDArray) -> float:
    """Slope of a weighted logistic regression on one scaled column; NaN where the steps come to no end.

    A step that loses likelihood is halved.
    """
    design = np.stack([np.ones(len(scaled)), scaled])
    signs = np.where(labels, 1.0, -1.0)
    values = np.array([logit(np.sum(weights * labels)), 0.0])
    loss = np.sum(weights * np.logaddexp(0, -signs * (values @ design)))
    for _ in range(STEPS):
        fitted = expit(values @ design)
        gradient = design @ (weights * (labels - fitted))
        information = (design * (weights * fitted * (1 - fitted))) @ design.T
        if np.linalg.cond(information) > 1e14:
            return np.nan
        step = np.linalg.solve(information, gradient)
        while (found := np.sum(weights * np.logaddexp(0, -signs * ((values + step) @ design)))) > loss + 1e-14:
            step = step / 2
        values, loss = values + step, found
        if np.abs(step).max() < 1e-9:
            return float(values[1])
    return np.nan
