"""Harmonisation of one fold: fitted on the training rows of each part, both feature sets."""

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from metaswin.files import read_table, write_table
from metaswin.harmonisation.batches import codes_of
from metaswin.harmonisation.combat import fit_combat
from metaswin.harmonisation.covariates import fit_covariates
from metaswin.harmonisation.fitted import Harmoniser, patient_rows, save_harmoniser
from metaswin.harmonisation.settings import HarmonisationSettings
from metaswin.selection.fold import training_parts
from metaswin.selection.matrix import SETS, wide

logger = logging.getLogger("metaswin.harmonisation")


def harmonise_fold(
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    repeat: int,
    fold: int,
    settings: HarmonisationSettings,
) -> None:
    """Fit ComBat on every part of a fold and write it.

    Parameters
    ----------
    inputs : mapping
        Paths of ``features, folds, used`` and ``clinical``.
    outputs : mapping
        ``facts`` (JSON), ``values`` (safetensors) and ``rows`` (Parquet: what becomes of each patient).
    repeat, fold, settings
    """
    folds = read_table(inputs["folds"])
    folds = folds[folds["repeat"] == repeat].set_index("patient").sort_index()
    rows = patient_rows(read_table(inputs["used"]), read_table(inputs["clinical"]), settings).reindex(folds.index)
    harmoniser, told = fit_harmoniser(read_table(inputs["features"]), folds, fold, rows, settings)
    save_harmoniser(outputs["facts"], outputs["values"], harmoniser, settings, told)
    write_table(outputs["rows"], states(harmoniser, training_parts(folds, fold)))


def fit_harmoniser(
    features: pd.DataFrame,
    folds: pd.DataFrame,
    fold: int,
    rows: pd.DataFrame,
    settings: HarmonisationSettings,
    wanted: Collection[str] | None = None,
) -> tuple[Harmoniser, dict[str, Any]]:
    """Harmonisation of all parts and sets, and what to tell of each part; read from training rows alone.

    Parameters
    ----------
    features : DataFrame
        The long table.
    folds : DataFrame
        Rows of one repeat, indexed by patient.
    fold : int
        The test fold.
    rows : DataFrame
        Batch and covariates, see `metaswin.harmonisation.fitted.patient_rows`.
    settings : HarmonisationSettings
    wanted : collection of str or None
        Parts to fit; None: all.
    """
    matrices = {feature_set: wide(features, feature_set, folds.index.tolist()) for feature_set in SETS}
    batches, covariates, fits, told = {}, {}, {}, {}
    for part, train in training_parts(folds, fold).items():
        if wanted is not None and part not in wanted:
            continue
        own = rows.loc[train]
        counts = own["batch"].value_counts().sort_index()
        batches[part] = tuple(counts.index[counts >= settings.min_batch])
        covariates[part] = fit_covariates(own, settings.covariates)
        batch = codes_of(own["batch"], batches[part]).to_numpy()
        coded = covariates[part].transform(own)
        told[part] = {
            "training": len(train),
            "batches": {str(level): int(count) for level, count in counts.items()},
            "without_batch": int(own["batch"].isna().sum()),
            "sets": {},
        }
        for feature_set, matrix in matrices.items():
            values = matrix.loc[train].to_numpy(dtype=float)
            combat = fit_combat(values, batch, len(batches[part]), coded, settings.min_batch)
            fits[part, feature_set] = combat
            left = Counter(reason for reason in combat.why if reason)
            told[part]["sets"][feature_set] = {
                "harmonised": len(combat.why) - left.total(),
                "left_alone": dict(sorted(left.items())),
            }
            logger.info("%s, %s: %s", part, feature_set, told[part]["sets"][feature_set])
    names = {feature_set: tuple(matrix.columns) for feature_set, matrix in matrices.items()}
    return Harmoniser(rows, names, batches, covariates, fits), told


def states(harmoniser: Harmoniser, parts: Mapping[str, list[str]]) -> pd.DataFrame:
    """What becomes of each patient in each part: ``part, patient, training, batch, state``.

    `state` is ``harmonised``, or why the row is left alone: ``few`` (its batch has too few training patients),
    ``unseen`` (no training patient is of its batch), ``missing`` (no batch is known).
    """
    tables = []
    for part, train in parts.items():
        batch = harmoniser.rows["batch"]
        fitted, seen = batch.isin(harmoniser.batches[part]), batch.isin(batch.loc[train].dropna())
        state = pd.Series("unseen", index=batch.index).mask(seen, "few").mask(fitted, "harmonised")
        table = pd.DataFrame({"batch": batch.astype("str"), "state": state.mask(batch.isna(), "missing")})
        tables.append(table.assign(part=part, training=table.index.isin(train)).reset_index())
    return pd.concat(tables, ignore_index=True)[["part", "patient", "training", "batch", "state"]]
