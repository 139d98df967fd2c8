"""Judge the stability of features by intraclass correlations on the training patients of each fit.

The names are those of Shrout & Fleiss 1979, Psychol Bull 86:420-428. ICC(1,1), one-way random effects, is used if
repeated measurements have no order. ICC(2,1), two-way random effects, absolute agreement of a single measurement, is
used if each patient is measured under the same conditions. The limits are those of McGraw & Wong 1996, Psychol Methods
1:30-46 (tables 7 and 8). They are exact for the first, and use Satterthwaite's approximation for the second. Koo & Li
2016, J Chiropr Med 15:155-163, recommend judging by the limit: .75 and more is good.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import fdtri

from metaswin.cohort.folds import Folds
from metaswin.config.features import RADIOMICS, StabilitySettings
from metaswin.core.files import read_table, write_table
from metaswin.features.matrix import wide
from metaswin.features.perturbation import MARGIN, OFFSETS, RANDOM

# A range below this share of the largest value is a rounding error.
CONSTANT = 1e-10


@dataclass(frozen=True)
class Reliability:
    """Hold the intraclass correlations of F features, arrays of shape (F,).

    Attributes
    ----------
    icc, low : ndarray
        NaN if fewer than two patients have every measurement, or if all patients have the same value.
    patients : ndarray of int
        Number of patients with every measurement.
    """

    icc: np.ndarray
    low: np.ndarray
    patients: np.ndarray


def icc_1_1(values: np.ndarray, confidence: float = 0.95) -> Reliability:
    """Return ICC(1,1) with the lower limit of its two-sided interval.

    Parameters
    ----------
    values : ndarray of shape (patients, measurements, F)
        A patient with a missing measurement of a feature is ignored for that feature.
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
    """Return ICC(2,1), absolute agreement, with the lower limit of its two-sided interval; parameters as `icc_1_1`."""
    table, n, usable = _centred(values)
    k = values.shape[1]
    rows = k * np.square(table.mean(axis=1)).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = np.square(table.sum(axis=0)).sum(axis=0) / n
        patient, condition = rows / (n - 1), columns / (k - 1)
        error = np.maximum(np.square(table).sum(axis=(0, 1)) - rows - columns, 0) / ((n - 1) * (k - 1))
        icc = (patient - error) / (patient + (k - 1) * error + k * (condition - error) / n)
        # Weights of the two mean squares, both times n (1 - icc), which avoids a division by 0 at perfect agreement.
        a, b = k * icc, n * (1 - icc) + k * icc * (n - 1)
        squares = (a * condition) ** 2 / (k - 1) + (b * error) ** 2 / ((n - 1) * (k - 1))
        quantile = fdtri(n - 1, (a * condition + b * error) ** 2 / squares, (1 + confidence) / 2)
        low = n * (patient - quantile * error)
        low /= quantile * (k * condition + (k * n - k - n) * error) + n * patient
    low = np.where((condition == 0) & (error == 0), 1.0, low)
    return Reliability(np.where(usable, icc, np.nan), np.where(usable, low, np.nan), n.astype(int))


def _centred(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values minus each feature's mean (0 for incomplete patients), complete patients, whether these differ."""
    complete = ~np.isnan(values).any(axis=1)
    n = complete.sum(axis=0).astype(float)
    table = np.where(complete[:, None], values, 0.0)
    largest = np.abs(table).max(axis=(0, 1), initial=0.0)
    mean = table.sum(axis=(0, 1)) / np.maximum(n * values.shape[1], 1)
    table = np.where(complete[:, None], table - mean, 0.0)
    between = np.abs(table.mean(axis=1)).max(axis=0, initial=0.0)
    return table, n, (n >= 2) & (between > CONSTANT * largest)


logger = logging.getLogger("metaswin.features")

TYPES = {
    "fit": "str", "modality": "str", "feature": "str", "patients": "int64", "icc": "float64", "low": "float64",
    "icc_random": "float64", "low_random": "float64", "icc_margin": "float64", "low_margin": "float64",
    "judged": "bool", "kept": "bool", "reason": "str",
}  # fmt: skip
COLUMNS = list(TYPES)
# Limits are compared to this many decimals, so that rounding errors have no effect.
DECIMALS = 10


@dataclass(frozen=True)
class Measured:
    """Hold the features of perturbed masks of one set, arranged for the intraclass correlations.

    Attributes
    ----------
    features : list of str
    patients : ndarray of str
    random, margin : ndarray of shape (patients, measurements, features)
        Values of the random masks, and of the shrunk, drawn and grown mask. NaN if a measurement is missing.
    """

    features: list[str]
    patients: np.ndarray
    random: np.ndarray
    margin: np.ndarray


def judge_stability(
    perturbed: str, folds: str, output: str, endpoint: str, repeat: int, settings: StabilitySettings
) -> None:
    """Judge the stability in all fits of a repeat, and write ``stability.parquet``."""
    sets = measured(read_table(perturbed), settings.perturbations)
    judged = stability_table(sets, Folds.of(read_table(folds), repeat).training(), settings)
    for (fit, modality), rows in judged.groupby(["fit", "modality"], sort=False):
        counts = (int(rows["kept"].sum()), len(rows), int(rows["judged"].sum()), int(rows["patients"].max()))
        logger.info("%s, %s: %d of %d features kept, %d judged, %d patients", fit, modality, *counts)
    write_table(output, judged.assign(endpoint=endpoint, repeat=repeat))


def measured(perturbed: pd.DataFrame, perturbations: int) -> dict[str, Measured]:
    """Arrange the features of perturbed masks by set.

    Parameters
    ----------
    perturbed : DataFrame
        ``patient, region, kind, number, voxels`` and one column per feature.
    perturbations : int
        Number of random masks of each patient.
    """
    found = {}
    patients = sorted(perturbed["patient"].unique())
    nothing = pd.DataFrame(index=pd.Index(patients, name="patient"))
    for modality in RADIOMICS:
        matrices = {
            key: wide(rows.drop(columns=["kind", "number"]), modality, patients)
            for key, rows in perturbed.groupby(["kind", "number"], sort=True)
        }
        names = list(dict.fromkeys(name for matrix in matrices.values() for name in matrix))
        values = []
        for kind, count in ((RANDOM, perturbations), (MARGIN, len(OFFSETS))):
            parts = [matrices.get((kind, number), nothing).reindex(columns=names) for number in range(count)]
            values.append(np.stack([part.to_numpy(dtype=float) for part in parts], axis=1))
        found[modality] = Measured(names, np.array(patients, dtype=str), *values)
    return found


def stability_table(
    sets: Mapping[str, Measured], training: Mapping[str, Sequence[str]], settings: StabilitySettings
) -> pd.DataFrame:
    """Return the stability of every feature in every fit and set.

    Parameters
    ----------
    sets : mapping
        See `measured`. For each fit, only the values of its training patients are read.
    training : mapping
        Fit → its training patients.
    settings : StabilitySettings

    Returns
    -------
    DataFrame
        ``fit, set, feature, patients`` (of the fit, with every measurement)``, icc_random, low_random`` (ICC(1,1) of
        random masks, its lower 95 % limit)``, icc_margin, low_margin`` (ICC(2,1) of the shrunk, drawn and grown
        mask)``, icc, low`` (of the two, those with the lower limit)``, judged`` (whether there are enough patients)``,
        kept, reason``. A feature that is not judged is kept. A feature without a value in the training patients of the
        fit is not listed.
    """
    tables = [pd.DataFrame(columns=COLUMNS).astype(TYPES)]
    for modality, data in sets.items():
        for fit, train in training.items():
            rows = np.flatnonzero(np.isin(data.patients, list(train)))
            table = _judged(data.features, icc_1_1(data.random[rows]), icc_2_1(data.margin[rows]), settings)
            tables.append(table.assign(fit=fit, modality=modality)[COLUMNS].astype(TYPES))
    return pd.concat(tables, ignore_index=True)


def unstable_features(table: pd.DataFrame, fit: str, modality: str) -> dict[str, str]:
    """Return the features of one fit and set that are not kept, with the reasons."""
    chosen = table[(table["fit"] == fit) & (table["modality"] == modality) & ~table["kept"]]
    return dict(zip(chosen["feature"], chosen["reason"], strict=True))


def _judged(names: list[str], random: Reliability, margin: Reliability, settings: StabilitySettings) -> pd.DataFrame:
    patients = np.minimum(random.patients, margin.patients)
    lower = np.where(random.low <= margin.low, "random", "margin")
    table = pd.DataFrame({"feature": names, "patients": patients})
    table = table.assign(icc_random=random.icc, low_random=random.low, icc_margin=margin.icc, low_margin=margin.low)
    for column in ("icc", "low"):
        table[column] = np.where(lower == "random", table[f"{column}_random"], table[f"{column}_margin"])
    estimable = ~(np.isnan(random.low) | np.isnan(margin.low))
    table["judged"] = (patients >= settings.min_patients) & estimable
    table["kept"] = ~table["judged"] | (table["low"].round(DECIMALS) >= settings.min_icc)
    what = {"random": "random masks", "margin": "shrunk and grown masks"}
    table["reason"] = [
        f"ICC {row.icc:.2f}, lower limit {row.low:.2f}, {what[kind]} of {row.patients} patients"
        if row.judged
        else f"not judged: perturbed masks of {row.patients} training patients, fewer than {settings.min_patients}"
        if row.patients < settings.min_patients
        else "not judged: the same in all patients"
        for row, kind in zip(table.itertuples(), lower, strict=True)
    ]
    return table[np.maximum(random.patients, margin.patients) > 0]
