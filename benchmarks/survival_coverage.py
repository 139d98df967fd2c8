"""Measured coverage of the intervals in time, and the size of Gray's test of cross-validated risk groups.

    python -P benchmarks/survival_coverage.py [--cohorts 600] [--write]

A cohort has six standard normal predictors and constant hazards of metastasis and death; a fifth is censored before the
horizon. A logistic regression of the known labels, quick to fit, takes the place of the hazard model. Targets:

- models: the mean true performance of models trained on 4/5 of a cohort, on 4,000 patients without loss;
- fitted: the mean true incidence of the patients of a calibration bin.

Under the null nothing predicts, and the share of p < .05 should be .05. `--write` puts the result into the package
(src/metaswin/evaluation/survival_coverage.json).
"""

import argparse
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

import metaswin.evaluation
from metaswin.core.files import write_json
from metaswin.evaluation.censoring import Censoring
from metaswin.evaluation.cumulative_incidence import gray_test
from metaswin.evaluation.intervals import Estimate
from metaswin.evaluation.survival import METRICS, calibration_table, fold_table, ranked, summary_table, survival_metrics
from metaswin.evaluation.survival_predictions import ScoredFold, SurvivalData, risk_groups
from metaswin.models.hazard import group_thresholds

FOLDS, CONFIDENCE, HORIZON = 5, 0.95, 730.5
SLOPES = np.array([0.6, 0.5, 0.4, 0.3, 0.0, 0.0])
METASTASIS_RATE, DEATH_RATE, LOSS_RATE = 0.11 / 365.25, 0.06 / 365.25, 0.15 / 365.25
# Share of unknown labels at the horizon, measured over 200 cohorts.
CENSORED_PROPORTION = 0.21
OUTPUT = Path(metaswin.evaluation.__file__).parent / "survival_coverage.json"
NO_CENSORING = Censoring(np.array([9e9]), np.array([1]))


@dataclass(frozen=True)
class Cohort:
    """Predictors, true risk at the horizon, and follow-up of n patients."""

    predictors: NDArray
    risk: NDArray
    time: NDArray
    event: NDArray

    @property
    def label(self) -> NDArray:
        lost = (self.event == 0) & (self.time < HORIZON)
        return np.where(lost, np.nan, ((self.event == 1) & (self.time <= HORIZON)).astype(float))


def draw(n: int, effect: float, rng: np.random.Generator, loss: bool = True) -> Cohort:
    """A cohort with the slopes times `effect`."""
    predictors = rng.normal(size=(n, 6))
    hazard = METASTASIS_RATE * np.exp(effect * predictors @ SLOPES)
    total = hazard + DEATH_RATE
    dm, death = rng.exponential(1 / hazard), rng.exponential(1 / DEATH_RATE, n)
    lost = np.minimum(rng.exponential(1 / LOSS_RATE, n), 3 * HORIZON) if loss else np.full(n, 9e9)
    time = np.ceil(np.minimum(np.minimum(dm, death), lost))
    event = np.select([dm <= np.minimum(death, lost), death <= lost], [1, 2], 0)
    return Cohort(predictors, hazard / total * -np.expm1(-total * HORIZON), time, event)


def scored(cohort: Cohort, population: Cohort | None, seed: int) -> tuple[SurvivalData, list[dict[str, float]]]:
    """The cross-validated cohort as the evaluation reads it, and the true performance of each fold's model."""
    strata = np.nan_to_num(cohort.label, nan=2.0)
    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    folds, truth = [], []
    for fold, (train, test) in enumerate(splitter.split(cohort.predictors, strata)):
        known = train[~np.isnan(cohort.label[train])]
        model = LogisticRegression(solver="newton-cholesky")
        inner = cross_val_predict(model, cohort.predictors[known], cohort.label[known], method="predict_proba")[:, 1]
        model.fit(cohort.predictors[known], cohort.label[known])
        risk = model.predict_proba(cohort.predictors[test])[:, 1]
        columns = {"patient": test, "time": cohort.time[test], "event": cohort.event[test]}
        rows = pd.DataFrame({**columns, "label": cohort.label[test]})
        groups = risk_groups(risk, group_thresholds(inner, 3))
        censoring = Censoring(cohort.time[train], cohort.event[train])
        folds.append(ScoredFold(0, fold, rows, {"feature_set": risk}, {"feature_set": groups}, censoring, ""))
        if population is not None:
            p = model.predict_proba(population.predictors)[:, 1]
            found = survival_metrics(p, population.time, population.event, population.label, HORIZON, NO_CENSORING)
            values = {name: value.value for name, value in found.items()}
            truth.append({**values, "observed_expected": population.risk.mean() / p.mean()})
    return SurvivalData("dm", HORIZON, "feature_set", ["feature_set"], folds, 1 / (FOLDS - 1), []), truth


def covered(intervals: list[Estimate], targets: NDArray) -> dict[str, float]:
    """Share of intervals that hold their target among those with limits."""
    pairs = [(i, t) for i, t in zip(intervals, targets, strict=True) if i.low is not None and np.isfinite(i.low)]
    share = float(np.mean([i.low <= t <= i.high for i, t in pairs]))
    return {
        "coverage": round(share, 4),
        "error": round(float(np.sqrt(share * (1 - share) / len(pairs))), 4),
        "width": round(float(np.median([i.high - i.low for i, _ in pairs])), 4),
        "estimable": round(len(pairs) / len(intervals), 4),
    }


def measure(n: int, cohorts: int) -> list[dict]:
    """Coverage of every interval at one cohort size."""
    population = draw(4000, 1.0, np.random.default_rng(10**6), loss=False)
    intervals: dict[str, list[Estimate]] = {metric: [] for metric in METRICS}
    truth: dict[str, list[float]] = {metric: [] for metric in METRICS}
    bins: list[Estimate] = []
    risks: list[float] = []
    for seed in range(cohorts):
        cohort = draw(n, 1.0, np.random.default_rng(seed))
        data, true = scored(cohort, population, seed)
        summary = summary_table(data, fold_table(data), CONFIDENCE).set_index("metric")
        for metric in METRICS:
            row = summary.loc[metric]
            limits = (None if np.isnan(row[name]) else float(row[name]) for name in ("low", "high"))
            intervals[metric].append(Estimate(float(row["value"]), *limits))
            truth[metric].append(float(np.mean([fold[metric] for fold in true])))
        table = calibration_table(data, 5, CONFIDENCE)
        pooled = ranked(data.pooled("feature_set", 0), 5)
        for row in table.itertuples():
            bins.append(Estimate(row.observed, row.low, row.high))
            risks.append(float(cohort.risk[pooled["patient"][pooled["bin"] == row.bin - 1]].mean()))
    base = {"n": n, "repeats": 1, "censored": CENSORED_PROPORTION}
    rows = []
    for metric in METRICS:
        target = np.full(cohorts, np.mean(truth[metric]))
        facts = {"interval": "mean over folds", "metric": metric, **base, "target": "models"}
        rows.append({**facts, "truth": round(float(target[0]), 4), **covered(intervals[metric], target)})
    facts = {"interval": "Aalen-Johansen, calibration bin", "metric": "observed", **base, "target": "fitted"}
    return [*rows, {**facts, "truth": None, **covered(bins, np.array(risks))}]


def size_of_gray(n: int, cohorts: int) -> dict:
    """Share of p < .05 when nothing predicts."""
    found = []
    for seed in range(cohorts):
        data, _ = scored(draw(n, 0.0, np.random.default_rng(seed)), None, seed)
        rows = data.pooled("feature_set", 0)
        result = gray_test(rows["time"].to_numpy(), rows["event"].to_numpy(), rows["group"].to_numpy())
        if result.p is not None:
            found.append(result.p < 0.05)
    share = float(np.mean(found))
    return {"n": n, "share": round(share, 4), "error": round(float(np.sqrt(share * (1 - share) / len(found))), 4)}


def main() -> None:
    """Print a table; with --write the file of the package."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=600)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message="The least populated class")
    start = time.process_time()
    rows = [row for n in (200, 400) for row in measure(n, arguments.cohorts)]
    gray = [size_of_gray(n, arguments.cohorts) for n in (200, 400)]
    minutes = (time.process_time() - start) / 60
    print(pd.DataFrame(rows).to_string(index=False))
    print(pd.DataFrame(gray).to_string(index=False))
    print(f"{minutes:.1f} minutes of CPU")
    if arguments.write:
        facts = {
            "command": f"python -P benchmarks/survival_coverage.py --cohorts {arguments.cohorts} --write",
            "machine": f"2 cores (x86-64 virtual machine), no GPU; {minutes:.0f} minutes of CPU",
            "setting": "simulated cohorts with competing deaths, six predictors, a logistic regression of known labels "
            "in place of the hazard model, 5-fold cross-validation, a fifth censored before the horizon",
            "targets": {
                "models": "mean true performance of models trained on 4/5 of a cohort",
                "fitted": "mean true incidence of the bin's patients",
            },
            "cohorts": arguments.cohorts,
            "confidence": CONFIDENCE,
            "rows": rows,
            "gray_below_05_when_nothing_predicts": gray,
        }
        write_json(OUTPUT, facts)


if __name__ == "__main__":
    main()
