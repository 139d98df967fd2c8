"""Combine the risks of the fold models into one prediction for each patient."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metaswin import __version__
from metaswin.config.models import DeepSettings
from metaswin.config.prediction import PredictSettings
from metaswin.core.errors import several
from metaswin.core.files import atomic, read_json, read_table, write_json, write_table, write_text
from metaswin.core.formatting import plain
from metaswin.core.used import of_used
from metaswin.evaluation.cumulative_incidence import GROUP_NAMES
from metaswin.evaluation.shapley import modality_name
from metaswin.features.embedding import check_same_encoder
from metaswin.models.memory import patients_with_patch
from metaswin.prediction.bundle import Bundle, BundledFeatureSet, held_out, read_bundle, stand_in
from metaswin.prediction.call import versions_differ
from metaswin.prediction.facts import image_facts
from metaswin.prediction.new_data import NewData, load_new
from metaswin.prediction.patient_page import patient_page
from metaswin.prediction.placing import group, percentile
from metaswin.prediction.score import Scored, clinical_warnings, image_warnings, score_members
from metaswin.report.facts import versions

COLUMNS = {
    "endpoint": "str", "patient": "str", "risk": "float64", "range_low": "float64", "range_high": "float64",
    "members": "int64", "positive_share": "float64", "group": "str", "percentile": "float64", "feature_set": "str",
    "primary": "bool", "modalities": "str", "missing": "str", "assumed": "str", "training_cohort": "str",
    "distance_percentile": "float64", "unlike_training": "bool", "warnings": "str", "why": "str",
}  # fmt: skip
LISTS = ("modalities", "missing", "assumed", "warnings")
IN_TRAINING, HELD_OUT, NEW = "was in the training cohort", "held out by this member", "not in the training cohort"
NOT_KNOWN = "cannot be compared with the training cohort, because only one of them uses pseudonyms"


def predicted(
    bundle: Bundle,
    endpoint: str,
    patient: str,
    feature_set: BundledFeatureSet,
    there: set[str],
    scored: Scored,
    warnings: Sequence[str],
    training: str,
    member: tuple[int, int] | None,
) -> dict[str, Any]:
    """Build a row of ``predictions.parquet``; the columns `LISTS` are lists.

    The range across fold models is not a confidence interval. The members share most of their training patients, and
    all of them may have the same error.
    """
    facts = bundle.endpoints[endpoint]
    risks = scored.risks[(scored.risks["patient"] == patient) & (scored.risks["classifier"] == facts["classifier"])]
    risk = float(risks["probability"].mean())
    placed = bundle.scores(endpoint)[feature_set.name]
    place = None if member else group(placed, risk)
    apart = scored.distances.loc[scored.distances["patient"] == patient, "percentile"]
    distance = float(np.median(apart)) if len(apart) else None
    far = distance is not None and distance >= bundle.facts["settings"]["distance_percentile"]
    primary = facts["primary"] == feature_set.name
    wanted = next(own for own in bundle.feature_sets(endpoint) if own.name == facts["primary"]).modalities
    missing = [modality_name(modality) for modality in wanted if modality not in there]
    return {
        "endpoint": endpoint,
        "patient": patient,
        "risk": risk,
        "range_low": None if member else float(risks["probability"].min()),
        "range_high": None if member else float(risks["probability"].max()),
        "members": len(risks),
        "positive_share": float(risks["positive"].mean()),
        "group": None if place is None else GROUP_NAMES[bundle.facts["settings"]["groups"]][place],
        "percentile": None if member else percentile(placed, risk),
        "feature_set": feature_set.name,
        "primary": primary,
        "modalities": [modality_name(modality) for modality in wanted if modality in there],
        "missing": missing,
        "assumed": scored.assumed[patient],
        "training_cohort": training,
        "distance_percentile": distance,
        "unlike_training": bool(far),
        "warnings": [*_own_warnings(primary, feature_set, missing, training, distance if far else None), *warnings],
        "why": "",
    }


def not_predicted(endpoint: str, patient: str, why: str) -> dict[str, Any]:
    """Build the row of a patient without a prediction."""
    blank = {"str": "", "float64": None, "int64": 0, "bool": False}
    facts = {name: blank[kind] for name, kind in COLUMNS.items()} | {"group": None, "feature_set": None}
    return {**facts, **{name: [] for name in LISTS}, "endpoint": endpoint, "patient": patient, "why": why}


def prediction_table(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Join rows of `predicted` and `not_predicted` to one table; lists are written with semicolons."""
    rows = [{**record, **{name: "; ".join(record[name]) for name in LISTS}} for record in records]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return table.sort_values(["endpoint", "patient"], kind="stable", ignore_index=True)


def membership(
    bundle: Bundle, endpoint: str, patient: str, member: tuple[int, int] | None, pseudonyms: bool = False
) -> str:
    """Return whether the training cohort had this id; unknown if only one of the two uses pseudonyms."""
    if bundle.facts["pseudonyms"] != pseudonyms:
        return NOT_KNOWN
    folds = bundle.folds_of(endpoint, patient)
    if folds is None:
        return NEW
    return HELD_OUT if member is not None and held_out(folds, *member) else IN_TRAINING


def contributions(scored: Scored, patient: str) -> pd.DataFrame:
    """Average the contributions over the members, largest first.

    The columns are ``modality, feature, contribution, members`` (that use the feature). A feature contributes 0 in a
    member that did not select it. Therefore the contributions of a patient and the mean base add up to the mean logit.
    """
    own = scored.shapley[scored.shapley["patient"] == patient]
    count = len(own[["repeat", "fold"]].drop_duplicates())
    grouped = own.groupby(["modality", "feature"], sort=False)["contribution"]
    table = pd.DataFrame({"contribution": grouped.sum() / count, "members": grouped.size()}).reset_index()
    return table.sort_values("contribution", key=lambda values: -values.abs(), kind="stable", ignore_index=True)


def _own_warnings(
    primary: bool,
    feature_set: BundledFeatureSet,
    missing: Sequence[str],
    training: str,
    far: float | None,
) -> list[str]:
    found = []
    if not primary:
        found.append(f"{', '.join(missing)} missing: predicted by the models of {feature_set.name} instead")
    elif missing:
        found.append(f"{', '.join(missing)} missing: imputed as in the training run")
    if training == IN_TRAINING:
        found.append(f"{training}: this risk does not test the models")
    if training == NOT_KNOWN:
        found.append(f"this id {training}")
    if far is not None:
        found.append(
            f"unlike the training patients: the distance from them is larger than that of {far:.0f} % of the training "
            "patients from the others"
        )
    return found


logger = logging.getLogger("metaswin.prediction")

SCORES = ["endpoint", "patient", "feature_set", "classifier", "repeat", "fold", "probability", "positive"]
NOBODY = "no feature set of the bundle can be used without the missing data"


@dataclass(frozen=True)
class PredictionInputs:
    """Name the files of the new patients; features, anatomy, embedding and patches are None if there are none.

    ``images`` and ``qc_images`` have one file for each planned patient.
    """

    used: str
    clinical: str
    exclusions: str
    features: str | None
    problems: list[str]
    anatomy: str | None
    embedding: str | None
    patches: str | None
    images: list[str]
    qc_images: list[str]


@dataclass(frozen=True)
class PredictionOutputs:
    """Name the predictions (Parquet, CSV), risks of the members, contributions, facts (JSON) and folder of pages."""

    table: str
    csv: str
    members: str
    contributions: str
    facts: str
    pages: str


def predict_patients(
    inputs: PredictionInputs,
    outputs: PredictionOutputs,
    settings: PredictSettings,
    deep: DeepSettings,
    pseudonyms: bool = False,
) -> None:
    """Write predictions, their contributions, and one page per patient.

    Parameters
    ----------
    inputs : PredictionInputs
    outputs : PredictionOutputs
    settings : PredictSettings
    deep : DeepSettings
        ``device`` and ``threads``.
    pseudonyms : bool
        Whether pseudonyms replace the ids.

    Raises
    ------
    UserError
        If the bundle was changed, or if the embeddings come from another encoder.
    """
    bundle = read_bundle(settings.bundle or "")
    if inputs.embedding is not None:
        check_same_encoder(inputs.embedding, bundle.facts["embedding"]["sha256"])
    patches = dict.fromkeys(patients_with_patch(inputs.patches), inputs.patches) if inputs.patches else {}
    qc_images = of_used((path for path in inputs.qc_images if Path(path).stat().st_size), inputs.used)
    new = load_new(inputs.used, inputs.clinical, inputs.features, inputs.anatomy, inputs.embedding, patches, bundle)
    images = {patient: read_json(path) for patient, path in of_used(inputs.images, inputs.used).items()}
    facts = image_facts(read_table(inputs.used), images)
    noticed = _noticed(inputs.exclusions, inputs.problems)
    members = [settings.place] if settings.place else None

    records, scores, shapley = [], [], []
    pages = Path(outputs.pages)
    shutil.rmtree(pages, ignore_errors=True)
    for endpoint in bundle.endpoints:
        chosen = choose_feature_sets(bundle, endpoint, new, settings.place)
        left = sorted(set(new.patients) - set(chosen))
        records += [not_predicted(endpoint, patient, NOBODY) for patient in left]
        excluded = _excluded(inputs.used, inputs.exclusions)
        records += [not_predicted(endpoint, patient, why) for patient, why in sorted(excluded.items())]
        if not chosen:
            continue
        places = members or bundle.members(endpoint)
        scored = score_members(bundle, endpoint, places, chosen, new, inputs.used, inputs.clinical, deep)
        scores.append(scored.risks.assign(endpoint=endpoint)[SCORES])
        for patient, feature_set in chosen.items():
            notes = _outside(bundle, endpoint, patient, new, facts, scored) + noticed.get(patient, [])
            there = new.modalities(patient)
            training = membership(bundle, endpoint, patient, settings.place, pseudonyms)
            record = predicted(bundle, endpoint, patient, feature_set, there, scored, notes, training, settings.place)
            rests_on = contributions(scored, patient)
            rests_on["value"] = [
                _text(new.value(row.modality, row.feature, patient)) if row.feature else ""
                for row in rests_on.itertuples()
            ]
            records.append(record)
            shapley.append(rests_on.assign(endpoint=endpoint, patient=patient))
            page = patient_page(bundle, record, rests_on, scored.risks, qc_images.get(patient), settings.place)
            write_text(pages / f"{patient}{'' if len(bundle.endpoints) == 1 else f'-{endpoint}'}.html", page)
    if not shapley:
        raise several("No patient could be predicted:", [f"{record['patient']}: {record['why']}" for record in records])
    _write(outputs, bundle, settings, records, scores, shapley)
    logger.info("%d of %d predicted", sum(not record["why"] for record in records), len(records))


def choose_feature_sets(
    bundle: Bundle, endpoint: str, new: NewData, member: tuple[int, int] | None
) -> dict[str, BundledFeatureSet]:
    """Choose the feature set of each patient: the primary one, or its replacement if a whole modality is missing.

    A single member always predicts with the primary feature set, as the run did. It reproduces the out-of-fold
    prediction.
    """
    feature_sets = bundle.feature_sets(endpoint)
    if member is not None:
        return dict.fromkeys(new.patients, feature_sets[0])
    found = {patient: stand_in(feature_sets, new.modalities(patient)) for patient in new.patients}
    return {patient: feature_set for patient, feature_set in found.items() if feature_set is not None}


def _outside(
    bundle: Bundle, endpoint: str, patient: str, new: NewData, facts: pd.DataFrame, scored: Scored
) -> list[str]:
    ranges = bundle.ranges(endpoint)
    found = image_warnings(facts.loc[patient].to_dict(), ranges["image"]) if len(facts.columns) else []
    found += clinical_warnings(new.modality_tables.clinical.loc[patient].to_dict(), ranges["clinical"])
    if patient in scored.unharmonised:
        found.append("features not harmonised: the training cohort has no or too few patients of this batch")
    return found


def _noticed(exclusions: str, problems: Sequence[str]) -> dict[str, list[str]]:
    """Return the warnings of the stages by patient."""
    tables = [read_table(path) for path in (exclusions, *problems)]
    found: dict[str, list[str]] = {}
    for row in pd.concat(tables).itertuples():
        if not row.excludes and row.patient:
            found.setdefault(row.patient, []).append(f"{row.stage}: found {row.found}, expected {row.expected}")
    return found


def _excluded(used: str, exclusions: str) -> dict[str, str]:
    """Return the patients that an earlier stage excluded, with the reasons."""
    predicted = set(read_table(used, columns=["patient"])["patient"])
    table = read_table(exclusions)
    table = table[table["excludes"] & ~table["patient"].isin(["", *predicted])].drop_duplicates("patient")
    return {
        row.patient: f"{row.code}: found {row.found}; expected {row.expected}; {row.action}"
        for row in table.itertuples()
    }


def _write(
    outputs: PredictionOutputs,
    bundle: Bundle,
    settings: PredictSettings,
    records: list[dict[str, Any]],
    scores: list[pd.DataFrame],
    shapley: list[pd.DataFrame],
) -> None:
    table = prediction_table(records)
    write_table(outputs.table, table)
    with atomic(outputs.csv) as temporary:
        table.to_csv(temporary, index=False)
    write_table(outputs.members, pd.concat(scores, ignore_index=True))
    columns = ["endpoint", "patient", "modality", "feature", "value", "contribution", "members"]
    write_table(outputs.contributions, pd.concat(shapley, ignore_index=True)[columns])
    write_json(
        outputs.facts,
        {
            "bundle": bundle.fingerprint,
            "made_by": bundle.facts["metaswin"],
            "metaswin": __version__,
            "member": settings.member,
            "versions_differ": list(versions_differ(bundle.facts["versions"], versions())),
        },
    )


def _text(value: float | str | None) -> str:
    if value is None:
        return "missing"
    return value if isinstance(value, str) else plain(value)
