"""Group the patients by centre, and determine which centres are a separate fold and which share one."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from metaswin.cohort.predictors import UNKNOWN, normalised
from metaswin.config.cohort import LEAST_FOLDS
from metaswin.core.errors import UserError
from metaswin.core.files import read_table, write_table

# A centre with fewer events or non-events has no interval (see `metaswin.evaluation.intervals`).
FEWEST = 10
SHOWN = 20
JOINED = " + "


@dataclass(frozen=True)
class CentreInputs:
    """Name the tables of `metaswin.cohort.match.match_patients`; ``series`` (public index) is None without DICOM."""

    patients: str
    clinical: str
    outcomes: str
    choice: str
    series: str | None


def group_centres(inputs: CentreInputs, output: str, column: str) -> None:
    """Write ``cohort/centres.parquet``: ``patient, level, fold, centre`` of the planned patients.

    Parameters
    ----------
    inputs : CentreInputs
    output : str
        File to write. ``level`` is the level of the patient. ``centre`` is the name of the fold: its levels, joined by
        `JOINED`.
    column : str
        ``folds.by``: a column of the clinical table, or ``manufacturer`` of the chosen CT.

    Raises
    ------
    UserError
        If fewer than three folds remain.
    """
    patients = read_table(inputs.patients)["patient"]
    if patients.empty:  # the quality control stops the run with its own message
        write_table(output, pd.DataFrame({"patient": patients, "level": "", "fold": 0, "centre": ""}))
        return
    clinical = read_table(inputs.clinical).set_index("patient")
    named = {name.strip(): name for name in clinical}
    values = clinical[named[column.strip()]] if column.strip() in named else _of_chosen_ct(inputs, column)
    level = spelt(values.reindex(patients))
    outcomes = read_table(inputs.outcomes)
    labels = {name: rows.set_index("patient")["label"] for name, rows in outcomes.groupby("endpoint", sort=True)}
    folds = fold_levels(level, labels, column)
    number = {own: fold for fold, levels in enumerate(folds) for own in levels}
    table = pd.DataFrame({"patient": patients.to_numpy(), "level": level.to_numpy()})
    table["fold"] = table["level"].map(number).astype("int64")
    table["centre"] = (
        table["fold"].map({fold: JOINED.join(sorted(levels)) for fold, levels in enumerate(folds)}).astype("str")
    )
    write_table(output, table)


def _of_chosen_ct(inputs: CentreInputs, column: str) -> pd.Series:
    choice, series = read_table(inputs.choice), read_table(inputs.series or "")
    chosen = choice.loc[choice["chosen"] & choice["rank"].notna(), ["patient", "series"]]
    return chosen.merge(series, on=["patient", "series"]).set_index("patient")[column]


def spelt(column: pd.Series) -> pd.Series:
    """Return the level of each patient as text.

    Values that differ only in case or blanks are one level, with the most frequent spelling. A missing or empty value
    is the level ``unknown``.
    """
    if pd.api.types.is_numeric_dtype(column):
        column = column.map(lambda value: None if pd.isna(value) else f"{value:g}")
    key = pd.Series(normalised(column), index=column.index)
    text = column.astype("str").str.strip().where(key != UNKNOWN, UNKNOWN)
    spelling = text.groupby(key).agg(lambda values: values.value_counts().sort_index(kind="stable").idxmax())
    return key.map(spelling)


def fold_levels(level: pd.Series, labels: Mapping[str, pd.Series], column: str) -> list[list[str]]:
    """Return the levels of each fold: first the large centres by name, then the fold of the small ones, smallest first.

    The size of a centre is the smallest of its numbers of events and of non-events over all endpoints. Centres with a
    size below `FEWEST` share one fold. While the size of that fold is below `FEWEST`, the next smallest centre is
    added.

    Parameters
    ----------
    level : Series
        Level of each patient.
    labels : mapping
        Endpoint → label 0, 1 or missing by patient. Patients without an outcome may be absent.
    column : str
        Name of the column for the message.

    Raises
    ------
    UserError
        If fewer than `LEAST_FOLDS` folds remain. The message lists the centres with their counts.
    """
    outcomes = [(name, value) for name in labels for value in (1, 0)]
    own = {name: level.reindex(label.index) for name, label in labels.items()}
    counts = pd.DataFrame(
        {(name, value): own[name][labels[name] == value].value_counts() for name, value in outcomes},
        index=sorted(level.unique()),
    )
    counts = counts.fillna(0).astype(int)
    size = counts.min(axis=1).sort_values(kind="stable")
    small = list(size.index[size < FEWEST])
    for other in size.index[len(small) :]:
        if not small or counts.loc[small].sum().min() >= FEWEST:
            break
        small.append(other)
    folds = [[name] for name in counts.index if name not in small] + ([small] if small else [])
    if len(folds) < LEAST_FOLDS:
        lines = [f"{name}: {_counted(counts.loc[name])}" for name in counts.index[:SHOWN]]
        more = [f"and {len(counts) - SHOWN} more"] if len(counts) > SHOWN else []
        raise UserError(
            f"folds.by: found {len(folds)} fold{'s' if len(folds) != 1 else ''} of the levels of {column!r} after "
            f"those with fewer than {FEWEST} events or non-events were merged ({'; '.join([*lines, *more])}), "
            f"but at least {LEAST_FOLDS} are needed; name a column with larger levels (clinical.columns.<column>.map "
            "joins levels), choose an endpoint with more events, or set folds.by to null"
        )
    return folds


def _counted(counts: pd.Series) -> str:
    """Describe the events and non-events of one level for each endpoint."""
    endpoints = dict.fromkeys(name for name, _ in counts.index)
    return ", ".join(f"{name} {counts[name, 1]} events and {counts[name, 0]} non-events" for name in endpoints)


def notes_on(centres: pd.DataFrame, column: str) -> list[str]:
    """Return notes about centres that share a fold and patients whose centre is unknown.

    Parameters
    ----------
    centres : DataFrame
        ``cohort/centres.parquet``.
    column : str
        ``folds.by``.
    """
    levels = centres.groupby("fold", sort=True)["level"].agg(lambda own: list(dict.fromkeys(own)))
    notes = [f"leave one centre out: each level of {column} is one fold"]
    notes += [
        f"{len(found)} levels of {column} with fewer than {FEWEST} events or non-events, and the next smallest where "
        f"they were still too few, share one fold: {', '.join(sorted(found))}"
        for found in levels
        if len(found) > 1
    ]
    if UNKNOWN in set(centres["level"]):
        notes.append(
            f"patients without a value of {column} are the level {UNKNOWN}; they may come from a centre that a fit "
            "leaves out"
        )
    return notes
