"""Determine the batch of each patient."""

from collections.abc import Sequence

import pandas as pd

from metaswin.cohort.predictors import UNKNOWN, normalised
from metaswin.config.features import ACQUISITION
from metaswin.core.errors import UserError, suggestion


def find_column(name: str, used: pd.DataFrame, clinical: pd.DataFrame) -> pd.Series:
    """Return a column of the used patients, or else of the clinical table (baseline or treatment), by patient.

    Parameters
    ----------
    name : str
        Name of the column. Spaces around it are ignored.
    used, clinical : DataFrame
        ``cohort/used.parquet`` and ``cohort/clinical.parquet``, with the column ``patient``.

    Raises
    ------
    UserError
        If neither table has the column.
    """
    for table, allowed in ((used, ACQUISITION), (clinical, clinical.columns.drop("patient"))):
        for column in allowed:
            if column in table and column.strip() == name.strip():
                return table.set_index("patient")[column]
    known = [*(column for column in ACQUISITION if column in used), *clinical.columns.drop("patient")]
    raise UserError(f"harmonisation: these patients have no column {name!r}{suggestion(name, known)}")


def levels_of(column: pd.Series) -> pd.Series:
    """Return the level of each patient as text, trimmed and case-folded; None if it is missing or "unknown"."""
    if pd.api.types.is_numeric_dtype(column):
        text = [None if pd.isna(value) else f"{value:g}" for value in column]
    else:
        text = [None if level == UNKNOWN else level for level in normalised(column)]
    return pd.Series(text, index=column.index, dtype=object)


def codes_of(levels: pd.Series, known: Sequence[str]) -> pd.Series:
    """Return the position of each level among the known levels; -1 if it is missing or not known."""
    position = {level: number for number, level in enumerate(known)}
    return levels.map(lambda level: position.get(level, -1)).astype(int)
