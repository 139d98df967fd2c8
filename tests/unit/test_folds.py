"""Folds: stratification, determinism, inner folds and the errors of small cohorts."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaswin.errors import UserError
from metaswin.folds.make import make_folds
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
        events = table[table["label"] == 1].groupby("fold").size()
        assert events.max() - events.min() <= 1


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
