"""Compute discrimination and calibration of frozen models on patients that were not in the training cohort."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from metaswin.evaluation.censoring import Censoring, weights
from metaswin.evaluation.curves import FEWEST as FEWEST_IN_BIN
from metaswin.evaluation.curves import reliability
from metaswin.evaluation.intervals import too_few
from metaswin.evaluation.metrics import Value, calibration_intercept, calibration_slope
from metaswin.evaluation.predictions import Scored

# A draw takes about 0.01 s, because scikit-learn checks its input at every call.
DRAWS = 1000
COLUMNS = ["metric", "value", "low", "high", "se", "why", "recalibrated", "recalibrated_why"]
ONE_OUTCOME = "all outcomes are the same"

Measure = Callable[[NDArray, NDArray, NDArray], Value]


@dataclass(frozen=True)
class External:
    """Store patients with a prediction and an outcome.

    Attributes
    ----------
    label : ndarray of shape (n,)
        0, 1 or NaN (unknown).
    risk : ndarray of shape (n,)
    weight : ndarray of shape (n,)
        Inverse probability of censoring at a horizon, otherwise 1 for known outcomes.
    """

    label: NDArray
    risk: NDArray
    weight: NDArray

    @classmethod
    def of(cls, table: pd.DataFrame, horizon: float | None) -> "External":
        """Build from a table ``risk, label, time, event``.

        At a horizon, the censoring distribution is fitted on these patients, because that of the training cohort may
        differ.
        """
        label = table["label"].to_numpy(dtype="float64", na_value=np.nan)
        weight = (~np.isnan(label)).astype("float64")
        if horizon is not None and len(table):
            time = table["time"].to_numpy(dtype="float64")
            weight = weights(label, time, horizon, Censoring(time, table["event"].to_numpy(dtype="int64")))
        return cls(label, table["risk"].to_numpy(dtype="float64"), weight)

    @property
    def known(self) -> tuple[NDArray, NDArray, NDArray]:
        """Outcome (bool), risk and weight of the patients with a known outcome."""
        known = ~np.isnan(self.label) & np.isfinite(self.weight)
        return self.label[known] == 1, self.risk[known], self.weight[known]

    @cached_property
    def counts(self) -> dict[str, int]:
        labels = self.known[0]
        return {
            "n": len(labels),
            "events": int(labels.sum()),
            "nonevents": int((~labels).sum()),
            "unknown": len(self.label) - len(labels),
        }

    def table(self, confidence: float, seed: int) -> pd.DataFrame:
        """Compute metrics with their intervals, as predicted and recalibrated in the large (see `COLUMNS`).

        ``se`` is the standard error on the scale on which cohorts are pooled (see `standard_errors`).

        Recalibration in the large adds the calibration intercept to every logit (Steyerberg 2019, Clinical Prediction
        Models, section 20.3, method 1). It is fitted on the same patients on which it is measured, so it is optimistic
        by one parameter. It does not change ranks. Intervals are percentiles of a bootstrap over patients with fixed
        models (Efron and Tibshirani 1993, chapter 13). The weights are not estimated again in each draw.
        """
        labels, risks, weight = self.known
        shift = calibration_intercept(labels, risks, weight) if len(labels) else Value(why="no known outcome")
        drawn = self._drawn(seed)
        errors = standard_errors(labels, risks, weight)
        records = []
        for name, measure in MEASURES.items():
            found = measure(labels, risks, weight)
            low, high, why = (
                _interval(measure, self.known, drawn, confidence) if found.value is not None else (None,) * 3
            )
            after = Value(why=shift.why)
            if shift.value is not None:
                after = measure(labels, expit(logit(risks) + shift.value), weight)
            why = found.why or why or self._few()
            records.append((name, found.value, low, high, errors.get(name), why, after.value, after.why))
        kinds = dict.fromkeys(["value", "low", "high", "se", "recalibrated"], "float64")
        return pd.DataFrame(records, columns=COLUMNS).astype(kinds | dict.fromkeys(["why", "recalibrated_why"], "str"))

    def reliability(self, bins: int, confidence: float) -> pd.DataFrame:
        """Compute predicted and observed risk by quantile of risk; the table is empty for too few patients."""
        part = Scored("", "", 0, 0, self.label, self.risk, self.weight, np.nan)
        if not part.usable or len(self.known[0]) < FEWEST_IN_BIN:
            return pd.DataFrame(columns=["bin", "n", "predicted", "observed", "low", "high", "why"])
        return reliability([part], bins, confidence)

    def _few(self) -> str:
        few = too_few(self.counts["events"], self.counts["nonevents"])
        return f"no interval: {few}" if few else ""

    def _drawn(self, seed: int) -> NDArray:
        """Draw patients (rows are draws) with both outcomes; no draws if there are too few events or non-events."""
        labels = self.known[0]
        if self._few():
            return np.empty((0, len(labels)), dtype=int)
        drawn = np.random.default_rng(seed).integers(len(labels), size=(DRAWS, len(labels)))
        both = labels[drawn].any(axis=1) & ~labels[drawn].all(axis=1)
        return drawn[both]


def _auc(labels: NDArray, risks: NDArray, weight: NDArray) -> Value:
    if labels.all() or not labels.any():
        return Value(why=ONE_OUTCOME)
    return Value(float(roc_auc_score(labels, risks, sample_weight=weight)))


def _pr_auc(labels: NDArray, risks: NDArray, weight: NDArray) -> Value:
    if not labels.any():
        return Value(why=ONE_OUTCOME)
    return Value(float(average_precision_score(labels, risks, sample_weight=weight)))


def _brier(labels: NDArray, risks: NDArray, weight: NDArray) -> Value:
    if not len(labels):
        return Value(why="no known outcome")
    return Value(float(brier_score_loss(labels, risks, sample_weight=weight)))


def _observed_expected(labels: NDArray, risks: NDArray, weight: NDArray) -> Value:
    """Return the weighted prevalence over the mean risk; a value above 1 means that the risks are too low."""
    if not len(labels):
        return Value(why="no known outcome")
    return Value(float(np.sum(weight * labels) / np.sum(weight * risks)))


MEASURES: dict[str, Measure] = {
    "auc": _auc,
    "pr_auc": _pr_auc,
    "brier": _brier,
    "observed_expected": _observed_expected,
    "calibration_intercept": calibration_intercept,
    "calibration_slope": calibration_slope,
}


@dataclass(frozen=True)
class Scale:
    """Define a scale on which estimates of a metric are nearly normal, with both transformations."""

    to: Callable[[float], float]
    back: Callable[[float], float]


# Logit of the AUC and log of observed / expected: Debray et al. 2017 (BMJ 356:i6460); Snell, Ensor, Debray, Moons and
# Riley 2018 (Stat Methods Med Res 27:3505-3522). Average precision and Brier score depend on the prevalence and are not
# pooled. The slope is not pooled either, because it is imprecise with few events.
SCALES: dict[str, Scale] = {
    "auc": Scale(logit, expit),
    "observed_expected": Scale(np.log, np.exp),
    "calibration_intercept": Scale(float, float),
}


def standard_errors(labels: NDArray, risks: NDArray, weight: NDArray) -> dict[str, float]:
    """Compute standard errors on the scales of `SCALES`; empty without both outcomes.

    The standard errors are model-based. Therefore cohorts with few events also have one. Excluding these cohorts would
    select cohorts by their outcome, and the mean of observed / expected would be too high.

    - AUC: method 4 of Newcombe 2006 (Stat Med 25:559-573) for the logit, as in Debray et al. 2019 (Stat Methods Med Res
      28:2768-2786). The numbers of events and non-events are effective numbers, ``sum(w)² / sum(w²)``.
    - Observed / expected and calibration intercept: outcomes are Bernoulli with the risks recalibrated in the large.
      Without weights and with equal risks, the standard error of the former is ``sqrt((1 - O/n) / O)`` (Debray et al.
      2017).

    Parameters
    ----------
    labels : ndarray of bool, shape (n,)
    risks, weight : ndarray of shape (n,)
    """
    if labels.all() or not labels.any():
        return {}
    events, others = (float(np.sum(weight[rows]) ** 2 / np.sum(weight[rows] ** 2)) for rows in (labels, ~labels))
    found = {}
    auc = _auc(labels, risks, weight).value
    if auc is not None and 0 < auc < 1:
        half = (events + others) / 2 - 1
        top = 1 + half * (1 - auc) / (2 - auc) + half * auc / (1 + auc)
        found["auc"] = float(np.sqrt(top / (events * others * auc * (1 - auc))))
    shift = calibration_intercept(labels, risks, weight).value
    if shift is not None:
        variance = expit(logit(risks) + shift) * expit(-logit(risks) - shift)
        spread = float(np.sqrt(np.sum(weight**2 * variance)))
        found["observed_expected"] = spread / float(np.sum(weight * labels))
        found["calibration_intercept"] = spread / float(np.sum(weight * variance))
    return found


def _interval(
    measure: Measure, known: tuple[NDArray, NDArray, NDArray], drawn: NDArray, confidence: float
) -> tuple[float | None, float | None, str]:
    """Compute the percentile interval; a few draws without the measure (separation) are ignored."""
    if not len(drawn):
        return None, None, ""
    values = [measure(*(column[rows] for column in known)).value for rows in drawn]
    there = [value for value in values if value is not None]
    if len(there) < 0.95 * len(values):
        return None, None, "no interval: not estimable in more than 5 % of the bootstrap draws"
    low, high = np.quantile(there, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high), ""
