"""Influence of each test row on a metric: the derivative with respect to its weight, DeLong's variance, pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaswin.evaluation.curves import net_benefit
from metaswin.evaluation.delong import delong
from metaswin.evaluation.influence import linearised, variance
from metaswin.evaluation.metrics import METRICS, fold_metrics

AT = 0.3


def rows(seed, n=60, ties=False):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=n)
    labels = rng.random(n) < 1 / (1 + np.exp(1 - 0.8 * logits))
    labels[:2], labels[2:4] = True, False
    scores = 1 / (1 + np.exp(1 - logits))
    return labels, np.clip(np.round(scores, 1), 0.1, 0.9) if ties else scores, rng.uniform(0.5, 3, n)


def measured(metric, labels, scores, weights):
    if metric == "net_benefit":
        return float(net_benefit(labels, scores, weights, np.array([AT]))[0])
    return fold_metrics(labels.astype(float), scores, AT, weights)[metric].value


def rows_that_count(metric, labels):
    """Factor of small samples: n / (n - 1) of the rows that the mean is over; none for fitted parameters."""
    n = {"sen": labels.sum(), "spe": (~labels).sum()}.get(metric, len(labels))
    if metric == "auc":
        return np.where(
            labels, np.sqrt(labels.sum() / (labels.sum() - 1)), np.sqrt((~labels).sum() / ((~labels).sum() - 1))
        )
    return 1.0 if metric.startswith("calibration") else np.sqrt(n / (n - 1))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("metric", [*METRICS, "net_benefit"])
def test_influence_equals_the_derivative_by_each_weight(metric, ties):
    labels, scores, weights = rows(3, ties=ties)
    value, found = linearised(metric, labels, scores, weights, AT)
    assert value == pytest.approx(measured(metric, labels, scores, weights))
    found = found / rows_that_count(metric, labels)
    step = 1e-4
    for i in range(len(labels)):
        changed = [weights * np.where(np.arange(len(labels)) == i, 1 + sign * step, 1.0) for sign in (1, -1)]
        higher, lower = (measured(metric, labels, scores, w) for w in changed)
        assert found[i] == pytest.approx((higher - lower) / (2 * step), abs=2e-6)


@given(st.integers(0, 2**31), st.booleans())
def test_variance_of_the_auc_when_weights_are_equal_then_delongs(seed, ties):
    labels, scores, _ = rows(seed, n=40, ties=ties)
    expected = delong(scores[labels], scores[~labels])[1]
    assert variance(linearised("auc", labels, scores, np.full(40, 2.0))[1]) == pytest.approx(expected)


def test_variance_of_brier_score_and_accuracy_is_that_of_a_mean():
    labels, scores, _ = rows(5)
    loss = (scores - labels) ** 2
    equal = np.ones(len(labels))
    assert variance(linearised("brier", labels, scores, equal)[1]) == pytest.approx(loss.var(ddof=1) / len(loss))
    hits = ((scores >= AT) == labels)[labels]
    assert variance(linearised("sen", labels, scores, equal, AT)[1]) == pytest.approx(hits.var(ddof=1) / len(hits))


@pytest.mark.parametrize("metric", ["auc", "pr_auc", "brier", "acc", "net_benefit"])
def test_variance_when_cohorts_are_drawn_again_then_that_of_the_metric(metric):
    drawn = [rows(seed, n=200) for seed in range(400)]
    values = [measured(metric, labels, scores, np.ones(200)) for labels, scores, _ in drawn]
    estimated = [variance(linearised(metric, labels, scores, np.ones(200), AT)[1]) for labels, scores, _ in drawn]
    assert np.mean(estimated) == pytest.approx(np.var(values, ddof=1), rel=0.2)


def test_influence_when_there_is_no_variance_then_none():
    labels, scores, weights = np.array([True, False, False]), np.array([0.8, 0.3, 0.2]), np.ones(3)
    assert linearised("auc", labels, scores, weights)[1] is None
    assert linearised("sen", labels, scores, weights, 0.5)[1] is None
    assert linearised("acc", labels, scores, weights, None)[1] is None
    assert np.isnan(variance(None))


def test_slope_when_predictions_are_nearly_constant_then_its_variance_is_that_of_the_same_ranks():
    """The slope is then so large that the intercept of predictions far from a half would be out of reach."""
    labels, scores, weights = rows(5)
    logits = np.log(scores / (1 - scores))
    near = 1 / (1 + np.exp(2 - 1e-3 * logits))
    for factor, found in ((1.0, scores), (1e-3, near)):
        slope, influences = linearised("calibration_slope", labels, found, weights)
        plain, own = linearised("calibration_slope", labels, scores, weights)
        assert slope * factor == pytest.approx(plain, rel=1e-4)
        assert influences * factor == pytest.approx(own, rel=1e-3, abs=1e-6)
