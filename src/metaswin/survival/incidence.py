"""Aalen-Johansen estimate of the cumulative incidence with its variance; deterministic with ties."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Counts:
    """Events and rows at risk at each distinct day of an event.

    Attributes
    ----------
    days : ndarray of shape (J,)
        Days with a metastasis or a death, ascending.
    at_risk : ndarray of shape (J,)
        Rows followed to that day; events on a day come before losses on it.
    events : ndarray of shape (J, 2)
        Metastases and deaths.
    """

    days: NDArray
    at_risk: NDArray
    events: NDArray

    @classmethod
    def of(cls, time: NDArray, event: NDArray, days: NDArray | None = None) -> "Counts":
        """Count rows; `days` are those of all events unless given."""
        if days is None:
            days = np.unique(time[event > 0])
        ordered = np.sort(time)
        causes = [np.sort(time[event == cause]) for cause in (1, 2)]
        at_risk = len(time) - np.searchsorted(ordered, days, side="left")
        events = [np.searchsorted(c, days, side="right") - np.searchsorted(c, days, side="left") for c in causes]
        return cls(days, at_risk.astype("float64"), np.stack(events, axis=1).astype("float64"))

    @cached_property
    def survival(self) -> NDArray:
        """Kaplan-Meier estimate of having had neither event, after each day, shape (J,)."""
        return np.cumprod(1 - _share(self.events.sum(axis=1), self.at_risk))

    @cached_property
    def survival_before(self) -> NDArray:
        """The same just before each day, shape (J,)."""
        return np.concatenate([[1.0], self.survival[:-1]])

    @cached_property
    def incidence(self) -> NDArray:
        """Aalen-Johansen estimate after each day, shape (J, 2)."""
        steps = self.survival_before[:, None] * _share(self.events, self.at_risk[:, None])
        return np.cumsum(steps, axis=0)


@dataclass(frozen=True)
class Incidence:
    """Cumulative incidence of one cause at given days; arrays of shape (m,).

    Attributes
    ----------
    value, low, high : ndarray
        NaN beyond the last day of follow-up (unless nobody was lost), and the limits also where nothing has
        happened yet.
    variance : ndarray
    at_risk : int ndarray
        Rows followed to that day.
    """

    value: NDArray
    low: NDArray
    high: NDArray
    variance: NDArray
    at_risk: NDArray


def cumulative_incidence(time: NDArray, event: NDArray, cause: int, days: NDArray, confidence: float) -> Incidence:
    """Aalen-Johansen estimate of the probability of an event of `cause` by each day.

    Aalen & Johansen 1978 (Scand J Stat 5:141-150); variance by the delta method (Marubini & Valsecchi 1995,
    Analysing Survival Data from Clinical Trials, eq. 10.12; the Greenwood-type estimator of Allignol et al. 2010,
    Biom J 52:126-137), which is that of a proportion without losses; limits on the complementary log-log scale
    (Choudhury 2002, Stat Med 21:1129-1144).

    Parameters
    ----------
    time, event : ndarray of shape (n,)
        Days to the first event or to loss; 0 lost, 1 metastasis, 2 death.
    cause : int
        1 or 2.
    days : ndarray of shape (m,)
    confidence : float
    """
    counts = Counts.of(time, event)
    column = cause - 1
    after = np.searchsorted(counts.days, days, side="right")
    values = np.concatenate([[0.0], counts.incidence[:, column]])[after]
    total, own = counts.events.sum(axis=1), counts.events[:, column]
    at_risk, before = counts.at_risk, counts.survival_before
    variance = np.array(
        [
            _variance(values[i], counts.incidence[:k, column], own[:k], total[:k], at_risk[:k], before[:k])
            for i, k in enumerate(after)
        ]
    )
    value = np.where(followed(time, event, days), values, np.nan)
    low, high = interval(value, np.sqrt(np.maximum(variance, 0.0)), confidence)
    return Incidence(value, low, high, variance, at_risk_at(time, days))


def followed(time: NDArray, event: NDArray, days: NDArray) -> NDArray:
    """Whether each day lies within follow-up, or all rows have had an event, so that nothing more can happen."""
    if len(time) == 0:
        return np.zeros(len(days), dtype=bool)
    last = time.max()
    complete = not np.any((event == 0) & (time == last))
    return (days <= last) | complete


def at_risk_at(time: NDArray, days: NDArray) -> NDArray:
    """Rows followed to each day."""
    return len(time) - np.searchsorted(np.sort(time), days, side="left")


def interval(value: NDArray, error: NDArray, confidence: float) -> tuple[NDArray, NDArray]:
    """Limits of a probability on the complementary log-log scale; NaN at 0, at 1 and where nothing varies."""
    from scipy.stats import norm

    inside = (value > 0) & (value < 1) & (error > 0)
    p = np.where(inside, value, 0.5)
    exponent = norm.ppf((1 + confidence) / 2) * np.where(inside, error, np.nan) / (p * np.log(p))
    # log p is negative, so that exp(-exponent) is above 1 and lowers p.
    return p ** np.exp(-exponent), p ** np.exp(exponent)


def _variance(value: float, earlier: NDArray, own: NDArray, total: NDArray, at_risk: NDArray, before: NDArray) -> float:
    ahead = value - earlier
    everyone = _share(total, at_risk * (at_risk - total))
    return float(
        np.sum(ahead**2 * everyone)
        + np.sum(before**2 * (at_risk - own) * own / at_risk**3)
        - 2 * np.sum(ahead * before * own / at_risk**2)
    )


def _share(events: NDArray, at_risk: NDArray) -> NDArray:
    return np.divide(events, at_risk, out=np.zeros(np.broadcast(events, at_risk).shape), where=at_risk > 0)
