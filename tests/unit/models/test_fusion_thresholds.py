"""Thresholds, recalibration and AUC."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve

from metaswin.models.thresholds import auc, fit_recalibration, fit_threshold

predictions = st.lists(
    st.tuples(st.sampled_from([0.05, 0.1, 0.2, 0.3, 0.5, 0.5001, 0.9]), st.booleans()), min_size=2, max_size=40
).filter(lambda rows: len({label for _, label in rows}) == 2)


def arrays(rows):
    return np.array([p for p, _ in rows]), np.array([label for _, label in rows], dtype=float)


def test_youden_when_one_cut_is_best_then_half_way_between_the_neighbours():
    # At 0.35: sensitivity 2/2, specificity 3/4; no other cut is better.
    probability = np.array([0.1, 0.2, 0.3, 0.6, 0.4, 0.8])
    assert fit_threshold(probability, np.array([0, 0, 0, 0, 1, 1]), "youden") == pytest.approx(0.35)


def test_youden_when_two_cuts_are_as_good_then_the_balanced_one():
    # 0.15: sensitivity 1, specificity 1/3; 0.35: 2/3 and 2/3; 0.55: 1/3 and 1.
    probability = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert fit_threshold(probability, np.array([0, 1, 0, 1, 0, 1]), "youden") == pytest.approx(0.35)


def test_youden_when_worse_than_chance_then_not_all_rows_are_positive():
    assert fit_threshold(np.array([0.1, 0.2, 0.8, 0.9]), np.array([1, 1, 0, 0]), "youden") > 0.1


def test_youden_when_all_predictions_are_equal_then_all_rows_are_positive():
    assert fit_threshold(np.full(4, 0.3), np.array([0, 1, 0, 1]), "youden") == 0


def test_sensitivity_when_fixed_then_the_highest_threshold_that_reaches_it():
    probability = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.35])
    label = np.array([1, 1, 1, 1, 1, 0])
    assert fit_threshold(probability, label, "sensitivity", 0.8) == pytest.approx(0.15)
    assert fit_threshold(probability, label, "sensitivity", 0.81) == 0
    assert fit_threshold(probability, label, "sensitivity", 0.4) == pytest.approx(0.375)


@given(predictions)
def test_youden_when_any_predictions_then_no_other_cut_is_better(rows):
    probability, label = arrays(rows)
    threshold = fit_threshold(probability, label, "youden")
    positive = probability >= threshold
    youden = positive[label == 1].mean() + (~positive)[label == 0].mean() - 1
    false, true, _ = roc_curve(label, probability, drop_intermediate=False)
    # The corners of the curve (nobody, everybody positive) are no thresholds.
    inside = (true - false)[1:-1]
    assert youden == pytest.approx(inside.max() if len(inside) else 0)


@given(predictions, st.sampled_from([0.2, 0.5, 0.8, 0.95]))
def test_sensitivity_when_any_predictions_then_reached(rows, wanted):
    probability, label = arrays(rows)
    positive = probability >= fit_threshold(probability, label, "sensitivity", wanted)
    assert positive[label == 1].mean() >= wanted - 1e-9


@given(predictions)
def test_auc_when_any_predictions_then_as_scikit_learn(rows):
    probability, label = arrays(rows)
    assert auc(probability, label) == pytest.approx(roc_auc_score(label, probability))


def test_auc_when_one_class_then_none():
    assert auc(np.array([0.1, 0.2]), np.array([1, 1])) is None


def test_recalibration_when_many_rows_then_as_an_unpenalised_logistic_regression():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=20_000) * 3
    label = (rng.random(20_000) < 1 / (1 + np.exp(1 - 0.4 * logits))).astype(float)
    found = fit_recalibration(logits, label)
    model = LogisticRegression(C=1e9).fit(logits[:, None], label)
    assert found.slope == pytest.approx(model.coef_[0, 0], rel=2e-3)
    assert found.intercept == pytest.approx(model.intercept_[0], rel=5e-3)


@given(predictions)
def test_recalibration_when_any_predictions_then_ranks_stay_and_the_mean_is_right(rows):
    probability, label = arrays(rows)
    logits = np.log(probability / (1 - probability))
    found = fit_recalibration(logits, label)
    adjusted = found.probability(logits)
    assert found.slope > 0
    order = np.argsort(logits, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
    assert len(np.unique(adjusted)) == len(np.unique(logits))
    assert adjusted.mean() == pytest.approx(label.mean(), abs=1e-3)


def test_recalibration_when_ranking_is_reversed_then_slope_stays_positive():
    logits = np.linspace(-3, 3, 30)
    assert 0 < fit_recalibration(logits, (logits < 0).astype(float)).slope < 0.3
