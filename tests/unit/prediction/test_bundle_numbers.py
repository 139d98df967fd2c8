"""Numbers that place a new patient among the training patients."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaswin.features.encoder import LIMIT, fit_encoder
from metaswin.prediction.bundle import (
    BundledFeatureSet,
    bundled_feature_sets,
    held_out,
    id_hash,
    make_key,
    stand_in,
    training_folds,
)
from metaswin.prediction.facts import outward, seen
from metaswin.prediction.placing import cross_fitted, fit_distance, group, percentile, placing


def ledoit_wolf_by_hand(rows):
    """Equations 14 and following of Ledoit and Wolf (2004), written out with loops."""
    n, p = rows.shape
    away = rows - rows.mean(axis=0)
    sample = away.T @ away / n
    mu = np.trace(sample) / p
    d2 = ((sample - mu * np.eye(p)) ** 2).sum() / p
    b2 = sum(((np.outer(row, row) - sample) ** 2).sum() / p for row in away) / n**2
    shrinkage = min(b2, d2) / d2
    return rows.mean(axis=0), shrinkage * mu * np.eye(p) + (1 - shrinkage) * sample


def distance_by_hand(row, rows):
    mean, covariance = ledoit_wolf_by_hand(rows)
    return math.sqrt((row - mean) @ np.linalg.solve(covariance, row - mean))


@pytest.mark.parametrize(("n", "p"), [(30, 4), (15, 40)])
def test_distance_when_each_row_is_held_out_then_it_equals_brute_force(n, p):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(n, p)) @ rng.normal(size=(p, p))
    found = fit_distance(rows, most=n, seed=[0])
    alone = [distance_by_hand(rows[i], np.delete(rows, i, axis=0)) for i in range(n)]
    np.testing.assert_allclose(found.held_out, np.percentile(alone, range(101)), rtol=1e-6)
    new = rng.normal(size=p)
    assert found.of(new[None])[0] == pytest.approx(distance_by_hand(new, rows), rel=1e-6)


def test_distance_when_a_row_is_far_then_its_percentile_is_100_and_the_mean_is_near():
    rows = np.random.default_rng(2).normal(size=(50, 3))
    found = fit_distance(rows, most=50, seed=[0])
    far, near = found.percentile(np.stack([np.full(3, 50.0), rows.mean(axis=0)]))
    assert far == 100
    assert near == 0


def test_distance_when_there_are_many_rows_then_a_seeded_sample_is_held_out():
    rows = np.random.default_rng(3).normal(size=(60, 2))
    few, again, other = (fit_distance(rows, most=12, seed=[seed]) for seed in (1, 1, 2))
    np.testing.assert_array_equal(few.held_out, again.held_out)
    assert not np.array_equal(few.held_out, other.held_out)


@pytest.mark.parametrize("rows", [np.random.default_rng(0).normal(size=(9, 2)), np.ones((20, 3)), np.empty((20, 0))])
def test_distance_when_rows_are_few_or_nothing_varies_then_there_is_none(rows):
    assert fit_distance(rows, most=20, seed=[0]) is None


def test_encoder_when_not_cut_then_a_far_value_stays_far():
    table = pd.DataFrame({"age": [50.0, 60.0, 70.0]})
    encoder = fit_encoder(table, {"age": "numeric"}, 2)
    far = pd.DataFrame({"age": [600.0]})
    assert encoder.transform(far)[0, 0] == LIMIT
    assert encoder.transform(far, limit=np.inf)[0, 0] == pytest.approx(540 / table["age"].std(ddof=0))


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [(17.3, 84.6, [17, 85]), (0.31, 0.39, [0.31, 0.39]), (1234.0, 98_765.0, [1200, 99_000]), (-17.3, 0.0, [-18, 0])],
)
def test_range_is_rounded_outwards_to_two_digits(low, high, wanted):
    assert outward(low, high) == wanted


@given(st.integers(-(10**9), 10**9), st.integers(0, 10**9))
def test_range_when_rounded_then_it_contains_both_ends_and_is_little_wider(thousandths, wide):
    low, width = thousandths / 1000, wide / 1000
    found = outward(low, low + width)
    slack = 1e-9 * (abs(low) + width)
    assert found[0] <= low + slack
    assert found[1] >= low + width - slack
    assert found[1] - found[0] <= width + 0.2 * (abs(low) + abs(low + width))


def test_seen_ranges_and_levels_ignore_missing_values():
    table = pd.DataFrame({"age": [61.0, np.nan, 44.0], "kernel": ["B", None, "A"]})
    found = seen(table, {"age": "numeric", "kernel": "category"})
    assert found == {"numbers": {"age": [44.0, 61.0]}, "levels": {"kernel": ["A", "B"]}}


def test_cross_fitted_when_a_member_tested_the_patient_then_the_mean_over_the_others():
    def member(a, b, c, part_of_c):
        rows = {"patient": ["A", "B", "C"], "feature_set": "all", "classifier": "network", "probability": [a, b, c]}
        return pd.DataFrame({**rows, "part": ["inner", "inner", part_of_c]})

    scores = cross_fitted([member(0.2, 0.4, 0.9, "test"), member(0.4, 0.4, 0.6, "inner")], "all", "network")
    assert scores.to_dict() == pytest.approx({"A": 0.3, "B": 0.4, "C": 0.6})


def test_percentile_when_scores_are_0_to_1_then_risk_in_percent_and_groups_thirds():
    placed = placing(pd.Series(np.linspace(0, 1, 101)), 3)
    assert [percentile(placed, risk) for risk in (-1, 0.25, 0.335, 2)] == pytest.approx([0, 25, 33.5, 100])
    assert [group(placed, risk) for risk in (0.0, 0.33, 1 / 3 + 1e-9, 0.66, 0.67, 1)] == [0, 0, 1, 1, 2, 2]


def test_percentile_when_many_scores_are_equal_then_ties_count_half():
    placed = placing(pd.Series([0.1] * 50 + [0.2] * 50), 2)
    assert percentile(placed, 0.1) == pytest.approx(25, abs=1)
    assert percentile(placed, 0.2) == pytest.approx(75, abs=1)


def test_percentile_when_no_patient_has_a_score_then_there_is_none():
    placed = placing(pd.Series(dtype="float64"), 3)
    assert percentile(placed, 0.3) is None
    assert group(placed, 0.3) is None


def test_hash_when_case_or_blanks_differ_then_the_same_and_with_another_key_another():
    assert id_hash("k", " Sts_001") == id_hash("k", "STS_001")
    assert id_hash("k", "STS_001") != id_hash("other", "STS_001")
    assert id_hash("k", "STS_001") != id_hash("k", "STS_002")
    # RFC 4231, test case 2.
    wanted = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert id_hash("Jefe", "what do ya want for nothing?") == wanted


def test_key_when_any_file_differs_then_it_differs():
    assert make_key({"a": "1", "b": "2"}) == make_key({"b": "2", "a": "1"})
    assert make_key({"a": "1", "b": "2"}) != make_key({"a": "1", "b": "3"})


def test_held_out_when_asked_by_repeat_and_fold_then_only_the_own_test_fold_is():
    folds = pd.DataFrame({"patient": ["A", "B"] * 2, "repeat": [0, 0, 1, 1], "fold": [0, 1, 1, 0]})
    known = training_folds("k", folds)
    assert known == {id_hash("k", "A"): [0, 1], id_hash("k", "B"): [1, 0]}
    own = known[id_hash("k", "A")]
    assert [held_out(own, 0, 0), held_out(own, 0, 1), held_out(own, 1, 1)] == [True, False, True]
    assert held_out(None, 3, 4)


MODALITIES = {
    "all": ["clinical:a", "radiomics", "deep"],
    "clinical+radiomics": ["clinical:a", "radiomics"],
    "clinical+deep": ["clinical:a", "deep"],
    "clinical:a": ["clinical:a"],
    "clinical:b": ["clinical:b"],
    "deep": ["deep"],
    "volume": ["volume"],
}


def test_feature_sets_when_ordered_then_primary_first_then_more_modalities_then_auc():
    inner = dict.fromkeys(MODALITIES, 0.5) | {"clinical+deep": 0.7, "deep": None}
    feature_sets = bundled_feature_sets("all", MODALITIES, inner)
    assert [feature_set.name for feature_set in feature_sets] == [
        "all",
        "clinical+deep",
        "clinical+radiomics",
        "clinical:a",
        "deep",
    ]
    assert [feature_set.deep for feature_set in feature_sets] == [True, True, False, False, True]
    assert BundledFeatureSet.from_json(feature_sets[0].as_json()) == feature_sets[0]


def test_replacement_for_a_missing_modality_is_the_first_feature_set_without_it():
    feature_sets = bundled_feature_sets("all", MODALITIES, dict.fromkeys(MODALITIES, 0.5))
    assert stand_in(feature_sets, {"clinical:a", "radiomics", "deep", "volume"}).name == "all"
    assert stand_in(feature_sets, {"clinical:a", "radiomics"}).name == "clinical+radiomics"
    assert stand_in(feature_sets, {"deep"}).name == "deep"
    assert stand_in(feature_sets, {"radiomics"}) is None
