"""Compute cumulative incidence with competing events: Aalen-Johansen estimates, Gray's test and curves."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metaswin.cohort.outcomes import CENSORED, DEATH, METASTASIS
from metaswin.evaluation.survival_predictions import SurvivalData


@dataclass(frozen=True)
class Counts:
    """Count events and rows at risk on each distinct day with an event.

    Attributes
    ----------
    days : ndarray of shape (J,)
        Days with a metastasis or a death, ascending.
    at_risk : ndarray of shape (J,)
        Rows followed to that day. Events on a day come before censorings on that day.
    events : ndarray of shape (J, 2)
        Metastases and deaths.
    """

    days: NDArray
    at_risk: NDArray
    events: NDArray

    @classmethod
    def of(cls, time: NDArray, event: NDArray, days: NDArray | None = None) -> "Counts":
        """Count rows on `days`, by default the days of all events."""
        if days is None:
            days = np.unique(time[event > 0])
        ordered = np.sort(time)
        causes = [np.sort(time[event == cause]) for cause in (1, 2)]
        at_risk = len(time) - np.searchsorted(ordered, days, side="left")
        events = [np.searchsorted(c, days, side="right") - np.searchsorted(c, days, side="left") for c in causes]
        return cls(days, at_risk.astype("float64"), np.stack(events, axis=1).astype("float64"))

    @cached_property
    def survival(self) -> NDArray:
        """Kaplan-Meier estimate of neither event after each day, shape (J,)."""
        return np.cumprod(1 - _share(self.events.sum(axis=1), self.at_risk))

    @cached_property
    def survival_before(self) -> NDArray:
        """Kaplan-Meier estimate of neither event just before each day, shape (J,)."""
        return np.concatenate([[1.0], self.survival[:-1]])

    @cached_property
    def incidence(self) -> NDArray:
        """Aalen-Johansen estimate after each day, shape (J, 2)."""
        steps = self.survival_before[:, None] * _share(self.events, self.at_risk[:, None])
        return np.cumsum(steps, axis=0)


@dataclass(frozen=True)
class Incidence:
    """Store the cumulative incidence of one cause on given days, as arrays of shape (m,).

    Attributes
    ----------
    value, low, high : ndarray
        NaN after the last day of follow-up (unless no patient was censored). The limits are also NaN before the first
        event.
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
    """Estimate the probability of an event of `cause` by each day (Aalen-Johansen).

    The estimate is that of Aalen & Johansen 1978 (Scand J Stat 5:141-150). The variance is computed by the delta method
    (Marubini & Valsecchi 1995, Analysing Survival Data from Clinical Trials, eq. 10.12; the Greenwood-type estimator of
    Allignol et al. 2010, Biom J 52:126-137). Without censoring it equals the variance of a proportion. The limits are
    computed on the complementary log-log scale (Choudhury 2002, Stat Med 21:1129-1144).

    Parameters
    ----------
    time, event : ndarray of shape (n,)
        Days to the first event or to censoring; 0 censored, 1 metastasis, 2 death.
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
    """Return for each day whether it is within follow-up, or whether all rows had an event before."""
    if len(time) == 0:
        return np.zeros(len(days), dtype=bool)
    last = time.max()
    complete = not np.any((event == 0) & (time == last))
    return (days <= last) | complete


def at_risk_at(time: NDArray, days: NDArray) -> NDArray:
    """Return the number of rows followed to each day."""
    return len(time) - np.searchsorted(np.sort(time), days, side="left")


def interval(value: NDArray, error: NDArray, confidence: float) -> tuple[NDArray, NDArray]:
    """Compute limits of a probability on the complementary log-log scale; NaN at 0, at 1 and without variance."""
    from scipy.stats import norm

    inside = (value > 0) & (value < 1) & (error > 0)
    p = np.where(inside, value, 0.5)
    exponent = norm.ppf((1 + confidence) / 2) * np.where(inside, error, np.nan) / (p * np.log(p))
    # log p is negative. Therefore exp(-exponent) is above 1 and lowers p.
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


@dataclass(frozen=True)
class GrayTest:
    """Store the result of a test, or the reason why there is none."""

    statistic: float | None = None
    df: int | None = None
    p: float | None = None
    why: str = ""


def gray_test(time: NDArray, event: NDArray, group: NDArray, cause: int = 1) -> GrayTest:
    """Compute Gray's K-sample test with rho = 0 (Gray 1988, Annals of Statistics 16:1141-1154).

    In group k just before t, Y_k rows are at risk, S_k is the Kaplan-Meier estimate of neither event, and F_k is the
    Aalen-Johansen estimate of `cause`. The risk set of the subdistribution is R_k = Y_k (1 - F_k) / S_k. The score of a
    group is its number of events minus the expected number, as in a log-rank test with the risk sets R_k. The variance
    of the score comes from the martingales of the two causes in each group, through their effect on R_k and F_k
    (section 3 of the paper). Under the hypothesis, F is estimated from all groups. Tied events have the hypergeometric
    variance, as in the log-rank test.

    Parameters
    ----------
    time, event : ndarray of shape (n,)
        Days to the first event or to censoring; 0 censored, 1 metastasis, 2 death.
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
    # The requested cause becomes the first of the two.
    event = np.where(event == 0, 0, np.where(event == cause, 1, 2))
    days = np.unique(time[event > 0])
    groups = [Counts.of(time[group == name], event[group == name], days) for name in names]
    score, variance = _score(groups)
    spread = np.sqrt(np.clip(np.diag(variance), 0.0, None))
    if np.linalg.matrix_rank(variance[:-1, :-1], hermitian=True) < len(names) - 1 or not np.all(spread > 0):
        return GrayTest(why="the variance of the test is singular (too few events or patients in a group)")
    statistic = float(score[:-1] @ np.linalg.solve(variance[:-1, :-1], score[:-1]))
    return GrayTest(statistic, len(names) - 1, float(chi2.sf(statistic, len(names) - 1)))


def _score(groups: list[Counts]) -> tuple[NDArray, NDArray]:
    """Compute the scores of the groups, shape (K,), and their covariance, shape (K, K)."""
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
        # Weight of the subdistribution hazard of this group in the score of each group, divided by 1 - F.
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
    """Return the factor of the hypergeometric variance: 1 for one event on a day, and less for ties."""
    tied = (events > 1) & (at_risk > 1)
    return np.where(tied, 1 - (events - 1) / np.where(tied, at_risk - 1, 1.0), 1.0)


GROUP_NAMES = {
    2: ("low", "high"),
    3: ("low", "middle", "high"),
    4: ("lowest", "low", "high", "highest"),
}
ALL = "all"
COLUMNS = ["endpoint", "feature_set", "curve", "group", "time", "value", "low", "high", "at_risk", "why"]
STEPS = 60
# The curves end when fewer patients than this are at risk, but not before the horizon.
LEAST_AT_RISK = 10
NO_DEATHS = "the endpoint names no column of deaths"


def curve_table(data: SurvivalData, groups: int, confidence: float) -> pd.DataFrame:
    """Compute all curves of every feature set on a grid of days.

    Only the first repeat is used, so each patient counts once. Kaplan-Meier is used only for curves without competing
    events: survival without DM (DM and deaths are both events) and overall survival. The incidence of DM and of death
    without DM is the Aalen-Johansen estimate.
    """
    parts = []
    for feature_set in data.feature_sets:
        rows = data.pooled(feature_set, data.repeats[0])
        days = _grid(rows["time"].to_numpy(), data.horizon)
        named = {ALL: rows}
        if (rows["group"] >= 0).any():
            named |= {name: rows[rows["group"] == i] for i, name in enumerate(GROUP_NAMES[groups])}
        for name, chosen in named.items():
            for curve, table in _curves(chosen, days, confidence, bool(rows["dead"].notna().any())).items():
                parts.append(table.assign(endpoint=data.name, feature_set=feature_set, curve=curve, group=name))
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def _grid(time: NDArray, horizon: float) -> NDArray:
    """Return whole days, evenly spaced from 0, including the horizon."""
    ordered = np.sort(time)[::-1]
    last = ordered[min(LEAST_AT_RISK, len(ordered)) - 1] if len(ordered) else 0.0
    return np.unique(np.append(np.round(np.linspace(0.0, max(last, horizon), STEPS + 1)), horizon))


def _curves(rows: pd.DataFrame, days: NDArray, confidence: float, deaths_known: bool) -> dict[str, pd.DataFrame]:
    if rows.empty:
        names = ("cif_dm", "cif_death", "km_dm_free", "km_overall")
        return dict.fromkeys(names, _missing("no patients in the group"))
    time, event = rows["time"].to_numpy(), rows["event"].to_numpy()
    found = {"cif_dm": _incidence(time, event, METASTASIS, days, confidence)}
    if not deaths_known:
        return found | dict.fromkeys(("cif_death", "km_dm_free", "km_overall"), _missing(NO_DEATHS))
    found["cif_death"] = _incidence(time, event, DEATH, days, confidence)
    found["km_dm_free"] = _kaplan_meier(time, event != CENSORED, days, confidence)
    found["km_overall"] = _kaplan_meier(rows["followup"].to_numpy(), rows["dead"].to_numpy() == 1, days, confidence)
    return found


def _incidence(time: NDArray, event: NDArray, cause: int, days: NDArray, confidence: float) -> pd.DataFrame:
    found = cumulative_incidence(time, event, cause, days, confidence)
    return _table(days, found.value, found.low, found.high, found.at_risk)


def _kaplan_meier(time: NDArray, dead: NDArray, days: NDArray, confidence: float) -> pd.DataFrame:
    """Compute the Kaplan-Meier estimate with Greenwood limits on the complementary log-log scale (lifelines)."""
    from lifelines import KaplanMeierFitter

    fit = KaplanMeierFitter(alpha=1 - confidence).fit(time, dead)
    steps = fit.survival_function_.index.to_numpy()
    place = np.searchsorted(steps, days, side="right") - 1
    value = fit.survival_function_.to_numpy()[place, 0]
    limits = fit.confidence_interval_survival_function_.to_numpy()[place]
    value = np.where(followed(time, dead.astype(int), days), value, np.nan)
    inside = (value > 0) & (value < 1)
    low, high = (np.where(inside, limit, np.nan) for limit in limits.T)
    return _table(days, value, low, high, at_risk_at(time, days))


def _table(days: NDArray, value: NDArray, low: NDArray, high: NDArray, at_risk: NDArray) -> pd.DataFrame:
    beyond, certain = "no patient of the group was followed that long", "no interval at 0 or 1"
    why = np.select([np.isnan(value), np.isnan(low)], [beyond, certain], "")
    return pd.DataFrame({"time": days, "value": value, "low": low, "high": high, "at_risk": at_risk, "why": why})


def _missing(why: str) -> pd.DataFrame:
    row: dict[str, Any] = {"time": 0.0, "value": np.nan, "low": np.nan, "high": np.nan, "at_risk": 0, "why": why}
    return pd.DataFrame([row])
