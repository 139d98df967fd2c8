"""Folds: stratification, determinism and the errors of small cohorts; rows of the fits that folds share."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from metaswin.cohort.folds import (
    Folds,
    Place,
    all_fits,
    by_place,
    check_both_outcomes,
    fit_name,
    leaky_training,
    left_out,
    make_folds,
    outer_fits,
    seed_of,
)
from metaswin.config.cohort import FoldsSettings
from metaswin.core.errors import UserError
from metaswin.core.files import write_json


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


def spread(table, k):
    """Largest minus smallest number of rows of a fold."""
    sizes = table.groupby("fold").size().reindex(range(k), fill_value=0)
    return sizes.max() - sizes.min()


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(40, 160),
    prevalence=st.floats(0.2, 0.7),
    k=st.integers(3, 7),
    repeats=st.integers(1, 3),
    sites=st.integers(1, 6),
    unknown=st.integers(0, 9),
    seed=st.integers(0, 99),
)
def test_folds_when_made_then_patients_are_tested_once_per_repeat_and_events_balanced(
    n, prevalence, k, repeats, sites, unknown, seed
):
    outcome = cohort(n, min(max(int(n * prevalence), k), n - unknown - k), unknown)
    drawn = np.random.default_rng(seed).integers(0, sites, n)
    strata = pd.DataFrame({"site": [f"site {i}" for i in drawn]}, index=outcome["patient"])
    strata = strata if sites > 1 else strata[[]]
    folds, _ = make_folds(outcome, strata, FoldsSettings(k=k, repeats=repeats), seed, "dm")
    assert len(folds) == n * repeats
    for _, table in folds.groupby("repeat"):
        assert table["patient"].tolist() == outcome["patient"].tolist()
        assert set(table["fold"]) == set(range(k))
        for label in (0, 1):
            assert spread(table[table["label"] == label], k) <= 1
        assert spread(table[table["label"].isna()], k) <= 1
        assert spread(table, k) <= 1
        for _, cell in table.groupby("stratum"):
            assert spread(cell, k) <= 1


def test_folds_when_rows_come_in_any_order_then_the_same_table():
    outcome = cohort(50, 20, unknown=3)
    strata = pd.DataFrame({"site": ["larynx", "orbit"] * 25}, index=outcome["patient"])
    chosen = FoldsSettings(k=4, repeats=2)
    first, _ = make_folds(outcome, strata, chosen, 7, "dm")
    for state in range(3):
        mixed = outcome.sample(frac=1, random_state=state)
        second, _ = make_folds(mixed, strata.sample(frac=1, random_state=state + 9), chosen, 7, "dm")
        pd.testing.assert_frame_equal(first, second)


def test_folds_when_the_seed_or_the_repeat_differs_then_other_folds():
    outcome = cohort(50, 20)
    first, _ = make_folds(outcome, no_strata(outcome), FoldsSettings(k=5, repeats=2), 7, "dm")
    other, _ = make_folds(outcome, no_strata(outcome), FoldsSettings(k=5, repeats=2), 8, "dm")
    once, _ = make_folds(outcome, no_strata(outcome), FoldsSettings(k=5, repeats=1), 7, "dm")
    zero, one = (first.loc[first["repeat"] == repeat, "fold"].to_numpy() for repeat in (0, 1))
    assert not np.array_equal(zero, one)
    assert not np.array_equal(zero, other.loc[other["repeat"] == 0, "fold"])
    # More repeats leave those before as they are.
    assert np.array_equal(zero, once["fold"])


def test_strata_when_a_subtype_is_rare_then_it_is_merged_with_a_note():
    outcome = cohort(60, 30)
    strata = pd.DataFrame({"site": ["Larynx"] * 29 + ["Orbit"] + ["larynx "] * 30}, index=outcome["patient"])
    folds, notes = make_folds(outcome, strata, FoldsSettings(k=5), 1, "dm")
    assert notes == ["label 1: 2 subtypes with fewer than 5 patients were balanced together"]
    assert set(folds["stratum"]) == {"0 | larynx", "1 | rare"}


@pytest.mark.parametrize(("n", "events", "what"), [(30, 3, "3 events"), (30, 0, "0 events"), (30, 30, "0 non-events")])
def test_folds_when_a_class_is_too_small_then_error_names_endpoint_count_and_setting(n, events, what):
    outcome = cohort(n, events)
    with pytest.raises(UserError, match=rf"endpoint dm: found {what} .* folds\.k = 5"):
        make_folds(outcome, no_strata(outcome), FoldsSettings(k=5), 1, "dm")


def test_folds_when_there_is_one_event_then_the_message_is_grammatical():
    outcome = cohort(30, 1)
    with pytest.raises(UserError, match=r"found 1 event among 30 patients, .* at least one event in each fold"):
        make_folds(outcome, no_strata(outcome), FoldsSettings(k=5), 1, "dm")


def test_folds_when_labels_are_unknown_then_these_rows_have_a_fold_each_too():
    outcome = cohort(40, 12, unknown=2)
    folds, _ = make_folds(outcome, no_strata(outcome), FoldsSettings(k=5), 1, "dm")
    unknown = folds[folds["label"].isna()]
    assert len(unknown) == 2
    assert unknown["fold"].between(0, 4).all()
    assert (unknown["stratum"] == "unknown").all()


@pytest.mark.parametrize(("k", "noted"), [(3, True), (4, False)])
def test_folds_when_there_are_three_then_a_note_says_what_inner_fits_see(k, noted):
    outcome = cohort(40, 12)
    notes = make_folds(outcome, no_strata(outcome), FoldsSettings(k=k), 1, "dm")[1]
    assert any("folds.k is 3" in note for note in notes) == noted


def test_settings_when_two_folds_are_asked_for_then_refused():
    with pytest.raises(ValidationError, match="greater than or equal to 3"):
        FoldsSettings(k=2)


def test_cells_when_uneven_then_their_larger_folds_are_spread():
    outcome = cohort(400, 200)
    sites = pd.DataFrame({"site": [f"site {i % 25:02d}" for i in range(400)]}, index=outcome["patient"])
    folds, _ = make_folds(outcome, sites, FoldsSettings(k=5), 1, "dm")
    assert folds["fold"].value_counts().tolist() == [80] * 5


# Rows of the fits.


def hand_made() -> pd.DataFrame:
    """Two repeats of ten patients, unsorted: in repeat 1 patient i lies in fold i modulo 5; P3 has no known label."""
    label = pd.array([0, 1, 0, None, 0, 1, 0, 1, 0, 1], dtype="Int8")
    table = pd.DataFrame({"patient": [f"P{i}" for i in range(10)], "label": label})
    table = table.assign(time=[9.0, 1, 9, 2, np.nan, 1, 9, 1, 9, 1], event=table["label"].fillna(0))
    repeats = [table.assign(repeat=repeat, fold=np.roll(np.arange(10) % 5, 1 - repeat)) for repeat in (0, 1)]
    return pd.concat(repeats).sample(frac=1, random_state=0)


def test_fit_name_when_two_folds_are_left_out_then_the_lower_one_is_named_first():
    assert fit_name(3, 1) == fit_name(1, 3) == "without-1-3"
    assert fit_name(2) == "without-2"
    assert left_out("without-1-13") == (1, 13)
    assert left_out("without-2") == (2,)


@pytest.mark.parametrize(("k", "count"), [(3, 6), (4, 10), (5, 15), (10, 55)])
def test_all_fits_when_counted_then_k_and_its_pairs_each_once(k, count):
    fits = all_fits(k)
    assert len(fits) == len(set(fits)) == count
    assert {fit for fold in range(k) for fit in outer_fits(fold, k)} == set(fits)


def test_outer_fits_when_listed_then_the_final_one_is_first_and_two_folds_share_one():
    assert outer_fits(1, 4) == ["without-1", "without-0-1", "without-1-2", "without-1-3"]
    for f, g in combinations(range(4), 2):
        assert set(outer_fits(f, 4)) & set(outer_fits(g, 4)) == {fit_name(f, g)}


def test_folds_when_hand_made_then_exactly_the_known_rows_outside_are_learnt_from():
    folds = Folds.of(hand_made(), 1)
    assert folds.patients == [f"P{i}" for i in range(10)]
    assert folds.k == 5
    assert folds.fold.tolist() == [0, 1, 2, 3, 4] * 2
    assert folds.chosen(folds.fitted("without-1")) == ["P0", "P2", "P4", "P5", "P7", "P8", "P9"]
    assert folds.training(["without-1-4"]) == {"without-1-4": ["P0", "P2", "P5", "P7", "P8"]}
    assert list(folds.training()) == all_fits(5)
    rows = folds.outer(1)
    assert rows.final == "without-1"
    assert rows.inner == ["without-0-1", "without-1-2", "without-1-3", "without-1-4"]
    assert folds.chosen(rows.test) == folds.chosen(rows.scored("without-1")) == ["P1", "P6"]
    assert folds.chosen(rows.scored("without-1-3")) == ["P3", "P8"]
    assert folds.chosen(folds.outer(3).scored("without-1-3")) == ["P1", "P6"]
    assert folds.chosen(rows.train) == folds.training(["without-1"])["without-1"]
    assert folds.labels.dropna().to_dict() == {
        "P0": 0, "P1": 1, "P2": 0, "P4": 0, "P5": 1, "P6": 0, "P7": 1, "P8": 0, "P9": 1,
    }  # fmt: skip


def test_folds_when_another_repeat_is_read_then_its_own_folds():
    assert Folds.of(hand_made(), 0).fold.tolist() == [4, 0, 1, 2, 3] * 2


def test_folds_when_survival_models_learn_then_rows_have_time_and_event_not_a_label():
    folds = Folds.of(hand_made(), 1).with_followup()
    assert folds.chosen(~folds.known) == ["P4"]
    assert folds.chosen(folds.fitted("without-0-1")) == ["P2", "P3", "P7", "P8", "P9"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_rows_when_any_folds_then_each_row_is_scored_by_the_one_fit_that_excludes_it(data):
    k = data.draw(st.integers(3, 6))
    n = data.draw(st.integers(k, 30))
    fold = [*range(k), *data.draw(st.lists(st.integers(0, k - 1), min_size=n - k, max_size=n - k))]
    label = data.draw(st.lists(st.sampled_from([0.0, 1.0, np.nan]), min_size=n, max_size=n))
    time = data.draw(st.lists(st.sampled_from([5.0, np.nan]), min_size=n, max_size=n))
    table = pd.DataFrame({"patient": [f"P{i:02d}" for i in range(n)], "repeat": 0, "fold": fold, "label": label})
    table = table.assign(time=time, event=label)
    for folds in (Folds.of(table, 0), Folds.of(table, 0).with_followup()):
        assert len(folds.training()) == k + k * (k - 1) // 2
        for fit in all_fits(k):
            assert not np.isin(folds.fold[folds.fitted(fit)], left_out(fit)).any()
            assert np.array_equal(folds.fitted(fit), folds.known & ~np.isin(folds.fold, left_out(fit)))
        for f in range(k):
            rows = folds.outer(f)
            assert np.sum([rows.scored(fit) for fit in rows.fits], axis=0).tolist() == [1] * n
            for fit in rows.fits:
                assert not (rows.scored(fit) & rows.fitted(fit)).any()
                # Nothing of this outer fold learns from its test rows.
                assert not (rows.fitted(fit) & rows.test).any()
            assert np.array_equal(rows.train, folds.known & ~rows.test)
            for fit in rows.inner:
                assert np.array_equal(rows.fitted(fit), rows.train & ~rows.scored(fit))


def test_leaky_training_when_asked_for_then_all_known_rows_in_every_fit():
    folds = Folds.of(hand_made(), 1)
    training = leaky_training(folds)
    assert list(training) == all_fits(5)
    assert all(rows == folds.chosen(folds.known) for rows in training.values())
    assert len(folds.chosen(folds.known)) == 9


def test_both_outcomes_when_a_fit_has_one_only_then_it_is_named():
    table = hand_made()
    Folds.of(table, 1).outer(0).check_both_outcomes("endpoint dm")
    table.loc[~table["patient"].isin(["P1", "P7"]) & table["label"].notna(), "label"] = 0
    Folds.of(table, 1).outer(0).check_both_outcomes("endpoint dm")
    with pytest.raises(UserError, match=r"endpoint dm, fit without-1-2: found no event among 5 training rows"):
        Folds.of(table, 1).outer(1).check_both_outcomes("endpoint dm")


@pytest.mark.parametrize(("label", "what"), [([1, 1], "no non-event among 2"), ([0, 0, 0], "no event among 3")])
def test_both_outcomes_when_one_is_missing_then_says_where_and_what_to_do(label, what):
    with pytest.raises(UserError, match=rf"endpoint dm, fit without-2: found {what} .*folds\.k lower \(3 or more\)"):
        check_both_outcomes(np.array(label), "endpoint dm, fit without-2")


def test_by_place_when_files_are_in_any_order_then_each_is_found_by_its_facts(tmp_path):
    places = [Place("dm", 0, 1), Place("dm", 0, 0), Place("death", 2, 1)]
    paths = [str(tmp_path / f"{i}.json") for i in range(3)]
    for path, place in zip(paths, places, strict=True):
        write_json(path, {"endpoint": place.endpoint, "repeat": place.repeat, "fold": place.fold, "more": path})
    found = by_place(paths, ["a", "b", "c"])
    assert {key: other for key, (_, other) in found.items()} == {
        ("dm", 0, 1): "a",
        ("dm", 0, 0): "b",
        ("death", 2, 1): "c",
    }
    assert found["death", 2, 1][0]["more"] == paths[2]
    with pytest.raises(ValueError, match="shorter"):
        by_place(paths, ["a", "b"])


def test_seed_of_when_any_name_differs_then_another_seed():
    seeds = {seed_of(seed, endpoint, fold) for seed in (1, 2) for endpoint in ("a", "b") for fold in range(5)}
    assert len(seeds) == 20
    assert seed_of(1, "a", 0) == seed_of(1, "a", 0)
