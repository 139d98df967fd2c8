"""Measured coverage of every interval that the evaluation shows, on simulated cohorts with known truth.

    python benchmarks/coverage.py [--cohorts 500] [--write]

A cohort has six standard normal predictors and an outcome with a logistic risk (prevalence 19.5 %). Two logistic
regressions, one on all predictors and one on the first two (the control), go through repeated 5-fold cross-validation.
The true performance of a fitted model is computed on 2^13 quasi-random patients with their true risks. Two targets:

- models: the mean true performance of models trained on 4/5 of a cohort, over all cohorts (what the report asks);
- fitted: the true performance of the very models that were fitted in this cohort's first repeat.

`--write` puts the result into the package (src/metaswin/evaluation/coverage.json), which the report shows.
"""

import argparse
import time
import warnings
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm, qmc
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

import metaswin.evaluation
from metaswin.core.files import write_json
from metaswin.evaluation.censoring import Censoring, weights
from metaswin.evaluation.curves import net_benefit, reliability
from metaswin.evaluation.delong import repeat_interval
from metaswin.evaluation.fold_results import fold_results
from metaswin.evaluation.intervals import Estimate, mean_over_folds, too_few
from metaswin.evaluation.metrics import ANYTHING, BOUNDS, METRICS, fold_metrics
from metaswin.evaluation.predictions import Scored
from metaswin.evaluation.strata import Pairs
from metaswin.models.thresholds import fit_threshold

FOLDS, CONFIDENCE, HORIZON, AT = 5, 0.95, 730.5, 0.2
SLOPES, INTERCEPT = np.array([0.6, 0.5, 0.4, 0.3, 0.0, 0.0]), -1.65
MODELS = {"full": slice(0, 6), "control": slice(0, 2)}
MEAN = "mean over folds"
COMPARED = ("auc", "brier", "net_benefit")
POINTS = norm.ppf(qmc.Sobol(6, seed=1).random_base2(13))
RISK = expit(INTERCEPT + POINTS @ SLOPES)
OUTPUT = Path(metaswin.evaluation.__file__).parent / "coverage.json"


@dataclass(frozen=True)
class Setting:
    """One kind of cohort; `censored` is the proportion censored before the horizon, None without follow-up times."""

    n: int
    repeats: int
    censored: float | None = None


SETTINGS = [Setting(200, 5), Setting(400, 5), Setting(400, 1, 0.2)]


@dataclass
class Tally:
    """Intervals of one kind and the targets they should hold."""

    intervals: list[Estimate] = field(default_factory=list)
    targets: list[float] = field(default_factory=list)


def draw(setting: Setting, rng: np.random.Generator) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Predictors, labels (NaN: censored before the horizon), times and events of a cohort."""
    predictors = rng.normal(size=(setting.n, 6))
    event = rng.random(setting.n) < expit(INTERCEPT + predictors @ SLOPES)
    day = np.where(event, rng.uniform(0, HORIZON, setting.n), np.inf)
    if setting.censored is None:
        return predictors, event.astype(float), np.minimum(day, HORIZON), event.astype(int)
    lost = rng.exponential(-HORIZON / np.log(1 - setting.censored), setting.n)
    seen = np.minimum(np.minimum(day, lost), 2 * HORIZON)
    kind = (day <= lost).astype(int) * event
    label = np.where(kind == 1, 1.0, np.where(seen < HORIZON, np.nan, 0.0))
    return predictors, label, seen, kind


def true_values(model: LogisticRegression, columns: slice, threshold: float) -> dict[str, float]:
    """True performance of a fitted model: every point counts as an event by its risk and as a non-event by the rest."""
    p = model.predict_proba(POINTS[:, columns])[:, 1]
    labels, scores = np.repeat([1.0, 0.0], len(p)), np.tile(p, 2)
    weight = np.concatenate([RISK, 1 - RISK])
    found = {name: value.value for name, value in fold_metrics(labels, scores, threshold, weight).items()}
    half = POINTS[:, 0] > 0
    twice = np.tile(half, 2)
    stratum = roc_auc_score(labels[twice], scores[twice], sample_weight=weight[twice])
    return {**found, "net_benefit": benefit(labels == 1, scores, weight), "stratum": stratum}


def benefit(labels: NDArray, scores: NDArray, sample_weight: NDArray) -> float:
    """Net benefit at the threshold probability `AT`."""
    return float(net_benefit(labels, scores, sample_weight, np.array([AT]))[0])


Parts = dict[str, list[Scored]]


def cross_validate(setting: Setting, rng: np.random.Generator) -> tuple[Parts, dict, "FirstRepeat"]:
    """Folds of each model with their inner fits, true values of the models of the first repeat, and its predictions."""
    predictors, label, when, kind = draw(setting, rng)
    found: Parts = {name: [] for name in MODELS}
    truth: dict[str, list[dict[str, float]]] = {name: [] for name in MODELS}
    first = FirstRepeat(predictors, [], [])
    known = ~np.isnan(label)
    for repeat in range(setting.repeats):
        splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=int(rng.integers(2**31)))
        place = np.empty(setting.n, dtype=int)
        for fold, (_, test) in enumerate(splitter.split(predictors, np.nan_to_num(label, nan=2.0))):
            place[test] = fold
        for name, columns in MODELS.items():
            models = {
                without: fit(predictors[:, columns], label, ~np.isin(place, without) & known)
                for without in [(f,) for f in range(FOLDS)] + list(combinations(range(FOLDS), 2))
            }
            for fold in range(FOLDS):
                test = np.flatnonzero(place == fold)
                weight = np.ones(len(test))
                if setting.censored is not None:
                    rest = place != fold
                    weight = weights(label[test], when[test], HORIZON, Censoring(when[rest], kind[rest]))
                model, threshold = models[fold,]
                refits, limits = np.full((FOLDS, len(test)), np.nan), np.full(FOLDS, np.nan)
                for other in set(range(FOLDS)) - {fold}:
                    inner, _ = models[tuple(sorted((fold, other)))]
                    refits[other], limits[other] = probability(inner, predictors[test][:, columns]), models[other,][1]
                p = probability(model, predictors[test][:, columns])
                found[name].append(Scored("", "", repeat, fold, label[test], p, weight, threshold, refits, limits))
                if repeat == 0:
                    truth[name].append(true_values(model, columns, threshold))
                if repeat == 0 and name == "full":
                    first.scored.append(found[name][-1])
                    first.rows.append(test)
    return found, {name: pd.DataFrame(values).mean() for name, values in truth.items()}, first


def fit(predictors: NDArray, label: NDArray, train: NDArray) -> tuple[LogisticRegression, float]:
    """A model and its threshold, both of the training rows."""
    model = LogisticRegression(solver="newton-cholesky").fit(predictors[train], label[train])
    return model, fit_threshold(probability(model, predictors[train]), label[train], "youden")


def probability(model: LogisticRegression, predictors: NDArray) -> NDArray:
    """Predicted risks."""
    return model.predict_proba(predictors)[:, 1]


@dataclass
class FirstRepeat:
    """Predictions of the full model in the first repeat, and the rows of each fold."""

    predictors: NDArray
    scored: list[Scored]
    rows: list[NDArray]


def one_cohort(setting: Setting, seed: int) -> tuple[dict[tuple, Estimate], dict[tuple, float], list]:
    """Every interval of a cohort, the true values of the models of its first repeat, and its calibration bins."""
    rng = np.random.default_rng(seed)
    parts, truth, first = cross_validate(setting, rng)
    known = [part.known for part in first.scored]
    labels = np.concatenate([rows[0] for rows in known])
    few = too_few(int(labels.sum()), int((~labels).sum()))
    thresholds = {(part.repeat, part.fold): AT for part in parts["full"]}
    intervals: dict[tuple, Estimate] = {}
    targets: dict[tuple, float] = {}
    for repeats in sorted({1, setting.repeats}):
        full, control = (parts[name][: FOLDS * repeats] for name in MODELS)
        for title, minus, true, metrics in [
            ("", None, truth["full"], [*METRICS, "net_benefit"]),
            (", difference", control, truth["full"] - truth["control"], COMPARED),
        ]:
            for metric in metrics:
                results = fold_results(metric, full, setting.censored is not None, minus, thresholds)
                bounds = ANYTHING if minus or metric == "net_benefit" else BOUNDS.get(metric)
                key = (MEAN + title, metric, repeats)
                intervals[key] = mean_over_folds(results, 1 / (FOLDS - 1), CONFIDENCE, bounds=bounds, few=few)
                targets[key] = true[metric]
    pairs = [(scores[labels], scores[~labels]) for labels, scores, _ in known]
    intervals["DeLong", "auc", 1] = repeat_interval(pairs, CONFIDENCE)
    targets["DeLong", "auc", 1] = truth["full"]["auc"]
    intervals["bootstrap, stratum", "auc", 1] = _stratum(first, rng)
    targets["bootstrap, stratum", "auc", 1] = truth["full"]["stratum"]
    return intervals, targets, _bins(first)


def _stratum(first: FirstRepeat, rng: np.random.Generator) -> Estimate:
    """The bootstrap interval of the half of the patients with a positive first predictor."""
    folds = np.repeat(np.arange(FOLDS), [len(rows) for rows in first.rows])
    columns = {"patient": np.concatenate(first.rows), "repeat": 0, "fold": folds}
    label, scores, weight = (
        np.concatenate([getattr(part, name) for part in first.scored]) for name in ("label", "probability", "weight")
    )
    table = pd.DataFrame({**columns, "label": label})
    chosen = np.flatnonzero((first.predictors[table["patient"], 0] > 0) & table["label"].notna())
    pairs = Pairs(table.iloc[chosen].reset_index(drop=True), 500, rng)
    return pairs.estimate(scores[chosen], weight[chosen], CONFIDENCE)


def _bins(first: FirstRepeat) -> list[tuple[float, float, float]]:
    """Limits of each calibration bin and the mean true risk of its patients.

    The risks go through the same function as labels: with fractions in place of 0 and 1 the observed share of a bin
    is the mean of its patients' risks.
    """
    curve = reliability(first.scored, 10, CONFIDENCE)
    risks = [expit(INTERCEPT + first.predictors[rows] @ SLOPES) for rows in first.rows]
    with_risk = [FixedRisk(part, risk) for part, risk in zip(first.scored, risks, strict=True)]
    true = reliability(with_risk, 10, CONFIDENCE)["observed"]
    return list(zip(curve["low"], curve["high"], true, strict=True))


class FixedRisk:
    """A fold whose known rows have their true risk in place of the label."""

    def __init__(self, part: Scored, risk: NDArray) -> None:
        known = ~np.isnan(part.label)
        self.repeat = part.repeat
        self.known = risk[known], part.probability[known], part.weight[known]


def covered(intervals: list[Estimate], targets: NDArray) -> dict[str, float]:
    """Share of intervals that hold their target among those with limits, and how many have limits."""
    with_limits = [(i.low <= t <= i.high, i.high - i.low) for i, t in zip(intervals, targets, strict=True) if
                   i.low is not None]  # fmt: skip
    share = float(np.mean([hit for hit, _ in with_limits]))
    return {
        "coverage": round(share, 4),
        "error": round(float(np.sqrt(share * (1 - share) / len(with_limits))), 4),
        "width": round(float(np.median([width for _, width in with_limits])), 4),
        "estimable": round(len(with_limits) / len(intervals), 4),
    }


def measure(setting: Setting, cohorts: int) -> list[dict]:
    """Coverage of every interval in one setting."""
    tallies: dict[tuple, Tally] = defaultdict(Tally)
    bins = []
    for seed in range(cohorts):
        intervals, targets, found = one_cohort(setting, seed)
        for key, interval in intervals.items():
            tallies[key].intervals.append(interval)
            tallies[key].targets.append(targets[key])
        bins += found
    rows = []
    for (kind, metric, repeats), tally in tallies.items():
        base = {"interval": kind, "metric": metric, "n": setting.n, "repeats": repeats, "censored": setting.censored}
        targets = np.array(tally.targets)
        means = np.full(len(targets), targets.mean())
        rows.append({**base, "target": "models", "truth": round(float(means[0]), 4), **covered(tally.intervals, means)})
        if kind in ("DeLong", "bootstrap, stratum"):
            rows.append({**base, "target": "fitted", "truth": None, **covered(tally.intervals, targets)})
    held = [Estimate(low=low, high=high) for low, high, _ in bins]
    wilson = {"interval": "Wilson, calibration bin", "metric": "observed", "n": setting.n, "repeats": 1}
    risks = np.array([risk for _, _, risk in bins])
    rows.append({**wilson, "censored": setting.censored, "target": "fitted", "truth": None, **covered(held, risks)})
    return rows


def main() -> None:
    """Print a table; with --write the file of the package."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=500)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message="The least populated class")
    start = time.process_time()
    rows = [row for setting in SETTINGS for row in measure(setting, arguments.cohorts)]
    minutes = (time.process_time() - start) / 60
    print(pd.DataFrame(rows).to_string(index=False))
    print(f"{minutes:.1f} minutes of CPU")
    if arguments.write:
        facts = {
            "command": f"python benchmarks/coverage.py --cohorts {arguments.cohorts} --write",
            "machine": f"2 cores (x86-64 virtual machine), no GPU; {minutes:.0f} minutes of CPU",
            "setting": "simulated cohorts, 19.5 % events, six predictors, logistic regression, 5-fold "
            "cross-validation; `censored`: proportion censored before the horizon, the values then weighted by inverse "
            "probability of censoring",
            "targets": {
                "models": "mean true performance of models trained on 4/5 of a cohort",
                "fitted": "true performance of the models fitted in this cohort, or true risk of the bin's patients",
            },
            "cohorts": arguments.cohorts,
            "confidence": CONFIDENCE,
            "rows": rows,
        }
        write_json(OUTPUT, facts)


if __name__ == "__main__":
    main()
