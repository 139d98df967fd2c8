"""Compute confidence intervals of means over folds, and read their measured coverage."""

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
    """Store an estimate with its interval; values that are not estimable are None, with the reason in `why`.

    Attributes
    ----------
    value, low, high : float or None
        Estimate and limits.
    p : float or None
        Two-sided p-value of the hypothesis that the value is 0 (differences only).
    folds : int
        Number of usable folds.
    why : str
        Reason if the value, or only its interval, is not estimable.
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
    """Store one metric of one model, or the difference of two models, in every fold and repeat.

    Attributes
    ----------
    values : array, shape (J,)
        NaN if the metric is not estimable.
    repeats : array of int, shape (J,)
    variances : array, shape (J,)
        Variance over samples of test rows with the models held fixed, see `metaswin.evaluation.influence`.
    refits : array, shape (J, k)
        The metric of the inner fits on the same test rows. Column g is the fit that leaves out the row's fold and fold
        g. NaN at the row's own fold and if the value is unknown. Shape (J, 0) if there are no inner fits.
    capped : bool
        Whether the variance of the fits is limited, see `mean_over_folds`.
    fitted : bool
        False for a model that is held fixed, such as a published signature. Its fits have no variance.
    """

    values: NDArray
    repeats: NDArray
    variances: NDArray
    refits: NDArray
    capped: bool = True
    fitted: bool = True


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

    - The variance of the test rows. In each repeat, it is the mean of the fold variances divided by the number of
      folds, because the folds are different patients.
    - The variance of the fits, by a delete-one-fold jackknife. The effect of a training fold g is the mean change of
      the metric on the test rows of the other folds if their models are fitted without g. The k effects give the
      variance of the mean, with only k - 1 degrees of freedom. A variance that is small by chance would make the
      interval too narrow. Therefore a quarter of the limit is added. The limit is n_test / n_train times the mean fold
      variance, the correction of Nadeau & Bengio (2003, Machine Learning 52:239-281). If inner fits are missing, the
      limit itself is used. Metrics at a fitted threshold are not limited, because thresholds vary more than the limit
      allows in simulations (``benchmarks/coverage.py``).

    The limits use the normal quantile. ``benchmarks/intervals.py`` measures coverage and width.

    Parameters
    ----------
    found : FoldResults
    ratio : float
        n_test / n_train.
    confidence : float
        Confidence level, for example 0.95.
    why : str
        Reason if values are missing. It is returned if no value is left.
    signed : bool
        True for a difference, which gets a p-value.
    bounds : (float, float) or None
        Range of the metric, to which limits are clipped. None means [-1, 1] for a difference and otherwise [0, 1].
    few : str
        Reason if there are too few outcomes for an interval, otherwise empty.
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
    limit = ratio * float(variances.mean())
    fits = _fits_variance(found.refits[kept], repeats)
    fits = limit if np.isnan(fits) else fits + limit / 4
    fits = min(fits, limit) if found.capped else fits
    fits = fits if found.fitted else 0.0
    error = float(np.sqrt(rows + fits))
    if error < 1e-12:
        return Estimate(mean, folds=folds, why=ALL_EQUAL)
    half = float(ndtri((1 + confidence) / 2)) * error
    excluded = f"{len(kept) - folds} of {len(kept)} folds excluded: {why}" if folds < len(kept) else ""
    least, most = bounds or ((-1.0, 1.0) if signed else (0.0, 1.0))
    p = float(2 * ndtr(-abs(mean) / error)) if signed else None
    return Estimate(mean, max(mean - half, least), min(mean + half, most), p, folds, excluded, error)


def _fits_variance(refits: NDArray, repeats: NDArray) -> float:
    """Compute the jackknife variance of the mean over folds that is due to the fits; NaN if an inner fit is missing.

    Assume that the metric is linear in contributions u of the training folds: metric on fold f = c + mean of u_h over
    h ≠ f. The mean over folds then has the variance of u divided by k. Without fold g, the metric changes by
    (mean of u - u_g) / (k - 2). The changes times k - 2, averaged over f, are u_g minus its mean, times
    1 - 1 / (k - 1)².
    """
    k = refits.shape[1]
    if k < 3 or (np.isfinite(refits).sum(axis=1) != k - 1).any():
        return np.nan
    moves = (k - 2) * (np.nanmean(refits, axis=1, keepdims=True) - refits)
    found = []
    for repeat in np.unique(repeats):
        rows = moves[repeats == repeat]
        if len(rows) < 2:  # the effect of a fold cannot be estimated from this fold alone
            return np.nan
        effects = np.nanmean(rows, axis=0) / (1 - 1 / (k - 1) ** 2)
        found.append(np.sum(effects**2) / (k - 1) / k)
    return float(np.mean(found))


# With fewer events or non-events, the variance itself is not estimable.
FEWEST = 10


def too_few(events: int, nonevents: int) -> str:
    """Return the reason if there are too few outcomes for an interval, otherwise an empty text."""
    count, what = min((events, "event"), (nonevents, "non-event"))
    return f"{count} {what}{'s' if count != 1 else ''}, fewer than {FEWEST}" if count < FEWEST else ""


COVERAGE = Path(__file__).with_name("coverage.json")  # written by benchmarks/coverage.py
COVERAGE_IN_TIME = Path(__file__).with_name("survival_coverage.json")  # written by benchmarks/survival_coverage.py


def measured_coverage() -> dict[str, Any]:
    """Read the measured coverage of every kind of interval.

    Returns
    -------
    dict
        ``command, machine, setting`` (in words)``, targets`` (meaning of ``models`` and ``fitted``)``, cohorts,
        confidence`` and ``rows``: ``interval, metric, n, repeats, censored`` (proportion censored before the horizon;
        None without follow-up)``, target, truth, coverage, error`` (standard error)``, width`` (median)``, estimable``
        (proportion of cohorts with limits).
    """
    return read_json(COVERAGE)


def measured_coverage_in_time() -> dict[str, Any]:
    """Read the measured coverage of every kind of interval of the hazard models, and the size of Gray's test.

    Returns
    -------
    dict
        The keys of `measured_coverage`, and ``gray_below_05_when_nothing_predicts``: ``n, share`` (proportion of
        cohorts with p < .05 between cross-validated risk groups)``, error`` (standard error).
    """
    return read_json(COVERAGE_IN_TIME)
