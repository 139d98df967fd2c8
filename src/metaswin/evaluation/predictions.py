"""Collect the predictions, thresholds, outcomes and censoring weights of the folds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from metaswin.cohort.folds import Key, by_place
from metaswin.config.signatures import Signature
from metaswin.core.files import read_json, read_table
from metaswin.core.formatting import PUBLISHED, SIGNATURE
from metaswin.evaluation.censoring import Censoring, weights
from metaswin.evaluation.intervals import too_few
from metaswin.evaluation.metrics import cox_snell

FEATURE_SET = ["feature_set", "classifier"]
# Reason if a fold is not `Scored.usable`.
UNUSABLE = "one outcome only, or a prediction is missing"


@dataclass(frozen=True)
class Scored:
    """Store the test rows of one fold with the predictions of one feature set and classifier.

    Attributes
    ----------
    feature_set, classifier : str
    repeat, fold : int
    label, probability, weight : array of float, shape (n,)
        Label 0, 1 or NaN (unknown). A missing prediction is NaN. The weight is that of `EndpointData.predictions`.
    threshold : float
        NaN if the training rows gave no threshold.
    refits : array, shape (k, n)
        Predictions of the same rows by the inner fits. Row g is the fit that leaves out this fold and fold g. NaN in
        the row of this fold and for missing predictions. Shape (0, 0) if there are no inner fits.
    refit_thresholds : array, shape (k,)
        Thresholds of the inner fits.
    score_only : str
        Reason if the predictions are scores and not risks, so only their order is used. Empty for risks.
    patients : array of str, shape (n,)
    """

    feature_set: str
    classifier: str
    repeat: int
    fold: int
    label: NDArray
    probability: NDArray
    weight: NDArray
    threshold: float
    refits: NDArray = field(default_factory=lambda: np.empty((0, 0)))
    refit_thresholds: NDArray = field(default_factory=lambda: np.empty(0))
    score_only: str = ""
    patients: NDArray = field(default_factory=lambda: np.empty(0, dtype=object))

    def among(self, patients: NDArray) -> "Scored":
        """Return the same with only the rows of `patients`."""
        kept = np.isin(self.patients, patients)
        rows = {name: getattr(self, name)[kept] for name in ("label", "probability", "weight", "patients")}
        return replace(self, **rows, refits=self.refits[:, kept] if len(self.refits) else self.refits)

    @property
    def usable(self) -> bool:
        """Whether both outcomes occur and every row with a known outcome has a prediction and a weight."""
        labels, scores, weights = self.known
        return bool(labels.any() and not labels.all() and np.isfinite(scores).all() and np.isfinite(weights).all())

    @property
    def complete(self) -> bool:
        """Whether there are rows with a known outcome and all of them have a prediction and a weight."""
        _, scores, weights = self.known
        return bool(len(scores) and np.isfinite(scores).all() and np.isfinite(weights).all())

    @property
    def known_refits(self) -> NDArray:
        """`refits` of the rows with a known outcome."""
        return self.refits[:, ~np.isnan(self.label)] if len(self.refits) else self.refits

    @property
    def known(self) -> tuple[NDArray, NDArray, NDArray]:
        """Labels (bool), predictions and weights of the rows with a known outcome."""
        known = ~np.isnan(self.label)
        return self.label[known] == 1, self.probability[known], self.weight[known]


@dataclass(frozen=True)
class EndpointData:
    """Store the data of one endpoint that the evaluation needs.

    Attributes
    ----------
    name : str
    settings : dict
        Settings of the endpoint.
    counts : dict
        Numbers of patients under each rule for deaths.
    notes : list of str
        Notes of the folds.
    predictions : DataFrame
        Test predictions: ``endpoint, repeat, fold, patient, feature_set, classifier, probability, threshold, label,
        time, event, weight``. A test row that a feature set did not predict has a missing probability. If `score_only`
        has a reason for a published signature, the probability is its score.
    ratio : float
        Mean over folds of (test rows / training rows), known outcomes only.
    primary : str
        Primary feature set. It is fixed in the configuration and never chosen by its result.
    training : DataFrame
        Training data of each fit: ``repeat, fold, feature_set, classifier, n, events, parameters, candidates, r2``
        (Cox-Snell, of inner out-of-fold predictions).
    inner : dict
        Repeat and fold → predictions of its training rows by the fits that leave out the row's fold (patients × feature
        set and classifier), and the thresholds of the fold.
    prevalence : dict
        Repeat and fold → prevalence in its training rows, weighted at a horizon.
    modalities : list of str
        Modalities of this run.
    warnings : list of dict
        Public problems of the fits.
    score_only : dict
        Feature set of each published signature → reason if its predictions are not risks of this endpoint, otherwise
        empty.
    by : str or None
        ``folds.by``. None if the folds are not centres.
    centres : list of str
        Name of the centre of each fold, by the number of the fold. Empty if the folds are not centres.
    """

    name: str
    settings: dict[str, Any]
    counts: dict[str, dict[str, int]]
    notes: list[str]
    predictions: pd.DataFrame
    ratio: float
    primary: str
    training: pd.DataFrame
    inner: dict[tuple[int, int], tuple[pd.DataFrame, dict[tuple[str, str], float]]]
    prevalence: dict[tuple[int, int], float]
    modalities: list[str]
    warnings: list[dict[str, Any]]
    score_only: dict[str, str] = field(default_factory=dict)
    by: str | None = None
    centres: list[str] = field(default_factory=list)

    @property
    def horizon(self) -> float | None:
        """Horizon in days; None for a plain column."""
        return self.settings.get("horizon_days")

    @property
    def suffix(self) -> str:
        """Suffix of the primary metrics, which are weighted at a horizon and otherwise plain."""
        return "_ipcw" if self.horizon is not None else ""

    @cached_property
    def scored(self) -> list[Scored]:
        """Test predictions as arrays, sorted by feature set, classifier, repeat and fold.

        The rows of a published signature do not include patients without its score, because no fit can impute them.
        """
        found = []
        for (feature_set, classifier, repeat, fold), rows in self.predictions.groupby(
            [*FEATURE_SET, "repeat", "fold"], sort=True, observed=True
        ):
            key = (feature_set, classifier)
            if feature_set in self.score_only:
                rows = rows[rows["probability"].notna()]
            places = [place for place in sorted(self.inner) if place[0] == repeat]
            refits = np.full((len(places), len(rows)), np.nan)
            limits = np.full(len(places), np.nan)
            for row, place in enumerate(places):
                table, thresholds = self.inner[place]
                if place[1] != fold and key in table:
                    refits[row] = table[key].reindex(rows["patient"]).to_numpy(dtype="float64")
                    limits[row] = thresholds[key]
            found.append(
                Scored(
                    feature_set,
                    classifier,
                    repeat,
                    fold,
                    rows["label"].to_numpy(dtype="float64"),
                    rows["probability"].to_numpy(dtype="float64"),
                    rows["weight"].to_numpy(dtype="float64"),
                    float(rows["threshold"].iloc[0]) if len(rows) else np.nan,
                    refits,
                    limits,
                    self.score_only.get(feature_set, ""),
                    rows["patient"].to_numpy(dtype=object),
                )
            )
        return found

    @cached_property
    def feature_sets(self) -> dict[tuple[str, str], list[Scored]]:
        """Test predictions by feature set and classifier."""
        found: dict[tuple[str, str], list[Scored]] = {}
        for part in self.scored:
            found.setdefault((part.feature_set, part.classifier), []).append(part)
        return found

    @cached_property
    def few(self) -> str:
        """Reason if all folds of a repeat together have too few outcomes for an interval, otherwise empty."""
        labels = self.predictions.drop_duplicates("patient")["label"]
        return too_few(int((labels == 1).sum()), int((labels == 0).sum()))


def gather(
    predictions: Sequence[str],
    fits: Sequence[str],
    folds: Sequence[str],
    facts: Sequence[str],
    signatures: Mapping[str, Signature] | None = None,
    scores: pd.DataFrame | None = None,
) -> list[EndpointData]:
    """Read the artefacts of all endpoints, in the order of `folds`.

    Parameters
    ----------
    predictions, fits : sequence of paths
        ``fusion/predictions.parquet`` and ``fusion/fits.json`` of every endpoint, repeat and fold.
    folds, facts : sequence of paths
        ``folds/<endpoint>.parquet`` and ``folds/<endpoint>.json``.
    signatures : mapping or None
        Name → published signature.
    scores : DataFrame or None
        Scores of the signatures, one column each, with index ``patient``.

    Raises
    ------
    ValueError
        If the folds of an endpoint have different feature sets.
    """
    found = by_place(fits, predictions)
    endpoints = [_endpoint(read_table(path), read_json(about), found) for path, about in zip(folds, facts, strict=True)]
    if not signatures or scores is None:
        return endpoints
    return [_with_signatures(data, signatures, scores) for data in endpoints]


def _with_signatures(data: EndpointData, signatures: Mapping[str, Signature], scores: pd.DataFrame) -> EndpointData:
    """Add each published signature as a feature set on the same test rows.

    A signature is not fitted. Every fold and every inner fit has the same score. Therefore the variance of its fits is
    0.
    """
    columns = ["repeat", "fold", "patient", "label", "time", "event", "weight", "endpoint"]
    rows = data.predictions.drop_duplicates(["repeat", "fold", "patient"])[columns]
    tables, found = [data.predictions.astype(dict.fromkeys(FEATURE_SET, "str"))], {}
    inner = {place: (table.copy(), dict(limits)) for place, (table, limits) in data.inner.items()}
    for name, signature in signatures.items():
        why = signature.no_risk(data.horizon)
        values = scores[name] if why else pd.Series(expit(scores[name]), scores.index)
        key = (SIGNATURE + name, PUBLISHED)
        found[key[0]] = why
        facts = {"feature_set": key[0], "classifier": key[1], "threshold": np.nan}
        tables.append(rows.assign(**facts, probability=rows["patient"].map(values)))
        for table, limits in inner.values():
            table[key] = values.reindex(table.index)
            limits[key] = np.nan
    joined = pd.concat(tables, ignore_index=True).astype(dict.fromkeys(FEATURE_SET, "category"))
    return replace(data, predictions=joined, inner=inner, score_only=found)


def _endpoint(folds: pd.DataFrame, facts: Mapping[str, Any], found: Mapping[Key, tuple[Any, str]]) -> EndpointData:
    name, by = facts["name"], facts.get("by")
    folds = folds.assign(label=folds["label"].astype("float64"))
    horizon = facts["endpoint"].get("horizon_days")
    tables, ratios, training, feature_sets = [], [], [], set()
    warnings: dict[tuple[str, str, str], dict[str, Any]] = {}
    prevalence: dict[tuple[int, int], float] = {}
    inner = {}
    primary, modalities = "", []
    for (repeat, fold), _ in folds.groupby(["repeat", "fold"], sort=True):
        rows = folds[folds["repeat"] == repeat]
        test, train = rows[rows["fold"] == fold], rows[rows["fold"] != fold]
        key = (name, int(repeat), int(fold))
        fit, made = found[key][0], read_table(found[key][1])
        primary, modalities = fit["primary"], fit["modalities"]
        feature_sets.add(
            tuple(
                sorted(
                    (feature_set, classifier)
                    for feature_set, classifiers in fit["feature_sets"].items()
                    for classifier in classifiers
                )
            )
        )
        for warning in fit.get("warnings", []):
            warnings.setdefault((warning["patient"], warning["code"], warning["found"]), warning)
        weigh = _weigher(train, horizon)
        tables.append(_test_rows(test, weigh(test), made, fit["feature_sets"]))
        training.append(_training(train, made, fit["feature_sets"]).assign(repeat=repeat, fold=fold))
        inner[key[1:]] = _inner(made, fit["feature_sets"])
        weight = weigh(train)
        prevalence[key[1:]] = float(np.sum(weight[train["label"] == 1]) / np.sum(weight))
        ratios.append(test["label"].notna().sum() / train["label"].notna().sum())
    if len(feature_sets) > 1:
        raise ValueError(f"endpoint {name}: the folds have different feature sets; rerun the fusion stage")
    return EndpointData(
        name,
        facts["endpoint"],
        facts["counts"],
        facts["notes"],
        pd.concat(tables, ignore_index=True).assign(endpoint=name).astype(dict.fromkeys(FEATURE_SET, "category")),
        float(np.mean(ratios)),
        primary,
        pd.concat(training, ignore_index=True),
        inner,
        prevalence,
        modalities,
        list(warnings.values()),
        by=by,
        centres=folds.drop_duplicates("fold").sort_values("fold")["stratum"].tolist() if by is not None else [],
    )


def _weigher(train: pd.DataFrame, horizon: float | None) -> Callable[[pd.DataFrame], NDArray]:
    """Return a function that computes the weights of rows, with the censoring distribution of the training rows."""
    if horizon is None:
        return lambda rows: rows["label"].notna().to_numpy(dtype="float64")
    censoring = Censoring(train["time"].to_numpy(), train["event"].to_numpy(dtype="int64"))
    return lambda rows: weights(rows["label"].to_numpy(), rows["time"].to_numpy(), horizon, censoring)


def _inner(
    predicted: pd.DataFrame, feature_sets: Mapping[str, Any]
) -> tuple[pd.DataFrame, dict[tuple[str, str], float]]:
    rows = predicted[predicted["part"] == "inner"]
    table = rows.pivot(index="patient", columns=FEATURE_SET, values="probability")
    limits = {
        (feature_set, classifier): np.nan if fit["threshold"] is None else fit["threshold"]
        for feature_set, classifiers in feature_sets.items()
        for classifier, fit in classifiers.items()
    }
    return table, limits


def _training(train: pd.DataFrame, predicted: pd.DataFrame, feature_sets: Mapping[str, Any]) -> pd.DataFrame:
    """Describe the training rows of each feature set and classifier of a fold, and the R² of its inner predictions."""
    labels = train.set_index("patient")["label"].dropna() == 1
    inner = predicted[(predicted["part"] == "inner") & predicted["patient"].isin(labels.index)]
    by_feature_set = dict(list(inner.groupby(FEATURE_SET)))
    records = []
    for feature_set, classifiers in feature_sets.items():
        for classifier, fit in classifiers.items():
            rows = by_feature_set.get((feature_set, classifier), inner.head(0))
            r2 = cox_snell(labels.loc[rows["patient"]].to_numpy(), rows["probability"].to_numpy(dtype="float64"))
            facts = {
                "feature_set": feature_set,
                "classifier": classifier,
                "n": fit["n_train"],
                "events": fit["events_train"],
            }
            records.append({**facts, "parameters": len(fit["columns"]), "candidates": fit["candidates"], "r2": r2})
    return pd.DataFrame(records)


def _test_rows(
    test: pd.DataFrame,
    weight: NDArray,
    predicted: pd.DataFrame,
    feature_sets: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> pd.DataFrame:
    """Return the test rows of one fold for every feature set and classifier."""
    rows = test[["repeat", "fold", "patient", "label", "time", "event"]].assign(weight=weight)
    thresholds = pd.DataFrame(
        [
            (feature_set, classifier, fit["threshold"])
            for feature_set, classifiers in feature_sets.items()
            for classifier, fit in classifiers.items()
        ],
        columns=[*FEATURE_SET, "threshold"],
    ).astype({"threshold": "float64"})
    probabilities = predicted.loc[predicted["part"] == "test", ["patient", *FEATURE_SET, "probability"]]
    return rows.merge(thresholds, how="cross").merge(
        probabilities, on=["patient", *FEATURE_SET], how="left", validate="one_to_one"
    )
