"""ROC and precision-recall curves averaged over folds."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from metaswin.evaluation.gather import EndpointData
from metaswin.evaluation.shape import tabled

GRID = np.linspace(0, 1, 101)


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


def recall_precision(labels: NDArray, scores: NDArray, weights: NDArray) -> tuple[NDArray, NDArray]:
    """Recall and precision at every distinct score, from the highest score down."""
    precision, recall, _ = precision_recall_curve(labels, scores, sample_weight=weights)
    # scikit-learn begins at the lowest score and ends with a point that no score gives.
    return recall[-2::-1], precision[-2::-1]


def mean_precision(curves: list[tuple[NDArray, NDArray]]) -> pd.DataFrame:
    """Average over folds of the precision at each recall, each fold's curve being a step function.

    At recall r stands the precision of the highest threshold that finds the share r of the events, so that the area
    below the average is the mean of the folds' average precisions.

    Parameters
    ----------
    curves : list of (recall, precision)
        Of each fold, recall rising.

    Returns
    -------
    DataFrame
        ``recall, precision, precision_sd, folds``.
    """
    steps = [precision[_reached(recall)] for recall, precision in curves]
    spread = np.std(steps, axis=0, ddof=1) if len(curves) > 1 else np.full(len(GRID), np.nan)
    columns = {"recall": GRID, "precision": np.mean(steps, axis=0), "precision_sd": spread, "folds": len(curves)}
    return pd.DataFrame(columns)


def _reached(recall: NDArray) -> NDArray:
    """Position of the first threshold with at least each recall of the grid; sums of weights are not exact."""
    return np.minimum(np.searchsorted(recall, GRID - 1e-9), len(recall) - 1)


def curve_tables(data: EndpointData) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean ROC and precision-recall curves of every arm and head, weighted as the headline is.

    Folds that lack an outcome or a prediction are left out.
    """
    rocs, precisions = [], []
    for (arm, head), folds in data.arms.items():
        used = [part.known for part in folds if part.usable]
        if used:
            rates = [roc_curve(y, p, sample_weight=w, drop_intermediate=False)[:2] for y, p, w in used]
            rocs.append(mean_roc(rates).assign(arm=arm, head=head))
            steps = [recall_precision(*rows) for rows in used]
            precisions.append(mean_precision(steps).assign(arm=arm, head=head))
    return (
        tabled(rocs, data.name, {"fpr": float, "tpr": float, "tpr_sd": float, "folds": int}),
        tabled(precisions, data.name, {"recall": float, "precision": float, "precision_sd": float, "folds": int}),
    )
