"""Compare a new patient with the training patients: distance of the features and percentile of the risk."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metaswin.config.feature_sets import CLINICAL
from metaswin.models.fusion import FittedFeatureSet

# Modalities for which a distance is meaningful. The deep score is a single output of the network.
MEASURED = ("radiomics", "peri_radiomics")
# With fewer training rows, the usual distances cannot be estimated.
FEWEST = 10
PERCENTILES = np.arange(101)


@dataclass(frozen=True)
class Distance:
    """Measure the Mahalanobis distance from the training rows.

    Attributes
    ----------
    mean : ndarray of shape (columns,)
    precision : ndarray of shape (columns, columns)
        Inverse of the Ledoit-Wolf covariance.
    held_out : ndarray of shape (101,)
        Percentiles 0 to 100 of the distance of a training row from the others.
    """

    mean: np.ndarray
    precision: np.ndarray
    held_out: np.ndarray

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Return the distances of rows of shape (rows, columns)."""
        away = rows - self.mean
        return np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", away, self.precision, away), 0))

    def percentile(self, rows: np.ndarray) -> np.ndarray:
        """Return the percentile (0 to 100) of each row's distance among those of held-out training rows."""
        return np.interp(self.of(rows), self.held_out, PERCENTILES)


def measured_blocks(feature_set: FittedFeatureSet) -> list[str]:
    """Return the modalities that are used for the distance: clinical columns and selected radiomics."""
    return [modality for modality in feature_set.encoders if modality.startswith(CLINICAL) or modality in MEASURED]


def measured_rows(feature_set: FittedFeatureSet, tables: dict[str, pd.DataFrame]) -> np.ndarray:
    """Return the encoded rows for the distance, which are those of the model without clipping of extreme values."""
    modalities = measured_blocks(feature_set)
    return np.concatenate(
        [feature_set.encoders[modality].transform(tables[modality], limit=np.inf) for modality in modalities], axis=1
    )


def fit_distance(rows: np.ndarray, most: int, seed: list[int]) -> Distance | None:
    """Fit mean and covariance, and measure each training row with a fit that leaves it out.

    The covariance is shrunk (Ledoit and Wolf 2004, J Multivar Anal 88:365-411). Therefore it has an inverse even with
    more columns than rows. The distances of rows that were used for the fit are too small. Therefore each row is
    measured with a separate fit that leaves it out.

    Parameters
    ----------
    rows : ndarray of shape (rows, columns)
        Training rows.
    most : int
        Largest number of rows that are omitted, one at a time. They are drawn by the seed.
    seed : list of int

    Returns
    -------
    Distance or None
        None if there are fewer than `FEWEST` rows, or if no column varies.
    """
    if len(rows) < FEWEST or not np.any(np.ptp(rows, axis=0) > 0):
        return None
    chosen = np.arange(len(rows))
    if len(rows) > most:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, most, replace=False))
    alone = [_fitted(np.delete(rows, row, axis=0)).of(rows[[row]])[0] for row in chosen]
    whole = _fitted(rows)
    return Distance(whole.mean, whole.precision, np.percentile(alone, PERCENTILES))


def _fitted(rows: np.ndarray) -> Distance:
    from sklearn.covariance import ledoit_wolf

    mean = rows.mean(axis=0)
    covariance, _ = ledoit_wolf(rows - mean, assume_centered=True)
    return Distance(mean, np.linalg.inv(covariance), np.zeros(len(PERCENTILES)))


def cross_fitted(predictions: Sequence[pd.DataFrame], feature_set: str, classifier: str) -> pd.Series:
    """Return the inner cross-fitted risk of each training patient, as a mean over the members that trained on it.

    Within a member, the patient is predicted by the inner model that leaves it out. The risk of a new patient is a mean
    over the same members, so both risks are on the same scale.

    Parameters
    ----------
    predictions : sequence of DataFrame
        ``fusion/predictions.parquet`` of every member.
    feature_set, classifier : str
    """
    tables = [
        table[(table["feature_set"] == feature_set) & (table["classifier"] == classifier) & (table["part"] == "inner")]
        for table in predictions
    ]
    joined = pd.concat(tables).dropna(subset="probability")
    return joined.groupby("patient")["probability"].mean()


def placing(scores: pd.Series, groups: int) -> dict[str, Any]:
    """Return percentiles 0 to 100 of the scores, and the limits of the risk groups; null if there are no scores."""
    if scores.empty:
        return {"n": 0, "percentiles": None, "limits": None}
    values = scores.to_numpy()
    return {
        "n": len(values),
        "percentiles": np.percentile(values, np.arange(101)).tolist(),
        "limits": np.quantile(values, np.arange(1, groups) / groups).tolist(),
    }


def percentile(placed: dict[str, Any], risk: float) -> float | None:
    """Return the percentile of a risk: the percentage of training patients with a lower risk; ties count one half."""
    if not placed["n"]:
        return None
    values = np.array(placed["percentiles"])
    # Equal neighbouring percentiles form a step. The result is the middle of the step.
    low, high = np.searchsorted(values, risk, side="left"), np.searchsorted(values, risk, side="right")
    if low < high:
        return float((low + high - 1) / 2)
    return float(np.interp(risk, values, np.arange(len(values))))


def group(placed: dict[str, Any], risk: float) -> int | None:
    """Return the risk group from 0 (lowest); a risk equal to a limit belongs to the higher group."""
    return int(np.searchsorted(placed["limits"], risk, side="right")) if placed["n"] else None
