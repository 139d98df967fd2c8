"""Copy the models of one fold into the bundle, with the numbers that compare a new patient with their training rows."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file

from metaswin.cohort.fits import fit_name
from metaswin.cohort.folds import Folds, OuterFold
from metaswin.config.features import RADIOMICS
from metaswin.config.prediction import BundleSettings
from metaswin.core.files import atomic, read_json, read_table, write_json
from metaswin.features.fit_tables import fit_table, kept_features
from metaswin.features.harmonisation import Harmoniser, load_harmoniser
from metaswin.features.modalities import ModalityFiles, load_modality_tables
from metaswin.models.fusion import FittedFeatureSet, feature_set_file, load_feature_set
from metaswin.prediction.bundle import BundledFeatureSet
from metaswin.prediction.placing import Distance, fit_distance, measured_blocks, measured_rows

DISTANCE = ("mean", "precision", "held_out")
TOLERANCE = 1e-6
# Files of a member.
SELECTION, HARMONISATION, NETWORK = "selection.json", "harmonisation.json", "deep.safetensors"


@dataclass(frozen=True)
class MemberFiles:
    """Name the files of one outer fold of the run; a file that the run does not have is None.

    Attributes
    ----------
    predictions, models : str
        Output of `metaswin.models.fusion.train_fusion`.
    selection, harmonisation, harmonisation_values, volume : str or None
        Files of the repeat.
    radiomics, peri_radiomics : str or None
        Tables of the final fit.
    deep, network : str or None
        Scores of the outer fold, and the network of the final fit.
    """

    predictions: str
    models: str
    selection: str | None = None
    harmonisation: str | None = None
    harmonisation_values: str | None = None
    volume: str | None = None
    radiomics: str | None = None
    peri_radiomics: str | None = None
    deep: str | None = None
    network: str | None = None

    def modality_tables(self, clinical: str, anatomy: str | None, embedding: str | None, fit: str) -> ModalityFiles:
        """Return the files that the models of this outer fold read."""
        tables = {(fit, name): path for name in RADIOMICS for path in [getattr(self, name)] if path}
        return ModalityFiles(clinical, tables, self.volume, anatomy, self.deep, embedding)


@dataclass(frozen=True)
class Reference:
    """Summarise the training rows of one feature set and member.

    Attributes
    ----------
    mean : ndarray of shape (encoded columns,)
        The average training patient, which is the reference of the contributions.
    distance : Distance or None
    """

    mean: np.ndarray
    distance: Distance | None


def freeze_member(
    folder: Path,
    files: MemberFiles,
    folds: pd.DataFrame,
    place: tuple[int, int],
    clinical: str,
    anatomy: str | None,
    embedding: str | None,
    sets: Mapping[str, list[str]],
    feature_sets: Sequence[BundledFeatureSet],
    settings: BundleSettings,
    seed: int,
) -> dict[str, FittedFeatureSet]:
    """Write one member into `folder` and return its feature sets.

    Parameters
    ----------
    folder : Path
    files : MemberFiles
    folds : DataFrame
        ``folds/<endpoint>.parquet``.
    place : (int, int)
        Repeat and fold.
    clinical, anatomy, embedding : str
        Tables that all members share.
    sets, feature sets, settings, seed

    Raises
    ------
    RuntimeError
        If a feature set does not reproduce the test predictions of the run.
    """
    rows = Folds.of(folds, place[0]).outer(place[1])
    predictions = read_table(files.predictions)
    shared = files.modality_tables(clinical, anatomy, embedding, rows.final)
    modality_tables = load_modality_tables(rows.patients, shared, sets)
    fitted: dict[str, FittedFeatureSet] = {}
    tensors: dict[str, np.ndarray] = {}
    for feature_set in feature_sets:
        fitted[feature_set.name] = load_feature_set(files.models, feature_set.name)
        tables = {modality: modality_tables.table(modality, rows.final)[0] for modality in feature_set.modalities}
        _check(fitted[feature_set.name], tables, rows, predictions)
        tensors |= _reference(fitted[feature_set.name], tables, rows.train, settings, [seed, *place])
        for ending in (".json", ".safetensors"):
            _copy(
                f"{feature_set_file(files.models, feature_set.name)}{ending}",
                f"{feature_set_file(folder / 'feature_sets', feature_set.name)}{ending}",
            )
    with atomic(folder / "reference.safetensors") as temporary:
        save_file(tensors, temporary)
    if files.selection:
        selection = read_table(files.selection)
        write_json(folder / SELECTION, {name: kept_features(selection, rows.final, name) for name in RADIOMICS})
    _write_harmonisation(folder, files, rows.final)
    if files.network and any(feature_set.deep for feature_set in feature_sets):
        _copy(files.network, folder / NETWORK)
    return fitted


@dataclass(frozen=True)
class FrozenFeatures:
    """Convert all features of new patients to those of the final fit of a member.

    Attributes
    ----------
    kept : dict
        Modality → selected features, best rank first.
    fit : str
    harmoniser : Harmoniser or None
        With the batches and covariates of the new patients.
    """

    kept: dict[str, list[str]]
    fit: str
    harmoniser: Harmoniser | None

    @classmethod
    def read(cls, folder: Path, fold: int, used: str, clinical: str) -> "FrozenFeatures":
        """Read the output of `freeze_member`; `used` and `clinical` are tables of the new patients."""
        kept, facts = folder / SELECTION, folder / HARMONISATION
        values = str(facts.with_suffix(".safetensors"))
        harmoniser = load_harmoniser(str(facts), values, used, clinical) if facts.is_file() else None
        return cls(read_json(kept) if kept.is_file() else {}, fit_name(fold), harmoniser)

    def table(self, matrix: pd.DataFrame, modality: str) -> pd.DataFrame:
        """Return the features of one modality for the final fit, see `metaswin.features.fit_tables.fit_table`."""
        return fit_table(matrix, self.kept[modality], self.fit, modality, self.harmoniser)


def read_reference(folder: Path, feature_set: str) -> Reference:
    """Read the reference of one feature set of a member."""
    tensors = load_file(folder / "reference.safetensors")
    numbers: dict[str, Any] = {name: tensors.get(f"{feature_set}/distance/{name}") for name in DISTANCE}
    return Reference(tensors[f"{feature_set}/mean"], None if numbers["mean"] is None else Distance(**numbers))


def _reference(
    feature_set: FittedFeatureSet,
    tables: dict[str, pd.DataFrame],
    learnt: np.ndarray,
    settings: BundleSettings,
    seed: list[int],
) -> dict[str, np.ndarray]:
    training = {modality: table[learnt] for modality, table in tables.items()}
    encoded = [encoder.transform(training[modality]) for modality, encoder in feature_set.encoders.items()]
    found = {f"{feature_set.name}/mean": np.concatenate(encoded, axis=1).mean(axis=0)}
    if not measured_blocks(feature_set):
        return found
    distance = fit_distance(measured_rows(feature_set, training), settings.distance_rows, seed)
    if distance is None:
        return found
    return found | {
        f"{feature_set.name}/distance/{name}": np.ascontiguousarray(getattr(distance, name)) for name in DISTANCE
    }


def _check(
    feature_set: FittedFeatureSet, tables: dict[str, pd.DataFrame], rows: OuterFold, predictions: pd.DataFrame
) -> None:
    """Check that the feature set reproduces the test predictions of the run."""
    found = feature_set.predict({modality: table[rows.test] for modality, table in tables.items()})
    patients = [patient for patient, test in zip(rows.patients, rows.test, strict=True) if test]
    chosen = predictions[(predictions["feature_set"] == feature_set.name) & (predictions["part"] == "test")]
    for classifier, probability in found.items():
        wanted = chosen[chosen["classifier"] == classifier].set_index("patient")["probability"].reindex(patients)
        if not np.abs(probability - wanted.to_numpy(dtype="float64")).max(initial=0) <= TOLERANCE:
            raise RuntimeError(
                f"{feature_set.name}, {classifier}: the stored model does not reproduce the predictions of its fold"
            )


def _write_harmonisation(folder: Path, files: MemberFiles, fit: str) -> None:
    """Write only the final fit, without the numbers of patients by batch, which are not used."""
    if files.harmonisation is None:
        return
    assert files.harmonisation_values is not None
    facts = read_json(files.harmonisation)
    facts["fits"] = {fit: {name: facts["fits"][fit][name] for name in ("fitted", "covariates")}}
    write_json(folder / HARMONISATION, facts)
    kept = {name: array for name, array in load_file(files.harmonisation_values).items() if name.split("/")[0] == fit}
    with atomic((folder / HARMONISATION).with_suffix(".safetensors")) as temporary:
        save_file(kept, temporary)


def _copy(source: str, target: str | Path) -> None:
    with atomic(target) as temporary:
        shutil.copyfile(source, temporary)
