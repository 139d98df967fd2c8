"""Make stratified folds, and define the training rows of each fit and the rows that it predicts."""

import hashlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metaswin.cohort.fits import all_fits, fit_name, left_out, outer_fits
from metaswin.config.cohort import FoldsSettings
from metaswin.core.errors import UserError
from metaswin.core.files import read_json, read_table


def number_of_folds(path: str | Path) -> int:
    """Return the number of folds in a table with the column ``fold``, such as ``folds/<endpoint>.parquet``."""
    return int(read_table(path, ["fold"])["fold"].max()) + 1


@dataclass(frozen=True)
class Place:
    """Identify the outer fold of a job."""

    endpoint: str
    repeat: int
    fold: int

    def __str__(self) -> str:
        return f"endpoint {self.endpoint}, repeat {self.repeat}, fold {self.fold}"


Key = tuple[str, int, int]


def by_place(fits: Sequence[str], *others: Sequence[str | None]) -> dict[Key, tuple[Any, ...]]:
    """Return for each endpoint, repeat and fold the facts of the fit and the other files of the same outer fold.

    Parameters
    ----------
    fits : sequence of paths
        ``fits.json`` of outer folds, which contain endpoint, repeat and fold.
    others : sequences of paths
        Other files of the same outer folds, each in the same order as `fits`.
    """
    found = {}
    for path, *rest in zip(fits, *others, strict=True):
        facts = read_json(path)
        found[facts["endpoint"], facts["repeat"], facts["fold"]] = (facts, *rest)
    return found


@dataclass(frozen=True)
class Folds:
    """Store the rows of one repeat, sorted by patient.

    Attributes
    ----------
    patients : list of str
    fold : ndarray of int, shape (rows,)
    label : ndarray of float, shape (rows,)
        0, 1 or NaN (unknown).
    time, event : ndarray of float, shape (rows,)
        Days, and 0 censored, 1 metastasis, 2 death. NaN if unknown, or if the endpoint has no times.
    known : ndarray of bool, shape (rows,)
        Rows with a known outcome. Only these are used for training. Rows with an unknown outcome are predicted.
    """

    patients: list[str]
    fold: NDArray
    label: NDArray
    time: NDArray
    event: NDArray
    known: NDArray

    @classmethod
    def of(cls, table: pd.DataFrame, repeat: int) -> "Folds":
        """Build from one repeat of ``folds/<endpoint>.parquet``; rows with a label are known."""
        rows = table[table["repeat"] == repeat].sort_values("patient")
        label, time, event = (
            rows[name].to_numpy(dtype="float64", na_value=np.nan) for name in ("label", "time", "event")
        )
        return cls(rows["patient"].tolist(), rows["fold"].to_numpy(dtype=int), label, time, event, ~np.isnan(label))

    def with_followup(self) -> "Folds":
        """Return the same rows for time-to-event models, in which rows with a known time and event are known."""
        return replace(self, known=~np.isnan(self.time) & ~np.isnan(self.event))

    @property
    def k(self) -> int:
        """Number of folds."""
        return int(self.fold.max()) + 1

    @property
    def labels(self) -> pd.Series:
        """Label by patient."""
        return pd.Series(self.label, index=pd.Index(self.patients, name="patient"))

    def outside(self, fit: str) -> NDArray:
        """Return the rows outside the folds that a fit leaves out, as a mask; some may have an unknown outcome."""
        return ~np.isin(self.fold, left_out(fit))

    def fitted(self, fit: str) -> NDArray:
        """Return the training rows of a fit, as a mask."""
        return self.known & self.outside(fit)

    def chosen(self, mask: NDArray) -> list[str]:
        """Return the patients of a mask."""
        return [patient for patient, inside in zip(self.patients, mask, strict=True) if inside]

    def training(self, fits: Iterable[str] | None = None) -> dict[str, list[str]]:
        """Return the training patients of each fit, by default of all fits."""
        return {fit: self.chosen(self.fitted(fit)) for fit in fits or all_fits(self.k)}

    def outer(self, fold: int) -> "OuterFold":
        """Return the same rows as used by one outer fold."""
        return OuterFold(self, fold)


@dataclass(frozen=True)
class OuterFold:
    """Provide the rows of one repeat as used by one outer fold.

    Attributes
    ----------
    folds : Folds
    fold : int
        Fold of the test rows.
    """

    folds: Folds
    fold: int

    @property
    def patients(self) -> list[str]:
        return self.folds.patients

    @property
    def label(self) -> NDArray:
        return self.folds.label

    @property
    def time(self) -> NDArray:
        return self.folds.time

    @property
    def event(self) -> NDArray:
        return self.folds.event

    @property
    def fits(self) -> list[str]:
        """Fits of this outer fold, see `outer_fits`."""
        return outer_fits(self.fold, self.folds.k)

    @property
    def final(self) -> str:
        """The fit that is trained on all training rows and predicts the test rows."""
        return fit_name(self.fold)

    @property
    def inner(self) -> list[str]:
        """The fits that also leave out one of the other folds."""
        return self.fits[1:]

    @property
    def test(self) -> NDArray:
        """Test rows, as a mask."""
        return self.folds.fold == self.fold

    @property
    def train(self) -> NDArray:
        """Training rows with a known outcome, as a mask."""
        return self.fitted(self.final)

    def fitted(self, fit: str) -> NDArray:
        """Return the training rows of a fit, as a mask."""
        return self.folds.fitted(fit)

    def scored(self, fit: str) -> NDArray:
        """Return the rows that a fit predicts in this outer fold; each row is predicted by a fit that left it out."""
        other = [fold for fold in left_out(fit) if fold != self.fold]
        return self.folds.fold == (other[0] if other else self.fold)

    def check_both_outcomes(self, where: str) -> None:
        """Require events and non-events among the training rows of every fit.

        Raises
        ------
        UserError
            With the fit that lacks one of them.
        """
        for fit in self.fits:
            check_both_outcomes(self.label[self.fitted(fit)], f"{where}, fit {fit}")


def check_both_outcomes(label: NDArray, where: str) -> None:
    """Require events and non-events among the labels (0 or 1) of some training rows.

    Raises
    ------
    UserError
        If one of them is missing.
    """
    for value, what in [(1, "event"), (0, "non-event")]:
        if not (label == value).any():
            raise UserError(
                f"{where}: found no {what} among {len(label)} training rows with a known label, but a model needs "
                "both; set folds.k lower (3 or more), add patients, or check the endpoint's settings"
            )


def seed_of(seed: int, *names: object) -> int:
    """Derive a different seed for each combination of names from the seed of the configuration."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])


def leaky_training(folds: Folds) -> Mapping[str, list[str]]:
    """Return for each fit all patients with a known outcome, including the test rows (wrong on purpose).

    This replaces `Folds.training` only in the leakage demonstration ``leaky``. Ambroise & McLachlan 2002 (PNAS
    99:6562-6566) describe how much such a selection inflates the performance.
    """
    return dict.fromkeys(all_fits(folds.k), folds.chosen(folds.known))


FEW_FOLDS = 3


def make_folds(
    outcome: pd.DataFrame, strata: pd.DataFrame, settings: FoldsSettings, seed: int, endpoint: str
) -> tuple[pd.DataFrame, list[str]]:
    """Assign each patient to a fold in each repeat, by `sklearn.model_selection.StratifiedKFold`.

    Rows are first sorted by label, cell and patient. Therefore the numbers of events in the folds differ by at most
    one.

    Parameters
    ----------
    outcome : DataFrame
        Columns ``patient, label, time, event`` (see `metaswin.cohort.outcomes.Outcome`).
    strata : DataFrame
        Text columns to balance in addition to the label, indexed by patient. It may have no columns.
    settings : FoldsSettings
    seed : int
        Each repeat is shuffled with ``seed + repeat``.
    endpoint : str
        Name of the endpoint for messages.

    Returns
    -------
    folds : DataFrame
        One row for each patient and repeat: the columns of `outcome` and ``stratum, repeat, fold``.
    notes : list of str
        Cells that were too rare to balance and were merged, and a warning if there are three folds.

    Raises
    ------
    UserError
        If there are fewer events or non-events than folds.
    """
    outcome = outcome.sort_values("patient", ignore_index=True)
    _check_counts(outcome, settings, endpoint)
    stratum, notes = _strata(outcome, strata, settings.k)
    if settings.k == FEW_FOLDS:
        notes.append(
            f"folds.k is {FEW_FOLDS}: the fits that leave out two folds are trained on a single fold; use 5 folds or "
            "more if the number of events allows it"
        )
    table = outcome.assign(stratum=stratum)
    repeats = [
        table.assign(repeat=repeat, fold=_split(table, settings.k, seed + repeat)) for repeat in range(settings.repeats)
    ]
    return pd.concat(repeats, ignore_index=True), notes


def centre_folds(outcome: pd.DataFrame, centres: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    """Assign each patient to the fold of the patient's centre; there is one repeat.

    Parameters
    ----------
    outcome : DataFrame
        Columns ``patient, label, time, event``.
    centres : DataFrame
        ``cohort/centres.parquet``, see `metaswin.cohort.centres.group_centres`.
    endpoint : str
        For messages.

    Returns
    -------
    DataFrame
        Columns of `make_folds`. ``stratum`` is the name of the centre of the fold.

    Raises
    ------
    UserError
        If a centre has no patients left.
    """
    outcome = outcome.sort_values("patient", ignore_index=True)
    table = outcome.merge(centres[["patient", "centre", "fold"]], on="patient", validate="one_to_one")
    table = table.rename(columns={"centre": "stratum"}).assign(repeat=0)
    for (fold, name), _ in centres.groupby(["fold", "centre"], sort=True):
        if not (table["fold"] == fold).any():
            raise UserError(
                f"endpoint {endpoint}: found no used patient of the centre {name!r}, but it is planned as a fold; "
                "exclude its patients with cohort.exclude (`metaswin problems` lists the reasons of the exclusions)"
            )
    return table[[*outcome.columns, "stratum", "repeat", "fold"]]


def _label_text(outcome: pd.DataFrame) -> np.ndarray:
    return outcome["label"].astype("string").fillna("unknown").to_numpy(dtype=str)


def _check_counts(outcome: pd.DataFrame, settings: FoldsSettings, endpoint: str) -> None:
    events, nonevents = int((outcome["label"] == 1).sum()), int((outcome["label"] == 0).sum())
    for count, what in [(events, "events"), (nonevents, "non-events")]:
        if count < settings.k:
            one = what.removesuffix("s")
            raise UserError(
                f"endpoint {endpoint}: found {count} {one if count == 1 else what} among {len(outcome)} patients, "
                f"but folds.k = {settings.k} needs at least one {one} in each fold; set folds.k lower, "
                "check the endpoint's settings "
                "(column, positive values, horizon), or add patients (`metaswin problems` lists the exclusions and "
                "their reasons)"
            )


def _strata(outcome: pd.DataFrame, strata: pd.DataFrame, k: int) -> tuple[np.ndarray, list[str]]:
    """Return label × subtype cells; cells with fewer than k patients are merged within their label."""
    label = _label_text(outcome)
    if strata.columns.empty:
        return label, []
    text = strata.reindex(outcome["patient"]).astype("string").fillna("missing")
    subtype = text.agg(lambda row: " / ".join(value.strip().casefold() for value in row), axis=1).to_numpy(dtype=str)
    cell = np.char.add(np.char.add(label, " | "), subtype)
    notes = []
    for value in np.unique(label):
        sizes = pd.Series(cell[label == value]).value_counts()
        rare = sorted(sizes.index[sizes < k])
        if not rare:
            continue
        merged = f"{value} | rare"
        # The merged rare cells may still have fewer than k patients. Then the next smallest cell is added.
        for other in sizes.drop(rare).sort_values().index:
            if sizes[rare].sum() >= k:
                break
            rare.append(other)
        cell[np.isin(cell, rare)] = merged
        notes.append(f"label {value}: {len(rare)} subtypes with fewer than {k} patients were balanced together")
    return cell, notes


def _split(table: pd.DataFrame, k: int, seed: int) -> np.ndarray:
    """Return the fold of each row of `table`."""
    from sklearn.model_selection import StratifiedKFold

    order = np.lexsort([table["patient"], table["stratum"], _label_text(table)])
    fold = np.empty(len(table), dtype=int)
    with warnings.catch_warnings():
        # A cell of unknown labels, or the merged rare cells of a label, may have fewer patients than folds.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        parts = StratifiedKFold(k, shuffle=True, random_state=seed).split(order, table["stratum"].to_numpy()[order])
        for number, (_, test) in enumerate(parts):
            fold[order[test]] = number
    return fold
