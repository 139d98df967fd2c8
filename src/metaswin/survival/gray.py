"""Gray's test: do groups differ in the cumulative incidence of one cause?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metaswin.survival.incidence import Counts


@dataclass(frozen=True)
class GrayTest:
    """A test, or the reason why there is none."""

    statistic: float | None = None
    df: int | None = None
    p: float | None = None
    why: str = ""


def gray_test(time: NDArray, event: NDArray, group: NDArray, cause: int = 1) -> GrayTest:
    """Gray's K-sample test with rho = 0 (Gray 1988, Annals of Statistics 16:1141-1154).

    In group k, just before t, let Y_k rows be at risk, S_k be the Kaplan-Meier estimate of neither event and F_k the
    Aalen-Johansen estimate of `cause`. The risk set of the subdistribution is R_k = Y_k (1 - F_k) / S_k. The score of
    a group is its events less those expected, as in a log-rank test with the risk sets R_k. Its variance is that of
    the two causes' martingales in each group, through what they change in R_k and F_k (section 3 of the paper), with
    F under the hypothesis from all groups. Tied events count by the hypergeometric variance, as in the log-rank test.

    Parameters
    ----------
    time, event : ndarray of shape (n,)
        Days to the first event or to loss; 0 lost, 1 metastasis, 2 death.
    group : ndarray of shape (n,)
    cause : int
        1 or 2.
    """
    from scipy.stats import chi2

    names = np.unique(group)
    if len(names) < 2:
        return GrayTest(why="only one group has patients" if len(names) else "no patients")
    if not (event == cause).any():
        return GrayTest(why="no events of the cause")
    # The cause asked for becomes the first of the two.
    event = np.where(event == 0, 0, np.where(event == cause, 1, 2))
    days = np.unique(time[event > 0])
    groups = [Counts.of(time[group == name], event[group == name], days) for name in names]
    score, variance = _score(groups)
    spread = np.sqrt(np.clip(np.diag(variance), 0.0, None))
    if np.linalg.matrix_rank(variance[:-1, :-1], hermitian=True) < len(names) - 1 or not np.all(spread > 0):
        return GrayTest(why="the variance of the test is singular: too few events or patients in a group")
    statistic = float(score[:-1] @ np.linalg.solve(variance[:-1, :-1], score[:-1]))
    return GrayTest(statistic, len(names) - 1, float(chi2.sf(statistic, len(names) - 1)))


def _score(groups: list[Counts]) -> tuple[NDArray, NDArray]:
    """Scores of the groups, shape (K,), and their covariance, shape (K, K)."""
    number = len(groups)
    before = np.stack([counts.survival_before for counts in groups], axis=1)
    at_risk = np.stack([counts.at_risk for counts in groups], axis=1)
    own = np.stack([counts.events[:, 0] for counts in groups], axis=1)
    incidence = np.stack([np.concatenate([[0.0], counts.incidence[:-1, 0]]) for counts in groups], axis=1)
    weight = np.divide(at_risk, before, out=np.zeros(at_risk.shape), where=at_risk > 0)
    total, events = weight.sum(axis=1), own.sum(axis=1)
    risk_set = weight * (1 - incidence)
    share = np.divide(risk_set, risk_set.sum(axis=1, keepdims=True), out=np.zeros(at_risk.shape), where=risk_set > 0)
    score = (own - events[:, None] * share).sum(axis=0)

    step = np.divide(events, total, out=np.zeros(len(events)), where=total > 0)
    pooled = np.cumsum(step)
    pooled_before = np.concatenate([[0.0], pooled[:-1]])
    variance = np.zeros((number, number))
    for r, counts in enumerate(groups):
        mine = weight[:, r] / np.where(total > 0, total, 1.0)
        # Weight of this group's subdistribution hazard in each group's score, over 1 - F.
        held = weight * (np.arange(number) == r) - weight * mine[:, None]
        passed = np.cumsum(held * (step / (1 - pooled_before))[:, None], axis=0)
        ahead = passed[-1] - passed
        after = counts.survival
        ratio = np.divide(1 - pooled, after, out=np.zeros(len(after)), where=after > 0)
        still = np.where(after > 0, 1 - ratio, 1.0)
        risk = np.where(at_risk[:, r] > 0, at_risk[:, r], 1.0)
        first = _untied(events, total * before[:, r]) * before[:, r] * step / risk * (at_risk[:, r] > 0)
        other = counts.events[:, 1]
        second = _untied(other, at_risk[:, r]) * before[:, r] ** 2 * other / risk**2
        by_first, by_second = held + ahead * still[:, None], ahead * ratio[:, None]
        variance += (by_first * first[:, None]).T @ by_first + (by_second * second[:, None]).T @ by_second
    return score, variance


def _untied(events: NDArray, at_risk: NDArray) -> NDArray:
    """Factor of the hypergeometric variance: 1 where one event happens on a day, less for ties."""
    tied = (events > 1) & (at_risk > 1)
    return np.where(tied, 1 - (events - 1) / np.where(tied, at_risk - 1, 1.0), 1.0)
