"""Components of radiomics features as targets of the encoder."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from metaswin.models.guidance import HEAD_PENALTY, Targets, head_weights, radiomics_components


def table(seed=0, rows=60):
    """Three hidden numbers behind twelve features with heavy tails."""
    random = np.random.default_rng(seed)
    hidden = random.standard_normal((rows, 3)) * [3, 2, 1]
    values = np.exp(hidden @ random.standard_normal((3, 12)))
    return hidden, pd.DataFrame(values, columns=[f"f{number}" for number in range(12)])


def test_components_when_three_numbers_lie_behind_the_features_then_they_are_found():
    hidden, features = table()
    found = radiomics_components(features, 3)
    assert found.shape == (60, 3)
    assert found.std(axis=0) == pytest.approx(np.ones(3), abs=1e-5)
    assert np.corrcoef(found, rowvar=False) == pytest.approx(np.eye(3), abs=1e-5)
    fitted = np.linalg.lstsq(found, hidden, rcond=None)[0]
    assert 1 - ((hidden - found @ fitted) ** 2).sum() / (hidden**2).sum() > 0.9


def test_components_when_a_feature_is_stretched_monotonically_or_turned_then_the_same():
    _, features = table()
    wanted = radiomics_components(features, 3)
    np.testing.assert_allclose(radiomics_components(features**3, 3), wanted, atol=1e-5)
    turned = features.assign(f0=-features["f0"])
    np.testing.assert_allclose(np.abs(radiomics_components(turned, 3)), np.abs(wanted), atol=1e-5)


def test_components_when_values_are_missing_then_finite_and_hardly_other():
    _, features = table()
    holes = features.mask(np.random.default_rng(1).random(features.shape) < 0.05)
    found, wanted = radiomics_components(holes, 2), radiomics_components(features, 2)
    assert np.isfinite(found).all()
    for column in range(2):
        assert abs(np.corrcoef(found[:, column], wanted[:, column])[0, 1]) > 0.9


def test_components_when_rows_or_features_are_few_then_fewer_or_none():
    _, features = table(rows=4)
    assert radiomics_components(features, 16).shape == (4, 3)
    constant = pd.DataFrame({"a": [1.0, 1.0, 1.0], "b": [np.nan] * 3})
    assert radiomics_components(constant, 16).shape == (3, 0)


def labels_of(predicted, weights, seed=1):
    """Labels with known log odds."""
    odds = predicted @ np.asarray(weights) - 1
    return (np.random.default_rng(seed).random(len(odds)) < 1 / (1 + np.exp(-odds))).astype(float)


def times_of(predicted, weights, seed=2):
    """Return days and events from exponential metastasis, death and censoring times; hazard ratios are exp(weights)."""
    random = np.random.default_rng(seed)
    metastasis = random.exponential(2000 * np.exp(-predicted @ np.asarray(weights)))
    death, censored = random.exponential(4000, len(predicted)), random.uniform(200, 3000, len(predicted))
    days = np.stack([censored, metastasis, death])
    return days.min(axis=0), days.argmin(axis=0).astype(float)


def timed_targets(predicted, weights):
    time, event = times_of(predicted, weights)
    label = np.where((event == 1) & (time <= 730), 1.0, np.where((time >= 730) | (event == 2), 0.0, np.nan))
    return Targets(label, time, event, np.zeros((len(label), 0), np.float32))


def test_head_when_there_are_no_times_then_the_logistic_regression_of_the_label():
    predicted = np.random.default_rng(0).standard_normal((400, 3)) * [1, 5, 0.2] + 3
    labels = labels_of((predicted - 3) / [1, 5, 0.2], [1.0, -0.5, 0.0])
    labels[:40] = np.nan
    weights, intercept = head_weights(predicted, Targets.of_labels(labels))
    known = ~np.isnan(labels)
    scaled = (predicted - predicted.mean(axis=0)) / predicted.std(axis=0)
    model = LogisticRegression(C=1 / HEAD_PENALTY).fit(scaled[known], labels[known])
    assert weights * predicted.std(axis=0) == pytest.approx(model.coef_[0], abs=0.01)
    probability = 1 / (1 + np.exp(-(predicted @ weights + intercept)))
    assert probability[known].mean() == pytest.approx(labels[known].mean(), abs=1e-9)


def test_head_when_there_are_times_then_the_planted_effects_are_found():
    predicted = np.random.default_rng(0).standard_normal((6000, 2))
    targets = timed_targets(predicted, [0.8, -0.4])
    weights, intercept = head_weights(predicted, targets)
    # In intervals with many events, odds ratios are larger than hazard ratios, for all predictors alike.
    assert weights[0] / weights[1] == pytest.approx(-2, rel=0.1)
    assert 1 < weights[0] / 0.8 < 1.25
    known = targets.labelled
    probability = 1 / (1 + np.exp(-(predicted @ weights + intercept)))
    assert probability[known].mean() == pytest.approx(targets.labels[known].mean(), abs=1e-9)


def test_head_when_there_are_times_then_its_direction_is_more_precise_than_from_labels():
    """The measure is one minus the cosine of the angle to the planted weights, averaged over 20 cohorts of 200 rows."""
    errors = []
    for seed in range(20):
        predicted = np.random.default_rng(seed).standard_normal((200, 6))
        wanted = np.array([0.6, -0.6, 0, 0, 0, 0])
        time, event = times_of(predicted, wanted, seed + 100)
        label = np.where((event == 1) & (time <= 730), 1.0, np.where((time >= 730) | (event == 2), 0.0, np.nan))
        none = np.zeros((200, 0), np.float32)
        found = [
            head_weights(predicted, targets)[0]
            for targets in (Targets(label, time, event, none), Targets.of_labels(label))
        ]
        errors.append([1 - weights @ wanted / np.linalg.norm(weights) / np.linalg.norm(wanted) for weights in found])
    timed, labelled = np.mean(errors, axis=0)
    assert timed < labelled


def test_head_when_a_row_is_censored_before_the_first_metastasis_then_it_does_not_matter():
    predicted = np.random.default_rng(0).standard_normal((300, 2))
    targets = timed_targets(predicted, [0.8, -0.4])
    targets.time[0], targets.event[0], targets.labels[0] = 0.5, 0, np.nan
    first = head_weights(predicted, targets)[0]
    targets.time[0] = 0.1
    assert np.array_equal(head_weights(predicted, targets)[0], first)


def test_targets_when_a_value_changes_then_so_does_the_fingerprint():
    predicted = np.random.default_rng(0).standard_normal((20, 2))
    targets = timed_targets(predicted, [0.8, -0.4])
    first = targets.fingerprint()
    assert first == timed_targets(predicted, [0.8, -0.4]).fingerprint()
    targets.time[3] += 1
    assert targets.fingerprint() != first
