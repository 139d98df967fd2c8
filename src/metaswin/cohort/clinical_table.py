"""Read the clinical table and select the rows that belong to the cohort."""

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from metaswin.config.cohort import ClinicalSettings, CohortSettings, ColumnSettings, Value
from metaswin.core.errors import UserError, suggestion
from metaswin.core.problems import Problem

STAGE = "clinical"
SHOWN = 5  # number of lines in a message


@dataclass(frozen=True)
class ClinicalTable:
    """Store the clinical table as text, with its problems.

    Attributes
    ----------
    table : pandas.DataFrame
        Indexed by study id (str, sorted, unique). There is one column for each column of the file except the id, with
        the name that `clinical.columns` gives it. Names are trimmed. Values are trimmed strings or None. `map` and
        `factor` of each column are applied.
    problems : list of Problem
        Problems found while reading, such as duplicated ids.
    """

    table: pd.DataFrame
    problems: list[Problem]


def read_header(path: str | Path) -> list[str]:
    """Return the trimmed column names of the table.

    Raises
    ------
    UserError
        If the file is missing, empty or not text.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = file.readline()
    except FileNotFoundError:
        raise UserError(f"clinical.table: no file {path}; set it to your clinical table (CSV)") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"clinical.table: cannot read {path} as UTF-8 text ({error}); save it as CSV (UTF-8)") from None
    if not first.strip():
        raise UserError(f"clinical.table: {path} is empty; its first line must name the columns")
    names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter(first)))]
    # Spreadsheets may write separators of deleted columns at the end of a line.
    while names and not names[-1]:
        names.pop()
    return names


def read_rows(path: str | Path) -> tuple[list[str], list[list[str]]]:
    """Return column names and rows, with trimmed values and with rows of the same length as the header.

    Missing cells at the end of a row are empty. Rows without any value are ignored.

    Raises
    ------
    UserError
        In the cases of `read_header`, and if a quote is not closed or a row has more values than the header. The
        message contains the line.
    """
    header = read_header(path)
    rows, more = [], []
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter=delimiter(file.readline()), strict=True)
            for line in lines:
                values = [value.strip() for value in line]
                if any(values[len(header) :]):
                    more.append(lines.line_num + 1)
                elif any(values):
                    rows.append([*values, *[""] * len(header)][: len(header)])
    except UnicodeDecodeError as error:
        raise UserError(f"clinical.table: cannot read {path} as UTF-8 text ({error}); save it as CSV (UTF-8)") from None
    except csv.Error as error:
        raise UserError(
            f"clinical.table: {path} is not a valid CSV file in or before line {lines.line_num + 1} ({error}); "
            "fix its quotes"
        ) from None
    if more:
        which = ", ".join(map(str, more[:SHOWN])) + (f" and {len(more) - SHOWN} more" if len(more) > SHOWN else "")
        raise UserError(
            f"clinical.table: {path} has {len(header)} columns, but more values in line {which}; "
            "quote values that contain the separator, or name the columns"
        )
    return header, rows


def read_clinical(path: str | Path, settings: ClinicalSettings, pseudonym: Callable[[str], str] = str) -> ClinicalTable:
    """Read the clinical table; `pseudonym` returns the pseudonym of a study id.

    Equal rows with the same id are kept once. Different rows with the same id are excluded with the code
    ``duplicated-id``.

    Raises
    ------
    UserError
        If the file cannot be read, a column is named twice or the id column is absent.
    """
    header, rows = read_rows(path)
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UserError(f"clinical.table: {path} names these columns more than once: {', '.join(twice)}")
    identifier = settings.id.strip()
    if identifier not in header:
        raise UserError(f"clinical.id: {path} has no column {identifier!r}; it has {', '.join(header)}")
    names = own_names(settings, header)
    raw = pd.DataFrame(rows, columns=header, dtype=object)[list(names)].set_axis(list(names.values()), axis=1)
    for name, column in settings.columns.items():
        if name.strip() in raw:
            raw[name.strip()] = pd.Series(_rewritten(raw[name.strip()], column), index=raw.index, dtype=object)
    raw = raw.where(~raw.isin(set(settings.na_values)), None)

    problems = []
    unnamed = raw[identifier].isna()
    if unnamed.any():
        problems.append(
            Problem(
                "", STAGE, "no-id", f"{int(unnamed.sum())} rows without an id", "an id in each row",
                f"fill the column {identifier} of the clinical table", excludes=False,
            )
        )  # fmt: skip
        raw = raw[~unnamed].copy()
    raw[identifier] = raw[identifier].map(pseudonym)
    raw = raw.drop_duplicates()
    repeated = raw[identifier].duplicated(keep=False)
    for patient, rows in raw[repeated].groupby(identifier):
        problems.append(
            Problem(
                str(patient), STAGE, "duplicated-id", f"{len(rows)} different rows", "one row per patient",
                "keep one of these rows in the clinical table",
            )
        )  # fmt: skip
    table = raw[~repeated].set_index(identifier).sort_index()
    table.index = table.index.astype(str)
    table.index.name = "patient"
    return ClinicalTable(table, problems)


def _rewritten(values: Iterable[str], column: ColumnSettings) -> list[str]:
    """Apply `map` and then `factor` to values."""
    replace = {normal(key): str(value) for key, value in column.map.items()}
    found = [replace.get(normal(value), value) for value in values] if replace else list(values)
    if column.factor == 1:
        return found
    numbers = pd.to_numeric(pd.Series(found, dtype=object), errors="coerce") * column.factor
    return [value if pd.isna(number) else f"{number:.12g}" for value, number in zip(found, numbers, strict=True)]


def own_names(settings: ClinicalSettings, header: Iterable[str]) -> dict[str, str]:
    """Return the name in metaswin of each column of the table, in the order of the table.

    A column is not read if its name is given to another column (`clinical.columns.<name>.column`).
    """
    given = {source: name for name, source in settings.sources.items()}
    return {column: given.get(column, column) for column in header if column in given or column not in given.values()}


def missing_column(settings: ClinicalSettings, name: str, header: Sequence[str], place: str) -> str | None:
    """Return a message if the table lacks a column, otherwise None.

    Parameters
    ----------
    settings : ClinicalSettings
    name : str
        Name of the column in metaswin.
    header : sequence of str
        Columns of the table.
    place : str
        Setting that names the column, or the table.
    """
    known = own_names(settings, header)
    name = name.strip()
    if name in known.values():
        return None
    source = settings.sources.get(name)
    if source is not None and source != name:
        return f"clinical.columns.{name}.column: {settings.table} has no column {source!r}{suggestion(source, header)}"
    if name in known:
        used = known[name]
        return f"{place}: column {name!r} is read as {used!r} (clinical.columns.{used}.column); write {used!r} here"
    hint = f" If it has another name there, set clinical.columns.{name}.column" if source is not None else ""
    near = suggestion(name, list(known.values()))
    near = near if near.endswith("?") or not hint else f"{near}."
    return f"{place}: {settings.table} has no column {name!r}{near}{hint}"


def delimiter(first_line: str) -> str:
    """Return the separator of the columns, found in the first line."""
    return max(",;\t", key=first_line.count)


def normal(value: object) -> str | None:
    """Return a value trimmed and case-folded for comparison; 1, 1.0 and "1.0" are equal, and None stays None."""
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return None
    text = str(value).strip().casefold()
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else str(number)


def matches(column: Iterable[object], values: Iterable[Value]) -> list[bool]:
    """Return which entries equal one of `values`, compared by `normal`; a missing entry never matches."""
    wanted = {normal(value) for value in values}
    return [(key := normal(entry)) is not None and key in wanted for entry in column]


def apply_cohort(clinical: ClinicalTable, settings: CohortSettings) -> tuple[list[str], list[Problem]]:
    """Apply `cohort.include`, `cohort.exclude` and `cohort.baseline_metastasis`.

    Returns
    -------
    stay : list of str
        Included study ids, sorted.
    problems : list of Problem
        One for each excluded patient: ``baseline-metastasis``, ``excluded-by-config`` or ``not-included``, the first
        that applies.
    """
    table = clinical.table
    reasons: dict[str, Problem] = {}

    def leave(mask: list[bool], code: str, column: str, expected: str, setting: str) -> None:
        for patient, hit, value in zip(table.index, mask, table[column], strict=True):
            if hit and patient not in reasons:
                found = f"{column} = {'missing' if value is None else value}"
                action = f"no action needed if this is intended; otherwise change {setting}"
                reasons[patient] = Problem(patient, STAGE, code, found, expected, action)

    for column, values in settings.baseline_metastasis.items():
        setting = f"cohort.baseline_metastasis.{column}"
        expected = f"no distant metastasis at baseline ({column} not in {_listed(values)})"
        leave(matches(table[column.strip()], values), "baseline-metastasis", column.strip(), expected, setting)
    for column, values in settings.exclude.items():
        setting = f"cohort.exclude.{column}"
        hits = matches(table[column.strip()], values)
        leave(hits, "excluded-by-config", column.strip(), f"{column} not in {_listed(values)}", setting)
    for column, values in settings.include.items():
        hits = [not hit for hit in matches(table[column.strip()], values)]
        setting = f"cohort.include.{column}"
        leave(hits, "not-included", column.strip(), f"{column} in {_listed(values)}", setting)
    stay = [patient for patient in table.index if patient not in reasons]
    return stay, [reasons[patient] for patient in sorted(reasons)]


def _listed(values: list) -> str:
    return ", ".join(map(str, values))
