"""Compute performance within strata from pairs of patients of the same fold; small counts are suppressed."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metaswin.config.evaluation import SCANNER, EvaluationSettings
from metaswin.evaluation.intervals import Estimate
from metaswin.evaluation.metrics import TEST_ROWS_BEYOND, missing_predictions
from metaswin.evaluation.predictions import EndpointData
from metaswin.evaluation.summary import PLAIN, WEIGHTINGS
from metaswin.evaluation.table_schema import from_records


def suppressed(counts: Sequence[int], least: int, of: Sequence[int] | None = None) -> list[str]:
    """Return the counts of the levels of one column as text, with small counts suppressed.

    A count below `least` is shown as ``<least``. If the rest of the total is below `least`, the count is shown as ``≥``
    and the lowest value it can have. If only one count is suppressed, it could be derived from the others and the
    total. Then the smallest count still shown is suppressed too, as ``≥least`` (complementary suppression, Hundepool
    et al. 2012, Statistical Disclosure Control). If all counts are 0, they are shown as 0. With `least` 1, counts of
    0 and counts equal to their total are suppressed, and the complementary count if there is only one of them.

    Parameters
    ----------
    counts : sequence of int
        One count per level.
    least : int
    of : sequence of int or None
        Totals that contain the counts, if the rest of each total must be suppressed too.
    """
    if not any(counts):
        return ["0"] * len(counts)
    totals = of if of is not None else [count + least for count in counts]
    shown = []
    for count, total in zip(counts, totals, strict=True):
        if count < least:
            shown.append(f"<{least}")
        elif total - count < least:
            shown.append(f"≥{max(total - least + 1, least)}")
        else:
            shown.append(str(count))
    exact = [place for place, text in enumerate(shown) if text.isdigit()]
    if len(shown) - len(exact) == 1 and exact:
        shown[min(exact, key=lambda place: counts[place])] = f"≥{least}"
    return shown


class Pairs:
    """Form weighted (event, non-event) pairs within folds, for one stratum and any number of feature sets.

    The AUC of a stratum is the weighted proportion of concordant pairs, summed over folds. Each fold is weighted by its
    number of pairs. Scores of the models of two folds are never compared, because they are on different scales and
    stacked scores are biased (Parker et al. 2007, BMC Bioinformatics 8:326). The interval is the percentile interval of
    a bootstrap over patients, separately for events and non-events, with the same draw for all folds and repeats (Efron
    & Tibshirani 1993, chapter 13). The models are not refitted, so the interval applies to these fitted models.

    Parameters
    ----------
    rows : DataFrame
        Test rows of the stratum with known outcome: ``patient, repeat, fold, label``, with index 0 … n-1.
    draws : int
        Number of bootstrap draws.
    rng : numpy.random.Generator
        Generator of the draws.
    """

    def __init__(self, rows: pd.DataFrame, draws: int, rng: np.random.Generator) -> None:
        codes, patients = pd.factorize(rows["patient"], sort=True)
        is_event = np.zeros(len(patients), dtype=bool)
        is_event[codes] = rows["label"].to_numpy() == 1
        # How often each patient is drawn, as patients × draws: the values of one patient are contiguous. The first
        # column is the sample itself.
        self._counts = np.ones((len(patients), draws + 1))
        for group in (np.flatnonzero(is_event), np.flatnonzero(~is_event)):
            if len(group):
                drawn = rng.multinomial(len(group), np.full(len(group), 1 / len(group)), size=draws)
                self._counts[group, 1:] = drawn.T
        self.events, self.nonevents = int(is_event.sum()), int((~is_event).sum())
        self._blocks = []
        for _, block in rows.groupby(["repeat", "fold"], sort=True):
            index = block.index.to_numpy()
            positive = index[block["label"].to_numpy() == 1]
            negative = index[block["label"].to_numpy() == 0]
            if len(positive) and len(negative):
                self._blocks.append((positive, negative))
        self._codes = codes

    def estimate(self, scores: NDArray, weights: NDArray, confidence: float) -> Estimate:
        """Compute the AUC of one feature set in the stratum with its bootstrap interval.

        The computation takes O(n log n) per fold. For each event, the weight of the non-events below it is a cumulative
        sum for all draws at once. scikit-learn would need one call per draw.

        Parameters
        ----------
        scores, weights : array, shape (n,)
            Predictions and weights of the rows.
        confidence : float
            Confidence level, for example 0.95.
        """
        if not np.all(np.isfinite(scores)):
            return Estimate(why=missing_predictions(scores))
        if not np.all(np.isfinite(weights)):
            return Estimate(why=TEST_ROWS_BEYOND)
        if not self._blocks:
            return Estimate(why="no fold contains both an event and a non-event")
        hits = pairs = np.zeros(self._counts.shape[1])
        for positive, negative in self._blocks:
            negative = negative[np.argsort(scores[negative], kind="stable")]
            below = np.zeros((len(negative) + 1, len(hits)))
            np.cumsum(self._drawn(negative, weights), axis=0, out=below[1:])
            drawn = self._drawn(positive, weights)
            less, up_to = (np.searchsorted(scores[negative], scores[positive], side=s) for s in ("left", "right"))
            hits = hits + np.einsum("nd,nd->d", drawn, below[less] + below[up_to]) / 2
            pairs = pairs + drawn.sum(axis=0) * below[-1]
        value = float(min(hits[0] / pairs[0], 1.0))
        usable = pairs[1:] > 0
        if usable.mean() < 0.9:
            return Estimate(value, folds=len(self._blocks), why="too few pairs to resample")
        tail = (1 - confidence) / 2
        drawn_values = np.minimum(hits[1:][usable] / pairs[1:][usable], 1.0)
        if np.ptp(drawn_values) < 1e-12:
            return Estimate(value, folds=len(self._blocks), why="all draws have the same value")
        low, high = np.quantile(drawn_values, [tail, 1 - tail])
        return Estimate(value, float(low), float(high), None, len(self._blocks))

    def _drawn(self, rows: NDArray, weights: NDArray) -> NDArray:
        """Return the weight of each row in each draw, shape (rows, draws + 1)."""
        return self._counts[self._codes[rows]] * weights[rows, None]


MOST_VALUES = 6
MISSING = "missing"
COUNTS = ("n", "events", "unknown")


def levels(column: pd.Series, bands: Sequence[float] = ()) -> pd.Series:
    """Return the stratum of each patient as text.

    Categories that differ only in case or blanks are one level, with the most frequent spelling. A numeric column is
    divided at its `bands`. A value equal to a limit belongs to the band above it. Without bands, a numeric column
    with more than six values is divided at its median, and the median belongs to the lower level. Empty values are the
    level ``missing``.
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
    """Return the columns that define the strata, one row per patient; both tables are indexed by patient.

    Names in `SCANNER` refer to the images, unless the clinical table has a column with that name.
    """
    found = {}
    for name in (column.strip() for column in columns):
        if name in clinical:
            found[name] = clinical[name]
        elif SCANNER.get(name) in used:
            found[name] = used[SCANNER[name]].reindex(clinical.index).astype("str")
    return pd.DataFrame(found, index=clinical.index)


def cells(table: pd.DataFrame, bands: Mapping[str, Sequence[float]]) -> Iterator[tuple[str, str, pd.Index]]:
    """Yield each stratum: column, level and its patients (`table` is indexed by patient)."""
    for column in table:
        level = levels(table[column], bands.get(column, ()))
        for value in sorted(level.unique(), key=_reading_order):
            yield column, value, level.index[level == value]


def _reading_order(level: str) -> tuple:
    """Sort bands from low to high, other levels by name, and missing values last."""
    sign = level.partition(" ")[0]
    if sign in ("<", "≤"):
        return (0, -np.inf, level)
    if " to < " in level:
        return (0, float(level.partition(" ")[0]), level)
    if sign in (">", "≥"):
        return (0, np.inf, level)
    return (2 if level == MISSING else 1, 0.0, level)


def strata_table(data: EndpointData, table: pd.DataFrame, settings: EvaluationSettings, seed: int) -> pd.DataFrame:
    """Compute the AUC of every feature set within each level of the columns of `table` (see `stratified`).

    Suppressed counts are null in ``n, events, unknown``. The columns ``…_shown`` contain the counts as text
    (`metaswin.evaluation.strata.suppressed`).
    """
    by_feature_set = {
        key: _in_order(rows) for key, rows in data.predictions.groupby(["feature_set", "classifier"], sort=True)
    }
    reference = next(iter(by_feature_set.values()))
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
        for (feature_set, classifier), rows in by_feature_set.items():
            record = {**base, "feature_set": feature_set, "classifier": classifier}
            for suffix in WEIGHTINGS:
                scores = rows["probability"].to_numpy()[chosen]
                weight = rows["weight"].to_numpy()[chosen] if suffix else np.ones(len(chosen))
                record |= _cell(pairs, scores, weight, f"auc{suffix}", data, settings)
            records.append(record)
    numbers = [f"auc{suffix}{limit}" for suffix in WEIGHTINGS for limit in ("", "_low", "_high")]
    columns = {**dict.fromkeys(COUNTS, "Int64"), **dict.fromkeys(numbers, "float64")}
    columns |= {f"auc{suffix}_why": "str" for suffix in WEIGHTINGS}
    found = from_records(records, data.name, columns, keys=("column", "level", "feature_set", "classifier"))
    return with_shown_counts(found, settings.min_cell_events)


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values(["repeat", "fold", "patient"], ignore_index=True)


def with_shown_counts(table: pd.DataFrame, least: int) -> pd.DataFrame:
    """Add the counts as text, with small counts suppressed; suppressed counts are null as numbers."""
    shown = {name: pd.Series("", index=table.index, dtype="str") for name in COUNTS}
    for _, rows in table.groupby("column", sort=False):
        by_level = rows.drop_duplicates("level").set_index("level")[list(COUNTS)].astype("int64")
        texts = {name: suppressed(by_level[name].tolist(), least) for name in ("n", "unknown")}
        texts["events"] = suppressed(by_level["events"].tolist(), least, by_level["n"].tolist())
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
