"""Folds: stratification, determinism, inner folds and the errors of small cohorts."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaswin.errors import UserError
from metaswin.folds.make import SLACK, make_folds
from metaswin.folds.settings import FoldsSettings


def cohort(n, events, unknown=0):
    label = [1] * events + [0] * (n - events - unknown) + [None] * unknown
    return pd.DataFrame(
        {
            "patient": [f"P{i:04d}" for i in range(n)],
            "label": pd.array(label, dtype="Int8"),
            "time": np.arange(n, dtype=float),
            "event": pd.array([1] * n, dtype="Int8"),
        }
    )


def no_strata(outcome):
    return pd.DataFrame(index=outcome["patient"])


@settings(max_examples=25, deadline=None)
@given(n=st.integers(40, 120), prevalence=st.floats(0.25, 0.7), k=st.integers(2, 5), repeats=st.integers(1, 3))
def test_folds_when_made_then_each_patient_is_tested_once_a_repeat_and_events_are_balanced(n, prevalence, k, repeats):
    outcome = cohort(n, int(n * prevalence), unknown=3)
    folds, _ = make_folds(outcome, no_strata(outcome), FoldsSettings(k=k, repeats=repeats, inner=2), 1, "dm")
    assert len(folds) == n * repeats
    for _, table in folds.groupby("repeat"):
        assert table["patient"].is_unique
        for _, patients in table.groupby("label"):
            sizes = patients.groupby("fold").size().reindex(range(k), fill_value=0)
            even = len(patients) / k
            if even <= 5:
                assert sizes.max() - sizes.min() <= 1
            assert (sizes - even).abs().max() <= max(0.999, 2 * SLACK * even)


def test_inner_folds_when_made_then_cover_exactly_the_training_rows():
    outcome = cohort(60, 20)
    folds, _ = make_folds(outcome, no_strata(outcome), FoldsSettings(k=5, inner=3), 1, "dm")
    for f in range(5):
        assert (folds[f"inner_{f}"].isna() == (folds["fold"] == f)).all()
        assert set(folds[f"inner_{f}"].dropna()) == {0, 1, 2}


def test_folds_when_seed_is_the_same_then_equal_whatever_the_row_order():
    outcome = cohort(50, 20)
    settings_ = FoldsSettings(k=4, inner=2)
    first, _ = make_folds(outcome, no_strata(outcome), settings_, 7, "dm")
    second, _ = make_folds(outcome.sample(frac=1, random_state=3), no_strata(outcome), settings_, 7, "dm")
    other, _ = make_folds(outcome, no_strata(outcome), settings_, 8, "dm")
    pd.testing.assert_frame_equal(first, second)
    assert not first["fold"].equals(other["fold"])


def test_strata_when_a_subtype_is_rare_then_it_is_merged_with_a_note():
    outcome = cohort(60, 30)
    strata = pd.DataFrame({"site": ["Larynx"] * 29 + ["Orbit"] + ["larynx "] * 30}, index=outcome["patient"])
    folds, notes = make_folds(outcome, strata, FoldsSettings(k=5, inner=2), 1, "dm")
    assert notes == ["label 1: 2 subtypes with fewer than 5 patients balanced together"]
    assert set(folds["stratum"]) == {"0 | larynx", "1 | rare"}


@pytest.mark.parametrize(("n", "events", "what"), [(30, 3, "3 events"), (30, 0, "0 events"), (30, 30, "0 non-events")])
def test_folds_when_a_class_is_too_small_then_the_message_names_endpoint_count_and_setting(n, events, what):
    outcome = cohort(n, events)
    with pytest.raises(UserError, match=rf"endpoint dm: found {what} .* folds\.k = 5"):
        make_folds(outcome, no_strata(outcome), FoldsSettings(k=5, inner=2), 1, "dm")


def test_folds_when_training_rows_hold_fewer_events_than_inner_folds_then_it_says_so():
    outcome = cohort(40, 5)
    with pytest.raises(UserError, match=r"folds\.inner = 5"):
        make_folds(outcome, no_strata(outcome), FoldsSettings(k=5, inner=5), 1, "dm")


@settings(max_examples=40, deadline=None)
@given(n=st.integers(30, 400), prevalence=st.floats(0.2, 0.8), k=st.integers(2, 6), seed=st.integers(0, 9))
def test_folds_when_a_patient_joins_then_others_of_his_label_move_over_a_cut_at_most_and_nobody_else(
    n, prevalence, k, seed
):
    outcome = cohort(n, max(int(n * prevalence), k))
    chosen = FoldsSettings(k=k, inner=2)
    newcomer = outcome.tail(1).assign(patient="Q0001")
    before, _ = make_folds(outcome, no_strata(outcome), chosen, seed, "dm")
    grown = pd.concat([outcome, newcomer], ignore_index=True)
    after, _ = make_folds(grown, no_strata(grown), chosen, seed, "dm")
    both = before.merge(after, on="patient", suffixes=("", "_after"))
    moved = both[both["fold"] != both["fold_after"]]
    assert set(moved["label"]) <= set(newcomer["label"])
    assert len(moved) < k


def test_folds_when_a_large_cohort_grows_by_a_hundred_then_hardly_anybody_moves():
    outcome = cohort(1500, 300)
    chosen = FoldsSettings(k=5, inner=2)
    few = outcome.sample(1400, random_state=1)
    before, _ = make_folds(few, no_strata(few), chosen, 1, "dm")
    after, _ = make_folds(outcome, no_strata(outcome), chosen, 1, "dm")
    both = before.merge(after, on="patient")
    assert (both["fold_x"] != both["fold_y"]).sum() <= 15


def test_cells_when_uneven_then_their_larger_folds_are_spread():
    outcome = cohort(400, 200)
    sites = pd.DataFrame({"site": [f"site {i % 25:02d}" for i in range(400)]}, index=outcome["patient"])
    folds, _ = make_folds(outcome, sites, FoldsSettings(k=5, inner=2), 1, "dm")
    assert folds["fold"].value_counts().between(66, 94).all()
