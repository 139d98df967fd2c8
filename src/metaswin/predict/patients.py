"""Predict everybody: the work of rule ``predict_patients``."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from metaswin import __version__
from metaswin.bundle.arms import BundledArm, stand_in
from metaswin.bundle.load import Bundle, read_bundle
from metaswin.bundle.ranges import image_facts
from metaswin.cohort.used import of_used
from metaswin.deep.resources import patients_with_patch
from metaswin.deep.settings import DeepSettings
from metaswin.errors import several
from metaswin.files import atomic, read_json, read_table, write_json, write_table, write_text
from metaswin.predict.check import versions_differ
from metaswin.predict.combine import answer, contributions, membership, not_predicted, prediction_table
from metaswin.predict.outside import clinical_warnings, image_warnings
from metaswin.predict.page import patient_page
from metaswin.predict.score import Scored, score_members
from metaswin.predict.settings import PredictSettings
from metaswin.predict.there import NewData, load_new
from metaswin.report.facts import versions
from metaswin.report.numbers import plain

logger = logging.getLogger("metaswin.predict")

TABLES = ("used", "clinical", "features", "anatomy")
SCORES = ["endpoint", "patient", "arm", "head", "repeat", "fold", "probability", "positive"]
NOBODY = "no arm of the bundle can do without what is missing"


def predict_patients(
    inputs: Mapping[str, Any],
    outputs: Mapping[str, str],
    settings: PredictSettings,
    deep: DeepSettings,
    pseudonyms: bool = False,
) -> None:
    """Write predictions, what they rest on, and a page a patient.

    Parameters
    ----------
    inputs : mapping
        Paths of ``used, clinical, exclusions`` and, with images or features, ``features, anatomy, problems,
        patches``; lists ``pictures, images`` (a file a planned patient).
    outputs : mapping
        ``table`` (Parquet), ``csv``, ``members``, ``contributions``, ``facts`` and the folder ``pages``.
    settings : PredictSettings
    deep : DeepSettings
        ``device`` and ``threads``.
    pseudonyms : bool
        Whether pseudonyms stand for the ids.

    Raises
    ------
    UserError
        If the bundle was altered.
    """
    bundle = read_bundle(settings.bundle or "")
    tables = {name: inputs.get(name) or None for name in TABLES}
    patches = dict.fromkeys(patients_with_patch(inputs["patches"]), inputs["patches"]) if inputs["patches"] else {}
    pictures = of_used((path for path in inputs["pictures"] if Path(path).stat().st_size), inputs["used"])
    new = load_new(tables, patches, bundle)
    images = {patient: read_json(path) for patient, path in of_used(inputs["images"], inputs["used"]).items()}
    facts = image_facts(read_table(inputs["used"]), images)
    noticed = _noticed(inputs)
    members = [settings.place] if settings.place else None

    records, scores, shares = [], [], []
    pages = Path(outputs["pages"])
    shutil.rmtree(pages, ignore_errors=True)
    for endpoint in bundle.endpoints:
        chosen = choose_arms(bundle, endpoint, new, settings.place)
        left = sorted(set(new.patients) - set(chosen))
        records += [not_predicted(endpoint, patient, NOBODY) for patient in left]
        records += [not_predicted(endpoint, patient, why) for patient, why in sorted(_excluded(inputs).items())]
        if not chosen:
            continue
        scored = score_members(bundle, endpoint, members or bundle.members(endpoint), chosen, new, tables, deep)
        scores.append(scored.risks.assign(endpoint=endpoint)[SCORES])
        for patient, arm in chosen.items():
            told = _outside(bundle, endpoint, patient, new, facts, scored) + noticed.get(patient, [])
            there = new.blocks(patient)
            training = membership(bundle, endpoint, patient, settings.place, pseudonyms)
            record = answer(bundle, endpoint, patient, arm, there, scored, told, training, settings.place)
            rests_on = contributions(scored, patient)
            rests_on["value"] = [
                _text(new.value(row.modality, row.feature, patient)) if row.feature else ""
                for row in rests_on.itertuples()
            ]
            records.append(record)
            shares.append(rests_on.assign(endpoint=endpoint, patient=patient))
            page = patient_page(bundle, record, rests_on, scored.risks, pictures.get(patient), settings.place)
            write_text(pages / f"{patient}{'' if len(bundle.endpoints) == 1 else f'-{endpoint}'}.html", page)
    if not shares:
        raise several("Nobody could be predicted:", [f"{record['patient']}: {record['why']}" for record in records])
    _write(outputs, bundle, settings, records, scores, shares)
    logger.info("%d of %d predicted", sum(not record["why"] for record in records), len(records))


def choose_arms(bundle: Bundle, endpoint: str, new: NewData, member: tuple[int, int] | None) -> dict[str, BundledArm]:
    """Patient → arm: the headline, or the one that stands in for whom a whole modality is missing.

    A single member predicts by the headline always, as the run did: it gives the out-of-fold prediction again.
    """
    arms = bundle.arms(endpoint)
    if member is not None:
        return dict.fromkeys(new.patients, arms[0])
    found = {patient: stand_in(arms, new.blocks(patient)) for patient in new.patients}
    return {patient: arm for patient, arm in found.items() if arm is not None}


def _outside(
    bundle: Bundle, endpoint: str, patient: str, new: NewData, facts: pd.DataFrame, scored: Scored
) -> list[str]:
    ranges = bundle.ranges(endpoint)
    found = image_warnings(facts.loc[patient].to_dict(), ranges["image"]) if len(facts.columns) else []
    found += clinical_warnings(new.sources.clinical.loc[patient].to_dict(), ranges["clinical"])
    if patient in scored.unharmonised:
        found.append("features not harmonised: no training patients of this batch, or too few")
    return found


def _noticed(inputs: Mapping[str, Any]) -> dict[str, list[str]]:
    """Warnings of the stages by patient."""
    tables = [read_table(inputs[name]) for name in ("exclusions", "problems") if inputs.get(name)]
    found: dict[str, list[str]] = {}
    for row in pd.concat(tables).itertuples():
        if not row.excludes and row.patient:
            found.setdefault(row.patient, []).append(f"{row.stage}: found {row.found}, expected {row.expected}")
    return found


def _excluded(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Patients whom an earlier stage could not use → why."""
    used = set(read_table(inputs["used"], columns=["patient"])["patient"])
    table = read_table(inputs["exclusions"])
    table = table[table["excludes"] & ~table["patient"].isin(["", *used])].drop_duplicates("patient")
    return {
        row.patient: f"{row.code}: found {row.found}; expected {row.expected}; {row.action}"
        for row in table.itertuples()
    }


def _write(
    outputs: Mapping[str, str],
    bundle: Bundle,
    settings: PredictSettings,
    records: list[dict[str, Any]],
    scores: list[pd.DataFrame],
    shares: list[pd.DataFrame],
) -> None:
    table = prediction_table(records)
    write_table(outputs["table"], table)
    with atomic(outputs["csv"]) as temporary:
        table.to_csv(temporary, index=False)
    write_table(outputs["members"], pd.concat(scores, ignore_index=True))
    columns = ["endpoint", "patient", "modality", "feature", "value", "contribution", "members"]
    write_table(outputs["contributions"], pd.concat(shares, ignore_index=True)[columns])
    write_json(
        outputs["facts"],
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
