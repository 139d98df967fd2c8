"""Mean over folds with an interval that knows that the folds' training sets overlap."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
        One value for each fold and repeat, NaN where not estimable: those are left out.
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
        Variance of the mean that the spread over folds cannot show, see `metaswin.evaluation.share`.
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
    left_out = f"{len(values) - folds} of {len(values)} folds left out: {why}" if folds < len(values) else ""
    least, most = bounds or ((-1.0, 1.0) if signed else (0.0, 1.0))
    p = float(2 * stats.t.sf(abs(mean) / error, folds - 1)) if signed else None
    return Estimate(mean, max(mean - half, least), min(mean + half, most), p, folds, left_out)
