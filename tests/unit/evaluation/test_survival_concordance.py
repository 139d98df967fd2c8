"""Wolbers' C-index and the other metrics of one fold."""

import numpy as np
import pytest
from lifelines.utils import concordance_index as harrell
from sklearn.metrics import brier_score_loss, roc_auc_score

from metaswin.evaluation.censoring import Censoring
from metaswin.evaluation.survival import METRICS, concordance_index, survival_metrics

NOBODY_LOST = Censoring(np.array([9e9]), np.array([1]))


def c_index(risk, time, event, horizon=1e9, censoring=NOBODY_LOST):
    arrays = np.array(risk, dtype="float64"), np.array(time, dtype="float64"), np.array(event)
    return concordance_index(*arrays, horizon, censoring)


def test_c_equals_the_value_by_hand_with_deaths_as_never_having_a_metastasis():
    # Metastases on days 2 and 5; a death on day 1 and one on day 7, alive to day 9.
    time, event = [2, 5, 1, 7, 9], [1, 1, 2, 2, 0]
    # From day 2: against days 5, 1 (dead), 7, 9; from day 5: against 1 (dead), 7, 9.
    assert c_index([0.9, 0.5, 0.7, 0.1, 0.2], time, event).value == pytest.approx(6 / 7)
    assert c_index([0.9, 0.5, 0.5, 0.1, 0.2], time, event).value == pytest.approx(6.5 / 7)


def test_c_when_there_is_a_horizon_then_later_metastases_are_comparators_only():
    time, event, risk = [2, 5, 9], [1, 1, 0], [0.5, 0.9, 0.1]
    assert c_index(risk, time, event, horizon=4).value == pytest.approx(1 / 2)
    assert c_index(risk, time, event).value == pytest.approx(2 / 3)


def test_c_when_there_is_one_cause_and_no_censoring_then_harrells_c():
    rng = np.random.default_rng(1)
    time, risk = rng.exponential(1, 60), rng.normal(size=60)
    assert c_index(risk, time, np.ones(60, dtype=int)).value == pytest.approx(harrell(time, -risk))


def test_c_when_two_metastases_fall_on_one_day_then_they_are_not_compared():
    assert c_index([0.1, 0.9, 0.5], [3, 3, 8], [1, 1, 0]).value == pytest.approx(1 / 2)


def test_c_when_a_patient_is_censored_on_the_day_of_a_metastasis_then_compared():
    assert c_index([0.9, 0.1], [3, 3], [1, 0]).value == 1.0


def test_c_when_weighted_then_equals_the_sum_over_pairs():
    rng = np.random.default_rng(2)
    time, event = np.ceil(rng.exponential(20, 40)), rng.integers(0, 3, 40)
    risk = np.round(rng.random(40), 1)
    censoring = Censoring(np.ceil(rng.exponential(40, 200)), rng.integers(0, 2, 200))
    horizon, above, total = 30.0, 0.0, 0.0
    for i in range(40):
        for j in range(40):
            if event[i] != 1 or time[i] > horizon:
                continue
            g_i, g_j = censoring.before(time[i]), censoring.before(time[j])
            if time[j] > time[i] or (time[j] == time[i] and event[j] == 0):
                weight = 1 / g_i**2
            elif event[j] == 2:
                weight = 1 / (g_i * g_j)
            else:
                continue
            total += weight
            above += weight * (1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0.0)
    assert c_index(risk, time, event, horizon, censoring).value == pytest.approx(above / total)


def test_c_when_a_third_is_censored_then_near_the_uncensored_c():
    rng = np.random.default_rng(3)
    n, score = 3000, rng.normal(size=3000)
    dm, death = rng.exponential(np.exp(-score)), rng.exponential(2.0, n)
    full, cause = np.minimum(dm, death), np.where(dm < death, 1, 2)
    lost = rng.exponential(2.0, n)
    time, event = np.minimum(full, lost), np.where(lost < full, 0, cause)
    with_loss = c_index(score, time, event, 1.5, Censoring(time, event)).value
    assert with_loss == pytest.approx(c_index(score, full, cause, 1.5).value, abs=0.01)


def test_c_when_no_metastasis_is_within_the_horizon_then_the_reason_is_given():
    found = c_index([0.1, 0.2], [5, 9], [1, 0], horizon=4)
    assert (found.value, found.why) == (None, "no metastasis within the horizon in the fold's test rows")
    alone = c_index([0.1, 0.2], [5, 3], [1, 0])
    assert (alone.value, alone.why) == (None, "no patient in the fold's test rows can be compared with a metastasis")


def test_c_when_training_rows_have_a_shorter_follow_up_then_the_reason_is_given():
    early = Censoring(np.array([1.0, 2.0]), np.array([0, 0]))
    assert (
        c_index([0.1, 0.2], [5, 9], [1, 0], censoring=early).why
        == "some test rows have a longer follow-up than every training row"
    )


def test_metrics_without_censoring_equal_sklearn_and_the_plain_ratio():
    rng = np.random.default_rng(4)
    time, event, risk = rng.exponential(10, 80), rng.integers(1, 3, 80), rng.random(80)
    label = ((event == 1) & (time <= 8)).astype(float)
    found = survival_metrics(risk, time, event, label, 8.0, NOBODY_LOST)
    assert tuple(found) == METRICS
    assert found["auc_t"].value == pytest.approx(roc_auc_score(label, risk))
    assert found["brier_t"].value == pytest.approx(brier_score_loss(label, risk))
    assert found["observed_expected"].value == pytest.approx(label.mean() / risk.mean())


def test_metrics_when_all_are_censored_before_the_horizon_then_reasons_and_no_number():
    time, event = np.array([1.0, 2.0, 3.0]), np.array([0, 0, 0])
    found = survival_metrics(np.array([0.1, 0.2, 0.3]), time, event, np.full(3, np.nan), 8.0, Censoring(time, event))
    assert all(value.value is None and value.why for value in found.values())


def test_metrics_when_a_risk_is_missing_or_no_rows_then_reasons():
    nothing = np.empty(0)
    assert "no test rows" in survival_metrics(nothing, nothing, nothing, nothing, 8.0, NOBODY_LOST)["auc_t"].why
    one = np.array([1.0])
    found = survival_metrics(np.array([np.nan]), one, one.astype(int), one, 8.0, NOBODY_LOST)
    assert found["c_index"].why == "1 prediction is missing"


def test_metrics_when_no_patient_has_a_metastasis_then_only_brier_and_a_ratio_of_zero():
    time, event = np.array([9.0, 9.0, 4.0]), np.array([0, 0, 2])
    found = survival_metrics(np.array([0.2, 0.1, 0.3]), time, event, np.zeros(3), 8.0, NOBODY_LOST)
    assert found["auc_t"].value is None
    assert found["c_index"].value is None
    assert found["brier_t"].value == pytest.approx((0.04 + 0.01 + 0.09) / 3)
    assert found["observed_expected"].value == 0.0
