"""How much better a model does on rows it was fitted on than on others, fold by fold."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metaswin.deep.rows import rows_of
from metaswin.evaluation.gather import fold_key
from metaswin.files import read_json, read_table, write_table
from metaswin.fusion.thresholds import auc

KEYS = ["endpoint", "repeat", "fold", "arm", "head"]
AUCS = ["auc_train", "auc_inner", "auc_test"]
DEEP = "deep_score"


def measure_optimism(inputs: Mapping[str, Sequence[str]], output: str, backbone: str) -> None:
    """Write the AUC of each modality alone, of the headline and of the deep score on rows seen and not seen.

    Parameters
    ----------
    inputs : mapping
        Lists ``predictions, fits`` (of every endpoint, repeat and fold), ``folds`` (of every endpoint) and ``deep``
        (``features.parquet`` of every fold; may be empty).
    output : str
        ``optimism.parquet``: `KEYS`, ``deep_score`` (the setting), `AUCS` and ``why`` a missing one is missing.
    backbone : str
        The head of the deep score's row.
    """
    folds = {Path(path).stem: read_table(path) for path in inputs["folds"]}
    predictions = {fold_key(path): path for path in inputs["predictions"]}
    deep = {fold_key(path): path for path in inputs["deep"]}
    records = []
    for path in inputs["fits"]:
        key = endpoint, repeat, fold = fold_key(path)
        fits, table = read_json(path), folds[endpoint]
        found = arm_records(fits, read_table(predictions[key]), table, repeat)
        if key in deep:
            aucs = deep_aucs(read_table(deep[key]), table, repeat, fold, fits["deep_score"])
            found.append({"arm": DEEP, "head": backbone, **aucs})
        place = {"endpoint": endpoint, "repeat": repeat, "fold": fold, "deep_score": fits["deep_score"]}
        records += [place | record for record in found]
    table = pd.DataFrame(records, columns=[*KEYS, "deep_score", *AUCS, "why"])
    write_table(output, table.astype(dict.fromkeys(AUCS, "float64")).sort_values(KEYS, ignore_index=True))


def arm_records(
    fits: Mapping[str, Any], predictions: pd.DataFrame, folds: pd.DataFrame, repeat: int
) -> list[dict[str, Any]]:
    """AUCs of each modality alone, volume, each clinical set and the headline; known labels count 1 each.

    Parameters
    ----------
    fits, predictions
        ``fits.json`` and ``predictions.parquet`` of one fold.
    folds : DataFrame
        ``patient, repeat, label``.
    repeat : int
    """
    labels = folds[folds["repeat"] == repeat].set_index("patient")["label"]
    test = predictions[predictions["part"] == "test"].assign(label=predictions["patient"].map(labels))
    by_arm = {key: rows.dropna(subset=["label"]) for key, rows in test.groupby(["arm", "head"])}
    records = []
    for arm, heads in fits["arms"].items():
        if "+" in arm and arm != fits["headline"]:
            continue
        for head, fit in heads.items():
            rows = by_arm[arm, head]
            value = auc(rows["probability"].to_numpy(), rows["label"].to_numpy())
            aucs = {"auc_train": fit["auc_train"], "auc_inner": fit["auc_inner"], "auc_test": value}
            records.append({"arm": arm, "head": head, **aucs, "why": _why(aucs, {})})
    return records


def deep_aucs(features: pd.DataFrame, folds: pd.DataFrame, repeat: int, fold: int, mode: str) -> dict[str, Any]:
    """AUCs of the network itself: on its training rows, on inner folds left out (their mean), on the test rows.

    Scores of different networks are never ranked together.

    Parameters
    ----------
    features : DataFrame
        ``patient, score, score_seen`` of one fold.
    folds : DataFrame
        ``folds/<endpoint>.parquet``.
    repeat, fold : int
    mode : str
        ``fusion.deep_score``.
    """
    rows = rows_of(folds, repeat, fold).join(features.set_index("patient")[["score", "score_seen"]])
    known = rows[rows["label"].notna()]
    scored = known[known["score"].notna()]
    unseen = scored[(scored["role"] == "train") & (mode != "in-sample")]
    inner = [_auc(part, "score") for _, part in unseen.groupby("inner")]
    estimable = [value for value in inner if value is not None]
    aucs = {
        "auc_train": _auc(known[known["score_seen"].notna()], "score_seen"),
        "auc_inner": float(np.mean(estimable)) if estimable else None,
        "auc_test": _auc(scored[scored["role"] == "test"], "score"),
    }
    reasons = {} if inner else {"auc_inner": "no network has left out a training row"}
    return {**aucs, "why": _why(aucs, reasons)}


def _auc(rows: pd.DataFrame, column: str) -> float | None:
    return auc(rows[column].to_numpy(dtype="float64"), rows["label"].to_numpy(dtype="float64"))


def _why(aucs: Mapping[str, float | None], reasons: Mapping[str, str]) -> str:
    """Reasons of the missing ones, as ``auc_inner: …``; empty where none is missing."""
    missing = [name for name, value in aucs.items() if value is None]
    return "; ".join(f"{name}: {reasons.get(name, 'one outcome only')}" for name in missing)
