"""Precision, calibration, net benefit, DeLong and Wilson intervals, sample size: against known answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from metaswin.evaluation.curves import (
    GRID,
    mean_precision,
    net_benefit,
    quantile_bins,
    recall_precision,
    reliability,
    treat_all,
    wilson,
)
from metaswin.evaluation.delong import NO_SPREAD, delong, fold_interval, repeat_interval
from metaswin.evaluation.metrics import (
    CONSTANT,
    INFINITE,
    METRICS,
    ONE_OUTCOME,
    SEPARATED,
    calibration_intercept,
    calibration_slope,
    cox_snell,
    fold_metrics,
)
from metaswin.evaluation.predictions import Scored
from metaswin.evaluation.sample_size import (
    criteria,
    expected_shrinkage,
    largest_r2,
    rows_for_error,
    rows_for_risk,
    rows_for_shrinkage,
    shrinkage_for_optimism,
)


@st.composite
def rows(draw, least: int = 2, most: int = 40):
    """Labels with both outcomes, tied scores within (0, 1) and weights."""
    size = draw(st.integers(least, most))
    labels = draw(hnp.arrays(bool, size).filter(lambda y: y.any() and not y.all()))
    scores = draw(hnp.arrays(int, size, elements=st.integers(1, 8))) / 9
    return labels, scores, draw(hnp.arrays(float, size, elements=st.floats(0.1, 5)))


@settings(max_examples=60, deadline=None)
@given(rows())
def test_metrics_of_tied_scores_and_weights_are_their_definitions(drawn):
    labels, scores, weight = drawn
    found = {name: value.value for name, value in fold_metrics(labels.astype(float), scores, 0.5, weight).items()}
    pairs = np.outer(weight[labels], weight[~labels])
    concordant = np.subtract.outer(scores[labels], scores[~labels])
    assert found["auc"] == pytest.approx(np.sum(pairs * ((concordant > 0) + (concordant == 0) / 2)) / pairs.sum())
    precision, before = 0.0, 0.0
    for score in np.unique(scores)[::-1]:
        called = scores >= score
        recall = np.sum(weight * (called & labels)) / np.sum(weight * labels)
        precision += (recall - before) * np.sum(weight * (called & labels)) / np.sum(weight * called)
        before = recall
    assert found["pr_auc"] == pytest.approx(precision)
    assert found["brier"] == pytest.approx(np.sum(weight * (labels - scores) ** 2) / weight.sum())


def test_metrics_when_all_scores_tie_then_auc_is_a_half_and_pr_auc_the_prevalence():
    found = fold_metrics(np.array([1.0, 0.0, 0.0, 0.0]), np.full(4, 0.3), None, np.ones(4))
    assert (found["auc"].value, found["pr_auc"].value) == (0.5, 0.25)


def test_area_under_the_mean_precision_curve_is_the_mean_average_precision():
    rng = np.random.default_rng(3)
    drawn = [(rng.random(50) < 0.4, rng.random(50), np.ones(50)) for _ in range(3)]
    curve = mean_precision([recall_precision(*one) for one in drawn])
    mean = np.mean([fold_metrics(one[0].astype(float), one[1], None, one[2])["pr_auc"].value for one in drawn])
    assert curve["precision"].iloc[1:].mean() == pytest.approx(mean, abs=0.02)
    assert list(curve["recall"]) == list(GRID)


def test_mean_precision_of_steps_equals_the_value_by_hand():
    # Two events, found first and third: precision 1 up to recall 1/2, then 2/3.
    found = recall_precision(np.array([True, False, True]), np.array([0.9, 0.5, 0.4]), np.ones(3))
    curve = mean_precision([found]).set_index("recall")["precision"]
    assert (curve[0.0], curve[0.5], curve[1.0]) == pytest.approx((1, 1, 2 / 3))


@settings(max_examples=60, deadline=None)
@given(rows(least=6))
def test_calibration_slope_is_the_maximum_of_the_likelihood_or_says_why_not(drawn):
    labels, scores, weight = drawn
    found = calibration_slope(labels, scores, weight)
    x = logit(scores)
    if found.value is None:
        separated = x[labels].min() >= x[~labels].max() or x[labels].max() <= x[~labels].min()
        assert found.why == (CONSTANT if np.ptp(x) == 0 else SEPARATED)
        assert separated
        return
    weight = weight / weight.sum()

    def residuals(intercept):
        return weight * (labels - expit(intercept + found.value * x))

    # Both derivatives of the weighted log-likelihood are 0 at the slope and the intercept that goes with it.
    intercept = brentq(lambda a: residuals(a).sum(), -1000, 1000, xtol=1e-13)
    assert residuals(intercept) @ x == pytest.approx(0, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(rows())
def test_calibration_intercept_makes_mean_prediction_and_mean_outcome_equal(drawn):
    labels, scores, weight = drawn
    found = calibration_intercept(labels, scores, weight).value
    shifted = expit(found + logit(scores))
    assert np.sum(weight * shifted) == pytest.approx(np.sum(weight * labels))


def test_calibration_recovers_the_distortion_of_true_risks():
    rng = np.random.default_rng(0)
    eta = rng.normal(-1, 1.2, 200_000)
    labels = rng.random(len(eta)) < expit(0.4 + 0.5 * eta)
    assert calibration_slope(labels, expit(eta), np.ones(len(eta))).value == pytest.approx(0.5, abs=0.02)
    labels = rng.random(len(eta)) < expit(0.4 + eta)
    assert calibration_intercept(labels, expit(eta), np.ones(len(eta))).value == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize(
    ("labels", "scores", "slope", "intercept"),
    [
        ([0, 0, 0], [0.1, 0.2, 0.3], ONE_OUTCOME, ONE_OUTCOME),
        ([0, 1, 1], [0.0, 0.2, 0.3], INFINITE, INFINITE),
        ([0, 1, 1], [0.2, 0.2, 0.2], CONSTANT, ""),
        ([0, 1, 1], [0.1, 0.2, 0.3], SEPARATED, ""),
        ([1, 0, 0], [0.1, 0.1, 0.3], SEPARATED, ""),
    ],
)
def test_calibration_when_not_estimable_then_the_reason_is_given(labels, scores, slope, intercept):
    labels, scores = np.array(labels) == 1, np.array(scores)
    assert calibration_slope(labels, scores, np.ones(3)).why == slope
    assert calibration_intercept(labels, scores, np.ones(3)).why == intercept


def test_net_benefit_of_four_rows_equals_the_value_by_hand():
    labels, scores = np.array([True, True, False, False]), np.array([0.9, 0.3, 0.5, 0.1])
    # At .2: two true, one false positive, odds 1/4. At .5 (included): one and one, odds 1.
    found = net_benefit(labels, scores, np.ones(4), np.array([0.2, 0.5, 0.95]))
    assert found == pytest.approx([0.5 - 0.25 / 4, 0.0, 0.0])
    assert treat_all(labels, np.ones(4), np.array([0.2, 0.5])) == pytest.approx([0.5 - 0.5 / 4, 0.0])


@settings(max_examples=40, deadline=None)
@given(rows(), st.floats(0.01, 0.99))
def test_net_benefit_equals_its_definition(drawn, threshold):
    labels, scores, weight = drawn
    called = scores >= threshold
    true, false = weight[called & labels].sum(), weight[called & ~labels].sum()
    wanted = (true - false * threshold / (1 - threshold)) / weight.sum()
    assert net_benefit(labels, scores, weight, np.array([threshold]))[0] == pytest.approx(wanted)


def brute_force(positive, negative):
    wins = (np.sign(positive[:, None] - negative[None, :]) + 1) / 2
    v1, v0 = wins.mean(axis=1), wins.mean(axis=0)
    return wins.mean(), v1.var(ddof=1) / len(v1) + v0.var(ddof=1) / len(v0)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_delong_of_tied_scores_equals_the_definition(data):
    scores = hnp.arrays(int, st.integers(2, 25), elements=st.integers(0, 6))
    positive, negative = data.draw(scores).astype(float), data.draw(scores).astype(float)
    assert delong(positive, negative) == pytest.approx(brute_force(positive, negative))


def test_delong_of_hanley_and_mcneils_ratings_equals_the_published_interval():
    # 109 CT images rated 1 to 5 (Hanley & McNeil 1982, table I). Stata's manual of roctab: area .8932, standard
    # error .0307, 95 % interval .83295 to .95339.
    normal = np.repeat(np.arange(1.0, 6), [33, 6, 6, 11, 2])
    abnormal = np.repeat(np.arange(1.0, 6), [3, 2, 2, 11, 33])
    found = fold_interval(abnormal, normal, 0.95)
    assert found.value == pytest.approx(0.8932, abs=5e-5)
    assert (found.low, found.high) == pytest.approx((0.83295, 0.95339), abs=5e-6)


def test_delong_of_a_repeat_is_the_mean_of_the_folds_with_summed_variances():
    rng = np.random.default_rng(1)
    folds = [(rng.normal(1, 1, 8), rng.normal(0, 1, 30)) for _ in range(3)]
    found = repeat_interval(folds, 0.95)
    aucs, variances = zip(*(brute_force(*fold) for fold in folds), strict=True)
    half = 1.959964 * np.sqrt(sum(variances)) / 3
    mean = np.mean(aucs)
    assert (found.value, found.low, found.high) == pytest.approx((mean, mean - half, mean + half))


@pytest.mark.parametrize(
    ("events", "nonevents", "why"),
    [(9, 50, "9 events in the fold, fewer than 10"), (12, 1, "1 non-event in the fold, fewer than 10")],
)
def test_fold_interval_when_outcomes_are_few_then_no_limits(events, nonevents, why):
    found = fold_interval(np.ones(events), np.zeros(nonevents), 0.95)
    assert (found.low, found.high, found.why) == (None, None, why)


def test_repeat_interval_when_not_estimable_then_the_reason_is_given():
    few = [(np.arange(2.0), np.arange(9.0)), (np.arange(3.0), np.arange(9.0))]
    assert repeat_interval(few, 0.95).why == "5 events, fewer than 10"
    one = [(np.arange(12.0), np.arange(9.0)), (np.arange(1.0), np.arange(9.0))]
    assert repeat_interval(one, 0.95).why == "a fold with one event or one non-event has no variance"
    apart = [(np.full(12, 2.0), np.zeros(12))]
    assert repeat_interval(apart, 0.95).why == NO_SPREAD
    assert repeat_interval([], 0.95, "no events").value is None


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    # Newcombe 1998 (Stat Med 17:857-872), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_equals_the_published_intervals(hits, n, low, high):
    assert wilson(hits / n, n, 0.95) == pytest.approx((low, high), abs=5e-5)


def fold(labels, scores, weight=None, repeat=0, number=0):
    weight = np.ones(len(labels)) if weight is None else weight
    return Scored("a", "network", repeat, number, np.asarray(labels, float), np.asarray(scores, float), weight, 0.5)


def test_reliability_bins_are_cut_within_each_fold():
    # Fold 1's scores all lie above fold 0's; both folds still fill both bins.
    low = fold(np.tile([0, 1], 10), np.repeat([0.1, 0.2], 10))
    high = fold(np.repeat([0, 1], 10), np.repeat([0.7, 0.9], 10), number=1)
    found = reliability([low, high], 2, 0.95)
    assert found["n"].tolist() == [20, 20]
    assert found["predicted"].tolist() == pytest.approx([0.4, 0.55])
    assert found["observed"].tolist() == pytest.approx([0.25, 0.75])
    assert (found["low"][0], found["high"][0]) == pytest.approx(wilson(0.25, 20, 0.95))


def test_reliability_of_repeats_counts_each_patient_once():
    labels, scores = np.tile([0, 1], 30), np.linspace(0.1, 0.9, 60)
    once = reliability([fold(labels, scores)], 3, 0.95)
    thrice = reliability([fold(labels, scores, repeat=r) for r in range(3)], 3, 0.95)
    np.testing.assert_allclose(once.drop(columns="why"), thrice.drop(columns="why"))


def test_reliability_interval_ignores_equal_weights_and_is_wider_with_unequal_ones():
    labels, scores = np.tile([0, 1], 30), np.linspace(0.1, 0.9, 60)
    plain = reliability([fold(labels, scores)], 1, 0.95)
    doubled = reliability([fold(labels, scores, np.full(60, 2.0))], 1, 0.95)
    np.testing.assert_allclose(plain["low"], doubled["low"])
    weight = np.repeat([1.0, 1.0, 3.0, 3.0], 15)
    uneven = reliability([fold(labels, scores, weight)], 1, 0.95)
    assert uneven["high"][0] - uneven["low"][0] > plain["high"][0] - plain["low"][0]


def test_reliability_when_all_predictions_tie_then_one_bin():
    found = reliability([fold(np.tile([0, 1], 50), np.full(100, 0.3))], 4, 0.95)
    assert len(found) == 1
    assert found["observed"][0] == 0.5


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(float, st.integers(1, 60), elements=st.floats(0, 1)), st.integers(1, 10))
def test_quantile_bins_keep_the_order_and_equal_scores_together(scores, bins):
    place = quantile_bins(scores, bins)
    order = np.argsort(scores, kind="stable")
    assert np.all(np.diff(place[order]) >= 0)
    assert all(len(set(place[scores == value])) == 1 for value in scores)
    assert place.min() >= 0
    assert place.max() < bins


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_fold_metrics_of_any_input_are_finite_or_have_a_reason(data):
    size = data.draw(st.integers(0, 12))
    labels = data.draw(hnp.arrays(float, size, elements=st.sampled_from([0.0, 1.0, np.nan])))
    scores = data.draw(hnp.arrays(float, size, elements=st.sampled_from([0.0, 0.2, 0.2, 0.7, 1.0, np.nan])))
    threshold = data.draw(st.sampled_from([0.5, None, np.nan]))
    found = fold_metrics(labels, scores, threshold, np.where(np.isnan(labels), 0.0, 1.5))
    assert set(found) == set(METRICS)
    for value in found.values():
        assert (value.value is None) == bool(value.why)
        assert value.value is None or np.isfinite(value.value)


def test_riley_rows_equal_the_worked_example_of_pmsampsize():
    # The example of its help (R² .288, 24 parameters, prevalence .174), by its own formulas (pmsampsize_bin):
    # 623, 662 and 221 rows, shrinkage .905.
    shrinkage = shrinkage_for_optimism(0.288, 0.174)
    assert np.ceil(rows_for_shrinkage(0.288, 24)) == 623
    assert shrinkage == pytest.approx(0.905, abs=5e-4)
    assert np.ceil(rows_for_shrinkage(0.288, 24, shrinkage)) == 662
    assert np.ceil(rows_for_risk(0.174)) == 221


def test_largest_r2_of_half_events_is_three_quarters():
    assert largest_r2(0.5) == pytest.approx(0.75)


@pytest.mark.parametrize(("rows_", "r2", "parameters"), [(100, 0.1, 5), (300, 0.288, 24), (2000, 0.05, 1500)])
def test_expected_shrinkage_inverts_the_required_number_of_rows(rows_, r2, parameters):
    found = expected_shrinkage(rows_, r2, parameters)
    assert rows_for_shrinkage(r2, parameters, found) == pytest.approx(rows_)
    assert r2 < found < 1


def test_expected_shrinkage_when_six_rows_and_400_parameters_then_the_minimum():
    assert expected_shrinkage(6, 0.11, 400) == pytest.approx(0.11, abs=1e-9)


def test_criteria_are_met_exactly_from_the_required_number_of_rows():
    rows_needed = {name: found for name, found, _, _ in criteria(400, 80, 10, np.nan)}["rows_needed"].value
    for n, enough in [(rows_needed, True), (rows_needed * 0.98, False)]:
        found = {name: met for name, _, _, met in criteria(n, 0.2 * n, 10, np.nan)}
        each = [found[name] for name in ("shrinkage", "optimism", "overall_risk", "absolute_error")]
        assert (found["rows_needed"], all(each)) == (enough, enough)


def test_absolute_error_criterion_changes_at_the_value_of_its_formula():
    n = rows_for_error(0.2, 12)
    assert np.log(n) == pytest.approx((-0.508 + 0.259 * np.log(0.2) + 0.504 * np.log(12) - np.log(0.05)) / 0.544)
    found = {name: value.value for name, value, _, _ in criteria(n, 0.2 * n, 12, 0.1)}
    assert found["absolute_error"] == pytest.approx(0.05)


def test_criteria_when_not_estimable_then_the_reason_is_given():
    found = {name: value for name, value, _, _ in criteria(100, 20, 1562, -0.1)}
    assert "not better than the prevalence" in found["shrinkage_measured"].why
    assert "up to 30" in found["absolute_error"].why
    assert {value.why for _, value, _, _ in criteria(100, 0, 5, 0.1)} == {"the training rows have only one outcome"}
    assert {value.why for _, value, _, _ in criteria(100, 9, 0, 0.1)} == {"no columns are left to fit"}


def test_cox_snell_of_a_fitted_regression_equals_its_likelihood_ratio():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(300, 2))
    labels = rng.random(300) < expit(x @ [1, 0.5] - 1)
    p = LogisticRegression(C=np.inf).fit(x, labels).predict_proba(x)[:, 1]
    share = labels.mean()
    ratio = 2 * np.sum(np.log(np.where(labels, p, 1 - p)) - np.log(np.where(labels, share, 1 - share)))
    assert cox_snell(labels, p) == pytest.approx(1 - np.exp(-ratio / 300))
    assert cox_snell(labels, 1 - p) < 0
    assert np.isnan(cox_snell(labels, np.full(300, np.nan)))
    assert np.isnan(cox_snell(labels, np.zeros(300)))
