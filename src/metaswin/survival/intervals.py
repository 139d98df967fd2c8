"""Time intervals of the hazard head, and what each row tells of each interval."""

import numpy as np
from numpy.typing import NDArray

from metaswin.clinical.label import CENSORED, DEATH, METASTASIS

CAUSES = (METASTASIS, DEATH)

# An interval with fewer metastases says little of its own hazard.
EVENTS_PER_INTERVAL = 5
SMALLEST_HAZARD = 1e-6


def interval_cuts(time: NDArray, event: NDArray, horizon: float, most: int) -> NDArray:
    """Ends of the intervals, ascending, shape (T,): interval j is (cuts[j-1], cuts[j]], the first begins at 0.

    Quantiles of the days of metastasis, so that each interval holds about as many of them, and the horizon.

    Parameters
    ----------
    time, event : array, shape (n,)
        Training rows only; at least one metastasis.
    horizon : float
        Days; always a cut.
    most : int
        The highest number of intervals that the quantiles make; at least `EVENTS_PER_INTERVAL` metastases each.
    """
    days = time[event == METASTASIS]
    number = max(1, min(most, len(days) // EVENTS_PER_INTERVAL))
    quantiles = np.quantile(days, np.arange(1, number + 1) / number, method="inverted_cdf")
    return np.unique(np.append(quantiles, float(horizon)))


def states(time: NDArray, event: NDArray, cuts: NDArray) -> NDArray:
    """What happened to each row in each interval, int array of shape (n, T).

    -1 not at risk, 0 at risk and nothing happened, 1 metastasis, 2 death. A row that is lost within an interval
    counts as at risk there if it was followed through more than half of it (Gensheimer & Narasimhan 2019, PeerJ
    7:e6257). What happens after the last cut is not seen.
    """
    starts = np.concatenate([[0.0], cuts[:-1]])
    last = np.searchsorted(cuts, time, side="left")
    position = np.arange(len(cuts))
    found = np.where(position < last[:, None], 0, -1)
    inside = np.flatnonzero(last < len(cuts))
    half = (starts + cuts)[last[inside]] / 2
    lost = event[inside] == CENSORED
    found[inside, last[inside]] = np.where(lost, np.where(time[inside] > half, 0, -1), event[inside])
    return found


def marginal_hazards(state: NDArray, cuts: NDArray) -> NDArray:
    """Hazard of each cause in each interval without predictors, shape (T, 2).

    Events over rows at risk, with one more row at the overall daily rate, so that an interval without events of a
    cause keeps a small hazard.
    """
    width = np.diff(np.concatenate([[0.0], cuts]))
    at_risk = (state >= 0).sum(axis=0)
    events = np.stack([(state == cause).sum(axis=0) for cause in CAUSES], axis=1)
    rate = events.sum(axis=0) / (at_risk @ width)
    expected = np.minimum(width[:, None] * rate, 0.5)
    return np.clip((events + expected) / (at_risk[:, None] + 1), SMALLEST_HAZARD, 0.5)
