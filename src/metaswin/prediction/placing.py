"""Compare a new patient with the training patients: distance of the features and percentile of the risk."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metaswin.config.feature_sets import CLINICAL
from metaswin.models.fusion import FittedFeatureSet

# Modalities whose columns mean something together; a deep score is one number that the network makes up.
MEASURED = ("radiomics", "peri_radiomics")
# Fewer training rows say nothing of what is usual.
FEWEST = 10
PERCENTILES = np.arange(101)


@dataclass(frozen=True)
class Distance:
    """Mahalanobis distance from the training rows.

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
        """Distances of rows of shape (rows, columns)."""
        away = rows - self.mean
        return np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", away, self.precision, away), 0))

    def percentile(self, rows: np.ndarray) -> np.ndarray:
        """Percentile (0 to 100) of the rows' distances among those of held-out training rows."""
        return np.interp(self.of(rows), self.held_out, PERCENTILES)


def measured_blocks(feature_set: FittedFeatureSet) -> list[str]:
    """Modalities of a feature set that the distance is measured on: clinical columns and selected radiomics."""
    return [modality for modality in feature_set.encoders if modality.startswith(CLINICAL) or modality in MEASURED]


def measured_rows(feature_set: FittedFeatureSet, tables: dict[str, pd.DataFrame]) -> np.ndarray:
    """Encoded rows for the distance: as the model sees them, but without the cut of extreme values."""
    modalities = measured_blocks(feature_set)
    return np.concatenate(
        [feature_set.encoders[modality].transform(tables[modality], limit=np.inf) for modality in modalities], axis=1
    )


def fit_distance(rows: np.ndarray, most: int, seed: list[int]) -> Distance | None:
    """Fit mean and covariance, and measure each training row against the fit without it.

    The covariance is shrunk as Ledoit and Wolf (2004, J Multivar Anal 88:365-411) do, so that it has an inverse with
    more columns than rows. Distances of rows that the fit has seen are too small; therefore each is held out, with
    a fit of its own.

    Parameters
    ----------
    rows : ndarray of shape (rows, columns)
        Training rows.
    most : int
        At most this many rows are held out in turn, drawn by the seed.
    seed : list of int

    Returns
    -------
    Distance or None
        None where there are fewer than `FEWEST` rows, or no column varies.
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
    """Inner cross-fitted risk of each training patient: the mean over the members that trained on it.

    Within a member the patient is predicted by the inner model that left it out. A new patient's risk is a mean over
    the same members, so both are on one scale.

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
    """Percentiles 0 to 100 of the scores, and the limits of so many risk groups; null where there is no score."""
    if scores.empty:
        return {"n": 0, "percentiles": None, "limits": None}
    values = scores.to_numpy()
    return {
        "n": len(values),
        "percentiles": np.percentile(values, np.arange(101)).tolist(),
        "limits": np.quantile(values, np.arange(1, groups) / groups).tolist(),
    }


def percentile(placed: dict[str, Any], risk: float) -> float | None:
    """Percentile of a risk: the share (0 to 100) of training patients with a lower one; ties count half."""
    if not placed["n"]:
        return None
    values = np.array(placed["percentiles"])
    # Equal neighbours make a step: between its ends there is no telling them apart.
    low, high = np.searchsorted(values, risk, side="left"), np.searchsorted(values, risk, side="right")
    if low < high:
        return float((low + high - 1) / 2)
    return float(np.interp(risk, values, np.arange(len(values))))


def group(placed: dict[str, Any], risk: float) -> int | None:
    """Risk group from 0 (lowest); who is on a limit is above it."""
    return int(np.searchsorted(placed["limits"], risk, side="right")) if placed["n"] else None
