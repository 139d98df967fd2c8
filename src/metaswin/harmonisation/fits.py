"""Harmonisation in every fit of a repeat, both feature sets."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from metaswin.files import read_table, write_table
from metaswin.folds.rows import Folds
from metaswin.harmonisation.batches import codes_of
from metaswin.harmonisation.combat import fit_combat
from metaswin.harmonisation.covariates import fit_covariates
from metaswin.harmonisation.fitted import Harmoniser, patient_rows, save_harmoniser
from metaswin.harmonisation.settings import HarmonisationSettings
from metaswin.selection.matrix import wide
from metaswin.selection.settings import SETS

logger = logging.getLogger("metaswin.harmonisation")


@dataclass(frozen=True)
class HarmonisationInputs:
    """Files that `harmonise` reads: the long table of features, folds, used patients and the clinical table."""

    features: str
    folds: str
    used: str
    clinical: str


@dataclass(frozen=True)
class HarmonisationOutputs:
    """Files that `harmonise` writes: ``facts`` (JSON), ``values`` (safetensors), ``rows`` (Parquet, see `states`)."""

    facts: str
    values: str
    rows: str


def harmonise(
    inputs: HarmonisationInputs, outputs: HarmonisationOutputs, repeat: int, settings: HarmonisationSettings
) -> None:
    """Fit ComBat on the training rows of every fit of a repeat, and write it."""
    folds = Folds.of(read_table(inputs.folds), repeat)
    rows = patient_rows(read_table(inputs.used), read_table(inputs.clinical), settings).reindex(folds.patients)
    long = read_table(inputs.features)
    matrices = {feature_set: wide(long, feature_set, folds.patients) for feature_set in SETS}
    harmoniser, facts = fit_harmoniser(matrices, folds.training(), rows, settings)
    save_harmoniser(outputs.facts, outputs.values, harmoniser, settings, facts)
    write_table(outputs.rows, states(harmoniser, folds.training()))


def fit_harmoniser(
    matrices: Mapping[str, pd.DataFrame],
    training: Mapping[str, Sequence[str]],
    rows: pd.DataFrame,
    settings: HarmonisationSettings,
) -> tuple[Harmoniser, dict[str, Any]]:
    """Harmonisation of some fits, and facts to report about each; read from training rows alone.

    Parameters
    ----------
    matrices : mapping
        Set → matrix of all features, see `metaswin.selection.matrix.wide`.
    training : mapping
        Fit → patients that it learns from.
    rows : DataFrame
        Batch and covariates, see `metaswin.harmonisation.fitted.patient_rows`.
    settings : HarmonisationSettings
    """
    batches, covariates, fits, facts = {}, {}, {}, {}
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
            "sets": {},
        }
        for feature_set, matrix in matrices.items():
            values = matrix.loc[list(train)].to_numpy(dtype=float)
            combat = fit_combat(values, batch, len(batches[fit]), coded, settings.min_batch)
            fits[fit, feature_set] = combat
            left = Counter(reason for reason in combat.why if reason)
            facts[fit]["sets"][feature_set] = {
                "harmonised": len(combat.why) - left.total(),
                "left_alone": dict(sorted(left.items())),
            }
            logger.info("%s, %s: %s", fit, feature_set, facts[fit]["sets"][feature_set])
    names = {feature_set: tuple(matrix.columns) for feature_set, matrix in matrices.items()}
    return Harmoniser(rows, names, batches, covariates, fits), facts


def states(harmoniser: Harmoniser, training: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """State of each patient in each fit: ``fit, patient, training, batch, state``.

    `state` is ``harmonised``, or why the row is left alone: ``few`` (its batch has too few training patients),
    ``unseen`` (no training patient is of its batch), ``missing`` (no batch is known).
    """
    tables = []
    for fit, train in training.items():
        batch = harmoniser.rows["batch"]
        fitted, seen = batch.isin(harmoniser.batches[fit]), batch.isin(batch.loc[list(train)].dropna())
        state = pd.Series("unseen", index=batch.index).mask(seen, "few").mask(fitted, "harmonised")
        table = pd.DataFrame({"batch": batch.astype("str"), "state": state.mask(batch.isna(), "missing")})
        tables.append(table.assign(fit=fit, training=table.index.isin(train)).reset_index())
    return pd.concat(tables, ignore_index=True)[["fit", "patient", "training", "batch", "state"]]
