"""Compute the values of a metric in every fold, with their variances, for one model or two models on the same rows."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from metaswin.core.formatting import PUBLISHED
from metaswin.evaluation.influence import linearised, variance
from metaswin.evaluation.intervals import FoldResults
from metaswin.evaluation.metrics import DISCRIMINATION
from metaswin.evaluation.predictions import Scored

# The calibration of an inner fit does not describe the calibration of the recalibrated model.
NOT_REFITTED = ("calibration_intercept", "calibration_slope")
AT_THRESHOLD = ("acc", "sen", "spe")


def fold_results(
    metric: str,
    parts: Sequence[Scored],
    weighted: bool,
    minus: Sequence[Scored] | None = None,
    thresholds: Mapping[tuple[int, int], float] | None = None,
) -> FoldResults:
    """Compute a metric of one model in every fold, or its difference from a second model on the same rows.

    Parameters
    ----------
    metric : str
        One of `metaswin.evaluation.metrics.METRICS`, or ``net_benefit``.
    parts : sequence of Scored
        Folds of the model.
    weighted : bool
        Whether rows are weighted by inverse probability of censoring. Otherwise known outcomes have the weight 1.
    minus : sequence of Scored or None
        The same folds of the model that is subtracted.
    thresholds : mapping or None
        Repeat and fold → threshold probability, for ``net_benefit``.
    """
    models = [parts] if minus is None else [parts, minus]
    values, variances, refits = [], [], []
    for folds in zip(*models, strict=True):
        at = None if thresholds is None else thresholds[folds[0].repeat, folds[0].fold]
        found = [_one(metric, part, weighted, at) for part in folds]
        ours, influences = found[0]
        if minus is not None:
            ours -= found[1][0]
            other = found[1][1]
            influences = None if influences is None or other is None else influences - other
        values.append(ours)
        variances.append(variance(influences))
        inner = [_refits(metric, part, weighted, at) for part in folds]
        refits.append(inner[0] if minus is None else _difference(*inner))
    width = min((len(row) for row in refits), default=0)  # 0 if a fold has no inner fits
    return FoldResults(
        np.array(values),
        np.array([part.repeat for part in parts]),
        np.array(variances),
        np.array([row[:width] for row in refits]).reshape(len(parts), width),
        capped=metric not in AT_THRESHOLD,
        fitted=minus is not None or any(part.classifier != PUBLISHED for part in parts),
    )


def _rows(part: Scored, weighted: bool) -> tuple[NDArray, NDArray, NDArray]:
    labels, scores, weights = part.known
    return labels, scores, weights if weighted else np.ones(len(labels))


def _one(metric: str, part: Scored, weighted: bool, at: float | None) -> tuple[float, NDArray | None]:
    if not part.complete or (part.score_only and metric not in DISCRIMINATION):
        return np.nan, None
    return linearised(metric, *_rows(part, weighted), part.threshold if metric in AT_THRESHOLD else at)


def _refits(metric: str, part: Scored, weighted: bool, at: float | None) -> NDArray:
    """Compute the metric of each inner fit; NaN if one of its predictions is missing."""
    if metric in NOT_REFITTED or not part.complete or (part.score_only and metric not in DISCRIMINATION):
        return np.empty(0)
    labels, _, weights = _rows(part, weighted)
    found = np.full(len(part.refits), np.nan)
    for place, (scores, threshold) in enumerate(zip(part.known_refits, part.refit_thresholds, strict=True)):
        if np.isfinite(scores).all():
            found[place] = linearised(metric, labels, scores, weights, threshold if metric in AT_THRESHOLD else at)[0]
    return found


def _difference(ours: NDArray, theirs: NDArray) -> NDArray:
    width = min(len(ours), len(theirs))
    return ours[:width] - theirs[:width]
