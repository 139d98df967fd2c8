"""What the share of events in the cohort adds to the variance of a metric.

Folds are stratified by outcome, so that the share of events is nearly the same in each of them: the spread of the
folds' values does not show that another cohort would have had another share. The AUC, sensitivity and specificity do
not move with it; the Brier score, the area under the precision-recall curve and net benefit do.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

STEP = 0.01


def by_share(
    measure: Callable[..., float | NDArray], labels: NDArray, scores: NDArray, weights: NDArray
) -> float | NDArray:
    """Change of a metric per change of the share of events, the scores within each outcome held.

    A central difference: the weights of events and non-events are tilted until the share is `STEP` higher or lower.

    Parameters
    ----------
    measure : callable
        Metric of labels and scores with `sample_weight`, as in `sklearn.metrics`.
    labels : array of bool, shape (n,)
        Both outcomes present.
    scores, weights : array, shape (n,)
    """
    share = np.sum(weights * labels) / np.sum(weights)
    step = min(STEP, share / 2, (1 - share) / 2)
    higher, lower = (
        measure(labels, scores, sample_weight=weights * np.where(labels, 1 + move / share, 1 - move / (1 - share)))
        for move in (step, -step)
    )
    return (higher - lower) / (2 * step)


def share_variance(labels: NDArray, weights: NDArray) -> float:
    """Variance of the cohort's share of events, pi (1 - pi) / n.

    With weights n is Kish's effective number, (sum w)² / sum w² (Kish 1965, Survey Sampling).

    Parameters
    ----------
    labels : array of bool, shape (n,)
        One row a patient with a known outcome.
    weights : array, shape (n,)
    """
    share = np.sum(weights * labels) / np.sum(weights)
    return float(share * (1 - share) * np.sum(weights**2) / np.sum(weights) ** 2)


def added_variance(slopes: NDArray, variance: float) -> float:
    """Variance of the mean over folds that comes from the share of events (law of total variance, delta method).

    Parameters
    ----------
    slopes : array, shape (folds,)
        `by_share` of each fold; NaN where not estimable.
    variance : float
        Of `share_variance`.
    """
    kept = slopes[~np.isnan(slopes)]
    return float(np.mean(kept) ** 2 * variance) if kept.size and np.isfinite(variance) else 0.0
