"""Compute the risk of every patient with every fold model, and warn if a patient differs from the training data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metaswin.cohort.predictors import UNKNOWN, normalised
from metaswin.config.features import RADIOMICS
from metaswin.config.imaging import PatchesSettings
from metaswin.config.models import DeepSettings
from metaswin.evaluation.shapley import column_groups, exact_shapley, logit_of, modality_groups, sampled_shapley
from metaswin.imaging.patch_file import channel_names
from metaswin.models.fusion import FittedFeatureSet, load_feature_set
from metaswin.prediction.bundle import Bundle, BundledFeatureSet
from metaswin.prediction.facts import UNITS
from metaswin.prediction.member import NETWORK, FrozenFeatures, read_reference
from metaswin.prediction.new_data import NewData
from metaswin.prediction.placing import measured_rows

WORDS = {
    "pixel_spacing": "pixel spacing",
    "slice_spacing": "slice spacing",
    "slice_thickness": "slice thickness",
    "kvp": "tube voltage",
    "volume_tumor_mm3": "tumour volume",
}


def image_warnings(facts: Mapping[str, Any], seen: Mapping[str, Any]) -> list[str]:
    """Describe facts of an image that are outside the training ranges.

    Parameters
    ----------
    facts : mapping
        Row of `metaswin.prediction.facts.image_facts`.
    seen : mapping
        Section ``image`` of ``ranges.json``.
    """
    found = []
    for name, (low, high) in seen["numbers"].items():
        found += _outside(WORDS[name], facts.get(name), low, high, f" {UNITS[name]}")
    for name, levels in seen["levels"].items():
        value = facts.get(name)
        if pd.isna(value):
            found.append(f"{name} is not stated in the image")
        elif str(value) not in levels:
            found.append(f"{name} {value}: no training patient had this value")
    return found


def clinical_warnings(row: Mapping[str, Any], seen: Mapping[str, Any]) -> list[str]:
    """Describe clinical values outside the training ranges and categories that the models do not know.

    Parameters
    ----------
    row : mapping
        Column → value.
    seen : mapping
        Section ``clinical`` of ``ranges.json``.
    """
    found = []
    for name, (low, high) in seen["numbers"].items():
        found += _outside(name, row.get(name), low, high, "")
    for name, levels in seen["levels"].items():
        (value,) = normalised(pd.Series([row.get(name)], dtype=object))
        if value not in (*levels, UNKNOWN):
            found.append(f"{name} {value}: the models do not know this category and treat it as unknown")
    return found


def _outside(what: str, value: Any, low: float, high: float, unit: str) -> list[str]:
    if pd.isna(value) or low <= float(value) <= high:
        return []
    return [f"{what} {float(value):,.4g}{unit}: the training patients had {low:,g} to {high:,g}{unit}"]


# Number of feature orders drawn for each patient. A logistic regression has no interactions, so one order is exact.
PERMUTATIONS = {"logistic": 1, "network": 2}


@dataclass(frozen=True)
class Scored:
    """Store the results of the members of one endpoint for the new patients.

    Attributes
    ----------
    risks : DataFrame
        ``patient, feature_set, repeat, fold, classifier, probability, positive`` (at or above the member's own
        threshold).
    shapley : DataFrame
        ``patient, repeat, fold, modality, feature, contribution, base`` for the logit of the primary classifier.
        ``feature`` is empty for a whole modality.
    distances : DataFrame
        ``patient, repeat, fold, percentile``. No rows if the distance cannot be measured.
    assumed : dict
        Patient → values that a member had to impute.
    unharmonised : set of str
        Patients whose features a member did not harmonise although it harmonises features.
    """

    risks: pd.DataFrame
    shapley: pd.DataFrame
    distances: pd.DataFrame
    assumed: dict[str, list[str]]
    unharmonised: set[str]


def score_members(
    bundle: Bundle,
    endpoint: str,
    members: Sequence[tuple[int, int]],
    chosen: Mapping[str, BundledFeatureSet],
    new: NewData,
    used: str,
    clinical: str,
    deep: DeepSettings,
) -> Scored:
    """Run the members of one endpoint.

    Parameters
    ----------
    bundle, endpoint
    members : sequence of (int, int)
        Repeat and fold.
    chosen : mapping
        Patient → feature set that predicts it.
    new : NewData
    used, clinical : str
        Tables of the new patients, with batch and covariates of the harmonisation.
    deep : DeepSettings
        ``device`` and ``threads``.
    """
    classifier = bundle.endpoints[endpoint]["classifier"]
    seed, patches = bundle.config["seed"], PatchesSettings(**bundle.config["patches"])
    groups: dict[BundledFeatureSet, list[str]] = {}
    for patient, feature_set in chosen.items():
        groups.setdefault(feature_set, []).append(patient)
    risks, shapley, distances = [], [], []
    assumed: dict[str, dict[str, None]] = {patient: {} for patient in chosen}
    unharmonised: set[str] = set()
    for member in members:
        folder = bundle.member_folder(endpoint, member)
        frozen = FrozenFeatures.read(folder, member[1], used, clinical)
        everyone = [patient for feature_set, group in groups.items() if feature_set.deep for patient in group]
        deep_score = deep_scores(folder / NETWORK, everyone, new.patches, patches, deep) if everyone else None
        for feature_set, patients in groups.items():
            fitted = load_feature_set(folder / "feature_sets", feature_set.name)
            tables = _tables(new, fitted, patients, frozen, deep_score)
            where = {"repeat": member[0], "fold": member[1]}
            risks.append(_risks(fitted, tables, patients).assign(feature_set=feature_set.name, **where))
            reference = read_reference(folder, feature_set.name)
            shapley.append(_shapley(fitted, tables, patients, classifier, reference.mean, seed).assign(**where))
            if reference.distance is not None:
                percentile = reference.distance.percentile(measured_rows(fitted, tables))
                distances.append(pd.DataFrame({"patient": patients, "percentile": percentile}).assign(**where))
            for patient in patients:
                assumed[patient].update(dict.fromkeys(new.assumed(fitted, patient)))
            if frozen.harmoniser is not None and set(RADIOMICS) & set(feature_set.modalities):
                batch = frozen.harmoniser.rows["batch"].reindex(patients)
                unharmonised |= set(batch.index[~batch.isin(frozen.harmoniser.batches[frozen.fit])])
    nothing = pd.DataFrame(columns=["patient", "percentile", "repeat", "fold"])
    return Scored(
        pd.concat(risks, ignore_index=True),
        pd.concat(shapley, ignore_index=True),
        pd.concat(distances, ignore_index=True) if distances else nothing,
        {patient: list(values) for patient, values in assumed.items()},
        unharmonised,
    )


def deep_scores(
    network: Path,
    patients: Sequence[str],
    patches: Mapping[str, str],
    made_by: PatchesSettings,
    settings: DeepSettings,
) -> pd.Series:
    """Compute the scores of one network like `metaswin.models.deep_features`; a score is missing without a patch.

    Raises
    ------
    RuntimeError
        If the patches were made with settings other than those of the network's training patches.
    """
    from metaswin.models.compute import own_device, reproducible
    from metaswin.models.deep_features import load_network, score
    from metaswin.models.encoder_file import read_facts
    from metaswin.models.patches import load_patch

    facts = read_facts(network)
    if facts["patches"] != made_by.model_dump(mode="json") or facts["channels"] != channel_names(made_by):
        raise RuntimeError(f"{network}: the network was trained on patches with other settings")
    values = dict.fromkeys(patients, np.nan)
    with own_device(settings.device) as device, reproducible(settings.threads, device):
        loaded = load_network(network, device)
        for patient in patients:
            if patient in patches:
                values[patient] = score(loaded, load_patch(patches[patient], patient))[0]
    return pd.Series(values, dtype="float64")


def _tables(
    new: NewData, fitted: FittedFeatureSet, patients: Sequence[str], frozen: FrozenFeatures, deep: pd.Series | None
) -> dict[str, pd.DataFrame]:
    """Return the raw columns of the feature set's modalities for its patients."""
    modality_tables = replace(new.modality_tables, deep=None if deep is None else deep.reindex(new.patients))
    tables = {
        modality: frozen.table(new.features[modality], modality)
        if modality in RADIOMICS
        else modality_tables.table(modality, frozen.fit)[0]
        for modality in fitted.encoders
    }
    return {modality: table.loc[list(patients)] for modality, table in tables.items()}


def _risks(fitted: FittedFeatureSet, tables: dict[str, pd.DataFrame], patients: Sequence[str]) -> pd.DataFrame:
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "patient": patients,
                    "classifier": classifier,
                    "probability": probability,
                    "positive": probability >= fitted.classifiers[classifier].threshold,
                }
            )
            for classifier, probability in fitted.predict(tables).items()
        ],
        ignore_index=True,
    )


def _shapley(
    fitted: FittedFeatureSet,
    tables: dict[str, pd.DataFrame],
    patients: Sequence[str],
    classifier: str,
    mean: np.ndarray,
    seed: int,
) -> pd.DataFrame:
    """Compute contributions of modalities (exact) and of columns, relative to the average training patient.

    The bundle contains no training rows. Unknown values are replaced by the mean of the encoded training rows
    ("baseline Shapley", Sundararajan and Najmi 2020, ICML, PMLR 119:9269-9278). For a logistic regression, the
    contribution is the coefficient times the distance from the mean. This equals the result with all rows as
    background.
    """
    encoded = np.concatenate(
        [encoder.transform(tables[modality]) for modality, encoder in fitted.encoders.items()], axis=1
    )
    logit = logit_of(fitted.classifiers[classifier], [len(encoder.outputs) for encoder in fitted.encoders.values()])
    whole = exact_shapley(logit, encoded, mean[None], modality_groups(fitted.encoders))
    single = sampled_shapley(logit, encoded, mean[None], column_groups(fitted.encoders), PERMUTATIONS[classifier], seed)
    records: list[dict[str, Any]] = []
    for found, shown in ((whole, lambda name: True), (single, lambda name: len(name) > 1)):
        for place, name in enumerate(found.groups.names):
            if shown(name):
                facts = {"modality": name[0], "feature": name[1] if len(name) > 1 else "", "base": found.base}
                records += [
                    {"patient": patient, **facts, "contribution": float(value)}
                    for patient, value in zip(patients, found.values[:, place], strict=True)
                ]
    return pd.DataFrame(records)
