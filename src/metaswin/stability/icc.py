"""Intraclass correlations and their lower confidence limits, many features at once.

Names of Shrout & Fleiss 1979, Psychol Bull 86:420-428: ICC(1,1), one-way random effects, where repeated measurements
have no order; ICC(2,1), two-way random effects, absolute agreement of a single measurement, where each patient is
measured under the same conditions. Limits of McGraw & Wong 1996, Psychol Methods 1:30-46 (tables 7 and 8; exact for
the first, by Satterthwaite's approximation for the second). Koo & Li 2016, J Chiropr Med 15:155-163, advise to judge by
the limit: .75 and more is good.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import fdtri

# A range below this share of the largest value is rounding, not variation.
CONSTANT = 1e-10


@dataclass(frozen=True)
class Reliability:
    """Intraclass correlation of F features; arrays of shape (F,).

    Attributes
    ----------
    icc, low : ndarray
        NaN where fewer than two patients have every measurement or all patients are the same.
    patients : ndarray of int
        Patients with every measurement.
    """

    icc: np.ndarray
    low: np.ndarray
    patients: np.ndarray


def icc_1_1(values: np.ndarray, confidence: float = 0.95) -> Reliability:
    """ICC(1,1) with the lower limit of its two-sided interval.

    Parameters
    ----------
    values : ndarray of shape (patients, measurements, F)
        A patient with a missing measurement of a feature is left out of that feature.
    confidence : float
    """
    table, n, usable = _centred(values)
    k = values.shape[1]
    rows = k * np.square(table.mean(axis=1)).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = rows / (n - 1)
        within = np.maximum(np.square(table).sum(axis=(0, 1)) - rows, 0) / (n * (k - 1))
        icc = (between - within) / (between + (k - 1) * within)
        quantile = fdtri(n - 1, n * (k - 1), (1 + confidence) / 2)
        low = (between - quantile * within) / (between + (k - 1) * quantile * within)
    return Reliability(np.where(usable, icc, np.nan), np.where(usable, low, np.nan), n.astype(int))


def icc_2_1(values: np.ndarray, confidence: float = 0.95) -> Reliability:
    """ICC(2,1), absolute agreement, with the lower limit of its two-sided interval; parameters as `icc_1_1`."""
    table, n, usable = _centred(values)
    k = values.shape[1]
    rows = k * np.square(table.mean(axis=1)).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = np.square(table.sum(axis=0)).sum(axis=0) / n
        patient, condition = rows / (n - 1), columns / (k - 1)
        error = np.maximum(np.square(table).sum(axis=(0, 1)) - rows - columns, 0) / ((n - 1) * (k - 1))
        icc = (patient - error) / (patient + (k - 1) * error + k * (condition - error) / n)
        # Weights of the two mean squares, both times n (1 - icc), so that perfect agreement divides by nothing.
        a, b = k * icc, n * (1 - icc) + k * icc * (n - 1)
        squares = (a * condition) ** 2 / (k - 1) + (b * error) ** 2 / ((n - 1) * (k - 1))
        quantile = fdtri(n - 1, (a * condition + b * error) ** 2 / squares, (1 + confidence) / 2)
        low = n * (patient - quantile * error)
        low /= quantile * (k * condition + (k * n - k - n) * error) + n * patient
    low = np.where((condition == 0) & (error == 0), 1.0, low)
    return Reliability(np.where(usable, icc, np.nan), np.where(usable, low, np.nan), n.astype(int))


def _centred(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values less each feature's mean, 0 for incomplete patients; complete patients; whether these differ."""
    complete = ~np.isnan(values).any(axis=1)
    n = complete.sum(axis=0).astype(float)
    table = np.where(complete[:, None], values, 0.0)
    largest = np.abs(table).max(axis=(0, 1), initial=0.0)
    mean = table.sum(axis=(0, 1)) / np.maximum(n * values.shape[1], 1)
    table = np.where(complete[:, None], table - mean, 0.0)
    between = np.abs(table.mean(axis=1)).max(axis=0, initial=0.0)
    return table, n, (n >= 2) & (between > CONSTANT * largest)
