"""Selection of one fold: every part of its training rows, both feature sets."""

import logging
import time
from collections.abc import Callable, Mapping

import pandas as pd

from metaswin.files import read_table, write_table
from metaswin.harmonisation.fitted import Harmoniser, load_harmoniser
from metaswin.selection.matrix import SETS, wide
from metaswin.selection.select import COLUMNS, select
from metaswin.selection.settings import SelectionSettings
from metaswin.stability.judge import unstable_features

logger = logging.getLogger("metaswin.selection")

HARMONISED = "harmonised"
"""Schema metadata of ``selection.parquet``: whether its medians are of harmonised features."""

PartsOf = Callable[[pd.DataFrame, int], dict[str, list[str]]]
"""Patients each part of a fold is fitted on, see `training_parts`."""


def select_fold(
    features: str,
    folds: str,
    output: str,
    repeat: int,
    fold: int,
    settings: SelectionSettings,
    seed: int,
    harmonisation: Mapping[str, str | None] | None = None,
    parts_of: PartsOf | None = None,
    stability: str | None = None,
) -> None:
    """Read the long table of features and the folds, select, and write ``selection.parquet``.

    `harmonisation` are the paths that `metaswin.harmonisation.fitted.load_harmoniser` reads, `stability` is that of
    the fold's ``stability.parquet``; without it no feature is unstable.
    """
    harmoniser = load_harmoniser(harmonisation or {})
    stable = read_table(stability) if stability else None
    tables = read_table(features), read_table(folds)
    table = selections(*tables, repeat, fold, settings, seed, harmoniser, parts_of, stable)
    write_table(output, table, {HARMONISED: str(harmoniser is not None)})


def selections(
    features: pd.DataFrame,
    folds: pd.DataFrame,
    repeat: int,
    fold: int,
    settings: SelectionSettings,
    seed: int,
    harmoniser: Harmoniser | None = None,
    parts_of: PartsOf | None = None,
    stability: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Selections of all parts and sets of one fold, with the columns ``part, set`` and those of `select`.

    With a `harmoniser` each part is selected on features harmonised by its own fit, with `stability` (see
    `metaswin.stability.judge.stability_table`) among those that are stable in its own training rows. `parts_of` is
    `training_parts`, but for the control that selects before the split.
    """
    folds = folds[folds["repeat"] == repeat].set_index("patient").sort_index()
    tables = []
    for feature_set in SETS:
        matrix = wide(features, feature_set, folds.index.tolist())
        selected: dict[tuple[str, ...], pd.DataFrame] = {}
        for part, train in (parts_of or training_parts)(folds, fold).items():
            start = time.perf_counter()
            values = matrix if harmoniser is None else harmoniser.apply(matrix, part, feature_set)
            unstable = None if stability is None else unstable_features(stability, part, feature_set)
            # Selected before the split, all parts are one.
            key = (part if harmoniser is not None or unstable is not None else "", *train)
            if key not in selected:
                selected[key] = select(values, folds["label"], train, settings, seed, unstable)
            tables.append(selected[key].assign(part=part, set=feature_set))
            counts = selected[key]["step"].value_counts().to_dict()
            logger.info(
                "%s, %s: %d rows, %s, %.1f s", part, feature_set, len(train), counts, time.perf_counter() - start
            )
    return pd.concat(tables, ignore_index=True)[["part", "set", *COLUMNS]]


def training_parts(folds: pd.DataFrame, fold: int) -> dict[str, list[str]]:
    """Patients each part of a fold is fitted on; rows with an unknown label are in none.

    Parameters
    ----------
    folds : DataFrame
        Rows of one repeat, indexed by patient: ``label, fold, inner_<fold>``.
    fold : int
        The test fold.
    """
    train = folds[(folds["fold"] != fold) & folds["label"].notna()]
    inner = train[f"inner_{fold}"]
    parts = {"outer": train.index.tolist()}
    return parts | {
        f"inner-{j}": train.index[(inner != j).to_numpy(dtype=bool)].tolist() for j in sorted(map(int, inner.unique()))
    }
