"""Freeze a finished run (rule ``bundle_model``)."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from metaswin import __version__
from metaswin.cohort.folds import by_place
from metaswin.config.prediction import BundleSettings
from metaswin.core.files import read_json, read_table, write_json, write_text
from metaswin.core.used import of_used
from metaswin.features.embedding import embedding_facts
from metaswin.models.fusion import FittedFeatureSet, load_feature_set
from metaswin.prediction.bundle import (
    bundled_feature_sets,
    file_hashes,
    make_key,
    mean_inner_auc,
    pack,
    training_folds,
    write_manifest,
)
from metaswin.prediction.card import card
from metaswin.prediction.facts import (
    clinical_columns,
    image_facts,
    internal_figures,
    known_levels,
    training_ranges,
    travelling,
)
from metaswin.prediction.member import MemberFiles, freeze_member
from metaswin.prediction.placing import cross_fitted, placing
from metaswin.report.facts import versions

OF_MEMBERS = tuple(field.name for field in fields(MemberFiles))


@dataclass(frozen=True)
class FreezeInputs:
    """Name the files of the run; a list is empty, or a file is None, if the run does not have it.

    Attributes
    ----------
    fits : list of str
        ``fusion/fits.json`` of every outer fold.
    predictions, models, selection, harmonisation, harmonisation_values, volume : list of str
    radiomics, peri_radiomics, deep, network : list of str
        One file for every outer fold, in the order of the fits, see `metaswin.prediction.member.MemberFiles`.
    folds, facts : list of str
        One file for every endpoint.
    clinical, used, summary : str
        Tables of the cohort and of the evaluation.
    images : list of str
        ``image.json`` of the patients.
    anatomy, embedding : str or None
    """

    fits: list[str]
    predictions: list[str]
    models: list[str]
    selection: list[str]
    harmonisation: list[str]
    harmonisation_values: list[str]
    volume: list[str]
    radiomics: list[str]
    peri_radiomics: list[str]
    deep: list[str]
    network: list[str]
    folds: list[str]
    facts: list[str]
    clinical: str
    used: str
    summary: str
    images: list[str]
    anatomy: str | None
    embedding: str | None


def freeze(
    inputs: FreezeInputs,
    folder: str | Path,
    archive: str | Path,
    settings: BundleSettings,
    config: Mapping[str, Any],
    sets: Mapping[str, list[str]],
) -> None:
    """Write the bundle as a folder and as a zip of this folder.

    Parameters
    ----------
    inputs : FreezeInputs
    folder, archive : path
        Folder and zip to write.
    settings : BundleSettings
    config : mapping
        The whole configuration as plain values.
    sets : mapping
        Clinical set → columns.
    """
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    kinds = _kinds(inputs.clinical)
    members = _members(inputs)
    folds = {read_json(about)["name"]: read_table(path) for path, about in zip(inputs.folds, inputs.facts, strict=True)}
    endpoints = {}
    for name, table in folds.items():
        endpoints[name] = _endpoint(folder, name, table, members[name], inputs, settings, config, sets, kinds)
    facts = {
        "metaswin": __version__,
        "versions": versions(),
        "settings": settings.model_dump(mode="json"),
        "confidence": config["evaluation"]["confidence"],
        "pseudonyms": config["data"]["pseudonyms"],
        "embedding": embedding_facts(inputs.embedding) if inputs.embedding else None,
        "endpoints": endpoints,
    }
    # `write_json` would sort the keys, but the order of the organ groups is that of the channels of the network.
    write_text(folder / "config.json", json.dumps(travelling(config, kinds), indent=1, allow_nan=False) + "\n")
    write_json(folder / "bundle.json", facts)
    write_text(folder / "CARD.md", card(facts, travelling(config, kinds)))
    key = make_key(file_hashes(folder))
    write_json(
        folder / "training.json", {"key": key, "endpoints": {n: training_folds(key, t) for n, t in folds.items()}}
    )
    write_manifest(folder)
    pack(folder, archive)


def _endpoint(
    folder: Path,
    name: str,
    folds: pd.DataFrame,
    members: Mapping[tuple[int, int], tuple[dict[str, Any], MemberFiles]],
    inputs: FreezeInputs,
    settings: BundleSettings,
    config: Mapping[str, Any],
    sets: Mapping[str, list[str]],
    kinds: Mapping[str, str],
) -> dict[str, Any]:
    """Write the members of one endpoint and return its description."""
    fits = [fit for fit, _ in members.values()]
    classifier, primary, mode = config["evaluation"]["primary_classifier"], fits[0]["primary"], fits[0]["deep_score"]
    models = next(iter(members.values()))[1].models
    modalities = {
        feature_set: list(load_feature_set(models, feature_set).encoders) for feature_set in fits[0]["feature_sets"]
    }
    feature_sets = bundled_feature_sets(primary, modalities, mean_inner_auc(fits, classifier))
    shared = (inputs.clinical, inputs.anatomy, inputs.embedding)
    fitted: list[FittedFeatureSet] = []
    for place, (_, files) in members.items():
        target = folder / name / f"r{place[0]}-f{place[1]}"
        fitted += freeze_member(
            target, files, folds, place, *shared, sets, feature_sets, settings, config["seed"]
        ).values()
    predictions = [read_table(files.predictions) for _, files in members.values()]
    placed = {
        feature_set.name: placing(cross_fitted(predictions, feature_set.name, classifier), settings.groups)
        for feature_set in feature_sets
    }
    write_json(folder / name / "scores.json", placed)

    columns = clinical_columns(config, modalities[primary], sets)
    own = {column: kinds[column] for column in columns}
    trained = sorted(set(folds.loc[folds["label"].notna(), "patient"]))
    images = {patient: read_json(path) for patient, path in of_used(inputs.images, inputs.used).items()}
    ranges = training_ranges(
        image_facts(read_table(inputs.used), images).loc[trained],
        read_table(inputs.clinical).set_index("patient").loc[trained, columns],
        own,
        known_levels(fitted),
    )
    write_json(folder / name / "ranges.json", ranges)
    endpoint = config["endpoints"][name]
    suffix = "" if endpoint.get("horizon_days") is None else "_ipcw"
    return {
        "settings": endpoint,
        "primary": primary,
        "classifier": classifier,
        "deep_score": mode,
        "feature_sets": [feature_set.as_json() for feature_set in feature_sets],
        "members": [list(place) for place in members],
        "columns": own,
        **_counts(folds),
        "internal": internal_figures(
            read_table(inputs.summary), name, [feature_set.name for feature_set in feature_sets], classifier, suffix
        ),
    }


def _counts(folds: pd.DataFrame) -> dict[str, int]:
    label = folds.drop_duplicates("patient")["label"]
    return {
        "patients": len(label),
        "events": int((label == 1).sum()),
        "nonevents": int((label == 0).sum()),
        "unknown": int(label.isna().sum()),
    }


def _kinds(clinical: str) -> dict[str, str]:
    import pyarrow.parquet as pq

    return json.loads(pq.read_schema(clinical).metadata[b"kinds"])


def _members(inputs: FreezeInputs) -> dict[str, dict[tuple[int, int], tuple[dict[str, Any], MemberFiles]]]:
    """Return for each endpoint, repeat and fold the facts of the fit and the files of that outer fold."""
    nothing = [None] * len(inputs.fits)
    found: dict[str, dict[tuple[int, int], tuple[dict[str, Any], MemberFiles]]] = {}
    for (endpoint, *place), (fit, *files) in by_place(
        inputs.fits, *(getattr(inputs, name) or nothing for name in OF_MEMBERS)
    ).items():
        found.setdefault(endpoint, {})[place[0], place[1]] = (fit, MemberFiles(*files))
    return {endpoint: dict(sorted(members.items())) for endpoint, members in found.items()}
