"""Select features in every fit of one repeat, and write the radiomics features that each fit uses."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from metaswin.cohort.folds import Folds, leaky_training
from metaswin.config.features import RADIOMICS, SelectionSettings
from metaswin.core.files import read_table, write_table
from metaswin.features.harmonisation import Harmoniser, load_harmoniser
from metaswin.features.matrix import CANDIDATES, VOLUME, tumor_volume, wide
from metaswin.features.selection import COLUMNS, select
from metaswin.features.stability import unstable_features

logger = logging.getLogger("metaswin.features")


@dataclass(frozen=True)
class SelectionInputs:
    """Hold the files that `select_features` reads; None if the run does not have the file.

    Attributes
    ----------
    features, folds, used : str
        Paths of the long table of features, ``folds/<endpoint>.parquet`` and ``cohort/used.parquet``.
    stability : str or None
        ``stability.parquet``. Without it, no feature is unstable.
    harmonisation, harmonisation_values, clinical : str or None
        See `metaswin.features.harmonisation.load_harmoniser`.
    """

    features: str
    folds: str
    used: str
    stability: str | None = None
    harmonisation: str | None = None
    harmonisation_values: str | None = None
    clinical: str | None = None


def select_features(
    inputs: SelectionInputs,
    selection: str,
    volume: str,
    tables: Mapping[tuple[str, str], str],
    endpoint: str,
    repeat: int,
    settings: SelectionSettings,
    seed: int,
    leaky: bool = False,
) -> None:
    """Select features in every fit of a repeat, and write the table of features that each fit uses.

    Parameters
    ----------
    inputs : SelectionInputs
    selection : str
        Output: ``selection.parquet``, one row for each fit, set and feature, see `selections`.
    volume : str
        Output: the tumour volume (mm³) of each patient; no row for a patient with an unknown volume.
    tables : mapping
        Outputs: (fit, set) → path of the result of `fit_table`, with the column ``patient``.
    endpoint, repeat, settings, seed
    leaky : bool
        Select before the split, see `metaswin.cohort.folds.leaky_training`.
    """
    folds = Folds.of(read_table(inputs.folds), repeat)
    harmoniser = load_harmoniser(inputs.harmonisation, inputs.harmonisation_values, inputs.used, inputs.clinical)
    stability = read_table(inputs.stability) if inputs.stability else None
    long = read_table(inputs.features)
    matrices = {name: wide(long, name, folds.patients) for name in RADIOMICS}
    training = leaky_training(folds) if leaky else folds.training()
    chosen = selections(matrices, folds.labels, training, settings, seed, harmoniser, stability)
    write_table(selection, chosen.assign(endpoint=endpoint, repeat=repeat))
    known = tumor_volume(read_table(inputs.used), long).reindex(folds.patients).dropna()
    write_table(volume, pd.DataFrame({"patient": known.index.astype("str"), VOLUME: known.to_numpy("float64")}))
    for (fit, name), path in tables.items():
        table = fit_table(matrices[name], kept_features(chosen, fit, name), fit, name, harmoniser)
        write_table(path, table.reset_index(), {CANDIDATES: str(matrices[name].shape[1])})


def selections(
    matrices: Mapping[str, pd.DataFrame],
    label: pd.Series,
    training: Mapping[str, Sequence[str]],
    settings: SelectionSettings,
    seed: int,
    harmoniser: Harmoniser | None = None,
    stability: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the selections of fits, with the columns ``fit, set`` and those of `metaswin.features.selection.select`.

    Parameters
    ----------
    matrices : mapping
        Set → matrix of all features, see `metaswin.features.matrix.wide`.
    label : Series
        0, 1 or NaN by patient.
    training : mapping
        Fit → its training patients.
    settings, seed
    harmoniser : Harmoniser or None
        Each fit selects among the features as harmonised by that fit.
    stability : DataFrame or None
        See `metaswin.features.stability.stability_table`. Each fit selects among the features that are stable in its
        own training rows.
    """
    tables = [pd.DataFrame(columns=["fit", "modality", *COLUMNS])]
    for modality, matrix in matrices.items():
        if not matrix.shape[1]:
            continue
        selected: dict[tuple[str, ...], pd.DataFrame] = {}
        for fit, train in training.items():
            start = time.perf_counter()
            values = matrix if harmoniser is None else harmoniser.apply(matrix, fit, modality)
            unstable = None if stability is None else unstable_features(stability, fit, modality)
            # In the leakage demonstration all fits select on the same rows.
            key = (fit if harmoniser is not None or unstable is not None else "", *train)
            if key not in selected:
                selected[key] = select(values, label, list(train), settings, seed, unstable)
            tables.append(selected[key].assign(fit=fit, modality=modality))
            counts = selected[key]["step"].value_counts().to_dict()
            logger.info("%s, %s: %d rows, %s, %.1f s", fit, modality, len(train), counts, time.perf_counter() - start)
    return pd.concat(tables[1:] or tables, ignore_index=True)[["fit", "modality", *COLUMNS]]


def kept_features(selection: pd.DataFrame, fit: str, modality: str) -> list[str]:
    """Return the features that one fit keeps of one set, best rank first."""
    rows = selection[(selection["fit"] == fit) & (selection["modality"] == modality) & selection["kept"].astype(bool)]
    return rows.sort_values("rank")["feature"].tolist()


def fit_table(
    matrix: pd.DataFrame, kept: Sequence[str], fit: str, modality: str, harmoniser: Harmoniser | None
) -> pd.DataFrame:
    """Return the features that one fit uses, for any rows: the kept features, harmonised by that fit, not imputed.

    Parameters
    ----------
    matrix : DataFrame
        Matrix of the set with any rows, see `metaswin.features.matrix.wide`. If it lacks a kept feature, the values of
        that feature are missing.
    kept : sequence of str
    fit, modality : str
    harmoniser : Harmoniser or None
    """
    values = matrix if harmoniser is None else harmoniser.apply(matrix, fit, modality)
    return values.reindex(columns=list(kept))
