"""AUC within a stratum, from pairs of patients that the same fold's model has scored."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metaswin.evaluation.intervals import Estimate
from metaswin.evaluation.metrics import missing_predictions


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
        # How often each patient is drawn: patients × draws, so that taking a patient's row is one copy. The first
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
        """AUC of one arm in the stratum with its bootstrap interval.

        In O(n log n) a fold: for each event the weight of the non-events below it is a cumulative sum, for all draws
        at once: scikit-learn would need a call a draw.

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
        """Weight of each row in each draw, shape (rows, draws + 1)."""
        return self._counts[self._codes[rows]] * weights[rows, None]
