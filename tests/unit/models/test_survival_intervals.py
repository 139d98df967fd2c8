"""Interval cuts, states of rows within them, and hazards without predictors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaswin.models.hazard_network import interval_cuts, marginal_hazards, states

CUTS = np.array([10.0, 20.0, 40.0])


def test_cuts_when_there_are_many_metastases_then_each_interval_holds_as_many():
    time, event = np.arange(1.0, 101.0), np.tile([1, 0], 50)
    cuts = interval_cuts(time, event, 50.0, 5)
    assert cuts.tolist() == [19.0, 39.0, 50.0, 59.0, 79.0, 99.0]
    days = time[event == 1]
    assert [int(np.sum((days > low) & (days <= high))) for low, high in [(0, 19), (19, 39), (39, 59)]] == [10, 10, 10]


def test_cuts_when_there_are_few_metastases_then_there_are_few_intervals():
    time, event = np.array([5.0, 9.0, 14.0, 80.0]), np.array([1, 1, 2, 0])
    assert interval_cuts(time, event, 30.0, 10).tolist() == [9.0, 30.0]


def test_cuts_when_all_metastases_fall_on_one_day_then_that_day_and_the_horizon():
    assert interval_cuts(np.full(40, 7.0), np.ones(40, dtype=int), 7.0, 10).tolist() == [7.0]


def test_states_when_by_hand_then_events_losses_and_what_is_beyond():
    time = np.array([10.0, 10.1, 15.0, 15.1, 12.0, 40.0, 90.0, 0.0])
    event = np.array([1, 2, 0, 0, 2, 1, 1, 0])
    assert states(time, event, CUTS).tolist() == [
        [1, -1, -1],  # on the cut: the interval that ends there
        [0, 2, -1],
        [0, -1, -1],  # lost half-way: not counted in that interval
        [0, 0, -1],  # lost in the second half: counted
        [0, 2, -1],
        [0, 0, 1],
        [0, 0, 0],  # a metastasis beyond the last cut is not seen
        [-1, -1, -1],
    ]


def test_hazards_when_by_hand_then_events_over_rows_with_one_row_at_the_overall_rate():
    state = np.array([[1, -1], [0, 0], [0, 2], [0, 1]])
    cuts = np.array([10.0, 30.0])
    # Days at risk: 4 × 10 + 3 × 20 = 100; two metastases, one death.
    expected = [[(1 + 0.2) / 5, (0 + 0.1) / 5], [(1 + 0.4) / 4, (1 + 0.2) / 4]]
    assert marginal_hazards(state, cuts) == pytest.approx(np.array(expected))


def test_hazards_when_there_are_no_deaths_then_the_hazard_of_death_is_near_zero():
    hazards = marginal_hazards(np.array([[1, -1], [0, 1], [0, 0]]), np.array([10.0, 30.0]))
    assert hazards[:, 1].tolist() == [1e-6, 1e-6]


@given(
    st.lists(st.tuples(st.floats(0, 100), st.integers(0, 2)), min_size=1, max_size=40),
    st.lists(st.floats(0.5, 90), min_size=1, max_size=6, unique=True),
)
def test_states_when_any_rows_then_at_risk_without_gaps_and_one_event_at_most(rows, cuts):
    time, event = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    cuts = np.sort(cuts)
    state = states(time, event, cuts)
    at_risk = state >= 0
    assert np.all(at_risk[:, 1:] <= at_risk[:, :-1])
    happened = (state > 0).sum(axis=1)
    assert np.array_equal(happened == 1, (event > 0) & (time <= cuts[-1]))
    assert happened.max() <= 1
