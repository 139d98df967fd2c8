"""AUC of one fold with the weighting that answers the endpoint's question."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from metaswin.evaluation.censoring import Censoring, weights


def answering_weights(test: pd.DataFrame, train: pd.DataFrame, horizon: float | None) -> NDArray:
    """Weights of test rows: inverse probability of censoring at a horizon, else 1; 0 where the label is unknown.

    `test` and `train` have ``label, time, event``; see `metaswin.evaluation.censoring.weights`.
    """
    label = test["label"].to_numpy(dtype="float64", na_value=np.nan)
    if horizon is None:
        return (~np.isnan(label)).astype("float64")
    censoring = Censoring(train["time"].to_numpy(), train["event"].to_numpy(dtype="int64"))
    return weights(label, test["time"].to_numpy(), horizon, censoring)


def weighted_auc(label: NDArray, score: NDArray, weight: NDArray) -> float:
    """Weighted AUC of the rows with a known label; NaN where it is not estimable.

    Parameters
    ----------
    label, score, weight : array, shape (n,)
        Label 0, 1 or NaN; any score that rises with risk; weights not negative, NaN where there is none.
    """
    known = ~np.isnan(label)
    y, s, w = label[known] == 1, score[known], weight[known]
    if y.all() or not y.any() or not np.isfinite(s).all() or not np.isfinite(w).all():
        return float("nan")
    return float(roc_auc_score(y, s, sample_weight=w))
