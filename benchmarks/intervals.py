"""Coverage and width of intervals for a cross-validated AUC and for the difference of two, on simulated cohorts.

    python benchmarks/intervals.py [--cohorts 1000] [--n 200 400] [--predictors 6 60] [--prevalence 0.2]

A cohort has standard normal predictors, four of which carry risk (logistic, slopes .6, .5, .4, .3), and goes through
stratified 5-fold cross-validation. Models are ridge logistic regressions: ``full`` on all predictors, ``control`` on
the first two, and two ``twins`` on predictors 1 and 4 and on 2 and 3, whose slopes are changed to .5 each in cohorts of
their own, so that their true difference is 0. True AUCs of the fitted models are computed, not estimated.

Methods: ``NB`` (corrected resampled t, Nadeau & Bengio 2003), ``DeLong`` (variance of the test rows only), ``factor``
(DeLong's variance times the factor of Nadeau and Bengio), ``metaswin`` (`metaswin.evaluation.intervals`). Printed for
each: coverage of the mean true AUC of models trained on 4/5 of a cohort, and of the fitted models' true AUC; median and
95th percentile of the half width divided by the oracle's (1.96 times the standard deviation of the estimate over
cohorts); for differences the share of intervals without 0 (size of the twins, power of full against control) and the
power of a z test with the oracle's standard error. The last column is the Monte Carlo error of the coverage.
"""

import argparse
import time
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, ndtr
from scipy.stats import norm, t

from metaswin.evaluation.influence import linearised
from metaswin.evaluation.intervals import FoldResults, mean_over_folds

FOLDS, Z = 5, float(norm.ppf(0.975))
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(201)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()
PAIRS = list(combinations(range(FOLDS), 2))
WITHOUT = [(fold,) for fold in range(FOLDS)] + PAIRS
UNEQUAL, EQUAL = np.array([0.6, 0.5, 0.4, 0.3]), np.full(4, 0.5)


class Risk:
    """Logistic risk with these slopes and prevalence, and the true AUC of any linear score."""

    def __init__(self, slopes: NDArray, prevalence: float) -> None:
        self.slopes, self.size = slopes, float(np.linalg.norm(slopes))
        self.intercept = brentq(lambda a: NODE_WEIGHTS @ expit(a + self.size * NODES) - prevalence, -20, 20)
        score = np.linspace(-6, 6, 601)
        density = norm.pdf(score) / norm.pdf(score).sum()
        self.correlations = np.linspace(-1, 1, 201)
        self.aucs = np.array([self._auc(score, density, r) for r in self.correlations])

    def _auc(self, score: NDArray, density: NDArray, r: float) -> float:
        rest = self.size * np.sqrt(1 - r**2)
        risk = expit(self.intercept + self.size * r * score[:, None] + rest * NODES) @ NODE_WEIGHTS
        event, other = density * risk, density * (1 - risk)
        return float(np.sum(event / event.sum() * (np.cumsum(other) - other / 2) / other.sum()))

    def draw(self, n: int, predictors: int, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
        """Predictors and labels."""
        x = rng.normal(size=(n, max(predictors, 4)))
        return x, rng.random(n) < expit(self.intercept + x[:, :4] @ self.slopes)

    def auc(self, coefficients: NDArray, columns: NDArray) -> NDArray:
        """True AUC of scores with these coefficients (models, predictors) on these columns."""
        slopes = np.zeros(max(int(columns.max()) + 1, 4))
        slopes[:4] = self.slopes
        length = np.linalg.norm(coefficients, axis=1) * self.size
        r = coefficients @ slopes[columns] / np.maximum(length, 1e-12)
        return np.interp(r, self.correlations, self.aucs)


def fit(x: NDArray, labels: NDArray, masks: NDArray) -> tuple[NDArray, NDArray]:
    """Ridge logistic regressions (penalty 1) on the rows of each mask: coefficients and scores of all rows."""
    design = np.concatenate([np.ones((len(x), 1)), x], axis=1)
    penalty = np.r_[1e-6, np.ones(x.shape[1])]
    found = np.zeros((len(masks), design.shape[1]))
    for _ in range(15):
        p = expit(found @ design.T)
        gradient = (masks * (labels - p)) @ design - penalty * found
        curvature = np.stack([(design * w[:, None]).T @ design for w in masks * p * (1 - p)]) + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        found += step
        if np.abs(step).max() < 1e-6:
            break
    return found[:, 1:], found @ design.T


def stratified(labels: NDArray, rng: np.random.Generator) -> NDArray:
    """Fold of each row."""
    place = np.empty(len(labels), dtype=int)
    for outcome in (True, False):
        rows = rng.permutation(np.flatnonzero(labels == outcome))
        place[rows] = (np.arange(len(rows)) + rng.integers(FOLDS)) % FOLDS
    return place


def enough(labels: NDArray, place: NDArray) -> bool:
    """Whether every fold has two events and two non-events."""
    return min(np.bincount(place[rows], minlength=FOLDS).min() for rows in (labels, ~labels)) >= 2


class Model:
    """Folds of one model in one cohort: AUCs, influences, AUCs by the inner fits, and the true mean AUC."""

    def __init__(self, x: NDArray, labels: NDArray, place: NDArray, columns: NDArray, risk: Risk) -> None:
        masks = np.array([~np.isin(place, without) for without in WITHOUT], dtype=float)
        coefficients, scores = fit(x[:, columns], labels, masks)
        self.truth = float(risk.auc(coefficients[:FOLDS], columns).mean())
        equal = np.ones(len(labels))
        found = [self._auc(scores[f], labels, place == f, equal) for f in range(FOLDS)]
        self.values = np.array([value for value, _ in found])
        self.influences = [influence for _, influence in found]
        self.refits = np.full((FOLDS, FOLDS), np.nan)
        for place_of, (f, g) in enumerate(PAIRS):
            for fold, other in ((f, g), (g, f)):
                self.refits[fold, other] = self._auc(scores[FOLDS + place_of], labels, place == fold, equal)[0]

    @staticmethod
    def _auc(scores: NDArray, labels: NDArray, rows: NDArray, equal: NDArray):
        return linearised("auc", labels[rows], scores[rows], equal[rows])


def record(values: NDArray, influences: list[NDArray], refits: NDArray, truth: float, bounded: bool) -> dict:
    """Estimate and half width of every method in one cohort."""
    variances = np.array([np.sum(one**2) for one in influences])
    ratio = 1 / (FOLDS - 1)
    ours = mean_over_folds(
        FoldResults(values, np.zeros(FOLDS, dtype=int), variances, refits), ratio, 0.95, bounds=(-np.inf, np.inf)
    )
    return {
        "estimate": values.mean(),
        "truth": truth,
        "NB": float(t.ppf(0.975, FOLDS - 1)) * np.sqrt((1 / FOLDS + ratio) * values.var(ddof=1)),
        "DeLong": Z * np.sqrt(variances.mean() / FOLDS),
        "factor": Z * np.sqrt((1 / FOLDS + ratio) * variances.mean()),
        "metaswin": np.nan if ours.high is None else ours.high - ours.value,
    }


def measure(n: int, predictors: int, prevalence: float, cohorts: int) -> pd.DataFrame:
    """One row per quantity and method."""
    found: dict[str, list[dict]] = {"auc": [], "difference": [], "no difference": []}
    unequal, equal = Risk(UNEQUAL, prevalence), Risk(EQUAL, prevalence)
    for seed in range(cohorts):
        rng = np.random.default_rng([seed, n, predictors, int(1000 * prevalence)])
        x, labels = unequal.draw(n, predictors, rng)
        place = stratified(labels, rng)
        if (
            min(np.bincount(place[labels], minlength=FOLDS).min(), np.bincount(place[~labels], minlength=FOLDS).min())
            < 2
        ):
            continue
        full = Model(x, labels, place, np.arange(predictors), unequal)
        control = Model(x, labels, place, np.arange(min(predictors, 2)), unequal)
        found["auc"].append(record(full.values, full.influences, full.refits, full.truth, True))
        pairs = [("difference", full, control)]
        x, labels = equal.draw(n, 4, rng)
        place = stratified(labels, rng)
        if (
            min(np.bincount(place[labels], minlength=FOLDS)) >= 2
            and min(np.bincount(place[~labels], minlength=FOLDS)) >= 2
        ):
            twins = [Model(x, labels, place, np.array(columns), equal) for columns in ((0, 3), (1, 2))]
            pairs.append(("no difference", *twins))
        for name, one, other in pairs:
            influences = [a - b for a, b in zip(one.influences, other.influences, strict=True)]
            values, refits = one.values - other.values, one.refits - other.refits
            found[name].append(record(values, influences, refits, one.truth - other.truth, False))
    rows = []
    for name, records in found.items():
        if name == "difference" and predictors <= 2:
            continue
        table = pd.DataFrame(records)
        target, error = table["truth"].mean(), table["estimate"].std()
        z = abs(target) / error
        for method in ("NB", "DeLong", "factor", "metaswin"):
            half = table[method]
            coverage = float((abs(table["estimate"] - target) <= half).mean())
            rows.append(
                {
                    "n": n, "predictors": predictors, "events": round(n * prevalence), "of": name, "true": target,
                    "method": method, "coverage": coverage,
                    "fitted": (abs(table["estimate"] - table["truth"]) <= half).mean(),
                    "width": half.median() / (Z * error), "width 95": half.quantile(0.95) / (Z * error),
                    "without 0": (abs(table["estimate"]) > half).mean() if name != "auc" else np.nan,
                    "oracle": ndtr(z - Z) + ndtr(-z - Z) if name != "auc" else np.nan,
                    "error": np.sqrt(coverage * (1 - coverage) / len(table)),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    """Print a table per setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=1000)
    parser.add_argument("--n", type=int, nargs="+", default=[100, 200, 400, 1500])
    parser.add_argument("--predictors", type=int, nargs="+", default=[1, 6, 60])
    parser.add_argument("--prevalence", type=float, nargs="+", default=[0.1, 0.2, 0.5])
    arguments = parser.parse_args()
    start = time.process_time()
    for n in arguments.n:
        for predictors in arguments.predictors:
            for prevalence in arguments.prevalence:
                if n * prevalence >= 20:
                    table = measure(n, predictors, prevalence, arguments.cohorts)
                    print(table.round(3).to_string(index=False), flush=True)
    print(f"{(time.process_time() - start) / 60:.1f} minutes of CPU")


if __name__ == "__main__":
    main()
