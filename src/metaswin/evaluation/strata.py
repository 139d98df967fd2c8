"""Performance within strata: which levels there are, and a table that tells nothing of small cells."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metaswin.evaluation.disclosure import told
from metaswin.evaluation.gather import EndpointData
from metaswin.evaluation.pairs import Pairs
from metaswin.evaluation.settings import SCANNER, EvaluationSettings
from metaswin.evaluation.shape import from_records
from metaswin.evaluation.summary import PLAIN, WEIGHTINGS

MOST_VALUES = 6
MISSING = "missing"
COUNTS = ("n", "events", "unknown")


def levels(column: pd.Series, bands: Sequence[float] = ()) -> pd.Series:
    """Stratum of each patient as text.

    Categories that differ by case or blanks only are one level, spelt as most often. A numeric column is cut at its
    `bands` (a value on a cut belongs above it), otherwise at its median where it has more than six values. Empty
    values make the level ``missing``.
    """
    if pd.api.types.is_numeric_dtype(column) and len(bands):
        names = [f"< {bands[0]:g}", *(f"{a:g} to < {b:g}" for a, b in pairwise(bands))]
        names.append(f"≥ {bands[-1]:g}")
        place = np.searchsorted(bands, column.fillna(0), side="right")
        return pd.Series(np.array(names)[place], index=column.index, dtype="str").mask(column.isna(), MISSING)
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > MOST_VALUES:
        cut = float(column.median())
        text = pd.Series(np.where(column <= cut, f"≤ {cut:g}", f"> {cut:g}"), index=column.index, dtype="str")
        return text.mask(column.isna(), MISSING)
    if pd.api.types.is_numeric_dtype(column):
        text = column.map(lambda value: MISSING if pd.isna(value) else f"{value:g}")
        return text.astype("str")
    text = column.astype("str").str.strip()
    text = text.mask(text == "")
    key = text.str.casefold()
    spelling = text.groupby(key).agg(lambda values: values.value_counts(sort=True).index[0])
    return key.map(spelling).fillna(MISSING)


def stratified(clinical: pd.DataFrame, used: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The columns that strata are made of, one row a patient; both tables are indexed by patient.

    Names in `SCANNER` mean the images, unless the clinical table has a column of that name.
    """
    found = {}
    for name in (column.strip() for column in columns):
        if name in clinical:
            found[name] = clinical[name]
        elif SCANNER.get(name) in used:
            found[name] = used[SCANNER[name]].reindex(clinical.index).astype("str")
    return pd.DataFrame(found, index=clinical.index)


def cells(table: pd.DataFrame, bands: Mapping[str, Sequence[float]]) -> Iterator[tuple[str, str, pd.Index]]:
    """Each stratum: column, level and the patients in it (`table` is indexed by patient)."""
    for column in table:
        level = levels(table[column], bands.get(column, ()))
        for value in sorted(level.unique(), key=_reading_order):
            yield column, value, level.index[level == value]


def _reading_order(level: str) -> tuple:
    """Bands from low to high, other levels by name, missing values last."""
    sign = level.partition(" ")[0]
    if sign in ("<", "≤"):
        return (0, -np.inf, level)
    if " to < " in level:
        return (0, float(level.partition(" ")[0]), level)
    if sign in (">", "≥"):
        return (0, np.inf, level)
    return (2 if level == MISSING else 1, 0.0, level)


def strata_table(data: EndpointData, table: pd.DataFrame, settings: EvaluationSettings, seed: int) -> pd.DataFrame:
    """AUC of every arm within each level of the columns of `table` (see `stratified`).

    Counts that would single people out are null in ``n, events, unknown`` and stand as text in ``…_shown``
    (`metaswin.evaluation.disclosure.told`).
    """
    by_arm = {key: _in_order(rows) for key, rows in data.predictions.groupby(["arm", "head"], sort=True)}
    reference = next(iter(by_arm.values()))
    known = reference["label"].notna()
    records = []
    for number, (column, level, patients) in enumerate(cells(table, settings.bands)):
        inside = reference["patient"].isin(patients)
        chosen = np.flatnonzero(inside & known)
        everyone = reference.loc[inside, "patient"].nunique()
        generator = np.random.default_rng([seed, number])
        pairs = Pairs(reference.iloc[chosen].reset_index(drop=True), settings.bootstrap, generator)
        counts = {"n": pairs.events + pairs.nonevents, "events": pairs.events}
        base = {"column": column, "level": level, **counts, "unknown": everyone - counts["n"]}
        for (arm, head), rows in by_arm.items():
            record = {**base, "arm": arm, "head": head}
            for suffix in WEIGHTINGS:
                scores = rows["probability"].to_numpy()[chosen]
                weight = rows["weight"].to_numpy()[chosen] if suffix else np.ones(len(chosen))
                record |= _cell(pairs, scores, weight, f"auc{suffix}", data, settings)
            records.append(record)
    numbers = [f"auc{suffix}{limit}" for suffix in WEIGHTINGS for limit in ("", "_low", "_high")]
    columns = {**dict.fromkeys(COUNTS, "Int64"), **dict.fromkeys(numbers, "float64")}
    columns |= {f"auc{suffix}_why": "str" for suffix in WEIGHTINGS}
    found = from_records(records, data.name, columns, keys=("column", "level", "arm", "head"))
    return _with_told_counts(found, settings.min_cell_events)


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values(["repeat", "fold", "patient"], ignore_index=True)


def _with_told_counts(table: pd.DataFrame, least: int) -> pd.DataFrame:
    """Counts as they may be shown, as text; those that may not are null as numbers."""
    shown = {name: pd.Series("", index=table.index, dtype="str") for name in COUNTS}
    for _, rows in table.groupby("column", sort=False):
        by_level = rows.drop_duplicates("level").set_index("level")[list(COUNTS)].astype("int64")
        texts = {name: told(by_level[name].tolist(), least) for name in ("n", "unknown")}
        texts["events"] = told(by_level["events"].tolist(), least, by_level["n"].tolist())
        for name, values in texts.items():
            of_level = dict(zip(by_level.index, values, strict=True))
            shown[name][rows.index] = rows["level"].map(of_level).astype("str")
    hidden = {name: table[name].mask(~shown[name].str.isdigit().astype(bool)) for name in COUNTS}
    return table.assign(**hidden, **{f"{name}_shown": values for name, values in shown.items()})


def _cell(
    pairs: Pairs, scores: NDArray, weight: NDArray, name: str, data: EndpointData, settings: EvaluationSettings
) -> dict[str, Any]:
    few = settings.min_cell_events
    missing = {name: None, f"{name}_low": None, f"{name}_high": None}
    if name == "auc_ipcw" and data.horizon is None:
        return {**missing, f"{name}_why": PLAIN}
    for count, what in [(pairs.events, "events"), (pairs.nonevents, "non-events")]:
        if count < few:
            return {**missing, f"{name}_why": f"fewer than {few} {what}"}
    found = pairs.estimate(scores, weight, settings.confidence)
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high, f"{name}_why": found.why}
