"""Read the predictor columns with their types, and report every unexpected value."""

import re
from collections.abc import Callable

import pandas as pd

from metaswin.cohort.clinical_table import STAGE, ClinicalTable, matches
from metaswin.config.cohort import ClinicalSettings, ColumnSettings
from metaswin.core.errors import suggestion
from metaswin.core.problems import Problem

UNKNOWN = "unknown"  # level of a category that is missing
# Units in which a column may be stored instead of its own unit: factor → name of the unit.
UNITS = {12: "months", 52.18: "weeks", 365.25: "days", 10: "tenths of the unit", 1000: "thousandths of the unit"}
FAR = 20.0  # interquartile ranges from the median that indicate an error of unit or digits for any distribution
MOST = 0.9  # proportion of the values that another unit must explain
ENOUGH = 10  # smallest number of values for which outliers are reported
# Words in the name of a column that describe events after treatment.
LATE = re.compile(
    r"(?:^|[^a-z])(?:recurrences?|relapsed?|progression|progressed|follow[^a-z]?up|fu|survival|survived|os|dfs|pfs|rfs|"
    r"death|died|dead|deceased|vital|metastasis|metastases|dm|salvage|response|toxicity|last)(?:$|[^a-z])"
)


def predictors(
    clinical: ClinicalTable, settings: ClinicalSettings
) -> tuple[pd.DataFrame, dict[str, str], list[Problem]]:
    """Return the baseline and treatment columns with their types.

    Numeric columns become float64, and categories stay trimmed strings. A column is numeric if the configuration says
    so. Without a setting, it is numeric if every value is a number. A value that is not a number, is outside the
    `range` of the column or is not one of its `values` is reported and treated as missing.

    Returns
    -------
    table : pandas.DataFrame
        Indexed by study id.
    kinds : dict
        Column → ``numeric`` or ``category``.
    problems : list of Problem
        Warnings: ``not-a-number``, ``out-of-range``, ``far-from-others``, ``unknown-category``, and for the whole
        cohort ``all-missing``, ``units-off`` and ``post-baseline-name``.
    """
    columns, problems = {}, []
    kinds: dict[str, str] = {}
    for name, column in settings.columns.items():
        if column.role not in ("baseline", "treatment"):
            continue
        text = clinical.table[name.strip()]
        numbers = pd.to_numeric(text, errors="coerce")
        unreadable = text.notna() & numbers.isna()
        kind = column.kind or ("category" if unreadable.any() or text.isna().all() or column.values else "numeric")
        kinds[name] = kind
        if text.isna().all():
            problems.append(
                _warning(
                    "", "all-missing", f"no value in column {name}", "values for a predictor",
                    f"fill the column or give {name} the role ignore",
                )
            )  # fmt: skip
        if column.role == "baseline" and LATE.search(name.strip().casefold()):
            problems.append(
                _warning(
                    "", "post-baseline-name", f"the predictor {name}, whose name suggests an event after treatment",
                    "predictors that are known before treatment",
                    f"give {name} the role outcome, time or ignore, unless it was recorded before treatment",
                )
            )  # fmt: skip
        if kind == "category":
            unknown = text.notna() & ~pd.Series(matches(text, column.values), index=text.index)
            if column.values:
                problems += _unknown_categories(name, column, text[unknown])
                text = text.where(~unknown, None)
            columns[name] = text
            continue
        problems += _odd_numbers(name, column, numbers, unreadable)
        if column.range is not None:
            numbers = numbers.where(numbers.between(*column.range))
        columns[name] = numbers.astype("float64")
    return pd.DataFrame(columns, index=clinical.table.index), kinds, problems


def _unknown_categories(name: str, column: ColumnSettings, unknown: pd.Series) -> list[Problem]:
    known = [str(value) for value in column.values]
    return [
        _warning(
            str(patient), "unknown-category", f"another value of {name}", f"one of {', '.join(known)}",
            f"correct it, or add it to clinical.columns.{name}.values or map; it is treated as missing"
            f"{suggestion(str(value), known)}", f"{name} = {value}",
        )
        for patient, value in unknown.items()
    ]  # fmt: skip


def _odd_numbers(name: str, column: ColumnSettings, numbers: pd.Series, unreadable: pd.Series) -> list[Problem]:
    problems = [
        _warning(
            str(patient), "not-a-number", f"a text in the numeric column {name}", "a number",
            "fix the value; it is treated as missing",
        )
        for patient in numbers.index[unreadable]
    ]  # fmt: skip
    known = numbers.dropna()
    if column.range is None:
        return problems + _far(name, known)
    low, high = column.range
    outside = known[~known.between(low, high)]
    if len(outside) > 1 and len(outside) > len(known) / 2:
        return [*problems, _units_off(name, known, len(outside), lambda values: values.between(low, high), low, high)]
    return problems + [
        _warning(
            str(patient), "out-of-range", f"{name} = {value:g}", f"{low:g} to {high:g}",
            "check the value and its unit; it is treated as missing",
        )
        for patient, value in outside.items()
    ]  # fmt: skip


def _far(name: str, known: pd.Series) -> list[Problem]:
    """Report outliers of a column without a range, which no unit explains; the values are used unchanged."""
    low, middle, high = known.quantile([0.25, 0.5, 0.75]) if len(known) >= ENOUGH else (0.0, 0.0, 0.0)
    if high <= low:
        return []
    far = known[(known - middle).abs() > FAR * (high - low)]
    return [
        _warning(
            str(patient), "far-from-others", f"{name} = {value:g}", f"a value near the others (median {middle:g})",
            f"check the value and its unit; it is used unchanged, unless clinical.columns.{name}.range excludes it",
        )
        for patient, value in far.items()
    ]  # fmt: skip


def _units_off(
    name: str, known: pd.Series, outside: int, fits: Callable[[pd.Series], pd.Series], low: float, high: float
) -> Problem:
    """Return one problem for a whole column in another unit, with the unit that would fit."""
    fitting = [f"{unit} (divided by {n:g})" for n, unit in UNITS.items() if fits(known / n).mean() > MOST]
    hint = f"; {' or '.join(fitting)} would fit" if fitting else ""
    return _warning(
        "", "units-off", f"{outside} of {len(known)} values of {name} outside its range, median {known.median():g}",
        f"{low:g} to {high:g}",
        f"check the unit of {name}{hint}; clinical.columns.{name}.factor changes it; the values are treated as missing",
    )  # fmt: skip


def _warning(patient: str, code: str, found: str, expected: str, action: str, private: str = "") -> Problem:
    return Problem(patient, STAGE, code, found, expected, action, excludes=False, private=private)


def normalised(column: pd.Series) -> list[str]:
    """Return the values of a category, trimmed and case-folded; missing and empty values are ``unknown``."""
    return [UNKNOWN if pd.isna(value) else str(value).strip().casefold() or UNKNOWN for value in column]
