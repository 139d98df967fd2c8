"""Evaluate the predictions of an earlier run with and without the patients that a reviewer excluded after it."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metaswin.cohort.review import KEPT
from metaswin.core.files import metadata_of, read_json, read_table, write_table

COLUMNS = ["endpoint", "repeat", "fold", "patient", "feature_set", "classifier", "probability", "label", "weight"]


def predictions_exist(results: Path) -> bool:
    """Return whether a model of this or an earlier run in this folder has predicted test rows or new patients."""
    files = ("evaluation/predictions.parquet", "predictions/predictions.parquet", KEPT)
    folds = results.glob("models/*/as-is/r*/fold-*/fusion/predictions.parquet")
    return any((results / name).is_file() for name in files) or next(folds, None) is not None


def keep_predictions(results: Path) -> None:
    """Copy the test predictions of the primary model to a file that the next run does not overwrite.

    An exclusion that is decided now is applied in the next run, which does not predict the patient. The copy is kept
    until a run predicts all of its patients again.
    """
    found, kept = results / "evaluation/predictions.parquet", results / KEPT
    if not found.is_file():
        return
    table = read_table(found, columns=COLUMNS)
    if kept.is_file() and not set(read_table(kept, columns=["patient"])["patient"]) <= set(table["patient"]):
        return
    facts = read_json(results / "evaluation/facts.json")["endpoints"]
    primary = {about["name"]: (about["primary"], about.get("primary_classifier", "network")) for about in facts}
    own = [
        table[(table["endpoint"] == name) & (table["feature_set"] == feature_set) & (table["classifier"] == classifier)]
        for name, (feature_set, classifier) in primary.items()
    ]
    weighting = {about["name"]: about["weighting"] for about in facts}
    write_table(kept, pd.concat(own, ignore_index=True), {"weighting": json.dumps(weighting)})


def with_and_without(kept: str | Path, excluded: Collection[str]) -> list[dict[str, Any]]:
    """Return the AUC of the kept predictions with and without some patients, one record for each endpoint.

    The models are those of the earlier run, and the excluded patients were among their training rows.

    Parameters
    ----------
    kept : path
        See `keep_predictions`.
    excluded : collection of str

    Returns
    -------
    list of dict
        ``endpoint``, ``predicted`` (number of the excluded patients with a prediction), and for each of ``with`` and
        ``without``: ``n``, ``events``, ``auc`` (mean over the folds with both outcomes; None without such a fold) and
        ``folds``.
    """
    weighting = json.loads(metadata_of(kept)["weighting"])
    records = []
    for endpoint, rows in read_table(kept).groupby("endpoint", sort=True):
        left = rows["patient"].isin(excluded)
        records.append(
            {
                "endpoint": endpoint,
                "predicted": rows.loc[left, "patient"].nunique(),
                "with": _auc(rows, weighting[endpoint] == "ipcw"),
                "without": _auc(rows[~left], weighting[endpoint] == "ipcw"),
            }
        )
    return records


def _auc(rows: pd.DataFrame, weighted: bool) -> dict[str, Any]:
    from metaswin.evaluation.metrics import fold_metrics  # it loads scikit-learn, which the viewer does not need

    found = []
    for _, fold in rows.groupby(["repeat", "fold"], sort=True):
        label, probability, weight = (fold[name].to_numpy("float64") for name in ("label", "probability", "weight"))
        value = fold_metrics(label, probability, None, weight if weighted else np.ones(len(fold)))["auc"].value
        if value is not None and np.isfinite(value):
            found.append(value)
    known = rows.drop_duplicates("patient")["label"].dropna()
    return {
        "n": len(known),
        "events": int((known == 1).sum()),
        "auc": float(np.mean(found)) if found else None,
        "folds": len(found),
    }
