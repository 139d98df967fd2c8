"""Judge which features are stable, on the training patients of each fit."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from metaswin.files import read_table, write_table
from metaswin.folds.rows import Folds
from metaswin.selection.matrix import wide
from metaswin.selection.settings import SETS
from metaswin.stability.icc import Reliability, icc_1_1, icc_2_1
from metaswin.stability.perturb import MARGIN, OFFSETS, RANDOM
from metaswin.stability.settings import StabilitySettings

logger = logging.getLogger("metaswin.stability")

TYPES = {
    "fit": "str", "set": "str", "feature": "str", "patients": "int64", "icc": "float64", "low": "float64",
    "icc_random": "float64", "low_random": "float64", "icc_margin": "float64", "low_margin": "float64",
    "judged": "bool", "kept": "bool", "reason": "str",
}  # fmt: skip
COLUMNS = list(TYPES)
# Limits are compared to this many decimals, so that rounding decides nothing.
DECIMALS = 10


@dataclass(frozen=True)
class Measured:
    """Features of perturbed masks of one set, arranged to be judged.

    Attributes
    ----------
    features : list of str
    patients : ndarray of str
    random, margin : ndarray of shape (patients, measurements, features)
        Random masks; shrunk, drawn and grown mask. NaN where a measurement is missing.
    """

    features: list[str]
    patients: np.ndarray
    random: np.ndarray
    margin: np.ndarray


def judge_stability(
    perturbed: str, folds: str, output: str, endpoint: str, repeat: int, settings: StabilitySettings
) -> None:
    """Read the features of perturbed masks and the folds, and write ``stability.parquet``: all fits of a repeat."""
    sets = measured(read_table(perturbed), settings.perturbations)
    judged = stability_table(sets, Folds.of(read_table(folds), repeat).training(), settings)
    for (fit, feature_set), rows in judged.groupby(["fit", "set"], sort=False):
        counts = (int(rows["kept"].sum()), len(rows), int(rows["judged"].sum()), int(rows["patients"].max()))
        logger.info("%s, %s: %d of %d features kept, %d judged, %d patients", fit, feature_set, *counts)
    write_table(output, judged.assign(endpoint=endpoint, repeat=repeat))


def measured(perturbed: pd.DataFrame, perturbations: int) -> dict[str, Measured]:
    """Arrange the features of perturbed masks by set.

    Parameters
    ----------
    perturbed : DataFrame
        ``patient, region, kind, number, voxels`` and a column a feature.
    perturbations : int
        Number of random masks of each patient.
    """
    found = {}
    patients = sorted(perturbed["patient"].unique())
    nothing = pd.DataFrame(index=pd.Index(patients, name="patient"))
    for feature_set in SETS:
        matrices = {
            key: wide(rows.drop(columns=["kind", "number"]), feature_set, patients)
            for key, rows in perturbed.groupby(["kind", "number"], sort=True)
        }
        names = list(dict.fromkeys(name for matrix in matrices.values() for name in matrix))
        values = []
        for kind, count in ((RANDOM, perturbations), (MARGIN, len(OFFSETS))):
            parts = [matrices.get((kind, number), nothing).reindex(columns=names) for number in range(count)]
            values.append(np.stack([part.to_numpy(dtype=float) for part in parts], axis=1))
        found[feature_set] = Measured(names, np.array(patients, dtype=str), *values)
    return found


def stability_table(
    sets: Mapping[str, Measured], training: Mapping[str, Sequence[str]], settings: StabilitySettings
) -> pd.DataFrame:
    """Stability of every feature in every fit and set.

    Parameters
    ----------
    sets : mapping
        See `measured`; only the values of the patients that a fit learns from are read for it.
    training : mapping
        Fit → patients that it learns from.
    settings : StabilitySettings

    Returns
    -------
    DataFrame
        ``fit, set, feature, patients`` (of the fit, with every measurement)``, icc_random, low_random`` (ICC(1,1) of
        random masks, its lower 95 % limit)``, icc_margin, low_margin`` (ICC(2,1) of the shrunk, drawn and grown
        mask)``, icc, low`` (of the two, those with the lower limit)``, judged`` (enough patients to say)``, kept,
        reason``. What is not judged is kept. A feature that no training patient of the fit has is left out.
    """
    tables = [pd.DataFrame(columns=COLUMNS).astype(TYPES)]
    for feature_set, data in sets.items():
        for fit, train in training.items():
            rows = np.flatnonzero(np.isin(data.patients, list(train)))
            table = _judged(data.features, icc_1_1(data.random[rows]), icc_2_1(data.margin[rows]), settings)
            tables.append(table.assign(fit=fit, set=feature_set)[COLUMNS].astype(TYPES))
    return pd.concat(tables, ignore_index=True)


def unstable_features(table: pd.DataFrame, fit: str, feature_set: str) -> dict[str, str]:
    """Features of one fit and set that are not kept → why."""
    chosen = table[(table["fit"] == fit) & (table["set"] == feature_set) & ~table["kept"]]
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
