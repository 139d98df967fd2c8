"""Evaluate the hazard models: concordance, AUC, Brier score and calibration."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import brier_score_loss, roc_auc_score

from metaswin.cohort.outcomes import CENSORED, DEATH, METASTASIS
from metaswin.config.models import SurvivalSettings
from metaswin.core.files import write_json, write_table
from metaswin.evaluation.censoring import Censoring, weights
from metaswin.evaluation.cumulative_incidence import cumulative_incidence, curve_table, gray_test, interval
from metaswin.evaluation.influence import linearised, variance
from metaswin.evaluation.intervals import FoldResults, mean_over_folds, too_few
from metaswin.evaluation.metrics import TEST_ROWS_BEYOND, Value, missing_predictions
from metaswin.evaluation.survival_predictions import SurvivalData, gather


def concordance_index(risk: NDArray, time: NDArray, event: NDArray, horizon: float, censoring: Censoring) -> Value:
    """Compute the cause-specific C-index of metastases up to the horizon.

    The C-index (Wolbers et al. 2009, Epidemiology 20:555-561; 2014, Biostatistics 15:526-539) is the probability that,
    of two patients, the one with the earlier metastasis within the horizon has the higher risk. A patient who dies
    without metastasis is treated as never having one. A metastasis of patient i on day T_i is compared with each
    patient j who

    - is known to be free of both events after T_i, with weight 1 / G(T_i-)²;
    - died without metastasis on or before T_i, with weight 1 / (G(T_i-) G(T_j-)).

    G(t-) is the probability of not being censored before t. Equal risks count one half. Two metastases on the same day
    are not compared. A patient censored on day T_i counts as followed after it, as in `metaswin.evaluation.censoring`.

    Parameters
    ----------
    risk : ndarray of shape (n,)
        A higher value means an earlier or more likely metastasis.
    time, event : ndarray of shape (n,)
        Days to the first event or to censoring; 0 censored, 1 metastasis, 2 death.
    horizon : float
        Days.
    censoring : Censoring
        Fitted on the training rows of the fold.
    """
    return _concordance(risk, time, event, horizon, censoring)[0]


def _concordance(
    risk: NDArray, time: NDArray, event: NDArray, horizon: float, censoring: Censoring
) -> tuple[Value, NDArray | None]:
    """Compute the C-index and the influence of each row on it."""
    first = np.flatnonzero((event == METASTASIS) & (time <= horizon))
    if len(first) == 0:
        return Value(why="no metastasis within the horizon in the fold's test rows"), None
    seen = censoring.before(time)
    if not np.all(seen[first] > 0):
        return Value(why=TEST_ROWS_BEYOND), None
    start = time[first, None]
    free = (time > start) | ((time == start) & (event == CENSORED))
    died = (event == DEATH) & (time <= start)
    own = 1 / seen[first, None]
    theirs = np.divide(1.0, seen, out=np.zeros(len(seen)), where=seen > 0)
    weight = free * own**2 + died * own * theirs
    total = float(weight.sum())
    if total == 0:
        return Value(why="no patient in the fold's test rows can be compared with a metastasis"), None
    higher, equal = risk[first, None] > risk, risk[first, None] == risk
    index = float(np.sum(weight * (higher + 0.5 * equal)) / total)
    moved = weight * (higher + 0.5 * equal - index) / total
    influences = moved.sum(axis=0)
    np.add.at(influences, first, moved.sum(axis=1))
    return Value(index), influences


COLUMNS = ["endpoint", "feature_set", "bin", "n", "predicted", "observed", "low", "high", "why"]


def calibration_table(data: SurvivalData, bins: int, confidence: float) -> pd.DataFrame:
    """Compute the mean predicted risk and the observed incidence at the horizon by quantile of risk.

    Patients are ranked within their fold. The rows of one bin are pooled over the folds of a repeat. With several
    repeats, the estimates are averaged. Their variances are averaged too, because the repeats contain the same
    patients.
    """
    records = []
    for feature_set in data.feature_sets:
        repeats = [ranked(data.pooled(feature_set, repeat), bins) for repeat in data.repeats]
        for number in range(bins):
            chosen = [rows[rows["bin"] == number] for rows in repeats]
            found = _bin(chosen, data.horizon, confidence, data.why)
            records.append({"endpoint": data.name, "feature_set": feature_set, "bin": number + 1, **found})
    types = dict.fromkeys(["predicted", "observed", "low", "high"], "float64")
    return pd.DataFrame(records, columns=COLUMNS).astype({**types, "bin": "int64", "n": "int64"})


def ranked(rows: pd.DataFrame, bins: int) -> pd.DataFrame:
    """Return the bin of each row by its rank within its fold; equal risks are in the same bin."""
    share = rows.groupby("fold")["risk"].transform(lambda risk: (rankdata(risk) - 0.5) / len(risk))
    number = np.floor(share * bins).clip(upper=bins - 1)
    return rows.assign(bin=number.where(rows["risk"].notna(), -1).astype("int64"))


def _bin(chosen: list[pd.DataFrame], horizon: float, confidence: float, why: str) -> dict:
    n = round(float(np.mean([len(rows) for rows in chosen])))
    if not n:
        return {"n": 0, "why": why or "no patients in the group"}
    filled = [rows for rows in chosen if len(rows)]
    predicted = float(np.mean([rows["risk"].mean() for rows in filled]))
    estimates = [
        cumulative_incidence(
            rows["time"].to_numpy(), rows["event"].to_numpy(), METASTASIS, np.array([horizon]), confidence
        )
        for rows in filled
    ]
    observed = float(np.mean([found.value[0] for found in estimates]))
    if np.isnan(observed):
        return {"n": n, "predicted": predicted, "why": "no patient of the group was followed to the horizon"}
    error = float(np.sqrt(np.mean([found.variance[0] for found in estimates])))
    low, high = interval(np.array([observed]), np.array([error]), confidence)
    if not np.isfinite(low[0]):
        why = "no interval, because all or no patients had a metastasis"
    return {"n": n, "predicted": predicted, "observed": observed, "low": low[0], "high": high[0], "why": why}


METRICS = ("c_index", "auc_t", "brier_t", "observed_expected")


def survival_metrics(
    risk: NDArray, time: NDArray, event: NDArray, label: NDArray, horizon: float, censoring: Censoring
) -> dict[str, Value]:
    """Compute each of `METRICS` for the risk of metastasis by the horizon.

    - ``c_index``: `metaswin.evaluation.survival.concordance_index`.
    - ``auc_t``: cumulative/dynamic AUC at the horizon with inverse-probability-of-censoring weights. Patients who died
      before the horizon are controls (Blanche et al. 2013, Stat Med 32:5381-5397).
    - ``brier_t``: mean of (y - risk)² with the same weights over their sum (Schoop et al. 2011, Biom J 53:88-112).
    - ``observed_expected``: Aalen-Johansen estimate at the horizon over the mean risk of all test rows.

    Parameters
    ----------
    risk, time, event, label : ndarray of shape (n,)
        Label at the horizon: 0, 1 or NaN (unknown).
    horizon : float
        Days.
    censoring : Censoring
        Fitted on the training rows of the fold.
    """
    if len(risk) == 0:
        return dict.fromkeys(METRICS, Value(why="no test rows with known follow-up"))
    if not np.all(np.isfinite(risk)):
        return dict.fromkeys(METRICS, Value(why=missing_predictions(risk)))
    return {
        "c_index": concordance_index(risk, time, event, horizon, censoring),
        **_at_horizon(risk, label, weights(label, time, horizon, censoring)),
        "observed_expected": _observed_expected(risk, time, event, horizon),
    }


def _at_horizon(risk: NDArray, label: NDArray, weight: NDArray) -> dict[str, Value]:
    known = ~np.isnan(label)
    y, p, w = label[known] == 1, risk[known], weight[known]
    if not np.all(np.isfinite(w)):
        return dict.fromkeys(("auc_t", "brier_t"), Value(why=TEST_ROWS_BEYOND))
    if not known.any():
        return dict.fromkeys(("auc_t", "brier_t"), Value(why="no known outcome in the fold's test rows"))
    if y.any() and not y.all():
        auc = Value(float(roc_auc_score(y, p, sample_weight=w)))
    else:
        auc = Value(why=f"no test row of the fold {'without' if y.any() else 'with'} metastasis at the horizon")
    return {"auc_t": auc, "brier_t": Value(float(brier_score_loss(y, p, sample_weight=w)))}


def _observed_expected(risk: NDArray, time: NDArray, event: NDArray, horizon: float) -> Value:
    observed = cumulative_incidence(time, event, METASTASIS, np.array([horizon]), 0.95).value[0]
    if np.isnan(observed):
        return Value(why="no test row is followed to the horizon")
    return Value(float(observed / np.mean(risk)))


def metric_variances(
    risk: NDArray, time: NDArray, event: NDArray, label: NDArray, horizon: float, censoring: Censoring
) -> dict[str, float]:
    """Compute the variance of each of `METRICS` over samples of test rows; NaN if it is not estimable.

    The variance of C-index, AUC and Brier score is the sum of squared influences (`metaswin.evaluation.influence`). The
    variance of observed over expected is computed by the delta method from the Greenwood-type variance of the
    Aalen-Johansen estimate and the variance of the mean risk. The two are treated as independent.

    Parameters
    ----------
    risk, time, event, label, horizon, censoring
        As in `survival_metrics`.
    """
    found = dict.fromkeys(METRICS, np.nan)
    if len(risk) < 2 or not np.all(np.isfinite(risk)):
        return found
    found["c_index"] = variance(_concordance(risk, time, event, horizon, censoring)[1])
    weight = weights(label, time, horizon, censoring)
    known = ~np.isnan(label)
    if known.any() and np.all(np.isfinite(weight[known])):
        rows = label[known] == 1, risk[known], weight[known]
        found |= {f"{name}_t": variance(linearised(name, *rows)[1]) for name in ("auc", "brier")}
    observed = cumulative_incidence(time, event, METASTASIS, np.array([horizon]), 0.95)
    expected = float(np.mean(risk))
    ratio = observed.value[0] / expected
    found["observed_expected"] = float(
        (observed.variance[0] + ratio**2 * np.var(risk, ddof=1) / len(risk)) / expected**2
    )
    return found


BOUNDS = {"observed_expected": (0.0, np.inf)}


@dataclass(frozen=True)
class SurvivalInputs:
    """Name the files of every fold (predictions, fits) and endpoint (folds, facts) that `evaluate_survival` reads."""

    predictions: list[str]
    fits: list[str]
    folds: list[str]
    facts: list[str]


@dataclass(frozen=True)
class SurvivalOutputs:
    """Name the files that `evaluate_survival` writes: ``facts`` (JSON) and a Parquet table for each other name."""

    summary: str
    folds: str
    curves: str
    calibration: str
    tests: str
    facts: str


def evaluate_survival(
    inputs: SurvivalInputs, outputs: SurvivalOutputs, settings: SurvivalSettings, confidence: float
) -> None:
    """Write all tables of the time-to-event evaluation.

    Parameters
    ----------
    inputs : SurvivalInputs
        See `metaswin.evaluation.survival_predictions.gather`.
    outputs : SurvivalOutputs
    settings : SurvivalSettings
    confidence : float
        Confidence level of all intervals, for example 0.95.
    """
    names = ("summary", "folds", "curves", "calibration", "tests")
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in names}
    facts = []
    for data in gather(inputs.predictions, inputs.fits, inputs.folds, inputs.facts):
        folds = fold_table(data)
        tables["folds"].append(folds)
        tables["summary"].append(summary_table(data, folds, confidence))
        tables["curves"].append(curve_table(data, settings.groups, confidence))
        tables["calibration"].append(calibration_table(data, settings.calibration_bins, confidence))
        tables["tests"].append(gray_table(data))
        facts.append(_facts(data))
    for name, parts in tables.items():
        write_table(getattr(outputs, name), pd.concat(parts, ignore_index=True))
    write_json(outputs.facts, {"confidence": confidence, "groups": settings.groups, "endpoints": facts})


def fold_table(data: SurvivalData) -> pd.DataFrame:
    """Compute every metric as rows ``endpoint, feature_set, repeat, fold, metric, value, variance, why``."""
    records = []
    for part in data.folds:
        columns = (part.rows[name].to_numpy() for name in ("time", "event", "label"))
        time, event, label = columns
        for feature_set in data.feature_sets:
            rows = part.risks[feature_set], time, event, label, data.horizon, part.censoring
            found, variances = survival_metrics(*rows), metric_variances(*rows)
            base = {"endpoint": data.name, "feature_set": feature_set, "repeat": part.repeat, "fold": part.fold}
            for metric, value in found.items():
                numbers = {"value": value.value, "variance": variances[metric]}
                records.append({**base, "metric": metric, **numbers, "why": part.why or value.why})
    return pd.DataFrame(records).astype({"value": "float64", "variance": "float64"})


def summary_table(data: SurvivalData, folds: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Compute the mean over folds of each metric with its interval: ``value, low, high, folds, why``."""
    first = [fold.rows for fold in data.folds if fold.repeat == data.folds[0].repeat]
    labels = np.concatenate([rows["label"].to_numpy(dtype="float64") for rows in first])
    few = too_few(int((labels == 1).sum()), int((labels == 0).sum()))
    records = []
    for feature_set in data.feature_sets:
        for metric in METRICS:
            rows = folds[(folds["feature_set"] == feature_set) & (folds["metric"] == metric)]
            why = "; ".join(sorted(set(rows["why"]) - {""}))
            value, repeat, spread = (rows[name].to_numpy() for name in ("value", "repeat", "variance"))
            results = FoldResults(value, repeat, spread, np.empty((len(rows), 0)))
            bounds = BOUNDS.get(metric)
            found = asdict(mean_over_folds(results, data.ratio, confidence, why, bounds=bounds, few=few))
            kept = {name: found[name] for name in ("value", "low", "high", "folds", "why")}
            records.append({"endpoint": data.name, "feature_set": feature_set, "metric": metric, **kept})
    return pd.DataFrame(records).astype(dict.fromkeys(["value", "low", "high"], "float64"))


def gray_table(data: SurvivalData) -> pd.DataFrame:
    """Compute Gray's test of the incidence of DM between risk groups for every feature set and repeat (not pooled).

    The model that gives a patient's group was not trained on the patient. However, the models of the folds share
    training patients. Therefore the groups are not independent, as the test assumes.
    """
    records = []
    for feature_set in data.feature_sets:
        for repeat in data.repeats:
            rows = data.pooled(feature_set, repeat)
            rows = rows[rows["group"] >= 0]
            result = asdict(
                gray_test(rows["time"].to_numpy(), rows["event"].to_numpy(), rows["group"].to_numpy(), METASTASIS)
            )
            result["why"] = data.why or result["why"]
            base = {"endpoint": data.name, "feature_set": feature_set, "test": "gray", "repeat": repeat}
            records.append({**base, "groups": int(rows["group"].nunique()), **result})
    return pd.DataFrame(records).astype(dict.fromkeys(["statistic", "df", "p"], "float64"))


def _facts(data: SurvivalData) -> dict[str, Any]:
    return {
        "name": data.name,
        "horizon_days": data.horizon,
        "primary": data.primary,
        "feature_sets": data.feature_sets,
        "training": data.training,
    }
