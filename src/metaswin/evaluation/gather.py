"""Bring the folds' predictions, thresholds, outcomes and censoring weights together."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metaswin.evaluation.censoring import Censoring, weights
from metaswin.files import read_json, read_table

_FOLD = re.compile(r"models/(?P<endpoint>[^/]+)/[^/]+/r(?P<repeat>\d+)-f(?P<fold>\d+)/")
ARM = ["arm", "head"]


@dataclass(frozen=True)
class EndpointData:
    """Everything evaluation needs of one endpoint.

    Attributes
    ----------
    name : str
    settings : dict
        The endpoint's settings.
    counts : dict
        Numbers of patients under each rule of deaths.
    notes : list of str
        Notes of the folds.
    predictions : DataFrame
        Test predictions: ``endpoint, repeat, fold, patient, arm, head, probability, threshold, label, time,
        event, weight``. A test row an arm did not predict is there with a missing probability.
    ratio : float
        Mean over folds of (test rows / training rows), known outcomes only.
    headline : str
        The arm that answers the question; fixed in the config, never picked by its result.
    modalities : list of str
        Modalities of this run.
    warnings : list of dict
        Public problems of the fits.
    """

    name: str
    settings: dict[str, Any]
    counts: dict[str, dict[str, int]]
    notes: list[str]
    predictions: pd.DataFrame
    ratio: float
    headline: str
    modalities: list[str]
    warnings: list[dict[str, Any]]

    @property
    def horizon(self) -> float | None:
        """Horizon in days; None for a plain column."""
        return self.settings.get("horizon_days")


def fold_key(path: str | Path) -> tuple[str, int, int]:
    """Endpoint, repeat and fold of a file below ``models/<endpoint>/<variant>/r<repeat>-f<fold>/``."""
    match = _FOLD.search(Path(path).as_posix())
    if match is None:
        raise ValueError(f"{path} does not lie below models/<endpoint>/<variant>/r<repeat>-f<fold>/")
    return match["endpoint"], int(match["repeat"]), int(match["fold"])


def gather(
    predictions: Sequence[str], fits: Sequence[str], folds: Sequence[str], facts: Sequence[str]
) -> list[EndpointData]:
    """Read the artefacts of all endpoints, in the order of `folds`.

    Parameters
    ----------
    predictions, fits : sequence of paths
        ``fusion/predictions.parquet`` and ``fusion/fits.json`` of every endpoint, repeat and fold.
    folds, facts : sequence of paths
        ``folds/<endpoint>.parquet`` and ``folds/<endpoint>.json``.

    Raises
    ------
    ValueError
        If the folds of an endpoint have not fitted the same arms.
    """
    predicted = {fold_key(path): path for path in predictions}
    fitted = {fold_key(path): path for path in fits}
    about = {Path(path).stem: read_json(path) for path in facts}
    return [_endpoint(Path(path).stem, read_table(path), about, predicted, fitted) for path in folds]


def _endpoint(
    name: str,
    folds: pd.DataFrame,
    about: Mapping[str, Any],
    predicted: Mapping[tuple[str, int, int], str],
    fitted: Mapping[tuple[str, int, int], str],
) -> EndpointData:
    folds = folds.assign(label=folds["label"].astype("float64"))
    facts = about[name]
    horizon = facts["endpoint"].get("horizon_days")
    tables, ratios, warnings, arms = [], [], {}, set()
    headline, modalities = "", []
    for (repeat, fold), _ in folds.groupby(["repeat", "fold"], sort=True):
        rows = folds[folds["repeat"] == repeat]
        test, train = rows[rows["fold"] == fold], rows[rows["fold"] != fold]
        key = (name, int(repeat), int(fold))
        fit = read_json(fitted[key])
        headline, modalities = fit["headline"], fit["modalities"]
        arms.add(tuple(sorted((arm, head) for arm, heads in fit["arms"].items() for head in heads)))
        for warning in fit.get("warnings", []):
            warnings.setdefault((warning["patient"], warning["code"], warning["found"]), warning)
        tables.append(_test_rows(test, train, horizon, read_table(predicted[key]), fit["arms"]))
        ratios.append(test["label"].notna().sum() / train["label"].notna().sum())
    if len(arms) > 1:
        raise ValueError(f"endpoint {name}: the folds have fitted different arms; re-run the fusion stage")
    return EndpointData(
        name,
        facts["endpoint"],
        facts["counts"],
        facts["notes"],
        pd.concat(tables, ignore_index=True).assign(endpoint=name),
        float(np.mean(ratios)),
        headline,
        modalities,
        list(warnings.values()),
    )


def _test_rows(
    test: pd.DataFrame,
    train: pd.DataFrame,
    horizon: float | None,
    predicted: pd.DataFrame,
    arms: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> pd.DataFrame:
    """Test rows of one fold for every arm and head, with weights fitted on its training rows."""
    known = test["label"].notna()
    if horizon is None:
        weight = known.to_numpy(dtype="float64")
    else:
        censoring = Censoring(train["time"].to_numpy(), train["event"].to_numpy(dtype="int64"))
        weight = weights(test["label"].to_numpy(), test["time"].to_numpy(), horizon, censoring)
    rows = test[["repeat", "fold", "patient", "label", "time", "event"]].assign(weight=weight)
    thresholds = pd.DataFrame(
        [(arm, head, fit["threshold"]) for arm, heads in arms.items() for head, fit in heads.items()],
        columns=[*ARM, "threshold"],
    ).astype({"threshold": "float64"})
    probabilities = predicted.loc[predicted["part"] == "test", ["patient", *ARM, "probability"]]
    return rows.merge(thresholds, how="cross").merge(
        probabilities, on=["patient", *ARM], how="left", validate="one_to_one"
    )
