"""Harmonise the features in every fit of a repeat, and apply a fitted harmonisation to any row."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file

from metaswin.cohort.folds import Folds
from metaswin.config.features import RADIOMICS, HarmonisationSettings
from metaswin.core.errors import UserError, suggestion
from metaswin.core.files import atomic, read_json, read_table, write_json, write_table
from metaswin.features.batches import codes_of, find_column, levels_of
from metaswin.features.combat import Combat, Covariates, fit_combat, fit_covariates
from metaswin.features.matrix import wide

ARRAYS = ("alpha", "sigma", "beta", "gamma", "delta")


@dataclass(frozen=True)
class Harmoniser:
    """Harmonise both feature sets in one or more fits.

    Attributes
    ----------
    rows : DataFrame
        ``batch`` (level, None if missing) and the raw columns of the covariates of all patients; index patient.
    features : dict
        Set → fitted features, in the order of the arrays.
    batches : dict
        Fit → fitted levels of the batch, in the order of the arrays.
    covariates : dict
        Fit → coding of the covariates.
    fits : dict
        (Fit, set) → fit.
    """

    rows: pd.DataFrame
    features: dict[str, tuple[str, ...]]
    batches: dict[str, tuple[str, ...]]
    covariates: dict[str, Covariates]
    fits: dict[tuple[str, str], Combat]

    def apply(self, matrix: pd.DataFrame, fit: str, modality: str) -> pd.DataFrame:
        """Return the values of any rows, harmonised by one fit and set.

        Parameters
        ----------
        matrix : DataFrame
            Index patient, columns features, see `metaswin.features.matrix.wide`. Columns that were not fitted and rows
            of a batch without a fit are not changed.
        fit, modality : str
        """
        features = list(self.features[modality])
        rows = self.rows.reindex(matrix.index)
        batch = codes_of(rows["batch"], self.batches[fit]).to_numpy()
        values = matrix.reindex(columns=features).to_numpy(dtype=float)
        values = self.fits[fit, modality].apply(values, batch, self.covariates[fit].transform(rows))
        fitted = pd.DataFrame(values, index=matrix.index, columns=features)
        others = matrix[matrix.columns.difference(features)]
        return pd.concat([fitted, others], axis="columns")[matrix.columns]


def patient_rows(used: pd.DataFrame, clinical: pd.DataFrame, settings: HarmonisationSettings) -> pd.DataFrame:
    """Return batch and covariates of each patient, in the form of `Harmoniser.rows`.

    Parameters
    ----------
    used, clinical : DataFrame
        ``cohort/used.parquet`` and ``cohort/clinical.parquet``.
    settings : HarmonisationSettings

    Raises
    ------
    UserError
        If a column is absent or is not known before the outcome.
    """
    named = {column.strip(): column for column in clinical.columns.drop("patient")}
    for name in settings.covariates:
        if name.strip() not in named:
            raise UserError(
                f"harmonisation.covariates: {name!r} is not a baseline or treatment column of the clinical table; only "
                f"these are known before the outcome{suggestion(name.strip(), named)}"
            )
    rows = clinical.set_index("patient")[[named[name.strip()] for name in settings.covariates]]
    rows.columns = settings.covariates
    return rows.assign(batch=levels_of(find_column(settings.batch, used, clinical)).reindex(rows.index))


def save_harmoniser(
    facts: str, values: str, harmoniser: Harmoniser, settings: HarmonisationSettings, facts_of: Mapping[str, Any]
) -> None:
    """Write the facts (JSON: `facts_of` each fit, and the layout of the arrays) and the arrays (safetensors)."""
    tensors = {
        f"{fit}/{modality}/{name}": np.ascontiguousarray(getattr(combat, name), dtype=np.float64)
        for (fit, modality), combat in harmoniser.fits.items()
        for name in ARRAYS
    }
    with atomic(values) as temporary:
        save_file(tensors, temporary)
    fits = {
        fit: {**facts_of[fit], "fitted": list(levels), "covariates": harmoniser.covariates[fit].as_json()}
        for fit, levels in harmoniser.batches.items()
    }
    features = {modality: list(names) for modality, names in harmoniser.features.items()}
    write_json(facts, {"settings": settings.model_dump(mode="json"), "features": features, "fits": fits})


def load_harmoniser(facts: str | None, values: str | None, used: str, clinical: str | None) -> Harmoniser | None:
    """Load a harmoniser written by `save_harmoniser`. Batch and covariates are read from the tables of the cohort.

    Parameters
    ----------
    facts, values : str or None
        The JSON and the arrays; None if the run has no harmonisation.
    used, clinical : str
        ``cohort/used.parquet`` and ``cohort/clinical.parquet``, or the same tables of new patients.
    """
    if facts is None:
        return None
    assert values is not None
    assert clinical is not None
    raw = read_json(facts)
    tensors: dict[str, Any] = load_file(values)
    settings = HarmonisationSettings(**raw["settings"])
    fits = {
        (fit, modality): Combat(**{name: tensors[f"{fit}/{modality}/{name}"] for name in ARRAYS})
        for fit in raw["fits"]
        for modality in raw["features"]
    }
    return Harmoniser(
        patient_rows(read_table(used), read_table(clinical), settings),
        {modality: tuple(names) for modality, names in raw["features"].items()},
        {fit: tuple(own["fitted"]) for fit, own in raw["fits"].items()},
        {fit: Covariates.from_json(own["covariates"]) for fit, own in raw["fits"].items()},
        fits,
    )


logger = logging.getLogger("metaswin.features")


@dataclass(frozen=True)
class HarmonisationInputs:
    """Hold the inputs of `harmonise`: the long table of features, folds, used patients and the clinical table."""

    features: str
    folds: str
    used: str
    clinical: str


@dataclass(frozen=True)
class HarmonisationOutputs:
    """Hold the outputs of `harmonise`: ``facts`` (JSON), ``values`` (safetensors), ``rows`` (Parquet, `states`)."""

    facts: str
    values: str
    rows: str


def harmonise(
    inputs: HarmonisationInputs, outputs: HarmonisationOutputs, repeat: int, settings: HarmonisationSettings
) -> None:
    """Fit ComBat on the training rows of every fit of a repeat, and write the result."""
    folds = Folds.of(read_table(inputs.folds), repeat)
    rows = patient_rows(read_table(inputs.used), read_table(inputs.clinical), settings).reindex(folds.patients)
    long = read_table(inputs.features)
    matrices = {modality: wide(long, modality, folds.patients) for modality in RADIOMICS}
    harmoniser, facts = fit_harmoniser(matrices, folds.training(), rows, settings)
    save_harmoniser(outputs.facts, outputs.values, harmoniser, settings, facts)
    write_table(outputs.rows, states(harmoniser, folds.training()))


def fit_harmoniser(
    matrices: Mapping[str, pd.DataFrame],
    training: Mapping[str, Sequence[str]],
    rows: pd.DataFrame,
    settings: HarmonisationSettings,
) -> tuple[Harmoniser, dict[str, Any]]:
    """Return the harmonisation of the fits, and facts about each for the report. Only training rows are used.

    Parameters
    ----------
    matrices : mapping
        Set → matrix of all features, see `metaswin.features.matrix.wide`.
    training : mapping
        Fit → its training patients.
    rows : DataFrame
        Batch and covariates, see `metaswin.features.harmonisation.patient_rows`.
    settings : HarmonisationSettings
    """
    batches, covariates, fits = {}, {}, {}
    facts: dict[str, dict[str, Any]] = {}
    for fit, train in training.items():
        own = rows.loc[list(train)]
        counts = own["batch"].value_counts().sort_index()
        batches[fit] = tuple(counts.index[counts >= settings.min_batch])
        covariates[fit] = fit_covariates(own, settings.covariates)
        batch = codes_of(own["batch"], batches[fit]).to_numpy()
        coded = covariates[fit].transform(own)
        facts[fit] = {
            "training": len(train),
            "batches": {str(level): int(count) for level, count in counts.items()},
            "without_batch": int(own["batch"].isna().sum()),
            "modalities": {},
        }
        for modality, matrix in matrices.items():
            values = matrix.loc[list(train)].to_numpy(dtype=float)
            combat = fit_combat(values, batch, len(batches[fit]), coded, settings.min_batch)
            fits[fit, modality] = combat
            left = Counter(reason for reason in combat.why if reason)
            facts[fit]["modalities"][modality] = {
                "harmonised": len(combat.why) - left.total(),
                "left_alone": dict(sorted(left.items())),
            }
            logger.info("%s, %s: %s", fit, modality, facts[fit]["modalities"][modality])
    names = {modality: tuple(matrix.columns) for modality, matrix in matrices.items()}
    return Harmoniser(rows, names, batches, covariates, fits), facts


def states(harmoniser: Harmoniser, training: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return the state of each patient in each fit: ``fit, patient, training, batch, state``.

    `state` is ``harmonised``, or the reason why the row is not changed: ``few`` (its batch has too few training
    patients), ``unseen`` (its batch has no training patient) or ``missing`` (its batch is unknown).
    """
    tables = []
    for fit, train in training.items():
        batch = harmoniser.rows["batch"]
        fitted, seen = batch.isin(harmoniser.batches[fit]), batch.isin(batch.loc[list(train)].dropna())
        state = pd.Series("unseen", index=batch.index).mask(seen, "few").mask(fitted, "harmonised")
        table = pd.DataFrame({"batch": batch.astype("str"), "state": state.mask(batch.isna(), "missing")})
        tables.append(table.assign(fit=fit, training=table.index.isin(train)).reset_index())
    return pd.concat(tables, ignore_index=True)[["fit", "patient", "training", "batch", "state"]]
