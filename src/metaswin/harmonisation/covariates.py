"""Covariates of ComBat as numbers: fitted on training rows, without missing values."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from metaswin.clinical.predictors import UNKNOWN, normalised


@dataclass(frozen=True)
class Covariate:
    """One covariate, centred on the training rows, so that a missing or unseen value (0) stands for their mean.

    Attributes
    ----------
    name : str
    levels : tuple of str
        Of a category; empty for a number.
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
        """Array of shape (rows, 1) for a number, (rows, levels) for a category."""
        if self.levels:
            found = np.array(normalised(column), dtype=object)[:, None] == np.array(self.levels, dtype=object)
            return np.where(found.any(axis=1, keepdims=True), found - np.array(self.centre), 0.0)
        values = (column.to_numpy(dtype="float64", na_value=np.nan) - self.centre[0]) / self.scale
        return np.nan_to_num(values, posinf=0.0, neginf=0.0)[:, None]


@dataclass(frozen=True)
class Covariates:
    """All covariates of a fit."""

    columns: tuple[Covariate, ...]

    def transform(self, table: pd.DataFrame) -> np.ndarray:
        """Array of shape (rows, columns) of any rows."""
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
    """Fit the coding of the columns `names` on training rows; one that is constant there is left out."""
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
