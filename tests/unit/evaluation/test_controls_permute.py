"""Permuted outcomes: what moves, what stays, and the folds made of them."""

import numpy as np
import pandas as pd
import pytest

from metaswin.cohort.folds import make_folds
from metaswin.config.cohort import FoldsSettings
from metaswin.evaluation.permuted_folds import permuted_folds, permuted_outcome

N = 60
SETTINGS = FoldsSettings(k=3, repeats=2, stratify=["site"])


@pytest.fixture
def outcome():
    """Labels with two unknown ones; the time tells whose outcome it was."""
    label = pd.array((np.arange(N) % 4 == 0).astype(int), dtype="Int8")
    label[[2, 3]] = None
    event = pd.array(np.arange(N) % 3, dtype="Int8")
    patients = [f"P{i:02d}" for i in range(N)]
    return pd.DataFrame({"patient": patients, "label": label, "time": np.arange(N) + 100.0, "event": event})


@pytest.fixture
def clinical(outcome):
    return pd.DataFrame({"site": np.where(np.arange(N) % 2, "larynx", "oral")}, index=outcome["patient"])


@pytest.fixture
def folds(outcome, clinical):
    return make_folds(outcome, clinical, SETTINGS, 5, "dm")[0]


def test_outcome_when_permuted_then_label_time_and_event_move_together(outcome):
    moved = permuted_outcome(outcome, 5, "dm", 1)
    assert moved["patient"].tolist() == outcome["patient"].tolist()
    origin = (moved["time"] - 100).astype(int).to_numpy()
    assert sorted(origin) == list(range(N))
    assert (origin == np.arange(N)).sum() < 6
    for column in ("label", "event"):
        pd.testing.assert_series_equal(moved[column], outcome[column].iloc[origin].reset_index(drop=True))


def test_permuted_outcome_depends_on_number_seed_and_endpoint_only(outcome):
    first = permuted_outcome(outcome, 5, "dm", 1)
    pd.testing.assert_frame_equal(first, permuted_outcome(outcome.sample(frac=1, random_state=3), 5, "dm", 1))
    for other in ((5, "dm", 2), (6, "dm", 1), (5, "death", 1)):
        assert not first["time"].equals(permuted_outcome(outcome, *other)["time"])


def test_folds_when_nothing_is_permuted_then_equal_to_those_of_the_run(folds, clinical):
    again = permuted_folds(folds, clinical, SETTINGS, 5, "dm", 0)
    pd.testing.assert_frame_equal(again, folds[folds["repeat"] == 0].reset_index(drop=True))


def test_folds_when_permuted_then_events_and_sites_are_balanced_again(folds, clinical):
    permuted = permuted_folds(folds, clinical, SETTINGS, 5, "dm", 3)
    assert not permuted["label"].equals(folds.loc[folds["repeat"] == 0, "label"].reset_index(drop=True))
    for table in (permuted, folds[folds["repeat"] == 0]):
        assert int((table["label"] == 1).sum()) == 15
        assert table.groupby("fold")["label"].sum().eq(5).all()
    site = permuted["patient"].map(clinical["site"])
    assert permuted.groupby(["fold", site]).size().between(8, 12).all()


def test_permutations_when_many_then_every_patient_has_every_outcome_equally_often(outcome):
    draws = np.array([permuted_outcome(outcome, 1, "dm", number)["time"] - 100 for number in range(1, 601)])
    # Mean of the numbers 0 … 59 for each patient, within four standard errors.
    assert np.abs(draws.mean(axis=0) - 29.5).max() < 4 * np.sqrt((N**2 - 1) / 12 / 600)
