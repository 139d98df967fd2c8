"""Encode raw columns as numbers: impute, scale and one-hot encode. The encoding is fitted on training rows only."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from metaswin.cohort.predictors import UNKNOWN, normalised

# Scaled values are clipped to this limit (standard deviations), so that an extreme value cannot dominate a prediction.
LIMIT = 5.0


@dataclass(frozen=True)
class NumericColumn:
    """Encode a number: impute the training median, then scale by the training mean and standard deviation.

    Attributes
    ----------
    name : str
    log : bool
        Whether the logarithm is taken first; values of 0 and below are then missing.
    median, mean, sd : float
        Statistics of the training rows; `mean` and `sd` after imputation.
    flag : bool
        Whether an additional column flags missing values. This is so only if some training rows lack the value.
    """

    name: str
    log: bool
    median: float
    mean: float
    sd: float
    flag: bool

    @property
    def outputs(self) -> list[str]:
        return [self.name, *([f"{self.name}=missing"] if self.flag else [])]

    def transform(self, column: pd.Series, limit: float = LIMIT) -> np.ndarray:
        values = _numbers(column, self.log)
        missing = np.isnan(values)
        scaled = (np.where(missing, self.median, values) - self.mean) / self.sd
        columns = [np.clip(scaled, -limit, limit), *([missing.astype(float)] if self.flag else [])]
        return np.stack(columns, axis=1)


@dataclass(frozen=True)
class CategoryColumn:
    """One-hot encode a category: the levels of the training rows and one for unknown (missing, unseen or rare).

    Values are trimmed and case-folded before comparison. The value "unknown" counts as unknown.
    """

    name: str
    levels: tuple[str, ...]

    @property
    def outputs(self) -> list[str]:
        return [f"{self.name}={level}" for level in (*self.levels, UNKNOWN)]

    def transform(self, column: pd.Series) -> np.ndarray:
        position = {level: i for i, level in enumerate(self.levels)}
        codes = [position.get(level, len(self.levels)) for level in normalised(column)]
        return np.eye(len(self.levels) + 1)[codes]


@dataclass(frozen=True)
class RegionFlag:
    """Flag rows that lack a region: they have no value in any column of the region.

    Such a flag exists only if some, but not all, training rows lack the region.

    Attributes
    ----------
    region : str
    columns : tuple of str
        ``<region>__<feature>``.
    """

    region: str
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.region}__missing"

    @property
    def outputs(self) -> list[str]:
        return [self.name]

    def of(self, table: pd.DataFrame) -> np.ndarray:
        """Return 1 for a row that lacks the region, else 0; shape (rows, 1)."""
        return table.reindex(columns=list(self.columns)).isna().all(axis="columns").to_numpy(dtype=float)[:, None]


AnyColumn = NumericColumn | CategoryColumn | RegionFlag


@dataclass(frozen=True)
class ModalityEncoder:
    """Encode the columns of one modality."""

    columns: tuple[AnyColumn, ...]

    @property
    def outputs(self) -> list[str]:
        """Return the names of the encoded columns."""
        return [name for column in self.columns for name in column.outputs]

    def transform(self, table: pd.DataFrame, limit: float = LIMIT) -> np.ndarray:
        """Encode any rows: return an array of shape (rows, len(outputs)), float64.

        The values of an absent column are missing. Scaled numbers are clipped to `limit`; categories are not.
        """
        parts = [_transformed(column, table, limit) for column in self.columns]
        return np.concatenate([np.empty((len(table), 0)), *parts], axis=1)

    def as_json(self) -> list[dict[str, Any]]:
        return [{"kind": KINDS_OF[type(column)], **asdict(column)} for column in self.columns]

    @classmethod
    def from_json(cls, raw: list[dict[str, Any]]) -> "ModalityEncoder":
        types = {kind: own for own, kind in KINDS_OF.items()}
        lists: list[dict[str, Any]] = [
            {key: tuple(value) if isinstance(value, list) else value for key, value in one.items()} for one in raw
        ]
        return cls(tuple(types[one.pop("kind")](**one) for one in lists))


KINDS_OF: dict[type, str] = {NumericColumn: "numeric", CategoryColumn: "category", RegionFlag: "region"}


def _transformed(column: AnyColumn, table: pd.DataFrame, limit: float) -> np.ndarray:
    if isinstance(column, RegionFlag):
        return column.of(table)
    values = table.get(column.name, pd.Series(np.nan, index=table.index))
    return column.transform(values, limit) if isinstance(column, NumericColumn) else column.transform(values)


def fit_encoder(train: pd.DataFrame, kinds: Mapping[str, str], min_rows: int) -> ModalityEncoder:
    """Fit the encoding of one modality on its training rows.

    Parameters
    ----------
    train : DataFrame
        Training rows only.
    kinds : mapping
        The columns to encode, in order: column → ``numeric``, ``log`` (logarithm of a number), ``category`` or
        ``feature`` (number, named ``<region>__<feature>``, with one flag for each region that only some training rows
        lack).
    min_rows : int
        A category in fewer rows than this counts as unknown.

    Returns
    -------
    ModalityEncoder
        A numeric column without any value in the training rows is dropped.
    """
    columns: list[AnyColumn] = []
    regions: dict[str, list[str]] = {}
    for name, kind in kinds.items():
        if kind == "category":
            columns.append(_fit_category(train[name], min_rows))
        elif not np.isnan(values := _numbers(train[name], kind == "log")).all():
            columns.append(_fit_number(name, values, kind == "log", flagged=kind != "feature"))
            if kind == "feature":
                regions.setdefault(name.partition("__")[0], []).append(name)
    flags = [RegionFlag(region, tuple(names)) for region, names in sorted(regions.items())]
    return ModalityEncoder((*columns, *(flag for flag in flags if 0 < flag.of(train).mean() < 1)))


def _fit_category(column: pd.Series, min_rows: int) -> CategoryColumn:
    counts = pd.Series(normalised(column), dtype=object).value_counts()
    levels = sorted(level for level in counts.index[counts >= min_rows] if level != UNKNOWN)
    return CategoryColumn(str(column.name), tuple(levels))


def _fit_number(name: str, values: np.ndarray, log: bool, flagged: bool) -> NumericColumn:
    missing = np.isnan(values)
    median = float(np.median(values[~missing]))
    filled = np.where(missing, median, values)
    sd = float(filled.std())
    # Rounding gives a constant column a deviation of about 1e-16 of its size, which cannot be used as a scale.
    constant = sd <= 1e-12 * float(np.abs(filled).max())
    return NumericColumn(
        name, log, median, float(filled.mean()), 1.0 if constant else sd, flagged and bool(missing.any())
    )


def _numbers(column: pd.Series, log: bool) -> np.ndarray:
    values = column.to_numpy(dtype="float64", na_value=np.nan, copy=True)
    values[~np.isfinite(values)] = np.nan
    if log:
        values[values <= 0] = np.nan
        values = np.log(values)
    return values
