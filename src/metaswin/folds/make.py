"""Stratified folds per endpoint: outer folds, and inner folds of every training set."""

import hashlib

import numpy as np
import pandas as pd

from metaswin.errors import UserError
from metaswin.folds.settings import FoldsSettings

# Of a fold's even share of a cell. Large cells may be uneven by so much, so that patients keep their folds.
SLACK = 0.1


def make_folds(
    outcome: pd.DataFrame, strata: pd.DataFrame, settings: FoldsSettings, seed: int, endpoint: str
) -> tuple[pd.DataFrame, list[str]]:
    """Assign outer and inner folds by hashes of the patients' ids.

    Whoever joins a cohort leaves the others in their folds, but for a few where the balance of a stratum asks for it.

    Parameters
    ----------
    outcome : DataFrame
        Columns ``patient, label, time, event`` (see `metaswin.clinical.label.Outcome`).
    strata : DataFrame
        Text columns to balance besides the label, indexed by patient; may have no column.
    settings, seed
        Folds and seed, with which the ids are hashed.
    endpoint : str
        For messages.

    Returns
    -------
    folds : DataFrame
        One row a patient and repeat: the columns of `outcome`, ``stratum, repeat, fold`` and, for each fold f,
        ``inner_f``: the inner fold of the row where f is the test fold, missing for the test rows of f.
    notes : list of str
        Cells too rare to balance, and what they were merged into.

    Raises
    ------
    UserError
        When there are fewer events or non-events than the folds need.
    """
    outcome = outcome.sort_values("patient", ignore_index=True)
    _check_counts(outcome, settings, endpoint)
    stratum, notes = _strata(outcome, strata, settings.k)
    patients = outcome["patient"].to_numpy(dtype=str)
    repeats = []
    for repeat in range(settings.repeats):
        fold = _split(patients, stratum, settings.k, f"{seed}|{repeat}")
        table = outcome.assign(stratum=stratum, repeat=repeat, fold=fold)
        for f in range(settings.k):
            train = np.flatnonzero(fold != f)
            inner = np.full(len(table), -1)
            label = _label_text(outcome)[train]
            inner[train] = _split(patients[train], label, settings.inner, f"{seed}|{repeat}|{f}")
            table[f"inner_{f}"] = pd.array(np.where(inner < 0, None, inner), dtype="Int8")
        repeats.append(table)
    folds = pd.concat(repeats, ignore_index=True)
    _check_inner(folds, settings, endpoint)
    return folds, notes


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
                "(column, positive values, horizon), or add patients (`metaswin problems` lists who left, and why)"
            )


def _check_inner(folds: pd.DataFrame, settings: FoldsSettings, endpoint: str) -> None:
    for f in range(settings.k):
        for _, train in folds[folds["fold"] != f].groupby("repeat"):
            for value, what in [(1, "events"), (0, "non-events")]:
                count = int((train["label"] == value).sum())
                if count < settings.inner:
                    raise UserError(
                        f"endpoint {endpoint}: {count} {what} in the training rows of fold {f}, but folds.inner = "
                        f"{settings.inner} needs at least that many; set folds.inner lower (2 or more), or add patients"
                    )


def _strata(outcome: pd.DataFrame, strata: pd.DataFrame, k: int) -> tuple[np.ndarray, list[str]]:
    """Label × subtype cells; cells with fewer than k patients are merged within their label."""
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
        # Merging the rare cells may still leave fewer than k patients: then the next smallest cell joins them.
        for other in sizes.drop(rare).sort_values().index:
            if sizes[rare].sum() >= k:
                break
            rare.append(other)
        cell[np.isin(cell, rare)] = merged
        notes.append(f"label {value}: {len(rare)} subtypes with fewer than {k} patients balanced together")
    return cell, notes


def _split(patients: np.ndarray, cell: np.ndarray, k: int, salt: str) -> np.ndarray:
    """Fold of every patient, from hashes of the ids, so that who joins or leaves hardly moves the others.

    Hashes rank the patients of a cell as numbers in [0, 1). The cut between folds j - 1 and j lies at j / k, moved as
    far as the number of patients below it has to be within `SLACK` of a fold's even share. A patient more moves each
    cut by one patient at most, and by none while the balance holds.
    """
    fold = np.empty(len(cell), dtype=int)
    for name in np.unique(cell):
        rows = np.flatnonzero(cell == name)
        place = np.array([_hash(f"{salt}|{patient}") for patient in patients[rows]])
        even = len(rows) * np.arange(1, k) / k
        slack = max(0.5, SLACK * len(rows) / k)
        below = np.searchsorted(np.sort(place), np.arange(1, k) / k)
        cuts = np.clip(below, np.ceil(even - slack), np.floor(even + slack))
        rank = np.argsort(np.argsort(place, kind="stable"), kind="stable")
        # Cells that cannot be even have their larger folds in different places.
        first = int(_hash(f"{salt}|{name}") * k)
        fold[rows] = (np.searchsorted(cuts, rank, side="right") + first) % k
    return fold


def _hash(text: str) -> float:
    """A number in [0, 1), the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48
