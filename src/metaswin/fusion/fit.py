"""Fit one head of one arm in one fold: penalty, recalibration and threshold on inner out-of-fold predictions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import numpy as np

from metaswin.folds.rows import OuterFold
from metaswin.fusion.thresholds import Recalibration, auc, fit_recalibration, fit_threshold


class Model(Protocol):
    """Fitted heads, one a penalty."""

    weights: dict[str, np.ndarray]

    def logits(self, blocks: Sequence[np.ndarray]) -> np.ndarray: ...


AnyModel = TypeVar("AnyModel", bound=Model)
# Fits a head for each penalty: encoded modalities, labels, penalties, name of the fit.
FitHead = Callable[[Sequence[np.ndarray], np.ndarray, Sequence[float], str], AnyModel]


@dataclass(frozen=True)
class ThresholdRule:
    """How the threshold is chosen, see `metaswin.fusion.thresholds.fit_threshold`."""

    rule: Literal["youden", "sensitivity"] = "youden"
    sensitivity: float = 0.8


@dataclass(frozen=True)
class HeadFit:
    """A fitted head.

    Attributes
    ----------
    model : Model
        Fitted on all training rows, one penalty.
    penalty : float
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
    penalty: float
    recalibration: Recalibration
    threshold: float
    probability: np.ndarray
    auc_inner: float | None
    auc_train: float | None


def fit_head(
    fit: FitHead,
    blocks: Mapping[str, Sequence[np.ndarray]],
    rows: OuterFold,
    penalties: Sequence[float],
    rule: ThresholdRule,
    recalibrate: bool,
) -> HeadFit:
    """Fit a head in every fit of an outer fold.

    Each inner fit is made for every penalty and predicts the other fold that it leaves out. The penalty with the
    lowest log loss of these predictions is fitted on all training rows. Recalibration and threshold are fitted on
    the same predictions. (They are chosen among a few penalties by their own log loss, so they are very slightly
    optimistic; test rows are not touched.)

    Parameters
    ----------
    fit : callable
        Fits the head, see `FitHead`.
    blocks : mapping
        Fit → encoded modalities of all rows, encoded as that fit's training rows say.
    rows, penalties, rule, recalibrate
    """
    penalties = sorted(penalties)
    inner = np.full((len(penalties), len(rows.label)), np.nan)
    for name in rows.inner:
        fitted, scored = rows.fitted(name), rows.scored(name)
        model = fit([block[fitted] for block in blocks[name]], rows.label[fitted], penalties, name)
        inner[:, scored] = model.logits([block[scored] for block in blocks[name]])

    train, label = rows.train, rows.label[rows.train]
    losses = np.logaddexp(0, (1 - 2 * label) * inner[:, train]).mean(axis=1)
    best = int(np.argmin(losses))
    logits = inner[best]
    final = blocks[rows.final]
    model = fit([block[train] for block in final], label, [penalties[best]], rows.final)
    logits[rows.test] = model.logits([block[rows.test] for block in final])[0]

    recalibration = fit_recalibration(logits[train], label) if recalibrate else Recalibration()
    probability = recalibration.probability(logits)
    within = [auc(logits[chosen], rows.label[chosen]) for chosen in (train & rows.scored(name) for name in rows.inner)]
    estimable = [value for value in within if value is not None]
    return HeadFit(
        model,
        penalties[best],
        recalibration,
        fit_threshold(probability[train], label, rule.rule, rule.sensitivity),
        probability,
        float(np.mean(estimable)) if estimable else None,
        auc(model.logits([block[train] for block in final])[0], label),
    )
