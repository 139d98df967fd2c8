"""Fit one head of one arm in one fold: penalty, recalibration and threshold on inner out-of-fold predictions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import numpy as np
import pandas as pd

from metaswin.errors import UserError
from metaswin.fusion.thresholds import Recalibration, auc, fit_recalibration, fit_threshold


class Model(Protocol):
    """Fitted heads, one a penalty."""

    weights: dict[str, np.ndarray]

    def logits(self, blocks: Sequence[np.ndarray]) -> np.ndarray: ...


AnyModel = TypeVar("AnyModel", bound=Model)
# Fits a head for each penalty: encoded modalities, labels, penalties, name of the part.
FitHead = Callable[[Sequence[np.ndarray], np.ndarray, Sequence[float], str], AnyModel]


@dataclass(frozen=True)
class ThresholdRule:
    """How the threshold is chosen, see `metaswin.fusion.thresholds.fit_threshold`."""

    rule: Literal["youden", "sensitivity"] = "youden"
    sensitivity: float = 0.8


@dataclass(frozen=True)
class FoldRows:
    """Rows of one fold.

    Attributes
    ----------
    patients : list of str
    label : ndarray of shape (rows,)
        0, 1 or NaN (unknown).
    inner : ndarray of shape (rows,)
        Inner fold of training rows, -1 for test rows.
    """

    patients: list[str]
    label: np.ndarray
    inner: np.ndarray

    @classmethod
    def of(cls, folds: pd.DataFrame, repeat: int, fold: int) -> "FoldRows":
        """Rows of ``folds/<endpoint>.parquet`` for one repeat and test fold, sorted by patient.

        Raises
        ------
        UserError
            If a training part lacks one of the two outcomes.
        """
        folds = folds[folds["repeat"] == repeat].sort_values("patient")
        label = folds["label"].to_numpy(dtype="float64", na_value=np.nan)
        inner = folds[f"inner_{fold}"].to_numpy(dtype="float64", na_value=-1).astype(int)
        rows = cls(folds["patient"].tolist(), label, inner)
        for part in rows.parts:
            known = label[rows.fitted(part)]
            for value, what in [(1, "event"), (0, "non-event")]:
                if not (known == value).any():
                    raise UserError(
                        f"repeat {repeat}, fold {fold}, part {part}: no {what} among {len(known)} training rows with "
                        "a known label, but a model needs both; set folds.k or folds.inner lower, or check the endpoint"
                    )
        return rows

    @property
    def test(self) -> np.ndarray:
        return self.inner < 0

    @property
    def train(self) -> np.ndarray:
        """Training rows with a known label."""
        return ~self.test & ~np.isnan(self.label)

    @property
    def parts(self) -> list[str]:
        return ["outer", *(f"inner-{j}" for j in np.unique(self.inner[self.inner >= 0]))]

    def fitted(self, part: str) -> np.ndarray:
        """Rows a part is fitted on."""
        return self.train if part == "outer" else self.train & ~self.predicted(part)

    def held_out(self, seed: int) -> "FoldRows":
        """Rows that part ``inner-0`` is not fitted on: its inner fold, dealt anew into inner folds, and the test rows.

        Raises
        ------
        UserError
            If the inner fold has fewer than two events or non-events with a known label.
        """
        kept = self.test | self.predicted("inner-0")
        label, inner = self.label[kept], self.inner[kept]
        counts = [int(np.sum(label[inner == 0] == value)) for value in (1, 0)]
        if min(counts) < 2:
            raise UserError(
                f"fusion.deep_score inner-validation: found {counts[0]} events and {counts[1]} non-events in the inner "
                "fold that fusion is fitted on, but it needs two of each; set folds.inner (or folds.k) lower, or "
                "fusion.deep_score to cross-fitted"
            )
        count = min(*counts, int(self.inner.max()) + 1)
        random, dealt = np.random.default_rng(seed), inner.copy()
        for group in (label == 1, label == 0, np.isnan(label)):
            members = random.permutation(np.flatnonzero(group & (inner == 0)))
            dealt[members] = np.arange(len(members)) % count
        return FoldRows([patient for patient, keep in zip(self.patients, kept, strict=True) if keep], label, dealt)

    def predicted(self, part: str) -> np.ndarray:
        """Rows a part predicts: those it is not fitted on and that belong to it, with unknown labels too."""
        return self.test if part == "outer" else self.inner == int(part.removeprefix("inner-"))


@dataclass(frozen=True)
class HeadFit:
    """A fitted head.

    Attributes
    ----------
    model : Model
        Fitted on the part ``outer``, one penalty.
    penalty : float or None
        None where the model was not fitted here.
    recalibration : Recalibration
    threshold : float
        Of recalibrated probabilities.
    probability : ndarray of shape (rows,)
        Recalibrated: inner out-of-fold for training rows, of `model` for test rows.
    auc_inner : float or None
        Mean over inner folds of the AUC of inner out-of-fold predictions.
    auc_train : float
        Of `model` on the rows it was fitted on: far above `auc_inner` where it over-fits.
    """

    model: Model
    penalty: float | None
    recalibration: Recalibration
    threshold: float
    probability: np.ndarray
    auc_inner: float | None
    auc_train: float | None


def fit_head(
    fit: FitHead,
    blocks: Mapping[str, Sequence[np.ndarray]],
    rows: FoldRows,
    penalties: Sequence[float],
    rule: ThresholdRule,
    recalibrate: bool,
) -> HeadFit:
    """Fit a head on every part of a fold.

    Each inner part is fitted for every penalty and predicts the inner fold it left out. The penalty with the
    lowest log loss of these predictions is fitted on all training rows. Recalibration and threshold are fitted on
    the same predictions. (They are chosen among a few penalties by their own log loss, so they are very slightly
    optimistic; test rows are not touched.)

    Parameters
    ----------
    fit : callable
        Fits the head, see `FitHead`.
    blocks : mapping
        Part → encoded modalities of all rows, encoded as fitted on that part's training rows.
    rows, penalties, rule, recalibrate
    """
    penalties = sorted(penalties)
    inner = np.full((len(penalties), len(rows.label)), np.nan)
    for part in rows.parts[1:]:
        fitted, predicted = rows.fitted(part), rows.predicted(part)
        model = fit([block[fitted] for block in blocks[part]], rows.label[fitted], penalties, part)
        inner[:, predicted] = model.logits([block[predicted] for block in blocks[part]])

    train, label = rows.train, rows.label[rows.train]
    losses = np.logaddexp(0, (1 - 2 * label) * inner[:, train]).mean(axis=1)
    best = int(np.argmin(losses))
    logits = inner[best]
    outer = [block[train] for block in blocks["outer"]]
    model = fit(outer, label, [penalties[best]], "outer")
    logits[rows.test] = model.logits([block[rows.test] for block in blocks["outer"]])[0]

    recalibration = fit_recalibration(logits[train], label) if recalibrate else Recalibration()
    probability = recalibration.probability(logits)
    within = [auc(logits[chosen], rows.label[chosen]) for chosen in (train & rows.predicted(p) for p in rows.parts[1:])]
    estimable = [value for value in within if value is not None]
    return HeadFit(
        model,
        penalties[best],
        recalibration,
        fit_threshold(probability[train], label, rule.rule, rule.sensitivity),
        probability,
        float(np.mean(estimable)) if estimable else None,
        auc(model.logits(outer)[0], label),
    )
