"""ComBat on small arrays: an independent implementation's values, and what must hold for any."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaswin.features.combat import CONFOUNDED, FLAT, ONE_BATCH, Covariates, fit_combat, fit_covariates, shrink

REFERENCE = json.loads((Path(__file__).parent / "neurocombat.json").read_text())
LEVELS = sorted(set(REFERENCE["batch"]))
VALUES = np.array(REFERENCE["values"])
BATCH = np.array([LEVELS.index(level) for level in REFERENCE["batch"]])


def without(rows):
    """No covariates."""
    return np.empty((rows, 0))


def drawn(sizes, features=5, seed=0, shift=3.0):
    """Values of batches that differ in mean and spread, and their batch."""
    rng = np.random.default_rng(seed)
    batch = np.repeat(np.arange(len(sizes)), sizes)
    spread = rng.uniform(0.5, 2, (len(sizes), features))
    offset = shift * rng.normal(size=(len(sizes), features))
    return offset[batch] + spread[batch] * rng.normal(size=(len(batch), features)), batch


def test_combat_when_compared_with_neurocombat_then_equal():
    combat = fit_combat(VALUES, BATCH, 3, without(40), 8)
    assert combat.apply(VALUES, BATCH, without(40)) == pytest.approx(np.array(REFERENCE["plain"]), rel=1e-9)


def test_combat_when_compared_with_neurocombat_with_covariates_then_equal():
    table = pd.DataFrame({"sex": REFERENCE["sex"], "age": REFERENCE["age"]})
    covariates = fit_covariates(table, ["sex", "age"]).transform(table)
    combat = fit_combat(VALUES, BATCH, 3, covariates, 8)
    assert combat.apply(VALUES, BATCH, covariates) == pytest.approx(np.array(REFERENCE["covariates"]), rel=1e-9)


def test_combat_when_columns_and_rows_are_shuffled_then_the_same_values():
    rng = np.random.default_rng(1)
    rows, columns = rng.permutation(40), rng.permutation(6)
    combat = fit_combat(VALUES[np.ix_(rows, columns)], BATCH[rows], 3, without(40), 8)
    found = combat.apply(VALUES[:, columns], BATCH, without(40))
    assert found == pytest.approx(np.array(REFERENCE["plain"])[:, columns], rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(8, 30), min_size=2, max_size=4),
    features=st.integers(1, 8),
    seed=st.integers(0, 1000),
    scale=st.sampled_from([1e-6, 1.0, 1e9]),
)
def test_combat_when_applied_to_training_rows_then_batches_agree_and_the_mean_stays(sizes, features, seed, scale):
    values, batch = drawn(sizes, features, seed)
    combat = fit_combat(scale * values, batch, len(sizes), without(len(batch)), 8)
    found = combat.apply(scale * values, batch, without(len(batch))) / scale
    before, after = (np.stack([v[batch == b].mean(axis=0) for b in range(len(sizes))]) for v in (values, found))
    # Shrunken effects leave a small part of the differences.
    assert np.ptp(after, axis=0).max() < 0.35 * max(1.0, np.ptp(before, axis=0).max())
    assert found.mean(axis=0) == pytest.approx(values.mean(axis=0), abs=0.3)
    for b in range(len(sizes)):
        order = np.argsort(values[batch == b], axis=0)
        assert (np.diff(np.take_along_axis(found[batch == b], order, axis=0), axis=0) >= 0).all()


def test_combat_when_there_is_one_feature_then_batch_means_and_variances_are_equal():
    values, batch = drawn([12, 20], features=1)
    combat = fit_combat(values, batch, 2, without(32), 8)
    found = combat.apply(values, batch, without(32))[:, 0]
    assert found[batch == 0].mean() == pytest.approx(found[batch == 1].mean())
    assert found[batch == 0].std(ddof=1) == pytest.approx(found[batch == 1].std(ddof=1))


def test_combat_when_there_is_one_batch_then_nothing_changes():
    values, _ = drawn([20])
    combat = fit_combat(values, np.zeros(20, int), 1, without(20), 8)
    assert np.array_equal(combat.apply(values, np.zeros(20, int), without(20)), values)
    assert set(combat.why) == {ONE_BATCH}


def test_combat_when_a_batch_is_small_unseen_or_missing_then_its_rows_stay_identical():
    values, batch = drawn([12, 20, 7])
    combat = fit_combat(values, batch, 3, without(39), 8)
    found = combat.apply(values, batch, without(39))
    assert np.array_equal(found[batch == 2], values[batch == 2])
    assert (found[batch < 2] != values[batch < 2]).all()
    alone = fit_combat(values[batch < 2], batch[batch < 2], 2, without(32), 8)
    assert np.array_equal(alone.apply(values[batch < 2], batch[batch < 2], without(32)), found[batch < 2])
    unseen = alone.apply(values, np.full(39, -1), without(39))
    assert np.array_equal(unseen, values)


def test_combat_when_values_are_missing_then_features_are_fitted_on_their_known_rows():
    values, batch = drawn([12, 14], features=3)
    holes = values.copy()
    holes[:3, 0] = np.nan
    found = fit_combat(holes, batch, 2, without(26), 8)
    rows = np.arange(3, 26)
    part = fit_combat(values[rows, :1], batch[rows], 2, without(23), 8)
    whole = fit_combat(values, batch, 2, without(26), 8)
    assert found.alpha == pytest.approx([part.alpha[0], *whole.alpha[1:]])
    assert found.sigma == pytest.approx([part.sigma[0], *whole.sigma[1:]])
    applied = found.apply(holes, batch, without(26))
    assert np.array_equal(np.isnan(applied), np.isnan(holes))


def test_combat_when_too_few_of_a_batch_have_a_feature_then_that_feature_stays():
    values, batch = drawn([12, 14], features=3)
    values[:6, 0] = np.nan
    combat = fit_combat(values, batch, 2, without(26), 8)
    found = combat.apply(values, batch, without(26))
    assert combat.why == (ONE_BATCH, "", "")
    assert np.array_equal(found[:, 0], values[:, 0], equal_nan=True)
    assert (found[:, 1:] != values[:, 1:]).all()


def test_combat_when_a_feature_is_constant_in_a_batch_then_it_stays():
    values, batch = drawn([12, 14], features=4)
    values[batch == 1, 2] = 0.1 + 0.2
    values[:, 3] = 7.0
    combat = fit_combat(values, batch, 2, without(26), 8)
    assert combat.why == ("", "", FLAT, FLAT)
    assert np.array_equal(combat.apply(values, batch, without(26))[:, 2:], values[:, 2:])


def test_combat_when_a_covariate_follows_the_batch_then_nothing_is_harmonised():
    values, batch = drawn([12, 14])
    combat = fit_combat(values, batch, 2, (batch == 1).astype(float)[:, None], 8)
    assert set(combat.why) == {CONFOUNDED}


def test_combat_when_a_covariate_differs_between_batches_then_its_effect_stays():
    rng = np.random.default_rng(3)
    batch = np.repeat([0, 1], [200, 200])
    effect = rng.normal(size=400) + 1.5 * batch
    values = effect[:, None] * [2.0, 2.0, 2.0] + 5.0 * batch[:, None] + rng.normal(size=(400, 3))
    covariates = fit_covariates(pd.DataFrame({"x": effect}), ["x"]).transform(pd.DataFrame({"x": effect}))
    found = fit_combat(values, batch, 2, covariates, 8).apply(values, batch, covariates)
    slopes = [np.polyfit(effect, found[:, f], 1)[0] for f in range(3)]
    assert slopes == pytest.approx([2.0] * 3, abs=0.15)
    blind = fit_combat(values, batch, 2, without(400), 8).apply(values, batch, without(400))
    assert np.ptp([blind[batch == b].mean() for b in (0, 1)]) < 0.1
    assert np.ptp([found[batch == b].mean() for b in (0, 1)]) == pytest.approx(3.0, abs=0.4)


def test_shrink_when_batches_grow_then_the_estimates_are_trusted_more():
    gamma, delta = np.array([-1.0, 0.0, 2.0]), np.array([0.5, 1.0, 3.0])
    few, many = (shrink(gamma, delta, np.full(3, n)) for n in (8, 8000))
    assert np.ptp(few[0]) < np.ptp(many[0]) < np.ptp(gamma)
    assert many[0] == pytest.approx(gamma, abs=0.01)
    assert many[1] == pytest.approx(delta, rel=0.01)


def test_covariates_when_a_value_is_missing_or_unseen_then_the_training_mean_is_used():
    train = pd.DataFrame({"sex": ["f", "M ", "m", None], "age": [50.0, 60.0, np.nan, 70.0], "all": ["x"] * 4})
    fitted = fit_covariates(train, ["sex", "age", "all"])
    coded = fitted.transform(pd.DataFrame({"sex": ["F", "other"], "age": [np.nan, 60.0], "all": ["x", "y"]}))
    assert coded == pytest.approx(np.array([[2 / 3, -2 / 3, 0.0], [0.0, 0.0, 0.0]]))
    assert fitted.transform(train)[:, :2].sum() == pytest.approx(0)
    again = Covariates.from_json(json.loads(json.dumps(fitted.as_json())))
    assert np.array_equal(again.transform(train), fitted.transform(train))
