"""Build Table 1: baseline characteristics by outcome, with standardised differences instead of p-values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metaswin.core.formatting import plain, share
from metaswin.report.data import Endpoint, ReportData

MOST_LEVELS = 8
GROUPS = {"event": 1.0, "nonevent": 0.0, "unknown": None}
MEASURED = {
    "volume_tumor_mm3": ("Tumour volume", "cm³", 1000.0),
    "volume_primary_mm3": ("Volume of the primary", "cm³", 1000.0),
    "volume_nodes_mm3": ("Volume of the nodes", "cm³", 1000.0),
    "slice_spacing": ("Slice spacing", "mm", 1.0),
}
NAMED = {"manufacturer": "Scanner", "kernel": "Kernel", "tumor_source": "Contours"}
SOURCES = {"rtstruct": "RTSTRUCT", "seg": "DICOM SEG", "nifti": "NIfTI mask", "nnunet": "automatic (nnU-Net)"}


@dataclass(frozen=True)
class Row:
    """Store one line of the table.

    Attributes
    ----------
    variable, level : str
        The level is empty for a numeric variable, and ``missing`` for the count of missing values.
    cells : dict of str to str
        ``all, event, nonevent, unknown``.
    difference : float or None
        Standardised difference of events and non-events, given once per variable.
    why : str
        Reason if there is no difference.
    kind : str
        ``numeric``, ``category``, ``level`` or ``missing``.
    """

    variable: str
    level: str
    cells: dict[str, str]
    difference: float | None = None
    why: str = ""
    kind: str = "numeric"


def baseline_rows(endpoint: Endpoint, data: ReportData) -> list[Row]:
    """Return rows for follow-up, the baseline and treatment columns, tumour volumes, scanners and contours.

    Numeric values are median [quartiles]. Categories are n (% of known values).
    """
    patients = endpoint.tables["predictions"].drop_duplicates("patient").set_index("patient")
    label = patients["label"].astype("float64")
    rows = []
    if endpoint.horizon is not None:
        rows += _numeric("Follow-up (days)", patients["time"].astype("float64"), label, compare=False)
    if len(data.clinical):
        clinical = data.clinical.set_index("patient").reindex(label.index)
        for column in clinical.columns:
            role = data.roles.get(column, "baseline")
            if role not in ("baseline", "treatment"):
                continue
            name = column if role == "baseline" else f"{column} (treatment)"
            rows += _variable(name, clinical[column], label)
    used = data.used.set_index("patient").reindex(label.index)
    for column, (name, unit, scale) in MEASURED.items():
        if column in used and used[column].notna().any():
            rows += _numeric(f"{name} ({unit})", used[column].astype("float64") / scale, label)
    for column, name in NAMED.items():
        if column in used and used[column].notna().any():
            rows += _category(name, used[column].map(lambda text: SOURCES.get(text, text)), label)
    return rows


def baseline_table(rows: list[Row]) -> pd.DataFrame:
    """Return the rows as a table for CSV."""
    columns = ["variable", "level", "all", "event", "nonevent", "unknown", "standardised_difference", "why"]
    records = [
        {"variable": r.variable, "level": r.level, **r.cells, "standardised_difference": r.difference, "why": r.why}
        for r in rows
    ]
    return pd.DataFrame(records, columns=columns)


def difference_of_means(events: NDArray, nonevents: NDArray) -> tuple[float | None, str]:
    """Return the standardised difference of the means of two groups, or the reason if there is none.

    The difference is (m1 - m0) / sqrt((s1² + s0²) / 2) (Austin 2009, Stat Med 28:3083-3107).

    Parameters
    ----------
    events, nonevents : array, shapes (n1,) and (n0,)
        Without missing values.
    """
    if min(len(events), len(nonevents)) < 2:
        return None, "fewer than 2 known values in a group"
    spread = math.sqrt((np.var(events, ddof=1) + np.var(nonevents, ddof=1)) / 2)
    if spread == 0:
        return None, "all values are equal"
    return float((np.mean(events) - np.mean(nonevents)) / spread), ""


def difference_of_shares(events: NDArray, nonevents: NDArray) -> tuple[float | None, str]:
    """Return the standardised difference of a categorical variable, or the reason if there is none.

    The difference is the Mahalanobis distance of the vectors of proportions without the first level, and is not
    negative (Yang & Dalton 2012, SAS Global Forum, paper 335). With two levels it equals
    |p1 - p0| / sqrt((p1 q1 + p0 q0) / 2) of Austin 2009.

    Parameters
    ----------
    events, nonevents : array, shape (levels,)
        Numbers of patients per level.
    """
    present = (events + nonevents) > 0
    events, nonevents = events[present], nonevents[present]
    if events.sum() < 2 or nonevents.sum() < 2:
        return None, "fewer than 2 known values in a group"
    if len(events) < 2:
        return None, "one level only"
    p1, p0 = (counts[1:] / counts.sum() for counts in (events, nonevents))
    covariance = sum(np.diag(p) - np.outer(p, p) for p in (p1, p0)) / 2
    if np.linalg.matrix_rank(covariance) < len(p1):
        return None, "the levels separate the groups completely"
    gap = p1 - p0
    return float(math.sqrt(gap @ np.linalg.solve(covariance, gap))), ""


def _variable(name: str, column: pd.Series, label: pd.Series) -> list[Row]:
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > 2:
        return _numeric(name, column.astype("float64"), label)
    if pd.api.types.is_numeric_dtype(column):
        column = column.map(lambda value: None if pd.isna(value) else f"{value:g}")
    return _category(name, column, label)


def _members(label: pd.Series) -> Mapping[str, NDArray]:
    known = {group: (label.isna() if value is None else label == value).to_numpy() for group, value in GROUPS.items()}
    return {"all": np.ones(len(label), dtype=bool), **known}


def _numeric(name: str, values: pd.Series, label: pd.Series, compare: bool = True) -> list[Row]:
    members, cells = _members(label), {}
    for group, inside in members.items():
        known = values[inside].dropna()
        cells[group] = "–"
        if len(known):
            low, middle, high = (plain(float(x)) for x in known.quantile([0.25, 0.5, 0.75]))
            cells[group] = f"{middle} [{low}, {high}]"
    difference, why = None, ""
    if compare:
        groups = (values[members[group]].dropna().to_numpy() for group in ("event", "nonevent"))
        difference, why = difference_of_means(*groups)
    return [Row(name, "", cells, difference, why), *_missing(name, values, members)]


def _category(name: str, values: pd.Series, label: pd.Series) -> list[Row]:
    text = values.astype("object").where(values.notna())
    text = text.map(lambda value: str(value).strip(), na_action="ignore")
    text = _one_spelling(text)
    members = _members(label)
    order = text.value_counts().index.tolist()
    if len(order) > MOST_LEVELS:
        kept = order[: MOST_LEVELS - 1]
        other = f"{len(order) - len(kept)} others"
        text = text.map(lambda value: value if value in kept else other, na_action="ignore")
        order = [*kept, other]
    counts = {group: text[inside].value_counts().reindex(order, fill_value=0) for group, inside in members.items()}
    difference, why = difference_of_shares(counts["event"].to_numpy(), counts["nonevent"].to_numpy())
    rows = [Row(name, "", dict.fromkeys(members, ""), difference, why, "category")]
    for level in order:
        cells = {group: share(counts[group][level], counts[group].sum()) for group in members}
        rows.append(Row(name, level, cells, kind="level"))
    return [*rows, *_missing(name, text, members)]


def _one_spelling(text: pd.Series) -> pd.Series:
    """Join levels that differ only in case, with the most frequent spelling."""
    known = text.dropna()
    if not len(known):
        return text
    spelling = known.groupby(known.map(str.casefold)).agg(lambda values: values.value_counts().index[0])
    return text.map(lambda value: spelling[value.casefold()], na_action="ignore")


def _missing(name: str, values: pd.Series, members: Mapping[str, NDArray]) -> list[Row]:
    if not values.isna().any():
        return []
    cells = {group: share(int(values[inside].isna().sum()), int(inside.sum())) for group, inside in members.items()}
    return [Row(name, "missing", cells, kind="missing")]
