"""Stratified folds of each endpoint, see `metaswin.folds.rows` for what the fits make of them."""

import warnings

import numpy as np
import pandas as pd

from metaswin.errors import UserError
from metaswin.folds.settings import FoldsSettings

FEW_FOLDS = 3


def make_folds(
    outcome: pd.DataFrame, strata: pd.DataFrame, settings: FoldsSettings, seed: int, endpoint: str
) -> tuple[pd.DataFrame, list[str]]:
    """Assign each patient to a fold in each repeat, by `sklearn.model_selection.StratifiedKFold`.

    Rows are sorted by label, cell and patient before, so that the events of all cells together differ by at most one
    between folds.

    Parameters
    ----------
    outcome : DataFrame
        Columns ``patient, label, time, event`` (see `metaswin.clinical.label.Outcome`).
    strata : DataFrame
        Text columns to balance besides the label, indexed by patient; may have no column.
    settings : FoldsSettings
    seed : int
        Each repeat is shuffled by ``seed + repeat``.
    endpoint : str
        For messages.

    Returns
    -------
    folds : DataFrame
        One row for each patient and repeat: the columns of `outcome` and ``stratum, repeat, fold``.
    notes : list of str
        Cells too rare to balance, and what they were merged into; a warning where there are three folds.

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
            f"folds.k is {FEW_FOLDS}: the fits that leave out two folds see a single fold; use 5 folds or more where "
            "the number of events allows it"
        )
    table = outcome.assign(stratum=stratum)
    repeats = [
        table.assign(repeat=repeat, fold=_split(table, settings.k, seed + repeat)) for repeat in range(settings.repeats)
    ]
    return pd.concat(repeats, ignore_index=True), notes


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


def _split(table: pd.DataFrame, k: int, seed: int) -> np.ndarray:
    """Fold of each row of `table`."""
    from sklearn.model_selection import StratifiedKFold

    order = np.lexsort([table["patient"], table["stratum"], _label_text(table)])
    fold = np.empty(len(table), dtype=int)
    with warnings.catch_warnings():
        # A cell may have fewer patients than folds: unknown labels, or the merged rare cells of a label.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        parts = StratifiedKFold(k, shuffle=True, random_state=seed).split(order, table["stratum"].to_numpy()[order])
        for number, (_, test) in enumerate(parts):
            fold[order[test]] = number
    return fold
