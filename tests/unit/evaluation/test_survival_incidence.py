"""Aalen-Johansen: by hand, against lifelines without ties, against R with ties."""

import numpy as np
import pytest
from lifelines import AalenJohansenFitter, KaplanMeierFitter

from metaswin.evaluation.cumulative_incidence import cumulative_incidence, followed


def test_incidence_when_by_hand_then_hazard_times_survival_before():
    time, event = np.array([1.0, 2.0, 2.0, 3.0, 4.0]), np.array([1, 2, 1, 0, 1])
    found = cumulative_incidence(time, event, 1, np.array([0.0, 1.0, 2.0, 3.5, 4.0]), 0.95)
    # At day 2: 4/5 × 1/4; at day 4 nobody else is left: 4/5 × 2/4 × 1/1.
    assert found.value == pytest.approx(np.array([0.0, 0.2, 0.4, 0.4, 0.8]))
    assert found.at_risk.tolist() == [5, 5, 4, 1, 1]
    death = cumulative_incidence(time, event, 2, np.array([4.0]), 0.95)
    assert death.value == pytest.approx(np.array([0.2]))


def test_incidence_without_censoring_is_a_proportion_with_its_variance():
    rng = np.random.default_rng(1)
    time, event = rng.exponential(1, 80), rng.integers(1, 3, 80)
    day = np.array([0.7])
    share = np.mean((event == 1) & (time <= 0.7))
    found = cumulative_incidence(time, event, 1, day, 0.95)
    assert found.value[0] == pytest.approx(share)
    assert found.variance[0] == pytest.approx(share * (1 - share) / 80)


@pytest.mark.parametrize("cause", [1, 2])
def test_incidence_when_there_are_no_ties_then_lifelines_agrees(cause):
    rng = np.random.default_rng(2)
    time, event = rng.exponential(1, 70), rng.integers(0, 3, 70)
    days = np.array([0.1, 0.5, 1.0, 1.8])
    found = cumulative_incidence(time, event, cause, days, 0.9)
    fit = AalenJohansenFitter(alpha=0.1).fit(time, event, cause)
    place = np.searchsorted(fit.cumulative_density_.index, days, side="right") - 1
    assert found.value == pytest.approx(fit.cumulative_density_.to_numpy()[place, 0])
    assert found.variance == pytest.approx(fit.variance_.to_numpy()[place])
    limits = fit.confidence_interval_.to_numpy()[place]
    assert found.low == pytest.approx(limits[:, 0])
    assert found.high == pytest.approx(limits[:, 1])


def test_incidence_when_there_are_ties_then_r_agrees():
    # R 4.2.2, survival::survfit(Surv(time, factor(event)) ~ 1); std.err^2 at days 3 and 10; the AML patients of
    # Scrucca et al. 2007 (Bone Marrow Transplant 40:381-387).
    time = np.array([67, 70, 4, 7, 68, 10, 7, 3, 4, 4, 3, 3, 8, 2, 35, 2, 8, 32], dtype="float64")
    event = np.array([0, 0, 0, 0, 0, 2, 2, 1, 1, 1, 1, 1, 1, 2, 0, 0, 0, 0])
    days = np.array([3.0, 10.0])
    first, second = (cumulative_incidence(time, event, cause, days, 0.95) for cause in (1, 2))
    assert first.value == pytest.approx(np.array([0.1770833, 0.3681858]), abs=1e-7)
    assert second.value == pytest.approx(np.array([0.05555556, 0.20570747]), abs=1e-7)
    assert first.variance == pytest.approx(np.array([0.008595408, 0.014605084]), abs=1e-8)
    assert second.variance == pytest.approx(np.array([0.002914952, 0.011652572]), abs=1e-8)


def test_incidence_when_there_is_no_competing_event_then_one_minus_kaplan_meier():
    rng = np.random.default_rng(3)
    time, event = np.ceil(rng.exponential(20, 60)), rng.integers(0, 2, 60)
    days = np.arange(0.0, time.max(), 5)
    km = KaplanMeierFitter().fit(time, event).survival_function_at_times(days).to_numpy()
    assert cumulative_incidence(time, event, 1, days, 0.95).value == pytest.approx(1 - km)


def test_incidence_when_rows_are_shuffled_then_the_same_to_the_last_digit():
    rng = np.random.default_rng(5)
    time, event, days = np.ceil(rng.exponential(5, 50)), rng.integers(0, 3, 50), np.arange(12.0)
    order = rng.permutation(50)
    one, other = (cumulative_incidence(time[o], event[o], 1, days, 0.95) for o in (np.arange(50), order))
    assert np.array_equal(one.value, other.value)
    assert np.array_equal(one.variance, other.variance)


def test_incidence_beyond_follow_up_is_missing_unless_every_patient_had_an_event():
    days = np.array([5.0, 6.0])
    assert followed(np.array([3.0, 5.0]), np.array([1, 0]), days).tolist() == [True, False]
    assert followed(np.array([3.0, 5.0]), np.array([0, 2]), days).tolist() == [True, True]
    lost = cumulative_incidence(np.array([3.0, 5.0]), np.array([1, 0]), 1, days, 0.95)
    assert lost.value[0] == 0.5
    assert np.isnan(lost.value[1])


def test_incidence_when_nothing_has_happened_then_zero_without_an_interval():
    found = cumulative_incidence(np.array([3.0, 5.0]), np.array([0, 0]), 1, np.array([4.0]), 0.95)
    assert found.value.tolist() == [0.0]
    assert np.isnan(found.low).all()
    assert np.isnan(found.high).all()
