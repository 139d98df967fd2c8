"""Rows of one repeat: which rows each fit learns from, and which rows it scores."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metaswin.errors import UserError
from metaswin.files import read_json
from metaswin.folds.fits import all_fits, fit_name, left_out, outer_fits


@dataclass(frozen=True)
class Place:
    """Which outer fold of the run a job belongs to."""

    endpoint: str
    repeat: int
    fold: int

    def __str__(self) -> str:
        return f"endpoint {self.endpoint}, repeat {self.repeat}, fold {self.fold}"


Key = tuple[str, int, int]


def by_place(fits: Sequence[str], *others: Sequence[str]) -> dict[Key, tuple[Any, ...]]:
    """Endpoint, repeat and fold → facts of the fit, and the other files of the same outer fold.

    Parameters
    ----------
    fits : sequence of paths
        ``fits.json`` of outer folds: each names its place.
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
    """Rows of one repeat, sorted by patient.

    Attributes
    ----------
    patients : list of str
    fold : ndarray of int, shape (rows,)
    label : ndarray of float, shape (rows,)
        0, 1 or NaN (unknown).
    time, event : ndarray of float, shape (rows,)
        Days, and 0 censored, 1 metastasis, 2 death; NaN where unknown or where the endpoint has no times.
    known : ndarray of bool, shape (rows,)
        Rows with a known outcome: only these are learnt from. Rows with an unknown outcome are scored.
    """

    patients: list[str]
    fold: NDArray
    label: NDArray
    time: NDArray
    event: NDArray
    known: NDArray

    @classmethod
    def of(cls, table: pd.DataFrame, repeat: int) -> "Folds":
        """Rows of one repeat of ``folds/<endpoint>.parquet``; rows with a label are known."""
        rows = table[table["repeat"] == repeat].sort_values("patient")
        label, time, event = (
            rows[name].to_numpy(dtype="float64", na_value=np.nan) for name in ("label", "time", "event")
        )
        return cls(rows["patient"].tolist(), rows["fold"].to_numpy(dtype=int), label, time, event, ~np.isnan(label))

    def with_followup(self) -> "Folds":
        """The same rows for models of time to event: rows with a known time and event are known."""
        return replace(self, known=~np.isnan(self.time) & ~np.isnan(self.event))

    @property
    def k(self) -> int:
        """Number of folds."""
        return int(self.fold.max()) + 1

    @property
    def labels(self) -> pd.Series:
        """Label by patient."""
        return pd.Series(self.label, index=pd.Index(self.patients, name="patient"))

    def fitted(self, fit: str) -> NDArray:
        """Rows that a fit learns from, as a mask."""
        return self.known & ~np.isin(self.fold, left_out(fit))

    def chosen(self, mask: NDArray) -> list[str]:
        """Patients of a mask."""
        return [patient for patient, inside in zip(self.patients, mask, strict=True) if inside]

    def training(self, fits: Iterable[str] | None = None) -> dict[str, list[str]]:
        """Fit → patients that it learns from; of all fits by default."""
        return {fit: self.chosen(self.fitted(fit)) for fit in fits or all_fits(self.k)}

    def outer(self, fold: int) -> "OuterFold":
        """The same rows as one outer fold uses them."""
        return OuterFold(self, fold)


@dataclass(frozen=True)
class OuterFold:
    """Rows of one repeat as one outer fold uses them.

    Attributes
    ----------
    folds : Folds
    fold : int
        The fold of the test rows.
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
        """The fit that learns from all training rows and scores the test rows."""
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
        """Rows that a fit learns from, as a mask."""
        return self.folds.fitted(fit)

    def scored(self, fit: str) -> NDArray:
        """Rows whose score in this outer fold comes from a fit; each row has one fit, which left it out."""
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
    """A seed of its own for each combination of names, from the seed of the configuration."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])


def leaky_training(folds: Folds) -> Mapping[str, list[str]]:
    """Fit → all patients with a known outcome, the test rows among them: wrong on purpose.

    Takes the place of `Folds.training` in the leakage demonstration ``leaky`` and nowhere else. How much such a
    selection inflates the performance: Ambroise & McLachlan 2002, PNAS 99:6562-6566.
    """
    return dict.fromkeys(all_fits(folds.k), folds.chosen(folds.known))
