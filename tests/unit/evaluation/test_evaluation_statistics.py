"""AUC, thresholded metrics, censoring weights and intervals against known answers."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from metaswin.evaluation.censoring import Censoring, weights
from metaswin.evaluation.curves import mean_roc
from metaswin.evaluation.intervals import (
    ALL_EQUAL,
    NO_VARIANCE,
    FoldResults,
    mean_over_folds,
    measured_coverage,
    too_few,
)
from metaswin.evaluation.metrics import METRICS, fold_metrics

ONES = np.ones(4)


def both_outcomes(size: int):
    return hnp.arrays(bool, size).filter(lambda y: y.any() and not y.all())


def test_fold_metrics_of_four_rows_equal_the_values_by_hand():
    found = fold_metrics(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.6, 0.5, 0.9]), 0.5, ONES)
    values = {name: value.value for name, value in found.items()}
    # Precision 1 at recall 1/2 and 2/3 at recall 1; (.1² + .6² + .5² + .1²) / 4.
    wanted = {"auc": 0.75, "acc": 0.75, "sen": 1.0, "spe": 0.5, "pr_auc": 5 / 6, "brier": 0.1575}
    assert {name: values[name] for name in wanted} == pytest.approx(wanted)


def test_fold_metrics_weight_rows_as_if_repeated():
    labels, probabilities = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.6, 0.5, 0.9])
    weighted = fold_metrics(labels, probabilities, 0.5, np.array([1.0, 3.0, 2.0, 1.0]))
    repeated = fold_metrics(np.repeat(labels, [1, 3, 2, 1]), np.repeat(probabilities, [1, 3, 2, 1]), 0.5, np.ones(7))
    assert {k: v.value for k, v in weighted.items()} == pytest.approx({k: v.value for k, v in repeated.items()})


def test_fold_metrics_ignore_rows_with_unknown_outcome():
    known = fold_metrics(np.array([0.0, 1.0]), np.array([0.2, 0.7]), 0.5, np.ones(2))
    more = fold_metrics(np.array([0.0, 1.0, np.nan]), np.array([0.2, 0.7, 0.9]), 0.5, np.array([1.0, 1.0, 0.0]))
    assert known == more


@pytest.mark.parametrize(
    ("labels", "probabilities", "threshold", "metric", "why"),
    [
        ([0, 0, 0, 0], [0.1, 0.2, 0.3, 0.4], 0.5, "auc", "no events"),
        ([0, 0, 0, 0], [0.1, 0.2, 0.3, 0.4], 0.5, "sen", "no events"),
        ([1, 1, 1, 1], [0.1, 0.2, 0.3, 0.4], 0.5, "spe", "no non-events"),
        ([0, 1, 0, 1], [0.1, np.nan, 0.3, np.nan], 0.5, "auc", "2 predictions are missing"),
        ([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4], None, "acc", "no threshold"),
    ],
)
def test_fold_metrics_when_not_estimable_then_none_and_the_reason(labels, probabilities, threshold, metric, why):
    found = fold_metrics(np.array(labels, dtype=float), np.array(probabilities), threshold, ONES)[metric]
    assert found.value is None
    assert why in found.why


def test_censoring_equals_lifelines_when_no_ties():
    from lifelines import KaplanMeierFitter

    rng = np.random.default_rng(3)
    time, event = rng.exponential(900, 80), rng.integers(0, 3, 80)
    fitter = KaplanMeierFitter().fit(time, event == 0)
    ours = Censoring(time, event)
    days = np.array([1.0, 50.0, 300.0, 730.0, 1500.0])
    assert ours.before(days) == pytest.approx(fitter.survival_function_at_times(days).to_numpy())


def test_censoring_when_days_tie_then_events_come_first():
    from lifelines import KaplanMeierFitter

    rng = np.random.default_rng(4)
    time, event = rng.integers(1, 12, 60).astype(float), rng.integers(0, 3, 60)
    fitter = KaplanMeierFitter().fit(np.where(event == 0, time, time - 0.5), event == 0)
    days = np.arange(1.0, 12.0)
    assert Censoring(time, event).before(days) == pytest.approx(
        fitter.survival_function_at_times(days - 1e-6).to_numpy()
    )


def test_weights_of_a_worked_example():
    # Lost on day 2 (4 at risk) and on day 4 (2 at risk): G = 3/4 from day 2, 3/8 from day 4.
    time, event = np.array([2.0, 3.0, 4.0, 9.0]), np.array([0, 1, 0, 0])
    label = np.array([np.nan, 1.0, np.nan, 0.0])
    assert weights(label, time, 6.0, Censoring(time, event)) == pytest.approx([0, 4 / 3, 0, 8 / 3])


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_weights_add_up_to_the_number_of_patients_they_were_fitted_on(data):
    size = data.draw(st.integers(2, 40))
    time = data.draw(hnp.arrays(int, size, elements=st.integers(1, 15))).astype(float)
    event = data.draw(hnp.arrays(int, size, elements=st.integers(0, 2)))
    horizon = 8.0
    time[0], event[0] = 20.0, 0  # somebody is followed beyond the horizon
    label = np.where((event == 1) & (time <= horizon), 1.0, np.where((event == 0) & (time < horizon), np.nan, 0.0))
    found = weights(label, time, horizon, Censoring(time, event))
    assert found.sum() == pytest.approx(size)
    assert np.all(found[np.isnan(label)] == 0)


def test_weights_beyond_the_follow_up_of_training_rows_are_missing_not_infinite():
    censoring = Censoring(np.array([1.0, 2.0]), np.array([0, 0]))
    assert np.isnan(weights(np.array([0.0]), np.array([9.0]), 5.0, censoring)).all()


def test_weighted_auc_is_unbiased_when_censoring_depends_on_time_only():
    # Deaths count as non-events. Unweighted, early events are over-represented among known outcomes.
    rng = np.random.default_rng(0)
    n, horizon = 60_000, 1000.0
    risk = rng.normal(size=n)
    day = rng.exponential(2000 * np.exp(-risk))
    lost = rng.exponential(700, n)
    full = day <= horizon
    truth = roc_auc_score(full, risk)
    time, event = np.minimum(day, lost), (day <= lost).astype(int)
    label = np.where((event == 1) & (time <= horizon), 1.0, np.where(time < horizon, np.nan, 0.0))
    weight = weights(label, time, horizon, Censoring(time, event))
    known = ~np.isnan(label)
    naive = roc_auc_score(label[known], risk[known])
    weighted = fold_metrics(label, expit(risk), None, weight)["auc"].value
    assert abs(weighted - truth) < 0.005
    assert abs(naive - truth) > 0.01


def folds(values, variances=0.01, refits=None, repeats=None):
    """Results of folds; the same variance in each unless given."""
    values = np.array(values, dtype=float)
    n = len(values)
    return FoldResults(
        values,
        np.zeros(n, dtype=int) if repeats is None else np.array(repeats),
        np.broadcast_to(np.asarray(variances, dtype=float), n).copy(),
        np.empty((n, 0)) if refits is None else np.array(refits, dtype=float),
    )


def refits_of(contributions):
    """Inner fits of a linear model: without folds f and g the metric is the mean contribution of the other folds."""
    u, k = np.array(contributions, dtype=float), len(contributions)
    found = np.full((k, k), np.nan)
    for f, g in permutations(range(k), 2):
        found[f, g] = np.delete(u, [f, g]).mean()
    return found


def test_interval_equals_the_formula_worked_by_hand():
    # Four folds of variance .004: .001 for the rows, limit of the fits 1/3 of .004. Contributions -.03, 0, 0, .03 have
    # the variance .0006, a quarter of it for the mean of four folds.
    found = mean_over_folds(folds([0.6, 0.7, 0.8, 0.7], 0.004, refits_of([-0.03, 0, 0, 0.03])), 1 / 3, 0.95)
    half = 1.959964 * np.sqrt(0.001 + 0.0006 / 4 + 0.004 / 3 / 4)
    assert (found.value, found.low, found.high) == pytest.approx((0.7, 0.7 - half, 0.7 + half), abs=1e-6)


@pytest.mark.parametrize("k", [3, 4, 5, 10])
def test_variance_of_the_fits_is_exact_in_a_linear_model_of_any_number_of_folds(k):
    u = np.random.default_rng(k).normal(size=k)
    found = replace(folds(np.zeros(k), 1e-9, refits_of(u)), capped=False)
    error = mean_over_folds(found, 1e-6, 0.95, bounds=(-9, 9)).error
    assert error**2 == pytest.approx(np.var(u, ddof=1) / k, rel=1e-6)


def test_interval_when_the_fits_never_differ_then_a_quarter_of_the_limit_is_added():
    found = mean_over_folds(folds([0.6, 0.7, 0.8, 0.7], 0.004, refits_of([0.7] * 4)), 1 / 3, 0.9)
    assert found.high - found.value == pytest.approx(1.644854 * np.sqrt(0.001 + 0.001 / 3), abs=1e-6)


def test_interval_when_the_fits_differ_much_then_the_factor_of_nadeau_and_bengio():
    found = mean_over_folds(folds([0.6, 0.7, 0.8, 0.7], 0.004, refits_of([0.1, 0.5, 0.5, 0.9])), 1 / 3, 0.95)
    without = mean_over_folds(folds([0.6, 0.7, 0.8, 0.7], 0.004), 1 / 3, 0.95)
    assert (found.low, found.high) == (without.low, without.high)
    assert found.high - found.value == pytest.approx(1.959964 * np.sqrt(0.004 * (1 / 4 + 1 / 3)), abs=1e-6)


def test_interval_when_an_inner_fit_is_missing_then_the_factor_of_nadeau_and_bengio():
    refits = refits_of([0.7] * 4)
    refits[1, 2] = np.nan
    found = mean_over_folds(folds([0.6, 0.7, 0.8, 0.7], 0.004, refits), 1 / 3, 0.95)
    without = mean_over_folds(folds([0.6, 0.7, 0.8, 0.7], 0.004), 1 / 3, 0.95)
    assert (found.low, found.high) == (without.low, without.high)


def test_interval_when_the_threshold_is_fitted_then_the_variance_of_the_fits_has_no_limit():
    u = [0.1, 0.5, 0.5, 0.9]
    found = replace(folds([0.6, 0.7, 0.8, 0.7], 0.004, refits_of(u)), capped=False)
    half = 1.959964 * np.sqrt(0.001 + np.var(u, ddof=1) / 4 + 0.001 / 3)
    assert mean_over_folds(found, 1 / 3, 0.95, bounds=(-9, 9)).high == pytest.approx(0.7 + half, abs=1e-6)


def test_interval_when_folds_are_repeated_then_the_same_rows_do_not_count_twice():
    once = mean_over_folds(folds([0.6, 0.8]), 1.0, 0.95)
    twice = mean_over_folds(folds([0.6, 0.8] * 3, repeats=[0, 0, 1, 1, 2, 2]), 1.0, 0.95)
    assert (once.low, once.high) == pytest.approx((twice.low, twice.high))


def test_interval_is_clipped_to_the_range_of_a_proportion_or_a_difference():
    assert mean_over_folds(folds([0.95, 1.0, 0.9]), 0.5, 0.95).high == 1.0
    difference = mean_over_folds(folds([0.95, 1.0, 0.9], 0.1), 0.5, 0.95, signed=True)
    assert (difference.low > -1.0, difference.high) == (True, 1.0)
    assert 0 < difference.p < 0.05


@pytest.mark.parametrize(
    ("found", "more", "value", "why"),
    [
        (folds([np.nan, np.nan]), {}, None, "no events"),
        (folds([0.5, 0.6], [0.01, np.nan]), {}, 0.55, NO_VARIANCE),
        (folds([0.5, 0.5, 0.5], 0.0), {}, 0.5, ALL_EQUAL),
        (folds([0.5, 0.6]), {"few": "9 events, fewer than 10"}, 0.55, "9 events"),
    ],
)
def test_interval_when_not_estimable_then_no_limits_and_the_reason(found, more, value, why):
    found = mean_over_folds(found, 0.25, 0.95, why="no events in the fold's test rows", **more)
    assert found.value == (value if value is None else pytest.approx(value))
    assert found.low is None
    assert why in found.why


@pytest.mark.parametrize(
    ("events", "nonevents", "why"),
    [(9, 50, "9 events, fewer than 10"), (50, 1, "1 non-event, fewer than 10"), (10, 10, "")],
)
def test_too_few_outcomes_are_counted(events, nonevents, why):
    assert too_few(events, nonevents) == why


def test_interval_when_folds_are_missing_says_how_many():
    found = mean_over_folds(folds([0.6, 0.7, np.nan]), 0.5, 0.95, why="no events")
    assert found.folds == 2
    assert found.why == "1 of 3 folds excluded: no events"


def test_measured_coverage_names_every_kind_of_interval_and_its_command():
    found = measured_coverage()
    rows = pd.DataFrame(found["rows"])
    assert {
        "mean over folds",
        "mean over folds, difference",
        "DeLong",
        "bootstrap, stratum",
        "Wilson, calibration bin",
    } == set(rows["interval"])
    assert set(METRICS) | {"net_benefit"} <= set(rows.loc[rows["interval"] == "mean over folds", "metric"])
    assert found["command"].startswith("python benchmarks/coverage.py")
    assert found["cohorts"] >= 200


def test_measured_coverage_of_the_primary_interval_is_at_least_93_percent():
    rows = pd.DataFrame(measured_coverage()["rows"])
    primary = rows[(rows["interval"] == "mean over folds") & (rows["metric"] == "auc")]
    assert len(primary) == 5
    assert (primary["coverage"] >= 0.93 - primary["error"]).all()
    assert (primary["coverage"] < 1).all()


def test_mean_roc_of_a_perfect_and_a_useless_fold_lies_between():
    perfect = (np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0]))
    useless = (np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    curve = mean_roc([perfect, useless])
    middle = curve[np.isclose(curve["fpr"], 0.5)].iloc[0]
    assert (middle["tpr"], middle["tpr_sd"]) == pytest.approx((0.75, np.sqrt(0.125)))
    assert curve.iloc[0]["tpr"] == 0


def test_mean_roc_of_one_fold_has_no_spread():
    curve = mean_roc([(np.array([0.0, 1.0]), np.array([0.0, 1.0]))])
    assert pd.isna(curve["tpr_sd"]).all()
