"""Confidence intervals of means over folds, corrected for overlapping training sets, and their measured coverage.

Folds are stratified by outcome, so that the prevalence is nearly the same in each of them: the spread of the
folds' values does not show that another cohort would have had another share. The AUC, sensitivity and specificity do
not move with it; the Brier score, the area under the precision-recall curve and net benefit do.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaswin.core.files import read_json

ALL_EQUAL = "all folds have the same value, so that their spread says nothing"


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
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    folds: int = 0
    why: str = ""


def mean_over_folds(
    values: NDArray,
    ratio: float,
    confidence: float,
    why: str = "",
    signed: bool = False,
    bounds: tuple[float, float] | None = None,
    added: float = 0.0,
) -> Estimate:
    """Mean of the folds' values with the corrected resampled t interval.

    Variance of the mean = (1/J + n_test/n_train) S^2 with the sample variance S^2 of the J values, and J - 1
    degrees of freedom: Nadeau & Bengio 2003, Machine Learning 52:239-281 (corrected resampled t-test); used with
    repeated k-fold cross-validation, J = folds x repeats, as Bouckaert & Frank 2004 (PAKDD, 3-12) propose. What
    is estimated is the mean performance of models trained on n_train rows.

    Parameters
    ----------
    values : array, shape (J,)
        One value for each fold and repeat, NaN where not estimable: those are excluded.
    ratio : float
        n_test / n_train.
    confidence : float
        Such as 0.95.
    why : str
        Why values are missing; the reason given when none is left.
    signed : bool
        True for a difference, which gets a p value.
    bounds : (float, float) or None
        What the value can be: limits are clipped to it. None: [-1, 1] for a difference, otherwise [0, 1].
    added : float
        Variance of the mean that the spread over folds cannot show, see `metaswin.evaluation.intervals`.
    """
    from scipy import stats

    kept = values[~np.isnan(values)]
    folds = len(kept)
    if folds == 0:
        return Estimate(why=why or "no folds")
    mean = float(np.mean(kept))
    if folds == 1:
        return Estimate(mean, folds=1, why="one fold has no spread")
    spread = float(np.std(kept, ddof=1))
    if spread < 1e-12:
        return Estimate(mean, folds=folds, why=ALL_EQUAL)
    error = float(np.sqrt((1 / folds + ratio) * spread**2 + added))
    half = float(stats.t.ppf((1 + confidence) / 2, folds - 1) * error)
    excluded = f"{len(values) - folds} of {len(values)} folds excluded: {why}" if folds < len(values) else ""
    least, most = bounds or ((-1.0, 1.0) if signed else (0.0, 1.0))
    p = float(2 * stats.t.sf(abs(mean) / error, folds - 1)) if signed else None
    return Estimate(mean, max(mean - half, least), min(mean + half, most), p, folds, excluded)


STEP = 0.01


def by_prevalence(
    measure: Callable[..., float | NDArray], labels: NDArray, scores: NDArray, weights: NDArray
) -> float | NDArray:
    """Derivative of a metric with respect to the prevalence, the scores within each outcome held.

    A central difference: the weights of events and non-events are tilted until the share is `STEP` higher or lower.

    Parameters
    ----------
    measure : callable
        Metric of labels and scores with `sample_weight`, as in `sklearn.metrics`.
    labels : array of bool, shape (n,)
        Both outcomes present.
    scores, weights : array, shape (n,)
    """
    share = np.sum(weights * labels) / np.sum(weights)
    step = min(STEP, share / 2, (1 - share) / 2)
    higher, lower = (
        measure(labels, scores, sample_weight=weights * np.where(labels, 1 + move / share, 1 - move / (1 - share)))
        for move in (step, -step)
    )
    return (higher - lower) / (2 * step)


def share_variance(labels: NDArray, weights: NDArray) -> float:
    """Variance of the cohort's prevalence, pi (1 - pi) / n.

    With weights n is Kish's effective number, (sum w)² / sum w² (Kish 1965, Survey Sampling).

    Parameters
    ----------
    labels : array of bool, shape (n,)
        One row a patient with a known outcome.
    weights : array, shape (n,)
    """
    share = np.sum(weights * labels) / np.sum(weights)
    return float(share * (1 - share) * np.sum(weights**2) / np.sum(weights) ** 2)


def added_variance(slopes: NDArray, variance: float) -> float:
    """Variance of the mean over folds that comes from the prevalence (law of total variance, delta method).

    Parameters
    ----------
    slopes : array, shape (folds,)
        `by_prevalence` of each fold; NaN where not estimable.
    variance : float
        Of `share_variance`.
    """
    kept = slopes[~np.isnan(slopes)]
    return float(np.mean(kept) ** 2 * variance) if kept.size and np.isfinite(variance) else 0.0


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
        (share of
        cohorts with limits). ``without_share``: the same of intervals that are not shown, those without the variance of
        the prevalence.
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
