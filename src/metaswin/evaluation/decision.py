"""Net benefit of acting on predictions, and the decision curve."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metaswin.evaluation.gather import EndpointData
from metaswin.evaluation.intervals import mean_over_folds
from metaswin.evaluation.metrics import ANYTHING
from metaswin.evaluation.shape import from_records
from metaswin.evaluation.share import added_variance, by_share

LEFT_OUT = "one outcome only, or a prediction is missing"


def net_benefit(labels: NDArray, probabilities: NDArray, weights: NDArray, thresholds: NDArray) -> NDArray:
    """Net benefit of treating whoever is predicted at or above each threshold probability.

    ``TP / n - FP / n * t / (1 - t)`` (Vickers & Elkin 2006, Med Decis Making 26:565-574), with weighted counts; the
    inverse-probability-of-censoring weights make it the net benefit at the horizon (Vickers et al. 2008, BMC Med Inform
    Decis Mak 8:53, with weights in place of Kaplan-Meier shares).

    Parameters
    ----------
    labels : array of bool, shape (n,)
    probabilities, weights : array, shape (n,)
        Weights with a positive sum.
    thresholds : array, shape (m,)
        Within (0, 1).
    """
    order = np.argsort(probabilities, kind="stable")
    first = np.searchsorted(probabilities[order], thresholds, side="left")
    true, false = (
        np.append(np.cumsum((weights * chosen)[order][::-1])[::-1], 0.0)[first] for chosen in (labels, ~labels)
    )
    return (true - false * thresholds / (1 - thresholds)) / weights.sum()


def treat_all(labels: NDArray, weights: NDArray, thresholds: NDArray) -> NDArray:
    """Net benefit of treating everybody."""
    return net_benefit(labels, np.ones(len(labels)), weights, thresholds)


def thresholds(limits: tuple[float, float]) -> NDArray:
    """Threshold probabilities of the curve: every .01 from the first to the last limit."""
    return np.round(np.arange(limits[0], limits[1] + 1e-9, 0.01), 4)


def decision_table(data: EndpointData, limits: tuple[float, float], confidence: float) -> pd.DataFrame:
    """Net benefit of every arm and head at each threshold probability: mean over folds, corrected interval
    with the variance of the share of events (`metaswin.evaluation.share`).

    Weighted as the headline is. Folds without an outcome or with missing predictions are left out; ``treat_all`` is
    the mean over the same folds. Treating nobody has net benefit 0.
    """
    grid = thresholds(limits)
    variance = data.share_variance[data.suffix]

    def benefit(labels: NDArray, scores: NDArray, sample_weight: NDArray) -> NDArray:
        return net_benefit(labels, scores, sample_weight, grid)

    records = []
    for (arm, head), folds in data.arms.items():
        usable = [part.known for part in folds if part.usable]
        curves = np.full((len(folds), len(grid)), np.nan)
        slopes = curves.copy()
        for place, rows in enumerate(usable):
            curves[place], slopes[place] = benefit(*rows), by_share(benefit, *rows)
        everybody = np.mean([treat_all(rows[0], rows[2], grid) for rows in usable], axis=0) if usable else grid * np.nan
        for place, threshold in enumerate(grid):
            added = added_variance(slopes[:, place], variance)
            found = mean_over_folds(curves[:, place], data.ratio, confidence, LEFT_OUT, bounds=ANYTHING, added=added)
            record = {"arm": arm, "head": head, "threshold_probability": threshold, "net_benefit": found.value}
            limits_and_all = {"low": found.low, "high": found.high, "treat_all": everybody[place], "why": found.why}
            records.append({**record, **limits_and_all})
    numbers = dict.fromkeys(["threshold_probability", "net_benefit", "low", "high", "treat_all"], float)
    return from_records(records, data.name, {**numbers, "why": "str"})
