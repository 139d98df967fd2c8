"""How much of an outcome predictions explain."""

import numpy as np
from numpy.typing import NDArray


def cox_snell(labels: NDArray, probabilities: NDArray) -> float:
    """Cox-Snell R² of predictions that were not fitted on these rows; below 0 if the prevalence predicts better.

    ``1 - exp(-2 (l - l0) / n)`` with the log-likelihoods of the predictions and of the prevalence (Cox & Snell 1989,
    The Analysis of Binary Data, 208-209). NaN without both outcomes, where a prediction is missing
    or where one of exactly 0 or 1 is wrong.

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
