"""Inverse-probability-of-censoring weights, and the AUC of one fold with them."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

CENSORED, METASTASIS, DEATH = 0, 1, 2


class Censoring:
    """Kaplan-Meier estimate of G, the probability of not yet being censored.

    Censoring is the event here; metastasis and death end the time at risk of being censored. Where somebody is censored
    on the very day on which another has an event, the event comes first (that is how it could be seen), so
    patients with an event on day t are no longer at risk of being censored on day t. This is the convention under
    which the weights of the rows it was fitted on add up to their number.
    """

    def __init__(self, time: NDArray, event: NDArray) -> None:
        """Estimate G from follow-up.

        Parameters
        ----------
        time : array, shape (n,)
            Days to metastasis, death or loss.
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
        """G(t-): the probability of not being censored before t."""
        index = np.searchsorted(self.times, np.asarray(time, dtype="float64"), side="left")
        return np.concatenate([[1.0], self.survival])[index]


def weights(label: NDArray, time: NDArray, horizon: float, censoring: Censoring) -> NDArray:
    """Weights of test rows at a horizon (Uno et al. 2007, JASA 102:527-537; Graf et al. 1999, Stat Med 18:2529-2545).

    A metastasis or death at T <= h was seen because the patient was not censored before T: 1/G(T-). A patient
    followed to the horizon: 1/G(h-). Unknown outcome: 0.

    Parameters
    ----------
    label : array, shape (n,)
        0, 1 or NaN for unknown.
    time : array, shape (n,)
        Days to metastasis, death or loss.
    horizon : float
        Days.
    censoring : Censoring
        Fitted on the fold's training rows.

    Returns
    -------
    array, shape (n,)
        NaN where G is 0, that is where no training row is followed so long.
    """
    known = ~np.isnan(label)
    result = np.zeros(len(label))
    seen = censoring.before(np.minimum(time[known], horizon))
    result[known] = np.divide(1.0, seen, out=np.full(seen.shape, np.nan), where=seen > 0)
    return result


def primary_weights(test: pd.DataFrame, train: pd.DataFrame, horizon: float | None) -> NDArray:
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
