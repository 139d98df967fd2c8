"""Reliability curve: predicted against observed risk in quantile bins."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from metaswin.evaluation.gather import EndpointData, Scored
from metaswin.evaluation.shape import from_records

# Fewer patients in a bin say nothing; the bins are made fewer instead.
FEWEST = 20


def wilson(share: float, n: float, confidence: float) -> tuple[float, float]:
    """Interval of a share (Wilson 1927, J Am Stat Assoc 22:209-212).

    Parameters
    ----------
    share : float
    n : float
        Rows; with weights their effective number.
    confidence : float
        Such as 0.95.
    """
    z = float(norm.ppf((1 + confidence) / 2))
    middle, half = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = ((middle + sign * half) / (1 + z**2 / n) for sign in (-1, 1))
    return float(max(low, 0.0)), float(min(high, 1.0))


def quantile_bins(scores: NDArray, bins: int) -> NDArray:
    """Bin 0 … bins - 1 of each score by its midrank: equal scores share a bin, so that some may be empty."""
    return np.minimum((bins * (rankdata(scores) - 0.5) / len(scores)).astype(int), bins - 1)


def reliability(folds: list[Scored], bins: int, confidence: float) -> pd.DataFrame:
    """Predicted and observed risk by bin.

    The bins are cut by the quantiles of each fold's predictions, since the folds' models are on scales of their own;
    rows of the same bin are then put together over folds and repeats. The interval is Wilson's for the observed share
    with the bin's patients counted once each (repeats show the same ones again) and, with weights, by Kish's effective
    number, (sum w)² / sum w² (Kish 1965, Survey Sampling). It holds for these fitted models.

    Parameters
    ----------
    folds : list of Scored
        Usable folds of one arm and head, at least one.
    bins : int
        At most so many; fewer where a bin would hold less than `FEWEST` patients.
    confidence : float

    Returns
    -------
    DataFrame
        ``bin`` (from 1), ``n`` (patients), ``predicted, observed, low, high, why``.
    """
    repeats = len({part.repeat for part in folds})
    rows = [part.known for part in folds]
    total = sum(len(labels) for labels, _, _ in rows) / repeats
    bins = int(max(1, min(bins, total // FEWEST)))
    place = np.concatenate([quantile_bins(scores, bins) for _, scores, _ in rows])
    labels, scores, weights = (np.concatenate(column) for column in zip(*rows, strict=True))
    records = []
    for number in np.unique(place):
        inside = place == number
        w = weights[inside]
        observed = float(np.sum(w * labels[inside]) / w.sum())
        effective = w.sum() ** 2 / np.sum(w**2) / repeats
        low, high = wilson(observed, effective, confidence)
        predicted = float(np.sum(w * scores[inside]) / w.sum())
        n = round(float(inside.sum()) / repeats)
        found = {"bin": int(number) + 1, "n": n, "predicted": predicted, "observed": observed}
        records.append({**found, "low": low, "high": high, "why": ""})
    return pd.DataFrame(records)


def calibration_table(data: EndpointData, bins: int, confidence: float) -> pd.DataFrame:
    """The reliability curve of every arm and head, weighted as the headline is; one row with the reason where none."""
    records = []
    for (arm, head), folds in data.arms.items():
        usable = [part for part in folds if part.usable]
        key = {"arm": arm, "head": head}
        if usable:
            records += [{**key, **row} for row in reliability(usable, bins, confidence).to_dict("records")]
        else:
            missing = dict.fromkeys(["predicted", "observed", "low", "high"])
            records.append({**key, "bin": 0, "n": 0, **missing, "why": "no fold has both outcomes and all predictions"})
    columns = {"bin": int, "n": int, "predicted": float, "observed": float, "low": float, "high": float, "why": "str"}
    return from_records(records, data.name, columns)
