"""Refit selection and fusion on permuted outcomes."""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from metaswin.cohort.folds import Folds, OuterFold
from metaswin.config.cohort import FoldsSettings
from metaswin.config.evaluation import PermutationSettings
from metaswin.config.feature_sets import FeatureSet, expand_feature_sets, primary_feature_set
from metaswin.config.features import RADIOMICS, HarmonisationSettings, SelectionSettings, StabilitySettings
from metaswin.config.models import FusionSettings
from metaswin.core.errors import UserError
from metaswin.core.files import read_json, read_table, write_table
from metaswin.evaluation.censoring import primary_weights, weighted_auc
from metaswin.evaluation.negative_controls import middle
from metaswin.evaluation.permuted_folds import permuted_folds
from metaswin.features.fit_tables import fit_table, kept_features, selections
from metaswin.features.harmonisation import fit_harmoniser, patient_rows
from metaswin.features.matrix import tumor_volume, wide
from metaswin.features.modalities import EncodedModalities, ModalityFiles, ModalityTables, load_modality_tables
from metaswin.features.stability import Measured, measured, stability_table
from metaswin.models.fusion import ThresholdRule, classifier_fits, fit_classifier

logger = logging.getLogger("metaswin.evaluation")

COLUMNS = ["endpoint", "permutation", "feature_set", "classifier", "auc"]


@dataclass(frozen=True)
class Refitting:
    """Store the settings of the stages that are refitted.

    Attributes
    ----------
    folds, harmonisation, selection, fusion, permutation
        Settings of the stages and of the permutations.
    seed : int
    primary_classifier : str
        Primary classifier. For the primary feature set, it is always refitted, in addition to the classifiers of the
        permutations.
    has_deep : bool
        Whether the run has feature sets with `deep`.
    stability
        Settings of the stage that assesses stability.
    """

    folds: FoldsSettings
    harmonisation: HarmonisationSettings
    selection: SelectionSettings
    fusion: FusionSettings
    permutation: PermutationSettings
    seed: int
    primary_classifier: str
    has_deep: bool
    stability: StabilitySettings


@dataclass(frozen=True)
class Study:
    """Store the data of one endpoint, which are read once for many permutations.

    Attributes
    ----------
    endpoint : str
    horizon : float or None
        Days; None for a plain column.
    folds, clinical : DataFrame
        ``folds/<endpoint>.parquet`` and the clinical table, indexed by patient.
    features : dict
        Modality → matrix of all features, for the modalities that the data have.
    batches : DataFrame or None
        Batch and covariates of harmonisation, if it is turned on.
    modality_tables : ModalityTables
        Tables of predictors, without the selected features of a fit and without the deep score.
    deep, deep_permuted : list of Series
        Deep scores by patient, one for each fold of the first repeat: of the run, and of networks trained on a permuted
        outcome. Empty if there are none.
    perturbed : dict or None
        Features of perturbed masks by modality, if the stability of features is assessed.
    """

    endpoint: str
    horizon: float | None
    folds: pd.DataFrame
    clinical: pd.DataFrame
    features: dict[str, pd.DataFrame]
    batches: pd.DataFrame | None
    modality_tables: ModalityTables
    deep: list[pd.Series]
    deep_permuted: list[pd.Series]
    perturbed: dict[str, Measured] | None = None

    def deep_score(self, fold: int, permutation: int) -> pd.Series | None:
        """Return the deep scores that a fold of a permutation uses."""
        scores = self.deep if permutation == 0 else self.deep_permuted
        return scores[fold] if scores else None


@dataclass(frozen=True)
class PermutationInputs:
    """Name the files that `permute_batch` reads.

    ``folds`` and ``facts`` are those of the endpoint. The tables of features, of organs and of perturbed masks are None
    if the run has none. ``deep`` and ``deep_permuted`` are the deep scores of the folds of the first repeat, of the run
    and of a permuted outcome. They are empty if there are none.
    """

    folds: str
    facts: str
    clinical: str
    used: str
    features: str | None
    anatomy: str | None
    embedding: str | None
    perturbed: str | None
    deep: list[str]
    deep_permuted: list[str]


def permute_batch(
    inputs: PermutationInputs,
    output: str,
    endpoint: str,
    sets: Mapping[str, list[str]],
    permutations: Sequence[int],
    settings: Refitting,
) -> None:
    """Refit some permutations of one endpoint; write ``endpoint, permutation, feature_set, classifier, auc``.

    Parameters
    ----------
    inputs : PermutationInputs
    output : str
    endpoint : str
    sets : mapping
        Clinical set → columns.
    permutations : sequence of int
        Numbers of the permutations. 0 is the unpermuted outcome.
    settings : Refitting
    """
    study = load_study(inputs, endpoint, sets, settings)
    tables = []
    for number in permutations:
        start = time.perf_counter()
        tables.append(permutation_table(study, number, settings))
        logger.info(
            "%d of %d: permutation %d in %.1f s", len(tables), len(permutations), number, time.perf_counter() - start
        )
    write_table(output, pd.concat(tables, ignore_index=True))


def load_study(inputs: PermutationInputs, endpoint: str, sets: Mapping[str, list[str]], settings: Refitting) -> Study:
    """Read the data that `permute_batch` needs."""
    folds = read_table(inputs.folds)
    patients = sorted(folds["patient"].unique())
    used, clinical = read_table(inputs.used), read_table(inputs.clinical)
    files = ModalityFiles(inputs.clinical, {}, anatomy=inputs.anatomy, embedding=inputs.embedding)
    modality_tables = load_modality_tables(patients, files, sets)
    features, batches = {}, None
    if inputs.features:
        long = read_table(inputs.features)
        matrices = {name: wide(long, name, patients) for name in RADIOMICS}
        features = {name: matrix for name, matrix in matrices.items() if len(matrix.columns)}
        volume = tumor_volume(used, long)
        modality_tables = replace(
            modality_tables,
            volume=volume.reindex(patients) if len(volume) else None,
            candidates={name: len(matrix.columns) for name, matrix in features.items()},
        )
        if settings.harmonisation.method != "none":
            batches = patient_rows(used, clinical, settings.harmonisation).reindex(patients)
    index = pd.Index(patients, name="patient")
    deep, deep_permuted = (
        [read_table(path, ["patient", "score"]).set_index("patient")["score"].reindex(index) for path in paths]
        for paths in (inputs.deep, inputs.deep_permuted)
    )
    horizon = read_json(inputs.facts)["endpoint"].get("horizon_days")
    perturbed = None
    if inputs.perturbed:
        perturbed = measured(read_table(inputs.perturbed), settings.stability.perturbations)
    return Study(
        endpoint,
        horizon,
        folds,
        clinical.set_index("patient"),
        features,
        batches,
        modality_tables,
        deep,
        deep_permuted,
        perturbed,
    )


def permutation_table(study: Study, permutation: int, settings: Refitting) -> pd.DataFrame:
    """Average the AUC over folds for every feature set and classifier on one permuted outcome (NaN if undefined)."""
    feature_sets = table_feature_sets(study, settings)
    keys = [
        (feature_set.name, classifier)
        for feature_set, classifiers in feature_sets.items()
        for classifier in classifiers
    ]
    try:
        folds = permuted_folds(study.folds, study.clinical, settings.folds, settings.seed, study.endpoint, permutation)
        found = [
            _fold_aucs(study, folds, fold, permutation, feature_sets, settings) for fold in range(Folds.of(folds, 0).k)
        ]
    except UserError as error:
        logger.warning("permutation %d is not estimable: %s", permutation, error)
        found = []
    means = {key: [values[key] for values in found if np.isfinite(values[key])] for key in keys}
    records = [(study.endpoint, permutation, *key, np.mean(means[key]) if means[key] else np.nan) for key in keys]
    return pd.DataFrame(records, columns=COLUMNS).astype({"auc": "float64"})


def table_feature_sets(study: Study, settings: Refitting) -> dict[FeatureSet, list[str]]:
    """Return the feature sets of the run and the classifiers to refit.

    Feature sets with deep scores are excluded if no network is trained on permuted outcomes.
    """
    modality_tables = study.modality_tables
    modalities = [*modality_tables.modalities, *(["deep"] if settings.has_deep else [])]
    feature_sets = expand_feature_sets(
        settings.fusion, modalities, modality_tables.sets, modality_tables.volume is not None
    )
    primary = primary_feature_set(settings.fusion, feature_sets, modalities, modality_tables.sets)
    classifiers: list[str] = [*settings.permutation.classifiers]
    found = {
        feature_set: [*classifiers, *({settings.primary_classifier} - set(classifiers))]
        if feature_set == primary
        else classifiers
        for feature_set in feature_sets
    }
    return {
        feature_set: classifiers
        for feature_set, classifiers in found.items()
        if "deep" not in feature_set.modalities or study.deep_permuted
    }


def _fold_aucs(
    study: Study,
    folds: pd.DataFrame,
    fold: int,
    permutation: int,
    feature_sets: Mapping[FeatureSet, list[str]],
    settings: Refitting,
) -> dict[tuple[str, str], float]:
    """Compute the AUC of every feature set and classifier in one fold."""
    rows = Folds.of(folds, 0).outer(fold)
    rows.check_both_outcomes(f"permutation {permutation}, fold {fold}")
    chosen = settings.permutation.penalty == "chosen"
    fits = rows.fits if chosen else [rows.final]
    used = {name for feature_set in feature_sets for name in feature_set.modalities if name in study.features}
    modality_tables = replace(
        study.modality_tables,
        deep=study.deep_score(fold, permutation),
        tables=_tables(study, rows, fits, used, settings),
    )
    encoded = EncodedModalities(modality_tables, rows, settings.fusion)
    table = folds.sort_values("patient")
    test = table[rows.test]
    weight = primary_weights(test, table[~rows.test], study.horizon)
    found = {}
    for feature_set, classifiers in feature_sets.items():
        matrices = encoded.matrices(feature_set.modalities, fits)
        fitters = classifier_fits(feature_set, settings.fusion, [settings.seed, 0, fold])
        for classifier in classifiers:
            fit, penalties = fitters[classifier]
            if chosen:
                fitted = fit_classifier(fit, matrices, rows, penalties, ThresholdRule(), settings.fusion.recalibrate)
                score = fitted.probability[rows.test]
            else:
                train = [modality[rows.train] for modality in matrices[rows.final]]
                model = fit(train, rows.label[rows.train], [middle(penalties)], rows.final)
                score = model.logits([modality[rows.test] for modality in matrices[rows.final]])[0]
            found[feature_set.name, classifier] = weighted_auc(rows.label[rows.test], score, weight)
    return found


def _tables(
    study: Study, rows: OuterFold, fits: Sequence[str], wanted: Collection[str], settings: Refitting
) -> dict[tuple[str, str], pd.DataFrame]:
    """Return the features of some fits as `select_features` computes them, without writing them."""
    training = rows.folds.training(fits)
    features = {name: matrix for name, matrix in study.features.items() if name in wanted}
    harmoniser = None
    if study.batches is not None:
        harmoniser, _ = fit_harmoniser(features, training, study.batches, settings.harmonisation)
    stable = None if study.perturbed is None else stability_table(study.perturbed, training, settings.stability)
    forest = settings.selection.model_copy(update={"trees": settings.permutation.trees})
    selection = selections(features, rows.folds.labels, training, forest, settings.seed, harmoniser, stable)
    return {
        (fit, name): fit_table(matrix, kept_features(selection, fit, name), fit, name, harmoniser)
        for fit in fits
        for name, matrix in features.items()
    }
