"""Pool one estimate from several cohorts by a random-effects meta-analysis."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import chi2, t

FEWEST = 2  # cohorts for pooling
FEWEST_TO_PREDICT = 3  # cohorts for a prediction interval
GRID = 200  # values of tau² that are evaluated before the maximum is refined


@dataclass(frozen=True)
class Pooled:
    """Store a pooled estimate on the scale of pooling.

    Attributes
    ----------
    k : int
        Number of cohorts.
    value, low, high : float
        Mean over cohorts with its confidence interval.
    se : float
        Standard error of the mean (Hartung and Knapp).
    predicted_low, predicted_high : float or None
        Prediction interval for the value of another cohort. None with fewer than three cohorts.
    tau2 : float
        Variance between cohorts.
    i2 : float
        Proportion of the variance of an estimate that is between cohorts (0 to 1).
    q, p : float
        Cochran's Q and its p-value with k - 1 degrees of freedom.
    """

    k: int
    value: float
    low: float
    high: float
    se: float
    predicted_low: float | None
    predicted_high: float | None
    tau2: float
    i2: float
    q: float
    p: float


def pool(values: Sequence[float], errors: Sequence[float], confidence: float) -> Pooled:
    """Pool estimates of k cohorts.

    Each estimate is assumed to be normal around the value of its cohort. The values of the cohorts are assumed to be
    normal around the mean with the variance tau². tau² maximises the restricted likelihood (REML; Viechtbauer 2005, J
    Educ Behav Stat 30:261-293).

    The interval of the mean is that of Hartung and Knapp (2001, Stat Med 20:3875-3889) with k - 1 degrees of freedom.
    With few similar cohorts it would be too short. Therefore its variance is at least the variance of known weights
    (Knapp and Hartung 2003, Stat Med 22:2693-2710). The prediction interval has k - 2 degrees of freedom (Higgins,
    Thompson and Spiegelhalter 2009, J R Stat Soc A 172:137-159; Partlett and Riley 2017, Stat Med 36:301-317). I² is
    tau² / (tau² + s²), where s² is the typical variance within cohorts (Higgins and Thompson 2002, Stat Med
    21:1539-1558).

    Parameters
    ----------
    values : sequence of float, length k
    errors : sequence of float, length k
        Standard errors, above 0.
    confidence : float
        Confidence level of both intervals, for example .95.

    Raises
    ------
    ValueError
        If there are fewer than two cohorts, if an estimate is not finite, or if its error is not above 0.
    """
    y, v = np.asarray(values, dtype="float64"), np.asarray(errors, dtype="float64") ** 2
    k = len(y)
    if k < FEWEST or not (np.isfinite(y).all() and np.isfinite(v).all() and (v > 0).all()):
        raise ValueError(f"{FEWEST} or more finite estimates with standard errors above 0 are needed; found {k}")
    tau2 = _reml(y, v)
    weights = 1 / (v + tau2)
    mean = float(np.average(y, weights=weights))
    scale = max(1.0, float(np.sum(weights * (y - mean) ** 2)) / (k - 1))
    se = float(np.sqrt(scale / weights.sum()))
    half = float(t.ppf((1 + confidence) / 2, k - 1)) * se
    reach = float(t.ppf((1 + confidence) / 2, k - 2)) * np.sqrt(tau2 + se**2) if k >= FEWEST_TO_PREDICT else None
    fixed = 1 / v
    q = float(np.sum(fixed * (y - np.average(y, weights=fixed)) ** 2))
    typical = (k - 1) * fixed.sum() / (fixed.sum() ** 2 - np.sum(fixed**2))
    return Pooled(
        k, mean, mean - half, mean + half, se,
        None if reach is None else float(mean - reach), None if reach is None else float(mean + reach),
        tau2, float(tau2 / (tau2 + typical)), q, float(chi2.sf(q, k - 1)),
    )  # fmt: skip


def _reml(y: NDArray, v: NDArray) -> float:
    """Return the tau² with the largest restricted likelihood: the best of a grid, refined between its neighbours."""

    def loss(tau2: float) -> float:
        weights = 1 / (v + tau2)
        mean = np.average(y, weights=weights)
        return float(np.sum(np.log(v + tau2)) + np.log(weights.sum()) + np.sum(weights * (y - mean) ** 2))

    # The maximum is well below this value: tau² cannot be much larger than the variance of the estimates themselves.
    largest = 10 * float(np.var(y, ddof=1)) + float(v.max())
    grid = np.concatenate([[0.0], np.geomspace(largest * 1e-6, largest, GRID)])
    best = int(np.argmin([loss(value) for value in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, GRID)]
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-10 * (1 + high)})
    return float(found.x) if found.fun < loss(grid[best]) else float(grid[best])
