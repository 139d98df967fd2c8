"""Encode raw columns as numbers: impute, scale and one-hot encode. The encoding is fitted on training rows only."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from metaswin.cohort.predictors import UNKNOWN, normalised

# Scaled values are clipped to this limit (standard deviations), so that an extreme value cannot dominate a prediction.
LIMIT = 5.0
# Components whose variance is a smaller fraction of the largest one consist of rounding errors.
RANK = 1e-12


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


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """Project embeddings on the principal components of the training rows, and scale the scores.

    A row that lacks a value has no embedding. Its scores are 0, which is the mean of the training rows with an
    embedding.

    Attributes
    ----------
    name : str
    columns : tuple of str
        Columns of the embedding.
    flag : bool
        Whether an additional column flags missing embeddings. This is so only if some training rows lack theirs.
    mean : ndarray of shape (columns,)
        Mean of the training rows.
    axes : ndarray of shape (components, columns)
        Directions of unit length, the largest variance first. The largest loading of each is positive.
    sd : ndarray of shape (components,)
        Standard deviations of the scores of the training rows.
    """

    name: str
    columns: tuple[str, ...]
    flag: bool
    mean: np.ndarray
    axes: np.ndarray
    sd: np.ndarray

    @property
    def outputs(self) -> list[str]:
        scores = [f"{self.name}_{number:02d}" for number in range(1, len(self.sd) + 1)]
        return [*scores, *([f"{self.name}=missing"] if self.flag else [])]

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays, which are stored apart from the other attributes because they are large."""
        return {"mean": self.mean, "axes": self.axes, "sd": self.sd}

    def of(self, table: pd.DataFrame, limit: float) -> np.ndarray:
        values = _matrix(table, self.columns)
        there = np.isfinite(values).all(axis=1)
        scores = np.zeros((len(table), len(self.sd)))
        # A matrix product of BLAS rounds a row differently if other rows are added; einsum does not.
        projected = np.einsum("ij,kj->ik", np.ascontiguousarray(values[there] - self.mean), self.axes)
        scores[there] = np.clip(projected / self.sd, -limit, limit)
        return np.concatenate([scores, *([~there[:, None]] if self.flag else [])], axis=1)


AnyColumn = NumericColumn | CategoryColumn | RegionFlag | PrincipalComponents


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

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays that `as_json` does not contain."""
        return {
            f"{column.name}.{name}": array
            for column in self.columns
            if isinstance(column, PrincipalComponents)
            for name, array in column.arrays.items()
        }

    def as_json(self) -> list[dict[str, Any]]:
        """Return the columns as plain values, without `arrays`."""
        return [
            {"kind": KINDS_OF[type(column)]}
            | {key: value for key, value in asdict(column).items() if not isinstance(value, np.ndarray)}
            for column in self.columns
        ]

    @classmethod
    def from_json(cls, raw: list[dict[str, Any]], arrays: Mapping[str, np.ndarray] | None = None) -> "ModalityEncoder":
        """Return the encoder of `as_json` and `arrays`."""
        types = {kind: own for own, kind in KINDS_OF.items()}
        own: dict[str, dict[str, np.ndarray]] = {}
        for path, array in (arrays or {}).items():
            column, _, name = path.rpartition(".")
            own.setdefault(column, {})[name] = array
        lists: list[dict[str, Any]] = [
            {key: tuple(value) if isinstance(value, list) else value for key, value in one.items()} for one in raw
        ]
        return cls(tuple(types[one.pop("kind")](**one, **own.get(one.get("name", ""), {})) for one in lists))


KINDS_OF: dict[type, str] = {
    NumericColumn: "numeric",
    CategoryColumn: "category",
    RegionFlag: "region",
    PrincipalComponents: "components",
}


def _transformed(column: AnyColumn, table: pd.DataFrame, limit: float) -> np.ndarray:
    if isinstance(column, RegionFlag):
        return column.of(table)
    if isinstance(column, PrincipalComponents):
        return column.of(table, limit)
    values = table.get(column.name, pd.Series(np.nan, index=table.index))
    return column.transform(values, limit) if isinstance(column, NumericColumn) else column.transform(values)


def fit_encoder(train: pd.DataFrame, kinds: Mapping[str, str], min_rows: int, components: int = 16) -> ModalityEncoder:
    """Fit the encoding of one modality on its training rows.

    Parameters
    ----------
    train : DataFrame
        Training rows only.
    kinds : mapping
        The columns to encode, in order: column → ``numeric``, ``log`` (logarithm of a number), ``category``,
        ``feature`` (number, named ``<region>__<feature>``, with one flag for each region that only some training rows
        lack) or ``embedding`` (number; all of these columns together are replaced by their principal components).
    min_rows : int
        A category in fewer rows than this counts as unknown.
    components : int
        Largest number of principal components of the embedding.

    Returns
    -------
    ModalityEncoder
        A numeric column without any value in the training rows is dropped.
    """
    columns: list[AnyColumn] = []
    regions: dict[str, list[str]] = {}
    embedding = [name for name, kind in kinds.items() if kind == "embedding"]
    columns += _fit_components(train, embedding, components) if embedding else []
    for name, kind in kinds.items():
        if kind == "embedding":
            continue
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


def _fit_components(train: pd.DataFrame, names: Sequence[str], count: int) -> list[PrincipalComponents]:
    """Fit the principal components of the rows with an embedding. The list is empty if no component varies.

    The components follow from the eigenvectors of the matrix of inner products of the centred rows. Cohorts have fewer
    rows than an encoder has outputs, so this takes a fraction of the time of a singular value decomposition.
    """
    from scipy.linalg import eigh

    values = _matrix(train, names)
    there = np.isfinite(values).all(axis=1)
    rows = values[there]
    count = min(count, len(rows) - 1, len(names))
    if count < 1:
        return []
    mean = rows.mean(axis=0)
    centred = rows - mean
    variances, vectors = eigh(centred @ centred.T, subset_by_index=[len(rows) - count, len(rows) - 1])
    # A constant column differs from its mean by a rounding error.
    floor = max(RANK * float(variances[-1]), (1e-12 * float(np.abs(rows).max())) ** 2 * rows.size)
    kept = np.flatnonzero(variances > floor)[::-1]
    if not len(kept):
        return []
    axes = (vectors[:, kept] / np.sqrt(variances[kept])).T @ centred
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    sd = np.sqrt(variances[kept] / len(rows))
    flag = not bool(there.all())
    return [PrincipalComponents("embedding", tuple(names), flag, mean, axes * np.sign(largest), sd)]


def _matrix(table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Return columns of numbers as float64; an absent column is missing."""
    return table.reindex(columns=list(names)).to_numpy(dtype="float64", na_value=np.nan)


def _numbers(column: pd.Series, log: bool) -> np.ndarray:
    values = column.to_numpy(dtype="float64", na_value=np.nan, copy=True)
    values[~np.isfinite(values)] = np.nan
    if log:
        values[values <= 0] = np.nan
        values = np.log(values)
    return values
