"""Intraclass correlations: published values, textbook analysis of variance, coverage of the limit."""

import numpy as np
import pytest

from metaswin.features.stability import icc_1_1, icc_2_1

# Shrout & Fleiss 1979, table 2: six targets, four judges.
RATINGS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float)


def of(function, table, confidence=0.95):
    found = function(np.asarray(table, dtype=float)[:, :, None], confidence)
    return found.icc[0], found.low[0]


def test_icc_when_shrout_and_fleiss_ratings_then_their_values():
    assert of(icc_1_1, RATINGS)[0] == pytest.approx(0.17, abs=0.005)
    assert of(icc_2_1, RATINGS)[0] == pytest.approx(0.29, abs=0.005)


def test_low_when_shrout_and_fleiss_ratings_then_the_limits_of_the_r_package_psych():
    assert of(icc_1_1, RATINGS)[1] == pytest.approx(-0.133, abs=0.0005)
    assert of(icc_2_1, RATINGS)[1] == pytest.approx(0.019, abs=0.0005)


def test_lower_limit_rises_to_the_estimate_as_the_confidence_level_falls():
    for function in (icc_1_1, icc_2_1):
        limits = [of(function, RATINGS, confidence)[1] for confidence in (0.99, 0.95, 0.5)]
        assert limits == sorted(limits)
        assert limits[-1] < of(function, RATINGS)[0]


def test_icc_when_a_constant_is_added_to_one_condition_then_agreement_is_lower():
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(30, 1))
    table = truth + np.array([[0.0, 3.0, -3.0]])
    icc, low = of(icc_2_1, table)
    # Patients' variance over the sum of that and the conditions' (9): no error.
    assert icc == pytest.approx(truth.var(ddof=1) / (truth.var(ddof=1) + 9.0))
    assert low < icc
    assert of(icc_2_1, truth + np.zeros((1, 3))) == (1.0, 1.0)


def test_icc_when_measurements_agree_perfectly_then_one_and_its_limit_too():
    table = np.repeat(np.arange(12.0)[:, None], 4, axis=1)
    assert of(icc_1_1, table) == pytest.approx((1.0, 1.0))
    assert of(icc_2_1, table) == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize("function", [icc_1_1, icc_2_1])
@pytest.mark.parametrize("scale", [1e-9, 1e12])
def test_icc_when_values_are_scaled_and_moved_then_it_stays(function, scale):
    found = of(function, RATINGS * scale + 50 * scale)
    assert found == pytest.approx(of(function, RATINGS), abs=1e-9)


@pytest.mark.parametrize("function", [icc_1_1, icc_2_1])
def test_icc_when_a_patient_lacks_a_measurement_then_omitted_for_that_feature_only(function):
    both = np.stack([RATINGS, RATINGS[::-1] ** 2], axis=2)
    both[2, 1, 0] = np.nan
    found = function(both)
    assert found.patients.tolist() == [5, 6]
    assert (found.icc[0], found.low[0]) == pytest.approx(of(function, np.delete(RATINGS, 2, axis=0)))
    assert (found.icc[1], found.low[1]) == pytest.approx(of(function, RATINGS[::-1] ** 2))


@pytest.mark.parametrize("function", [icc_1_1, icc_2_1])
def test_icc_when_patients_are_all_the_same_or_fewer_than_two_then_not_estimable(function):
    same = np.full((6, 3, 1), 0.1 + 0.2)
    assert np.isnan(function(same).icc).all()
    assert np.isnan(function(RATINGS[:1, :, None]).low).all()
    absent = np.full((4, 3, 1), np.nan)
    assert function(absent).patients.tolist() == [0]
    assert np.isnan(function(absent).icc).all()


def test_lower_limit_is_below_the_truth_at_the_nominal_rate():
    rng = np.random.default_rng(3)
    trials = 4000
    truth = 4 / 5
    values = rng.normal(size=(20, 1, trials)) * 2 + rng.normal(size=(20, 5, trials))
    share = np.mean(icc_1_1(values).low < truth)
    assert share == pytest.approx(0.975, abs=0.008)
    truth = 4 / (4 + 0.5 + 1)
    conditions = rng.normal(size=(1, 5, trials)) * 0.5**0.5
    share = np.mean(icc_2_1(values + conditions).low < truth)
    assert share == pytest.approx(0.975, abs=0.012)
