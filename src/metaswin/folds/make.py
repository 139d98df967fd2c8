"""Stratified folds per endpoint: outer folds, and inner folds of every training set."""

import warnings

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from metaswin.errors import UserError
from metaswin.folds.settings import FoldsSettings


def make_folds(
    outcome: pd.DataFrame, strata: pd.DataFrame, settings: FoldsSettings, seed: int, endpoint: str
) -> tuple[pd.DataFrame, list[str]]:
    """Assign outer and inner folds.

    Parameters
    ----------
    outcome : DataFrame
        Columns ``patient, label, time, event`` (see `metaswin.clinical.label.Outcome`).
    strata : DataFrame
        Text columns to balance besides the label, indexed by patient; may have no column.
    settings, seed
        Folds and seed; repeat r shuffles with ``seed + r``.
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
    repeats = []
    for repeat in range(settings.repeats):
        fold = _split(stratum, settings.k, seed + repeat)
        table = outcome.assign(stratum=stratum, repeat=repeat, fold=fold)
        for f in range(settings.k):
            train = np.flatnonzero(fold != f)
            inner = np.full(len(table), -1)
            label = _label_text(outcome)[train]
            inner[train] = _split(label, settings.inner, seed + 1000 * (repeat + 1) + f)
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
                        f"{settings.inner} needs at least that many; set folds.inner (or folds.k) lower"
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


def _split(stratum: np.ndarray, k: int, seed: int) -> np.ndarray:
    splitter = StratifiedKFold(k, shuffle=True, random_state=seed)
    fold = np.empty(len(stratum), dtype=int)
    with warnings.catch_warnings():
        # Fewer patients of unknown label than folds is no harm: they are not trained on.
        warnings.filterwarnings("ignore", message="The least populated class")
        for f, (_, test) in enumerate(splitter.split(np.zeros(len(stratum)), stratum)):
            fold[test] = f
    return fold
