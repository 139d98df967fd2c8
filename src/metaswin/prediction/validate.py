"""Validate predictions: read predictions and outcomes, write the tables and one page."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from metaswin.cohort.clinical_table import missing_column, read_clinical, read_header
from metaswin.cohort.outcomes import outcome
from metaswin.config.cohort import ClinicalSettings, EndpointSettings
from metaswin.core.errors import UserError, several
from metaswin.core.files import atomic, read_table, write_json, write_table, write_text
from metaswin.prediction.bundle import Bundle
from metaswin.prediction.call import clinical_of, outcome_settings
from metaswin.prediction.external import External
from metaswin.prediction.patients import IN_TRAINING
from metaswin.prediction.validation_page import CohortResult, validation_page

BINS = 10
EVERYBODY, PRIMARY = "all predicted patients", "patients predicted by the primary feature set"


def validate(
    bundle: Bundle,
    output: Path,
    outcomes: Path,
    local: Mapping[str, Any],
    pseudonym: Callable[[str], str] = str,
) -> Path:
    """Write the external validation into ``results/validation`` of a prediction and return the page.

    Patients of the training cohort are excluded, because they cannot test the model.

    Parameters
    ----------
    bundle : Bundle
    output : Path
        Folder of `metaswin predict`.
    outcomes : Path
        Table of the outcomes.
    local : mapping
        Local settings of the hospital of the new patients, see `metaswin.prediction.call.outcome_settings`.
    pseudonym : callable
        Returns the id that the predictions use for a study id.

    Raises
    ------
    UserError
        With all errors that were found: no predictions, missing columns of the endpoints, no patient with an outcome.
    """
    predicted = output / "results/predictions/predictions.parquet"
    endpoints = outcome_settings({name: facts["settings"] for name, facts in bundle.endpoints.items()}, local)
    settings = _check(bundle, predicted, outcomes, local, endpoints)
    rows, predictions = read_clinical(outcomes, settings, pseudonym).table, read_table(predicted)
    views, tables, curves = [], [], []
    for name, endpoint in endpoints.items():
        own = predictions[predictions["endpoint"] == name].set_index("patient")
        found = outcome(rows.reindex(sorted(set(rows.index) & set(own.index))), name, endpoint, settings)
        joined = own.join(found.table.set_index("patient")[["label", "time", "event"]], how="left")
        view, table, curve = _endpoint(bundle, name, endpoint, joined, set(found.table["patient"]))
        views.append(view)
        tables.append(table.assign(endpoint=name))
        curves.append(curve.assign(endpoint=name))
    if not any(view["sets"] for view in views):
        raise several(
            "No patient can be validated:", [f"{view['name']}: {text}" for view in views for text in view["left"]]
        )
    folder = output / "results/validation"
    metrics, calibration = pd.concat(tables, ignore_index=True), pd.concat(curves, ignore_index=True)
    write_table(folder / "metrics.parquet", metrics)
    with atomic(folder / "metrics.csv") as temporary:
        metrics.to_csv(temporary, index=False)
    write_table(folder / "calibration.parquet", calibration.astype({"why": "str"}))
    write_json(folder / "facts.json", {"bundle": bundle.fingerprint, "endpoints": views})
    result = CohortResult({view["name"]: view for view in views}, metrics, calibration)
    write_text(folder / "validation.html", validation_page(bundle, result))
    return folder / "validation.html"


def _check(
    bundle: Bundle,
    predicted: Path,
    outcomes: Path,
    local: Mapping[str, Any],
    endpoints: Mapping[str, EndpointSettings],
) -> ClinicalSettings:
    """Check that the predictions and columns exist, and return the settings of the table of outcomes."""
    messages = []
    if not predicted.is_file():
        messages.append(f"no predictions at {predicted}; run `metaswin predict` first")
    try:
        header = read_header(outcomes)
    except UserError as error:
        raise several("Nothing was validated:", [*messages, str(error)]) from None
    settings = ClinicalSettings(**{**clinical_of(bundle.config, local, header), "table": str(outcomes)})
    no_id = missing_column(settings, settings.id, header, "clinical.id")
    messages += [no_id] if no_id is not None else []
    for name, endpoint in endpoints.items():
        columns = [column for column in (*endpoint.columns, endpoint.start) if column is not None]
        found = [missing_column(settings, column, header, f"endpoints.{name}") for column in columns]
        missing = [message for message in dict.fromkeys(found) if message is not None]
        if missing:
            remedy = (
                f"endpoints.{name}: describe the columns of the outcomes in this table, in days or dates, in a section "
                f"endpoints.{name} of the file given with --settings; or write null there to exclude this endpoint"
            )
            messages += [*missing, remedy]
    if messages:
        raise several("Nothing was validated:", list(dict.fromkeys(messages)))
    return settings


def _endpoint(
    bundle: Bundle, name: str, endpoint: EndpointSettings, joined: pd.DataFrame, with_outcome: set[str]
) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Return the description of one endpoint, its metrics and its reliability."""
    training = joined["training_cohort"] == IN_TRAINING
    risk, outcome_there = joined["risk"].notna(), joined.index.isin(list(with_outcome))
    left = {
        "were in the training cohort": training,
        "were not predicted": ~training & ~risk,
        "have no outcome for this endpoint": ~training & risk & ~outcome_there,
    }
    kept = joined[~training & risk & outcome_there]
    sets = {EVERYBODY: kept, PRIMARY: kept[kept["primary"]]}
    if len(sets[PRIMARY]) == len(kept):
        del sets[EVERYBODY]
    confidence, seed = bundle.facts["confidence"], bundle.config["seed"]
    # A plain column is known at the horizon. Therefore no patient is censored.
    horizon = endpoint.horizon_days if endpoint.event is not None else None
    view: dict[str, Any] = {
        "name": name,
        "left": [f"{int(mask.sum())} {why}" for why, mask in left.items() if mask.any()],
        "unlike": int(kept["unlike_training"].sum()),
        "compared": int(kept["distance_percentile"].notna().sum()),
        "weighted": horizon is not None,
        "sets": {},
    }
    tables, curves = [], []
    for title, rows in sets.items():
        external = External.of(rows, horizon)
        if not external.counts["n"]:
            continue
        view["sets"][title] = external.counts
        tables.append(external.table(confidence, seed).assign(set=title))
        curves.append(external.reliability(BINS, confidence).assign(set=title))
    nothing = pd.DataFrame({"set": []})
    return view, *(pd.concat(parts, ignore_index=True) if parts else nothing for parts in (tables, curves))
