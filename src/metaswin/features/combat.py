"""Fit ComBat with parametric empirical Bayes, and its covariates.

Johnson, Li & Rabinovic 2007, Biostatistics 8:118-127; for imaging features Fortin et al. 2018, NeuroImage
167:104-120. A value of feature f of row i in batch b is

    y = alpha_f + x_i beta_f + sigma_f (gamma_bf + sqrt(delta_bf) e)

and is replaced by ``alpha_f + x_i beta_f + sigma_f (z - gamma*_bf) / sqrt(delta*_bf)`` with the standardised value z.
The batch effects with a star are posterior means under priors that are shared by all features of a batch.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from metaswin.cohort.predictors import UNKNOWN, normalised


@dataclass(frozen=True)
class Covariate:
    """Code one covariate, centred on the training rows. A missing or unseen value becomes 0, which is their mean.

    Attributes
    ----------
    name : str
    levels : tuple of str
        Levels of a category; empty for a number.
    centre : tuple of float
        Share of each level, or the mean of a number.
    scale : float
        Standard deviation of a number, 1 for a category.
    """

    name: str
    levels: tuple[str, ...]
    centre: tuple[float, ...]
    scale: float

    def transform(self, column: pd.Series) -> np.ndarray:
        """Return an array of shape (rows, 1) for a number, (rows, levels) for a category."""
        if self.levels:
            found = np.array(normalised(column), dtype=object)[:, None] == np.array(self.levels, dtype=object)
            return np.where(found.any(axis=1, keepdims=True), found - np.array(self.centre), 0.0)
        values = (column.to_numpy(dtype="float64", na_value=np.nan) - self.centre[0]) / self.scale
        return np.nan_to_num(values, posinf=0.0, neginf=0.0)[:, None]


@dataclass(frozen=True)
class Covariates:
    """Hold all covariates of a fit."""

    columns: tuple[Covariate, ...]

    def transform(self, table: pd.DataFrame) -> np.ndarray:
        """Code any rows: return an array of shape (rows, columns)."""
        parts = [covariate.transform(table[covariate.name]) for covariate in self.columns]
        return np.concatenate([np.empty((len(table), 0)), *parts], axis=1)

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(covariate) for covariate in self.columns]

    @classmethod
    def from_json(cls, raw: list[dict[str, Any]]) -> "Covariates":
        return cls(
            tuple(
                Covariate(entry["name"], tuple(entry["levels"]), tuple(entry["centre"]), entry["scale"])
                for entry in raw
            )
        )


def fit_covariates(train: pd.DataFrame, names: list[str]) -> Covariates:
    """Fit the coding of the columns `names` on training rows. A column that is constant in these rows is dropped."""
    fitted = [_fit(train[name]) for name in names]
    return Covariates(tuple(covariate for covariate in fitted if covariate is not None))


def _fit(column: pd.Series) -> Covariate | None:
    name = str(column.name)
    if pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy(dtype="float64", na_value=np.nan)
        values = values[np.isfinite(values)]
        if not len(values) or values.std() <= 1e-12 * np.abs(values).max():
            return None
        return Covariate(name, (), (float(values.mean()),), float(values.std()))
    known = [level for level in normalised(column) if level != UNKNOWN]
    levels, counts = np.unique(np.array(known, dtype=str), return_counts=True)
    if len(levels) < 2:
        return None
    return Covariate(name, tuple(levels.tolist()), tuple((counts / counts.sum()).tolist()), 1.0)


# A range below this share of the largest value is a rounding error.
CONSTANT = 1e-10
TOLERANCE = 1e-10
MOST_STEPS = 1000

ONE_BATCH = "fewer than two batches with enough values"
FLAT = "constant within a batch"
CONFOUNDED = "the covariates cannot be separated from the batch"


@dataclass(frozen=True)
class Combat:
    """Hold the fitted batch effects of F features, C covariates and B batches.

    Attributes
    ----------
    alpha, sigma : ndarray of shape (F,)
        Mean over batches and pooled standard deviation; NaN for a feature that is not changed.
    beta : ndarray of shape (C, F)
        Effects of the covariates.
    gamma, delta : ndarray of shape (B, F)
        Shift in units of sigma and ratio of variances; NaN where a batch is not changed.
    why : tuple of str
        Reason why a feature is not changed in any batch; empty for the other features.
    """

    alpha: np.ndarray
    sigma: np.ndarray
    beta: np.ndarray
    gamma: np.ndarray
    delta: np.ndarray
    why: tuple[str, ...] = ()

    def apply(self, values: np.ndarray, batch: np.ndarray, covariates: np.ndarray) -> np.ndarray:
        """Return the harmonised values of any rows, shape (rows, F).

        Parameters
        ----------
        values : ndarray of shape (rows, F)
            NaN stays NaN.
        batch : ndarray of int, shape (rows,)
            Position of each row's batch, -1 for a batch without a fit. The rows of such a batch are returned unchanged.
        covariates : ndarray of shape (rows, C)
        """
        harmonised = values.copy()
        expected = self.alpha + covariates @ self.beta
        for number, (gamma, delta) in enumerate(zip(self.gamma, self.delta, strict=True)):
            rows, moved = np.flatnonzero(batch == number), np.flatnonzero(~np.isnan(gamma))
            place = np.ix_(rows, moved)
            mean = expected[place]
            shifted = values[place] - mean - self.sigma[moved] * gamma[moved]
            harmonised[place] = mean + shifted / np.sqrt(delta[moved])
        return harmonised


def fit_combat(values: np.ndarray, batch: np.ndarray, batches: int, covariates: np.ndarray, min_batch: int) -> Combat:
    """Fit ComBat on training rows.

    Each feature is fitted on the rows that have a value. A batch with fewer than `min_batch` values of a feature, and
    rows without a batch, are excluded from the fit and are not changed. A feature with fewer than two remaining batches
    is not changed, and neither is a feature that is constant within one of them (as in the authors' R package). No
    feature is changed if the covariates cannot be separated from the batch.

    Parameters
    ----------
    values : ndarray of shape (rows, F)
        NaN where missing.
    batch : ndarray of int, shape (rows,)
        Position of each row's batch; -1 for a row without a batch.
    batches : int
        Number of batches B.
    covariates : ndarray of shape (rows, C)
        No missing values.
    min_batch : int
    """
    features, width = values.shape[1], covariates.shape[1]
    alpha, sigma = np.full(features, np.nan), np.full(features, np.nan)
    beta = np.zeros((width, features))
    hats = [np.full((batches, features), np.nan) for _ in range(2)]
    counts = np.zeros((batches, features))
    why = np.full(features, "", dtype=object)
    present = ~np.isnan(values)
    patterns, pattern_of = np.unique(present, axis=1, return_inverse=True)
    for number, available in enumerate(patterns.T):
        columns = np.flatnonzero(pattern_of.ravel() == number)
        sizes = np.bincount(batch[available & (batch >= 0)], minlength=batches)
        enough = np.flatnonzero(sizes >= min_batch)
        if len(enough) < 2:
            why[columns] = ONE_BATCH
            continue
        rows = np.flatnonzero(available & np.isin(batch, enough))
        member = batch[rows][:, None] == enough
        if _confounded(member, covariates[rows]):
            why[columns] = CONFOUNDED
            continue
        flat = _flat(values[np.ix_(rows, columns)], member)
        why[columns[flat]] = FLAT
        columns = columns[~flat]
        fitted = _standardise(values[np.ix_(rows, columns)], member, covariates[rows])
        alpha[columns], beta[:, columns], sigma[columns] = fitted[:3]
        place = np.ix_(enough, columns)
        counts[place] = sizes[enough][:, None]
        for hat, found in zip(hats, _batch_effects(fitted[3], member), strict=True):
            hat[place] = found
    gamma, delta = (np.full((batches, features), np.nan) for _ in range(2))
    for number in range(batches):
        there = ~np.isnan(hats[0][number])
        gamma[number, there], delta[number, there] = shrink(
            hats[0][number, there], hats[1][number, there], counts[number, there]
        )
    return Combat(alpha, sigma, beta, gamma, delta, tuple(why))


def shrink(gamma: np.ndarray, delta: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the posterior means of a batch's effects, from their estimates of shape (F,) each.

    Shifts have a normal prior and variances an inverse gamma prior. The moments of both are computed over the features
    (Johnson et al. 2007, equations 3.1 and 3.2 and the iteration of their supplement). Fewer than two different
    estimates do not determine a prior, and the estimates are then returned unchanged.
    """
    if len(gamma) < 2 or np.ptp(gamma) == 0 or np.ptp(delta) == 0:
        return gamma, delta
    centre, spread = gamma.mean(), gamma.var(ddof=1)
    mean, variance = delta.mean(), delta.var(ddof=1)
    shape, scale = 2 + mean**2 / variance, mean + mean**3 / variance
    new_gamma, new_delta = gamma, delta
    for _ in range(MOST_STEPS):
        old_gamma, old_delta = new_gamma, new_delta
        new_gamma = (spread * count * gamma + old_delta * centre) / (spread * count + old_delta)
        squares = (count - 1) * delta + count * (gamma - new_gamma) ** 2
        new_delta = (scale + squares / 2) / (shape + count / 2 - 1)
        change = max(np.abs(new_gamma - old_gamma).max(), np.abs(new_delta / old_delta - 1).max())
        if change < TOLERANCE:
            break
    return new_gamma, new_delta


def _confounded(member: np.ndarray, covariates: np.ndarray) -> bool:
    """Return whether a combination of covariates is constant within each batch and differs between batches."""
    if not covariates.shape[1]:
        return False
    centred = covariates - covariates.mean(axis=0)
    design = np.concatenate([member, centred], axis=1)
    return bool(np.linalg.matrix_rank(design) < member.shape[1] + np.linalg.matrix_rank(centred))


def _flat(values: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Return for each feature whether it is constant within at least one batch."""
    limit = CONSTANT * np.abs(values).max(axis=0)
    return np.any([np.ptp(values[rows], axis=0) <= limit for rows in member.T], axis=0)


def _standardise(
    values: np.ndarray, member: np.ndarray, covariates: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return mean over batches, effects of covariates, pooled deviation and standardised values of complete features.

    The mean over batches is weighted by their numbers of rows. The pooled variance is divided by the number of rows
    (Johnson et al. 2007, section 3, step 1).
    """
    design = np.concatenate([member, covariates], axis=1)
    effects = np.linalg.lstsq(design, values, rcond=None)[0]
    sizes = member.sum(axis=0)
    alpha = sizes @ effects[: len(sizes)] / sizes.sum()
    beta = effects[len(sizes) :]
    sigma = np.sqrt(np.mean((values - design @ effects) ** 2, axis=0))
    return alpha, beta, sigma, (values - alpha - covariates @ beta) / sigma


def _batch_effects(standardised: np.ndarray, member: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of the standardised values of each batch, shapes (batches, features)."""
    parts = [standardised[rows] for rows in member.T]
    return np.stack([part.mean(axis=0) for part in parts]), np.stack([part.var(axis=0, ddof=1) for part in parts])
