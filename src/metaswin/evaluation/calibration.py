"""Calibration intercept and slope of one set of predictions."""

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from metaswin.evaluation.value import Value

ONE_OUTCOME = "all outcomes are the same"
INFINITE = "a prediction of exactly 0 or 1 has an infinite logit"
CONSTANT = "all predictions are the same: no slope"
SEPARATED = "the predictions separate events from non-events: no finite slope"
NOT_CONVERGED = "the fit of the slope did not converge"
# Logits and their recalibration lie far within this.
FARTHEST = 100.0


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

    Weighted maximum likelihood (Cox 1958, Biometrika 45:562-565; Steyerberg 2019, section 15.3).
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
    scaled = (logits - logits.mean()) / spread
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10)
    with warnings.catch_warnings():
        # scikit-learn warns where the fit does not converge or the information matrix is singular.
        warnings.simplefilter("error")
        try:
            model.fit(scaled[:, None], labels, sample_weight=weights / weights.sum())
        except Warning:
            return Value(why=NOT_CONVERGED)
    return Value(float(model.coef_[0, 0]) / spread)
