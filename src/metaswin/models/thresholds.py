"""Fit thresholds and recalibration on inner out-of-fold predictions, and compute the AUC."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import expit

# Standard deviation of the prior of the logarithm of the recalibration's slope. With 26 simulated training rows, 0.5
# lowers the log loss of test rows for tuned classifiers and, more strongly, for over-fitted ones. With hundreds of
# rows, the prior has little effect.
SLOPE_SD = 0.5


@dataclass(frozen=True)
class Recalibration:
    """Recalibrate logits: ``logit' = intercept + slope * logit``. The slope is positive, so the ranks do not change."""

    intercept: float = 0.0
    slope: float = 1.0

    def probability(self, logits: np.ndarray) -> np.ndarray:
        return expit(self.intercept + self.slope * logits)


def fit_recalibration(logits: np.ndarray, label: np.ndarray) -> Recalibration:
    """Fit intercept and slope (Cox 1958; Steyerberg 2019, Clinical Prediction Models, section 15.3).

    The logarithm of the slope has a normal prior around 0 (`SLOPE_SD`). A few dozen rows therefore change the slope
    only a little. The slope never becomes 0 or negative, which would remove or reverse the ranking.
    """
    from scipy.optimize import minimize

    signs = 2 * label - 1

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        intercept, log_slope = values
        slope = np.exp(log_slope)
        adjusted = intercept + slope * logits
        residual = expit(adjusted) - label
        value = np.logaddexp(0, -signs * adjusted).sum() + (log_slope / SLOPE_SD) ** 2 / 2
        return value, np.array([residual.sum(), slope * (residual * logits).sum() + log_slope / SLOPE_SD**2])

    found = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-20, 20), (-5, 5)])
    return Recalibration(float(found.x[0]), float(np.exp(found.x[1])))


def fit_threshold(
    probability: np.ndarray, label: np.ndarray, rule: Literal["youden", "sensitivity"], sensitivity: float = 0.8
) -> float:
    """Return the threshold t of the rule "positive if probability >= t".

    Parameters
    ----------
    probability, label : ndarray of shape (rows,)
        Inner out-of-fold predictions of training rows and their labels, both classes present.
    rule : str
        ``youden``: highest sensitivity + specificity. Of tied thresholds, the one with the smallest difference between
        the two is chosen, then the lower one. ``sensitivity``: the highest threshold that reaches `sensitivity`.
    sensitivity : float
        Required share of the events, for the rule ``sensitivity``.

    Returns
    -------
    float
        Midpoint of two neighbouring predictions. The threshold 0, at which all rows are positive, is chosen only if all
        predictions are equal or if the required sensitivity needs it.
    """
    from sklearn.metrics import roc_curve

    # The first point of the curve (no row positive) and the last (all rows positive) are not thresholds.
    false, found, values = (side[1:] for side in roc_curve(label, probability, drop_intermediate=False))
    cuts, cleared = np.append((values[1:] + values[:-1]) / 2, 0.0), 1 - false
    if rule == "sensitivity":
        # Shares of a few events are fractions such as 4/5, which floats do not represent exactly.
        return float(cuts[np.argmax(found >= sensitivity - 1e-9)])
    order = np.lexsort((cuts, np.abs(found - cleared).round(9), -(found + cleared).round(9)))
    order = order[cuts[order] > 0] if len(cuts) > 1 else order
    return float(cuts[order[0]])


def auc(score: np.ndarray, label: np.ndarray) -> float | None:
    """Return the area under the ROC curve; ties count half. Return None if one class is missing."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(label, score)) if len(np.unique(label)) == 2 else None
