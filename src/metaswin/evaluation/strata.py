"""AUC within a stratum, from pairs of patients that the same fold's model has scored."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metaswin.evaluation.intervals import Estimate
from metaswin.evaluation.metrics import missing_predictions

MOST_VALUES = 6
MISSING = "missing"


def levels(column: pd.Series) -> pd.Series:
    """Stratum of each patient as text.

    Categories that differ by case or blanks only are one level, spelt as most often. A numeric column with more
    than six values is cut at its median. Empty values make the level ``missing``.
    """
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > MOST_VALUES:
        cut = float(column.median())
        text = pd.Series(np.where(column <= cut, f"≤ {cut:g}", f"> {cut:g}"), index=column.index, dtype="str")
        return text.mask(column.isna(), MISSING)
    if pd.api.types.is_numeric_dtype(column):
        text = column.map(lambda value: MISSING if pd.isna(value) else f"{value:g}")
        return text.astype("str")
    text = column.astype("str").str.strip()
    key = text.str.casefold()
    spelling = text.groupby(key).agg(lambda values: values.value_counts(sort=True).index[0])
    return key.map(spelling).fillna(MISSING)


class Pairs:
    """Weighted (event, non-event) pairs within folds, for one stratum and any number of arms.

    The AUC of a stratum is the weighted share of concordant pairs, summed over folds: each fold counts by its
    pairs, and scores of two folds' models are never compared (they are on different scales; stacked scores are
    biased, Parker et al. 2007, BMC Bioinformatics 8:326). Its interval is the percentile interval of a bootstrap
    over patients, within events and within non-events, the same draw for all folds and repeats (Efron &
    Tibshirani 1993, chapter 13). The models are not refitted: it holds for these fitted models.

    Parameters
    ----------
    rows : DataFrame
        Test rows of the stratum with known outcome: ``patient, repeat, fold, label``, indexed 0 … n-1.
    draws : int
        Bootstrap draws.
    rng : numpy.random.Generator
        Source of the draws.
    """

    def __init__(self, rows: pd.DataFrame, draws: int, rng: np.random.Generator) -> None:
        codes, patients = pd.factorize(rows["patient"], sort=True)
        is_event = np.zeros(len(patients), dtype=bool)
        is_event[codes] = rows["label"].to_numpy() == 1
        counts = np.zeros((draws, len(patients)))
        for group in (np.flatnonzero(is_event), np.flatnonzero(~is_event)):
            if len(group):
                counts[:, group] = rng.multinomial(len(group), np.full(len(group), 1 / len(group)), size=draws)
        self.events, self.nonevents = int(is_event.sum()), int((~is_event).sum())
        self._blocks = []
        for _, block in rows.groupby(["repeat", "fold"], sort=True):
            index = block.index.to_numpy()
            positive = index[block["label"].to_numpy() == 1]
            negative = index[block["label"].to_numpy() == 0]
            if len(positive) and len(negative):
                self._blocks.append((positive, negative, counts[:, codes[positive]], counts[:, codes[negative]]))

    def estimate(self, scores: NDArray, weights: NDArray, confidence: float) -> Estimate:
        """AUC of one arm in the stratum with its bootstrap interval.

        Parameters
        ----------
        scores, weights : array, shape (n,)
            Predictions and weights of the rows.
        confidence : float
            Such as 0.95.
        """
        if not np.all(np.isfinite(scores)):
            return Estimate(why=missing_predictions(scores))
        if not np.all(np.isfinite(weights)):
            return Estimate(why="no training row is followed as long as some test rows")
        if not self._blocks:
            return Estimate(why="no fold holds both an event and a non-event")
        hits = pairs = 0.0
        drawn_hits = drawn_pairs = 0.0
        for positive, negative, drawn_positive, drawn_negative in self._blocks:
            difference = scores[positive][:, None] - scores[negative][None, :]
            wins = (np.sign(difference) + 1) / 2
            w1, w0 = weights[positive], weights[negative]
            hits += w1 @ wins @ w0
            pairs += w1.sum() * w0.sum()
            b1, b0 = drawn_positive * w1, drawn_negative * w0
            drawn_hits = drawn_hits + np.einsum("dn,dn->d", b1 @ wins, b0)
            drawn_pairs = drawn_pairs + b1.sum(axis=1) * b0.sum(axis=1)
        usable = drawn_pairs > 0
        if usable.mean() < 0.9:
            return Estimate(float(hits / pairs), folds=len(self._blocks), why="too few pairs to resample")
        tail = (1 - confidence) / 2
        drawn = drawn_hits[usable] / drawn_pairs[usable]
        if np.ptp(drawn) < 1e-12:
            return Estimate(float(hits / pairs), folds=len(self._blocks), why="all draws have the same value")
        low, high = np.quantile(drawn, [tail, 1 - tail])
        return Estimate(float(hits / pairs), float(low), float(high), None, len(self._blocks))


def cells(clinical: pd.DataFrame, columns: list[str]) -> Iterator[tuple[str, str, pd.Index]]:
    """Each stratum: column, level and the patients in it (`clinical` is indexed by patient)."""
    for column in (name.strip() for name in columns):
        level = levels(clinical[column])
        for value in sorted(level.unique(), key=lambda v: (v == MISSING, v.startswith(">"), v)):
            yield column, value, level.index[level == value]
