"""Confidence intervals of means over folds, and their measured coverage."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from metaswin.core.files import read_json

ALL_EQUAL = "the variance is 0: all test rows have the same influence"
NO_VARIANCE = "a fold with one event or one non-event has no variance"


@dataclass(frozen=True)
class Estimate:
    """An estimate with its interval; None and `why` where something is not estimable.

    Attributes
    ----------
    value, low, high : float or None
        Estimate and limits.
    p : float or None
        Two-sided p value of the hypothesis that the value is 0 (differences only).
    folds : int
        Folds that could be used.
    why : str
        Why the value, or only its interval, is not estimable.
    error : float or None
        Standard error (means over folds only).
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    folds: int = 0
    why: str = ""
    error: float | None = None


@dataclass(frozen=True)
class FoldResults:
    """One metric of one model, or the difference of two models, in every fold and repeat.

    Attributes
    ----------
    values : array, shape (J,)
        NaN where the metric is not estimable.
    repeats : array of int, shape (J,)
    variances : array, shape (J,)
        Variance over samples of test rows with the models held fixed, see `metaswin.evaluation.influence`.
    refits : array, shape (J, m)
        The metric on the same test rows by the models of the inner fits, each fitted without one more fold. NaN where
        unknown.
    capped : bool
        Whether the variance of the fits is limited, see `mean_over_folds`.
    """

    values: NDArray
    repeats: NDArray
    variances: NDArray
    refits: NDArray
    capped: bool = True


def mean_over_folds(
    found: FoldResults,
    ratio: float,
    confidence: float,
    why: str = "",
    signed: bool = False,
    bounds: tuple[float, float] | None = None,
    few: str = "",
) -> Estimate:
    """Estimate the mean over folds with an interval for the expected performance of models trained on n_train rows.

    The variance of the mean is the sum of two parts:

    - the variance of the test rows: in each repeat the mean of the fold variances divided by the number of folds,
      since the folds are different patients;
    - the variance of the fits: the delete-one-fold jackknife of the metric over the inner fits on the same test rows,
      averaged over folds. It is at most n_test / n_train times the mean fold variance, the correction of Nadeau &
      Bengio (2003, Machine Learning 52:239-281), which is also used where inner fits are missing. Metrics at a fitted
      threshold have no such limit: in simulation thresholds vary more than it allows (``benchmarks/coverage.py``).

    The limits use the normal quantile. ``benchmarks/intervals.py`` measures coverage and width.

    Parameters
    ----------
    found : FoldResults
    ratio : float
        n_test / n_train.
    confidence : float
        Such as 0.95.
    why : str
        Why values are missing; the reason given if none is left.
    signed : bool
        True for a difference, which gets a p value.
    bounds : (float, float) or None
        Range of the metric, to which limits are clipped. None: [-1, 1] for a difference, otherwise [0, 1].
    few : str
        Why there are too few outcomes for an interval; empty if there are enough.
    """
    kept = ~np.isnan(found.values)
    folds = int(kept.sum())
    if folds == 0:
        return Estimate(why=why or "no folds")
    mean = float(np.mean(found.values[kept]))
    if few:
        return Estimate(mean, folds=folds, why=few)
    variances, repeats = found.variances[kept], found.repeats[kept]
    if np.isnan(variances).any():
        return Estimate(mean, folds=folds, why=NO_VARIANCE)
    rows = float(np.mean([variances[repeats == r].mean() / np.sum(repeats == r) for r in np.unique(repeats)]))
    fits, limit = _jackknife(found.refits[kept]), ratio * float(variances.mean())
    fits = min(fits, limit) if found.capped or not np.isfinite(fits) else fits
    error = float(np.sqrt(rows + fits))
    if error < 1e-12:
        return Estimate(mean, folds=folds, why=ALL_EQUAL)
    half = float(ndtri((1 + confidence) / 2)) * error
    excluded = f"{len(kept) - folds} of {len(kept)} folds excluded: {why}" if folds < len(kept) else ""
    least, most = bounds or ((-1.0, 1.0) if signed else (0.0, 1.0))
    p = float(2 * ndtr(-abs(mean) / error)) if signed else None
    return Estimate(mean, max(mean - half, least), min(mean + half, most), p, folds, excluded, error)


def _jackknife(refits: NDArray) -> float:
    """Average the jackknife variance over the inner fits over folds; infinite if a fold has fewer than two of them."""
    count = np.sum(~np.isnan(refits), axis=1)
    if refits.size == 0 or (count < 2).any():
        return np.inf
    return float(np.mean((count - 1) * np.nanvar(refits, axis=1)))


# With fewer events or non-events the variance itself is not estimable.
FEWEST = 10


def too_few(events: int, nonevents: int) -> str:
    """Return why there are too few outcomes for an interval; empty if there are enough."""
    count, what = min((events, "event"), (nonevents, "non-event"))
    return f"{count} {what}{'s' if count != 1 else ''}, fewer than {FEWEST}" if count < FEWEST else ""


COVERAGE = Path(__file__).with_name("coverage.json")  # written by benchmarks/coverage.py
COVERAGE_IN_TIME = Path(__file__).with_name("survival_coverage.json")  # written by benchmarks/survival_coverage.py


def measured_coverage() -> dict[str, Any]:
    """The measured coverage of every kind of interval.

    Returns
    -------
    dict
        ``command, machine, setting`` (in words)``, targets`` (what ``models`` and ``fitted`` mean)``, cohorts,
        confidence`` and ``rows``: ``interval, metric, n, repeats, censored`` (proportion censored before the horizon;
        None without follow-up)``, target, truth, coverage, error`` (standard error)``, width`` (median)``, estimable``
        (proportion of cohorts with limits).
    """
    return read_json(COVERAGE)


def measured_coverage_in_time() -> dict[str, Any]:
    """The measured coverage of every kind of interval of the hazard models, and the size of Gray's test.

    Returns
    -------
    dict
        As `measured_coverage` gives it, and ``gray_below_05_when_nothing_predicts``: ``n, share`` (of cohorts with
        p < .05 between cross-validated risk groups)``, error`` (standard error).
    """
    return read_json(COVERAGE_IN_TIME)
