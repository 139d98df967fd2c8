"""Compute inverse-probability-of-censoring weights, and the AUC of one fold with these weights."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

CENSORED, METASTASIS, DEATH = 0, 1, 2


class Censoring:
    """Estimate G, the probability of not yet being censored, by Kaplan-Meier.

    Censoring is the event of this estimate. Metastasis and death end the time at risk of being censored. If a patient
    is censored on the day on which another patient has an event, the event comes first. Therefore patients with an
    event on day t are no longer at risk of being censored on day t. With this convention, the weights of the rows on
    which G was fitted add up to their number.
    """

    def __init__(self, time: NDArray, event: NDArray) -> None:
        """Estimate G from follow-up.

        Parameters
        ----------
        time : array, shape (n,)
            Days to metastasis, death or censoring.
        event : array of int, shape (n,)
            0 censored, 1 metastasis, 2 death.
        """
        time = np.asarray(time, dtype="float64")
        censored = np.asarray(event) == CENSORED
        self.times, losses = np.unique(time[censored], return_counts=True)
        ordered, ordered_events = np.sort(time), np.sort(time[~censored])
        from_then = len(ordered) - np.searchsorted(ordered, self.times, side="left")
        events_then = np.searchsorted(ordered_events, self.times, side="right") - np.searchsorted(
            ordered_events, self.times, side="left"
        )
        self.survival = np.cumprod(1 - losses / (from_then - events_then))

    def before(self, time: NDArray) -> NDArray:
        """Return G(t-), the probability of not being censored before t."""
        index = np.searchsorted(self.times, np.asarray(time, dtype="float64"), side="left")
        return np.concatenate([[1.0], self.survival])[index]


def weights(label: NDArray, time: NDArray, horizon: float, censoring: Censoring) -> NDArray:
    """Compute weights of test rows at a horizon h.

    A patient with metastasis or death at T <= h has the weight 1/G(T-), because the event is known only if the patient
    was not censored before T. A patient followed to the horizon has the weight 1/G(h-). A patient with an unknown
    outcome has the weight 0 (Uno et al. 2007, JASA 102:527-537; Graf et al. 1999, Stat Med 18:2529-2545).

    Parameters
    ----------
    label : array, shape (n,)
        0, 1 or NaN (unknown).
    time : array, shape (n,)
        Days to metastasis, death or censoring.
    horizon : float
        Days.
    censoring : Censoring
        Fitted on the training rows of the fold.

    Returns
    -------
    array, shape (n,)
        NaN if G is 0, which means that no training row is followed that long.
    """
    known = ~np.isnan(label)
    result = np.zeros(len(label))
    seen = censoring.before(np.minimum(time[known], horizon))
    result[known] = np.divide(1.0, seen, out=np.full(seen.shape, np.nan), where=seen > 0)
    return result


def primary_weights(test: pd.DataFrame, train: pd.DataFrame, horizon: float | None) -> NDArray:
    """Compute weights of test rows: inverse probability of censoring at a horizon, otherwise 1; 0 for unknown labels.

    `test` and `train` have ``label, time, event``, see `metaswin.evaluation.censoring.weights`.
    """
    label = test["label"].to_numpy(dtype="float64", na_value=np.nan)
    if horizon is None:
        return (~np.isnan(label)).astype("float64")
    censoring = Censoring(train["time"].to_numpy(), train["event"].to_numpy(dtype="int64"))
    return weights(label, test["time"].to_numpy(), horizon, censoring)


def weighted_auc(label: NDArray, score: NDArray, weight: NDArray) -> float:
    """Compute the weighted AUC of the rows with a known label; NaN if it is not estimable.

    Parameters
    ----------
    label, score, weight : array, shape (n,)
        Label 0, 1 or NaN. Any score that increases with the risk. Weights of 0 or more, NaN if there is none.
    """
    known = ~np.isnan(label)
    y, s, w = label[known] == 1, score[known], weight[known]
    if y.all() or not y.any() or not np.isfinite(s).all() or not np.isfinite(w).all():
        return float("nan")
    return float(roc_auc_score(y, s, sample_weight=w))
