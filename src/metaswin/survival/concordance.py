"""Concordance of a risk with the order in which metastases happen, deaths as competing events."""

import numpy as np
from numpy.typing import NDArray

from metaswin.clinical.label import CENSORED, DEATH, METASTASIS
from metaswin.evaluation.censoring import Censoring
from metaswin.evaluation.value import Value


def concordance_index(risk: NDArray, time: NDArray, event: NDArray, horizon: float, censoring: Censoring) -> Value:
    """Cause-specific C-index of metastases up to the horizon (Wolbers et al. 2009, Epidemiology 20:555-561; 2014,
    Biostatistics 15:526-539).

    The probability that of two patients the one who has a metastasis first, within the horizon, has the higher risk; a
    patient who dies without metastasis never has one. For a metastasis of patient i on day T_i a patient j counts who

    - is known to be free of both events after T_i, with weight 1 / G(T_i-)²;
    - died without metastasis on or before T_i, with weight 1 / (G(T_i-) G(T_j-)),

    where G(t-) is the probability of not being lost before t. Equal risks count one half. Two metastases on one
    day are not compared; somebody lost on day T_i was seen after it, as in `metaswin.evaluation.censoring`.

    Parameters
    ----------
    risk : ndarray of shape (n,)
        Higher means earlier or likelier metastasis.
    time, event : ndarray of shape (n,)
        Days to the first event or to loss; 0 lost, 1 metastasis, 2 death.
    horizon : float
        Days.
    censoring : Censoring
        Fitted on the fold's training rows.
    """
    first = np.flatnonzero((event == METASTASIS) & (time <= horizon))
    if len(first) == 0:
        return Value(why="no metastasis within the horizon in the fold's test rows")
    seen = censoring.before(time)
    if not np.all(seen[first] > 0):
        return Value(why="no training row is followed as long as some test rows")
    start = time[first, None]
    free = (time > start) | ((time == start) & (event == CENSORED))
    died = (event == DEATH) & (time <= start)
    own = 1 / seen[first, None]
    theirs = np.divide(1.0, seen, out=np.zeros(len(seen)), where=seen > 0)
    weight = free * own**2 + died * own * theirs
    total = float(weight.sum())
    if total == 0:
        return Value(why="no patient to compare a metastasis with in the fold's test rows")
    higher, equal = risk[first, None] > risk, risk[first, None] == risk
    return Value(float(np.sum(weight * (higher + 0.5 * equal)) / total))
