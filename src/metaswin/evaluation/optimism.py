"""Measure for each fold how much better a model performs on its training rows than on other rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metaswin.cohort.folds import Folds, OuterFold, by_place
from metaswin.core.files import read_json, read_table, write_table
from metaswin.models.thresholds import auc

KEYS = ["endpoint", "repeat", "fold", "feature_set", "classifier"]
AUCS = ["auc_train", "auc_inner", "auc_test"]
DEEP = "deep_score"


@dataclass(frozen=True)
class OptimismInputs:
    """Name the files that `measure_optimism` reads.

    Predictions, fits and deep features have one file for every endpoint, repeat and fold, in the same order. ``deep``
    is empty if no network is used. Folds and facts have one file for every endpoint.
    """

    predictions: list[str]
    fits: list[str]
    folds: list[str]
    facts: list[str]
    deep: list[str]


def measure_optimism(inputs: OptimismInputs, output: str, backbone: str) -> None:
    """Write the AUCs of modalities, baselines, primary model and deep score on training rows and on other rows.

    Parameters
    ----------
    inputs : OptimismInputs
    output : str
        ``optimism.parquet``: `KEYS`, ``deep_score`` (the setting), `AUCS` and ``why`` (reason for a missing AUC).
    backbone : str
        Value of ``classifier`` in the row of the deep score.
    """
    folds = {read_json(about)["name"]: read_table(path) for path, about in zip(inputs.folds, inputs.facts, strict=True)}
    deep = inputs.deep or [""] * len(inputs.fits)
    records = []
    found = by_place(inputs.fits, inputs.predictions, deep)
    for (endpoint, repeat, fold), (fits, predictions, features) in found.items():
        rows = Folds.of(folds[endpoint], repeat).outer(fold)
        own = feature_set_records(fits, read_table(predictions), rows)
        if features:
            aucs = deep_aucs(read_table(features), rows, fits["deep_score"])
            own.append({"feature_set": DEEP, "classifier": backbone, **aucs})
        place = {"endpoint": endpoint, "repeat": repeat, "fold": fold, "deep_score": fits["deep_score"]}
        records += [place | record for record in own]
    table = pd.DataFrame(records, columns=[*KEYS, "deep_score", *AUCS, "why"])
    write_table(output, table.astype(dict.fromkeys(AUCS, "float64")).sort_values(KEYS, ignore_index=True))


def feature_set_records(fits: Mapping[str, Any], predictions: pd.DataFrame, rows: OuterFold) -> list[dict[str, Any]]:
    """Compute the AUCs of each modality alone, volume, each clinical set and the primary model.

    Known labels have the weight 1.

    Parameters
    ----------
    fits, predictions
        ``fits.json`` and ``predictions.parquet`` of one outer fold.
    rows : OuterFold
    """
    test = predictions[predictions["part"] == "test"].assign(label=predictions["patient"].map(rows.folds.labels))
    by_feature_set = {key: rows.dropna(subset=["label"]) for key, rows in test.groupby(["feature_set", "classifier"])}
    records = []
    for feature_set, classifiers in fits["feature_sets"].items():
        if "+" in feature_set and feature_set != fits["primary"]:
            continue
        for classifier, fit in classifiers.items():
            own = by_feature_set[feature_set, classifier]
            value = auc(own["probability"].to_numpy(), own["label"].to_numpy())
            aucs = {"auc_train": fit["auc_train"], "auc_inner": fit["auc_inner"], "auc_test": value}
            records.append({"feature_set": feature_set, "classifier": classifier, **aucs, "why": _why(aucs, {})})
    return records


def deep_aucs(features: pd.DataFrame, rows: OuterFold, mode: str) -> dict[str, Any]:
    """Compute the AUCs of the network on its training rows, on the other folds and on the test rows.

    The AUC on the other folds is the mean of the AUCs of the fits that leave them out. Scores of different networks
    are never ranked together.

    Parameters
    ----------
    features : DataFrame
        ``patient, score, score_seen`` of one outer fold.
    rows : OuterFold
    mode : str
        ``fusion.deep_score``.
    """
    scores = features.set_index("patient").loc[rows.patients, ["score", "score_seen"]]
    score, seen = (scores[name].to_numpy(dtype="float64") for name in scores)

    def value(values: NDArray, chosen: NDArray) -> float | None:
        usable = chosen & ~np.isnan(values) & ~np.isnan(rows.label)
        return auc(values[usable], rows.label[usable])

    fits = [] if mode == "in-sample" else rows.inner
    inner = [value(score, rows.scored(fit)) for fit in fits]
    estimable = [one for one in inner if one is not None]
    aucs = {
        "auc_train": value(seen, np.ones(len(seen), dtype=bool)),
        "auc_inner": float(np.mean(estimable)) if estimable else None,
        "auc_test": value(score, rows.test),
    }
    reasons = {} if inner else {"auc_inner": "all networks were trained on all training rows"}
    return {**aucs, "why": _why(aucs, reasons)}


def _why(aucs: Mapping[str, float | None], reasons: Mapping[str, str]) -> str:
    """Return the reasons for missing AUCs, such as ``auc_inner: …``; empty if none is missing."""
    missing = [name for name, value in aucs.items() if value is None]
    return "; ".join(f"{name}: {reasons.get(name, 'one outcome only')}" for name in missing)
