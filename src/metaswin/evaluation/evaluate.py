"""Evaluate every feature set of every endpoint from the test predictions of the folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from metaswin.config.evaluation import EvaluationSettings
from metaswin.config.signatures import Signature
from metaswin.core.files import read_table, write_json, write_table
from metaswin.core.formatting import SIGNATURE
from metaswin.evaluation.centres import between_centres_table, centre_table
from metaswin.evaluation.comparisons import comparison_table, confirmatory_feature_sets
from metaswin.evaluation.curves import calibration_table, curve_tables, decision_table
from metaswin.evaluation.delong import delong_table
from metaswin.evaluation.predictions import FEATURE_SET, EndpointData, gather
from metaswin.evaluation.sample_size import sample_size_table
from metaswin.evaluation.strata import strata_table, stratified
from metaswin.evaluation.summary import fold_table, summary_table

COLUMNS = [
    "endpoint", "repeat", "fold", "patient", "feature_set", "classifier", "probability", "threshold", "label", "time",
    "event",
    "weight",
]  # fmt: skip


@dataclass(frozen=True)
class EvaluationInputs:
    """Name the files that `evaluate` reads.

    ``predictions`` and ``fits`` have one file for every endpoint, repeat and fold. ``folds`` and ``facts`` have one
    file for every endpoint (see `metaswin.evaluation.predictions.gather`). ``clinical`` and ``used`` are tables of the
    cohort. ``signatures`` contains the scores of the published signatures (``features/signatures.parquet``; empty
    without signatures).
    """

    predictions: list[str]
    fits: list[str]
    folds: list[str]
    facts: list[str]
    clinical: str
    used: str
    signatures: str = ""


@dataclass(frozen=True)
class EvaluationOutputs:
    """Name the files that `evaluate` writes: ``facts`` (JSON) and a Parquet table for each other name."""

    predictions: str
    folds: str
    summary: str
    comparisons: str
    strata: str
    centres: str
    between_centres: str
    roc: str
    pr: str
    calibration: str
    decision: str
    delong: str
    sample_size: str
    deaths: str
    facts: str


def evaluate(
    inputs: EvaluationInputs,
    outputs: EvaluationOutputs,
    settings: EvaluationSettings,
    sets: Mapping[str, Sequence[str]],
    seed: int,
    signatures: Mapping[str, Signature] | None = None,
) -> None:
    """Write all tables of the evaluation.

    Parameters
    ----------
    inputs : EvaluationInputs
    outputs : EvaluationOutputs
    settings
    sets : mapping
        Clinical set → columns.
    seed
        Seed of the bootstrap in the strata.
    signatures : mapping or None
        Name → published signature.
    """
    signatures = signatures or {}
    scores = read_table(inputs.signatures) if signatures else None
    if scores is not None:
        scores = scores[scores["feature"] == "score"].pivot(index="patient", columns="signature", values="value")
    endpoints = gather(inputs.predictions, inputs.fits, inputs.folds, inputs.facts, signatures, scores)
    clinical, used = (read_table(path).set_index("patient") for path in (inputs.clinical, inputs.used))
    clinical = clinical[clinical.index.isin(used.index)]
    strata = stratified(clinical, used, settings.strata)
    found = [_tables(data, strata, settings, sets, seed) for data in endpoints]
    for name in found[0]:
        write_table(getattr(outputs, name), pd.concat([tables[name] for tables in found], ignore_index=True))
    facts = [{**_facts(data, settings, sets), "signatures": _published(data, signatures)} for data in endpoints]
    write_json(outputs.facts, {"confidence": settings.confidence, "endpoints": facts})


def _tables(
    data: EndpointData,
    strata: pd.DataFrame,
    settings: EvaluationSettings,
    sets: Mapping[str, Sequence[str]],
    seed: int,
) -> dict[str, pd.DataFrame]:
    """Compute every table of one endpoint, by the name of its output."""
    folds = fold_table(data, settings.confidence)
    roc, pr = curve_tables(data)
    centres = centre_table(data, folds, settings)
    return {
        "predictions": data.predictions[COLUMNS].astype(dict.fromkeys(FEATURE_SET, "str")),
        "folds": folds,
        "summary": summary_table(data, folds, settings.confidence),
        "comparisons": comparison_table(data, folds, settings, sets),
        "strata": strata_table(data, strata, settings, seed),
        "centres": centres,
        "between_centres": between_centres_table(centres, data.name, settings.confidence),
        "roc": roc,
        "pr": pr,
        "calibration": calibration_table(data, settings.calibration_bins, settings.confidence),
        "decision": decision_table(data, settings.decision_range, settings.confidence),
        "delong": delong_table(data, settings.confidence),
        "sample_size": sample_size_table(data),
        "deaths": death_table(data),
    }


def _facts(data: EndpointData, settings: EvaluationSettings, sets: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    feature_sets = list(dict.fromkeys(feature_set for feature_set, _ in data.feature_sets))
    return {
        "name": data.name,
        "horizon_days": data.horizon,
        "deaths": data.settings.get("deaths") if data.horizon is not None else None,
        "primary": data.primary,
        "primary_classifier": settings.primary_classifier,
        "equivalence_margin": settings.equivalence_margin,
        "confirmatory": confirmatory_feature_sets(feature_sets, data.primary, sets, settings.confirmatory_clinical_set),
        "weighting": "ipcw" if data.horizon is not None else "known",
        "modalities": data.modalities,
        "notes": data.notes,
        "warnings": data.warnings,
        "test_to_train": data.ratio,
        "by": data.by,
    }


def _published(data: EndpointData, signatures: Mapping[str, Signature]) -> list[dict[str, Any]]:
    """Describe each published signature, with the reason if it gives no risk and the number of missing scores."""
    known = data.predictions.drop_duplicates(["feature_set", "patient"])
    missing = known["probability"].isna().groupby(known["feature_set"].astype("str")).sum()
    return [
        {
            "name": name,
            **{key: getattr(signature, key) for key in ("title", "citation", "outcome", "region", "checked")},
            "score_only": data.score_only[SIGNATURE + name],
            "missing": int(missing[SIGNATURE + name]),
        }
        for name, signature in signatures.items()
    ]


def death_table(data: EndpointData) -> pd.DataFrame:
    """Return the numbers of patients under each rule for deaths, and which rule this run uses."""
    used = data.settings.get("deaths", "nonevent")
    return pd.DataFrame(
        [
            {"endpoint": data.name, "rule": rule, "in_use": rule == used or len(data.counts) == 1, **numbers}
            for rule, numbers in sorted(data.counts.items(), reverse=True)
        ]
    )
