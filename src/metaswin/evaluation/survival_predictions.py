"""Collect the risks, the follow-up and the censoring distributions of the folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metaswin.cohort.folds import Folds, Key, by_place
from metaswin.core.files import read_json, read_table
from metaswin.evaluation.censoring import Censoring


@dataclass(frozen=True)
class ScoredFold:
    """Store the test rows of one fold that have known follow-up.

    Attributes
    ----------
    repeat, fold : int
    rows : DataFrame
        ``patient, time, event, label, followup, dead``.
    risks : dict
        Feature set → risk of metastasis by the horizon, of shape (rows,). NaN if it is missing.
    groups : dict
        Feature set → number of the risk group, -1 if the risk is missing.
    censoring : Censoring
        Fitted on the training rows of the fold.
    why : str
        Reason if there are no risks, otherwise empty.
    """

    repeat: int
    fold: int
    rows: pd.DataFrame
    risks: dict[str, NDArray]
    groups: dict[str, NDArray]
    censoring: Censoring
    why: str


@dataclass(frozen=True)
class SurvivalData:
    """Store the data that the evaluation of one endpoint needs.

    Attributes
    ----------
    name : str
    horizon : float
        Days.
    primary : str
    feature_sets : list of str
    folds : list of ScoredFold
        Sorted by repeat and fold.
    ratio : float
        Mean over folds of (test rows / training rows).
    training : list of dict
        Numbers of the training rows of each fold.
    """

    name: str
    horizon: float
    primary: str
    feature_sets: list[str]
    folds: list[ScoredFold]
    ratio: float
    training: list[dict[str, int]]

    @property
    def repeats(self) -> list[int]:
        return sorted({fold.repeat for fold in self.folds})

    @property
    def why(self) -> str:
        """Reasons if folds have no risks, otherwise empty."""
        return "; ".join(sorted({fold.why for fold in self.folds} - {""}))

    def pooled(self, feature_set: str, repeat: int) -> pd.DataFrame:
        """Return the test rows of all folds of a repeat: the columns of `ScoredFold.rows`, ``fold, risk, group``.

        Each patient occurs once. Groups can be compared across folds, because the limits of each fold are quantiles of
        its own training risks. Risks are not pooled for ranking.
        """
        parts = [
            fold.rows.assign(fold=fold.fold, risk=fold.risks[feature_set], group=fold.groups[feature_set])
            for fold in self.folds
            if fold.repeat == repeat
        ]
        return pd.concat(parts, ignore_index=True)


def gather(
    predictions: Sequence[str], fits: Sequence[str], folds: Sequence[str], facts: Sequence[str]
) -> list[SurvivalData]:
    """Read the artefacts of all endpoints, in the order of `folds`.

    Parameters
    ----------
    predictions, fits : sequence of paths
        ``survival/predictions.parquet`` and ``survival/fits.json`` of every endpoint, repeat and fold.
    folds, facts : sequence of paths
        ``folds/<endpoint>.parquet`` and ``folds/<endpoint>.json``.
    """
    found = by_place(fits, predictions)
    return [_endpoint(read_table(path), read_json(about), found) for path, about in zip(folds, facts, strict=True)]


def _endpoint(table: pd.DataFrame, about: Mapping[str, Any], found: Mapping[Key, tuple[Any, str]]) -> SurvivalData:
    name = about["name"]
    parts, ratios, training, primary, feature_sets = [], [], [], "", []
    for key in sorted(key for key in found if key[0] == name):
        fit, predicted = found[key]
        primary, feature_sets = fit["primary"], list(fit["feature_sets"])
        rows = Folds.of(table, key[1]).with_followup().outer(key[2])
        censoring = Censoring(rows.time[rows.train], rows.event[rows.train])
        parts.append(_fold(table, key[1], key[2], read_table(predicted), fit, censoring))
        ratios.append(len(parts[-1].rows) / max(int(rows.train.sum()), 1))
        training.append({"repeat": key[1], "fold": key[2], **fit["rows"]})
    horizon = float(about["endpoint"]["horizon_days"])
    return SurvivalData(name, horizon, primary, feature_sets, parts, float(np.mean(ratios)), training)


def _fold(
    folds: pd.DataFrame,
    repeat: int,
    fold: int,
    predicted: pd.DataFrame,
    fit: Mapping[str, Any],
    censoring: Censoring,
) -> ScoredFold:
    test = folds[(folds["repeat"] == repeat) & (folds["fold"] == fold)]
    test = test[test["time"].notna() & test["event"].notna()].sort_values("patient")
    types = {"time": "float64", "event": "int64", "label": "float64", "followup": "float64", "dead": "float64"}
    rows = test[["patient", *types]].astype(types).reset_index(drop=True)
    by_feature_set = predicted[predicted["part"] == "test"].pivot(index="patient", columns="feature_set", values="risk")
    by_feature_set = by_feature_set.reindex(rows["patient"])
    risks = {feature_set: by_feature_set[feature_set].to_numpy(dtype="float64") for feature_set in fit["feature_sets"]}
    groups = {
        feature_set: risk_groups(risk, fit["feature_sets"][feature_set].get("thresholds", []))
        for feature_set, risk in risks.items()
    }
    return ScoredFold(repeat, fold, rows, risks, groups, censoring, fit["why"])


def risk_groups(risk: NDArray, thresholds: Sequence[float]) -> NDArray:
    """Return the number of the group of each risk.

    The lowest group is 0. A risk at a limit belongs to the higher group. A missing risk has the group -1.
    """
    return np.where(np.isnan(risk), -1, np.searchsorted(np.asarray(thresholds, dtype="float64"), risk, side="right"))
