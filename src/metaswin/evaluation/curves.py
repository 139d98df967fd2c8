"""ROC curves averaged over folds."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

GRID = np.linspace(0, 1, 101)


def roc(labels: NDArray, scores: NDArray, weights: NDArray) -> tuple[NDArray, NDArray]:
    """False and true positive rates at every threshold, from (0, 0) to (1, 1); tied scores are one step.

    Parameters
    ----------
    labels : array of bool, shape (n,)
    scores, weights : array, shape (n,)
    """
    order = np.argsort(-scores, kind="stable")
    hits, misses = weights[order] * labels[order], weights[order] * ~labels[order]
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    tpr, fpr = np.cumsum(hits)[last], np.cumsum(misses)[last]
    return np.concatenate([[0.0], fpr / fpr[-1]]), np.concatenate([[0.0], tpr / tpr[-1]])


def mean_roc(curves: list[tuple[NDArray, NDArray]]) -> pd.DataFrame:
    """Vertical average of the folds' curves (Fawcett 2006, Pattern Recognit Lett 27:861-874, algorithm 3).

    Returns
    -------
    DataFrame
        ``fpr, tpr, tpr_sd, folds``; the standard deviation over folds is missing where there is one fold.
    """
    heights = np.array([np.interp(GRID, fpr, tpr) for fpr, tpr in curves])
    heights[:, 0] = 0.0
    spread = heights.std(axis=0, ddof=1) if len(curves) > 1 else np.full(len(GRID), np.nan)
    return pd.DataFrame({"fpr": GRID, "tpr": heights.mean(axis=0), "tpr_sd": spread, "folds": len(curves)})
