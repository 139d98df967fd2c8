"""Build the matrix of one feature set, patients by features, from the long table."""

from collections.abc import Iterable
from itertools import product

import numpy as np
import pandas as pd

from metaswin.config.features import RADIOMICS

VOLUME = "volume_tumor_mm3"
# The stage regions measures volumes by counting voxels. An imported table may contain only the mesh volume.
SHAPE_VOLUMES = ("original_shape_VoxelVolume", "original_shape_MeshVolume")
# Key in the schema metadata of a fit's table: the number of features before selection; 0 if the data lack the set.
CANDIDATES = "candidates"


def in_modality(region: str, modality: str) -> bool:
    """Return whether a region belongs to a set: ``radiomics`` is the tumour, ``peri_radiomics`` all rings."""
    return region == "tumor" if modality == "radiomics" else region.startswith("ring_")


def table_paths(folder: str, fits: Iterable[str]) -> dict[tuple[str, str], str]:
    """Return (fit, set) → path of the features that the fit uses, in the folder of a repeat's tables."""
    return {(fit, modality): f"{folder}/{fit}/{modality}.parquet" for fit, modality in product(fits, RADIOMICS)}


def wide(features: pd.DataFrame, modality: str, patients: list[str]) -> pd.DataFrame:
    """Return the matrix of one feature set.

    Parameters
    ----------
    features : DataFrame
        The long table: ``patient, region, voxels`` and one column per feature.
    modality : str
        One of `RADIOMICS`.
    patients : list of str
        Rows of the result, in this order.

    Returns
    -------
    DataFrame
        Index ``patient``, columns ``<region>__<feature>`` (float64), NaN where the region or the feature is
        missing. A column without any value in the cohort is dropped. This happens if a region of an imported table
        does not have the feature.
    """
    parts = []
    for region in sorted(region for region in features["region"].unique() if in_modality(region, modality)):
        part = features[features["region"] == region].set_index("patient").drop(columns=["region", "voxels"])
        parts.append(part.dropna(axis="columns", how="all").add_prefix(f"{region}__"))
    index = pd.Index(patients, name="patient")
    if not parts:
        return pd.DataFrame(index=index)
    return pd.concat([part.reindex(index) for part in parts], axis="columns").astype("float64")


def region_of(column: str) -> str:
    """Return the region of a column ``<region>__<feature>``."""
    return column.partition("__")[0]


def tumor_volume(used: pd.DataFrame, features: pd.DataFrame) -> pd.Series:
    """Return the tumour volume (mm³) by patient: of the images, else of the table of features; empty if neither has it.

    Parameters
    ----------
    used : DataFrame
        ``cohort/used.parquet``.
    features : DataFrame
        The long table.
    """
    if VOLUME in used:
        return used.set_index("patient")[VOLUME].astype("float64")
    tumor = features[features["region"] == "tumor"].set_index("patient")
    for name in SHAPE_VOLUMES:
        if name in tumor and np.isfinite(tumor[name]).any():
            return tumor[name].astype("float64")
    return pd.Series(dtype="float64")
