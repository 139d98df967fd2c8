"""Gray's test against R, the log-rank test and permutations."""

import numpy as np
import pytest
from lifelines.statistics import multivariate_logrank_test

from metaswin.evaluation.cumulative_incidence import gray_test

# Disease (0 ALL, 1 AML), months, status of 35 patients: Scrucca et al. 2007, Bone Marrow Transplant 40:381-387.
LEUKAEMIA = """0,13,2 0,1,1 0,72,0 0,7,2 0,8,2 1,67,0 0,9,2 0,5,2 1,70,0 1,4,0 1,7,0 1,68,0 0,1,2 1,10,2 1,7,2 1,3,1
1,4,1 1,4,1 1,3,1 1,3,1 0,22,2 1,8,1 1,2,2 0,0,2 0,0,1 0,35,0 1,35,0 0,4,2 0,14,2 0,26,2 0,3,2 1,2,0 1,8,0 1,32,0
0,12,1"""


def made_up(rounded):
    """90 rows in three groups by arithmetic, so that R can be given the same."""
    i = np.arange(90)
    time = (i * 37) % 101 / 4 + 1.0
    return np.floor(time) if rounded else time, (i * i + i // 4) % 3, (i * 7 // 5) % 3


# Statistics of cmprsk 2.2-11 (R 4.2.2): cuminc(time, event, group)$Tests.
@pytest.mark.parametrize(
    ("cause", "statistic", "p"), [(1, 1.30163454362, 0.253914871), (2, 7.08227802511, 0.007784998)]
)
def test_gray_when_published_patients_with_ties_then_cmprsk_agrees(cause, statistic, p):
    group, time, event = np.array([row.split(",") for row in LEUKAEMIA.split()], dtype="float64").T
    found = gray_test(time, event.astype(int), group, cause)
    assert found.statistic == pytest.approx(statistic, rel=1e-10)
    assert found.p == pytest.approx(p, abs=1e-8)
    assert found.df == 1


@pytest.mark.parametrize(
    ("rounded", "cause", "statistic"),
    [(False, 1, 0.775608881656), (False, 2, 0.463802178660), (True, 1, 0.782773232301), (True, 2, 0.575169585091)],
)
def test_gray_when_three_groups_with_and_without_ties_then_cmprsk_agrees(rounded, cause, statistic):
    found = gray_test(*made_up(rounded), cause)
    assert (found.statistic, found.df) == (pytest.approx(statistic, rel=1e-10), 2)


@pytest.mark.filterwarnings("ignore:.*keyword-only")  # lifelines calls pandas so
def test_gray_when_there_is_one_cause_then_near_the_log_rank_test():
    # Only near: Gray's variance takes the incidence from all groups and survival from each group.
    rng = np.random.default_rng(6)
    group = rng.integers(0, 3, 1500)
    time, event = rng.exponential(1, 1500), rng.integers(0, 2, 1500)
    expected = multivariate_logrank_test(time, group, event).test_statistic
    assert gray_test(time, event, group).statistic == pytest.approx(expected, rel=0.05)


@pytest.mark.filterwarnings("ignore:.*keyword-only")
def test_gray_when_none_is_censored_then_near_log_rank_with_the_dead_kept_at_risk():
    rng = np.random.default_rng(7)
    group = rng.integers(0, 2, 1500)
    time, event = rng.exponential(1, 1500), rng.integers(1, 3, 1500)
    kept = np.where(event == 2, 1e6, time)
    expected = multivariate_logrank_test(kept, group, event == 1).test_statistic
    assert gray_test(time, event, group).statistic == pytest.approx(expected, rel=0.02)


def test_gray_when_labels_are_permuted_then_its_p_value_is_their_share():
    rng = np.random.default_rng(8)
    time, event = rng.exponential(1, 80), rng.choice([0, 1, 2], 80, p=[0.3, 0.4, 0.3])
    group = np.where(time + rng.normal(0, 2, 80) > 1, 1, 0)
    found = gray_test(time, event, group)
    permuted = [gray_test(time, event, rng.permutation(group)).statistic for _ in range(400)]
    assert found.p == pytest.approx(np.mean(np.array(permuted) >= found.statistic), abs=0.06)


def test_gray_when_groups_are_renamed_then_the_same():
    time, event, group = made_up(True)
    assert gray_test(time, event, 2 - group).statistic == pytest.approx(gray_test(time, event, group).statistic)


@pytest.mark.parametrize(
    ("time", "event", "group", "why"),
    [
        ([], [], [], "no patients"),
        ([1, 2], [1, 0], [0, 0], "only one group has patients"),
        ([1, 2, 3], [2, 0, 2], [0, 1, 1], "no events of the cause"),
        ([5, 5, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1], "singular"),
    ],
)
def test_gray_when_it_cannot_be_estimated_then_the_reason(time, event, group, why):
    found = gray_test(np.array(time, dtype="float64"), np.array(event, dtype=int), np.array(group))
    assert found.statistic is None
    assert found.p is None
    assert why in found.why


def test_gray_when_one_group_has_no_metastasis_then_still_estimable():
    rng = np.random.default_rng(9)
    time, group = rng.exponential(1, 60), np.repeat([0, 1], 30)
    event = np.where(group == 0, rng.integers(0, 3, 60), rng.choice([0, 2], 60))
    assert gray_test(time, event, group).p < 0.05
