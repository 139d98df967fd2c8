"""Random-effects meta-analysis of estimates with known standard errors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

# With fewer estimates a prediction interval holds too rarely (Partlett & Riley 2017, Stat Med 36:301-317).
FEWEST_FOR_PREDICTION = 5


@dataclass(frozen=True)
class Pooled:
    """Mean of several true values, and the spread between them.

    Attributes
    ----------
    mean, error, low, high : float
        Mean, its standard error and confidence limits.
    tau : float
        Standard deviation of the true values.
    predicted : (float, float) or None
        Prediction interval of the true value of a new member; None with fewer than `FEWEST_FOR_PREDICTION` estimates.
    """

    mean: float
    error: float
    low: float
    high: float
    tau: float
    predicted: tuple[float, float] | None


def random_effects(estimates: ArrayLike, errors: ArrayLike, confidence: float) -> Pooled:
    """Estimate the mean and the spread of true values by restricted maximum likelihood (REML).

    The confidence interval is that of Hartung and Knapp (Knapp & Hartung 2003, Stat Med 22:2693-2710), never narrower
    than with the variance of the weights alone. The prediction interval has the t quantile with two degrees of freedom
    less than estimates (Higgins et al. 2009, J R Stat Soc A 172:137-159).

    Parameters
    ----------
    estimates, errors : array, shape (k,)
        Independent estimates and their standard errors, above 0.
    confidence : float
        Such as 0.95.

    Raises
    ------
    ValueError
        If there are fewer than two estimates, or an error is not above 0.
    """
    y, v = np.asarray(estimates, dtype="float64"), np.asarray(errors, dtype="float64") ** 2
    k = len(y)
    if k < 2 or not (v > 0).all():
        raise ValueError(f"found {k} estimates with variances {v}, but two or more, with variances above 0, are needed")
    tau2 = _reml(y, v)
    weights = 1 / (v + tau2)
    mean = float(np.sum(weights * y) / weights.sum())
    q = float(np.sum(weights * (y - mean) ** 2) / (k - 1))
    error = float(np.sqrt(max(q, 1.0) / weights.sum()))
    half = float(stats.t.ppf((1 + confidence) / 2, k - 1)) * error
    predicted = None
    if k >= FEWEST_FOR_PREDICTION:
        far = float(stats.t.ppf((1 + confidence) / 2, k - 2)) * float(np.sqrt(tau2 + error**2))
        predicted = (mean - far, mean + far)
    return Pooled(mean, error, mean - half, mean + half, float(np.sqrt(tau2)), predicted)


def _reml(y: NDArray, v: NDArray) -> float:
    """Variance between the true values with the largest restricted likelihood; at least 0."""

    def loss(tau2: float) -> float:
        weights = 1 / (v + tau2)
        mean = np.sum(weights * y) / weights.sum()
        terms = np.log(v + tau2) + weights * (y - mean) ** 2
        return float(terms.sum() + np.log(weights.sum()))

    # The restricted likelihood falls beyond the spread of the estimates themselves.
    most = max(10 * float(np.var(y, ddof=1)), 1e-12)
    found = optimize.minimize_scalar(loss, bounds=(0.0, most), method="bounded", options={"xatol": most * 1e-9})
    return float(found.x) if found.fun < loss(0.0) else 0.0
