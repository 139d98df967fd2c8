"""Bring the folds' predictions, thresholds, outcomes and censoring weights together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metaswin.cohort.folds import Key, by_place
from metaswin.core.files import read_json, read_table
from metaswin.evaluation.censoring import Censoring, weights
from metaswin.evaluation.intervals import share_variance
from metaswin.evaluation.metrics import cox_snell

ARM = ["arm", "head"]


@dataclass(frozen=True)
class Scored:
    """Test rows of one fold with the predictions of one arm and head.

    Attributes
    ----------
    arm, head : str
    repeat, fold : int
    label, probability, weight : array of float, shape (n,)
        Label 0, 1 or NaN (unknown); a prediction that is missing is NaN; the weight as in `EndpointData.predictions`.
    threshold : float
        NaN where the training rows gave none.
    """

    arm: str
    head: str
    repeat: int
    fold: int
    label: NDArray
    probability: NDArray
    weight: NDArray
    threshold: float

    @property
    def usable(self) -> bool:
        """Whether every row with a known outcome has a prediction and a weight, and there are both outcomes."""
        labels, scores, weights = self.known
        return bool(labels.any() and not labels.all() and np.isfinite(scores).all() and np.isfinite(weights).all())

    @property
    def known(self) -> tuple[NDArray, NDArray, NDArray]:
        """Labels (bool), predictions and weights of the rows with a known outcome."""
        known = ~np.isnan(self.label)
        return self.label[known] == 1, self.probability[known], self.weight[known]


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
    training : DataFrame
        What each fit learnt from: ``repeat, fold, arm, head, n, events, parameters, candidates, r2`` (Cox-Snell, of
        inner out-of-fold predictions).
    prevalence : dict
        Repeat and fold → share of events among its training rows, weighted at a horizon.
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
    training: pd.DataFrame
    prevalence: dict[tuple[int, int], float]
    modalities: list[str]
    warnings: list[dict[str, Any]]

    @property
    def horizon(self) -> float | None:
        """Horizon in days; None for a plain column."""
        return self.settings.get("horizon_days")

    @property
    def suffix(self) -> str:
        """Ending of the metrics that answer the question: weighted at a horizon, plain otherwise."""
        return "_ipcw" if self.horizon is not None else ""

    @cached_property
    def scored(self) -> list[Scored]:
        """The test predictions as arrays, sorted by arm, head, repeat and fold."""
        return [
            Scored(
                arm,
                head,
                repeat,
                fold,
                rows["label"].to_numpy(dtype="float64"),
                rows["probability"].to_numpy(dtype="float64"),
                rows["weight"].to_numpy(dtype="float64"),
                float(rows["threshold"].iloc[0]),
            )
            for (arm, head, repeat, fold), rows in self.predictions.groupby([*ARM, "repeat", "fold"], sort=True)
        ]

    @cached_property
    def arms(self) -> dict[tuple[str, str], list[Scored]]:
        """The same by arm and head."""
        found: dict[tuple[str, str], list[Scored]] = {}
        for part in self.scored:
            found.setdefault((part.arm, part.head), []).append(part)
        return found

    @cached_property
    def share_variance(self) -> dict[str, float]:
        """Variance of the cohort's share of events, by the ending of the weighting."""
        parts = next(iter(self.arms.values()))
        known = [part.known for part in parts if part.repeat == parts[0].repeat]
        labels, weight = (np.concatenate([rows[place] for rows in known]) for place in (0, 2))
        return {"": share_variance(labels, np.ones(len(labels))), "_ipcw": share_variance(labels, weight)}


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
    found = by_place(fits, predictions)
    return [_endpoint(read_table(path), read_json(about), found) for path, about in zip(folds, facts, strict=True)]


def _endpoint(folds: pd.DataFrame, facts: Mapping[str, Any], found: Mapping[Key, tuple[Any, str]]) -> EndpointData:
    name = facts["name"]
    folds = folds.assign(label=folds["label"].astype("float64"))
    horizon = facts["endpoint"].get("horizon_days")
    tables, ratios, training, arms = [], [], [], set()
    warnings: dict[tuple[str, str, str], dict[str, Any]] = {}
    prevalence: dict[tuple[int, int], float] = {}
    headline, modalities = "", []
    for (repeat, fold), _ in folds.groupby(["repeat", "fold"], sort=True):
        rows = folds[folds["repeat"] == repeat]
        test, train = rows[rows["fold"] == fold], rows[rows["fold"] != fold]
        key = (name, int(repeat), int(fold))
        fit, made = found[key][0], read_table(found[key][1])
        headline, modalities = fit["headline"], fit["modalities"]
        arms.add(tuple(sorted((arm, head) for arm, heads in fit["arms"].items() for head in heads)))
        for warning in fit.get("warnings", []):
            warnings.setdefault((warning["patient"], warning["code"], warning["found"]), warning)
        weigh = _weigher(train, horizon)
        tables.append(_test_rows(test, weigh(test), made, fit["arms"]))
        training.append(_training(train, made, fit["arms"]).assign(repeat=repeat, fold=fold))
        weight = weigh(train)
        prevalence[key[1:]] = float(np.sum(weight[train["label"] == 1]) / np.sum(weight))
        ratios.append(test["label"].notna().sum() / train["label"].notna().sum())
    if len(arms) > 1:
        raise ValueError(f"endpoint {name}: the folds have fitted different arms; re-run the fusion stage")
    return EndpointData(
        name,
        facts["endpoint"],
        facts["counts"],
        facts["notes"],
        pd.concat(tables, ignore_index=True).assign(endpoint=name).astype(dict.fromkeys(ARM, "category")),
        float(np.mean(ratios)),
        headline,
        pd.concat(training, ignore_index=True),
        prevalence,
        modalities,
        list(warnings.values()),
    )


def _weigher(train: pd.DataFrame, horizon: float | None) -> Callable[[pd.DataFrame], NDArray]:
    """Gives rows their weights; the censoring distribution is fitted on the training rows."""
    if horizon is None:
        return lambda rows: rows["label"].notna().to_numpy(dtype="float64")
    censoring = Censoring(train["time"].to_numpy(), train["event"].to_numpy(dtype="int64"))
    return lambda rows: weights(rows["label"].to_numpy(), rows["time"].to_numpy(), horizon, censoring)


def _training(train: pd.DataFrame, predicted: pd.DataFrame, arms: Mapping[str, Any]) -> pd.DataFrame:
    """What each arm and head of one fold was fitted on, and the R² of its inner out-of-fold predictions."""
    labels = train.set_index("patient")["label"].dropna() == 1
    inner = predicted[(predicted["part"] == "inner") & predicted["patient"].isin(labels.index)]
    by_arm = dict(list(inner.groupby(ARM)))
    records = []
    for arm, heads in arms.items():
        for head, fit in heads.items():
            rows = by_arm.get((arm, head), inner.head(0))
            r2 = cox_snell(labels.loc[rows["patient"]].to_numpy(), rows["probability"].to_numpy(dtype="float64"))
            facts = {"arm": arm, "head": head, "n": fit["n_train"], "events": fit["events_train"]}
            records.append({**facts, "parameters": len(fit["columns"]), "candidates": fit["candidates"], "r2": r2})
    return pd.DataFrame(records)


def _test_rows(
    test: pd.DataFrame, weight: NDArray, predicted: pd.DataFrame, arms: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> pd.DataFrame:
    """Test rows of one fold for every arm and head."""
    rows = test[["repeat", "fold", "patient", "label", "time", "event"]].assign(weight=weight)
    thresholds = pd.DataFrame(
        [(arm, head, fit["threshold"]) for arm, heads in arms.items() for head, fit in heads.items()],
        columns=[*ARM, "threshold"],
    ).astype({"threshold": "float64"})
    probabilities = predicted.loc[predicted["part"] == "test", ["patient", *ARM, "probability"]]
    return rows.merge(thresholds, how="cross").merge(
        probabilities, on=["patient", *ARM], how="left", validate="one_to_one"
    )
