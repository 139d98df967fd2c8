"""Precision and recall: the curve and the area under it (average precision)."""

import numpy as np
from numpy.typing import NDArray


def precision_recall(labels: NDArray, scores: NDArray, weights: NDArray) -> tuple[NDArray, NDArray]:
    """Recall and precision at every distinct score, from the highest down; tied scores are one step.

    With inverse-probability-of-censoring weights these are recall and precision at the horizon (Yuan et al. 2018,
    Front Public Health 6:57).

    Parameters
    ----------
    labels : array of bool, shape (n,)
        At least one event.
    scores, weights : array, shape (n,)

    Returns
    -------
    recall, precision : array, shape (distinct scores,)
    """
    order = np.argsort(-scores, kind="stable")
    hits, called = np.cumsum(weights[order] * labels[order]), np.cumsum(weights[order])
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    return hits[last] / hits[-1], hits[last] / called[last]


def average_precision(labels: NDArray, scores: NDArray, weights: NDArray) -> float:
    """Area under the precision-recall curve as a step function: sum of (R_k - R_{k-1}) P_k.

    Not the trapezoid: between two points of the curve precision does not go along a line (Davis & Goadrich 2006,
    ICML, 233-240; Boyd et al. 2013, ECML PKDD, 451-466).

    Parameters
    ----------
    labels : array of bool, shape (n,)
        At least one event.
    scores, weights : array, shape (n,)
    """
    recall, precision = precision_recall(labels, scores, weights)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))
