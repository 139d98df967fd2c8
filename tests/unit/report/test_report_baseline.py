"""Table 1: standardised differences against worked numbers, counts, missing values, spelling."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaswin.report.baseline import baseline_rows, baseline_table, difference_of_means, difference_of_shares
from metaswin.report.data import Endpoint, ReportData


def test_difference_of_means_is_in_standard_deviations():
    # Means 3 and 1, variances 4 and 1 (n - 1): 2 / sqrt(2.5).
    events, nonevents = np.array([1.0, 3.0, 5.0]), np.array([0.0, 1.0, 2.0])
    assert difference_of_means(events, nonevents) == (pytest.approx(2 / math.sqrt(2.5)), "")


@pytest.mark.parametrize(
    ("events", "nonevents", "why"),
    [([1.0], [1.0, 2.0], "fewer than 2 known values in a group"), ([1.0, 1.0], [1.0, 1.0], "all values are equal")],
)
def test_difference_of_means_when_not_estimable_then_the_reason_is_given(events, nonevents, why):
    assert difference_of_means(np.array(events), np.array(nonevents)) == (None, why)


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 50), st.integers(1, 50))
def test_difference_of_proportions_of_two_levels_is_the_binary_formula(a, b, c, d):
    p1, p0 = b / (a + b), d / (c + d)
    expected = abs(p1 - p0) / math.sqrt((p1 * (1 - p1) + p0 * (1 - p0)) / 2)
    found, why = difference_of_shares(np.array([a, b]), np.array([c, d]))
    assert why == ""
    assert found == pytest.approx(expected)


def test_difference_of_proportions_does_not_depend_on_the_order_of_levels():
    events, nonevents = np.array([5, 10, 15, 2]), np.array([8, 9, 3, 20])
    first, _ = difference_of_shares(events, nonevents)
    second, _ = difference_of_shares(events[::-1], nonevents[::-1])
    assert first == pytest.approx(second)


def test_difference_of_proportions_when_levels_separate_the_groups_then_not_estimable():
    assert difference_of_shares(np.array([5, 0]), np.array([0, 5]))[0] is None
    assert difference_of_shares(np.array([5, 0]), np.array([7, 0])) == (None, "one level only")


@pytest.fixture
def rows():
    patients = list("abcdef")
    predictions = pd.DataFrame({"patient": patients * 2, "label": [1.0, 1, 0, 0, 0, np.nan] * 2, "time": 100.0})
    facts = {"name": "dm", "horizon_days": 365.0}
    endpoint = Endpoint(facts, {}, 0.95, {"predictions": predictions}, pd.DataFrame(), [], "clinical:paper")
    clinical = pd.DataFrame(
        {
            "patient": patients,
            "age": [50.0, 60, 70, 80, np.nan, 65],
            "site": ["Larynx", "larynx ", "Oral", None, "LARYNX", "larynx"],
            "chemo": ["yes", "no", "no", "no", "no", "yes"],
            "died": [1.0, 0, 0, 0, 0, 0],
        }
    )
    used = pd.DataFrame({"patient": patients, "volume_tumor_mm3": [1000.0, 2000, 3000, 4000, 5000, 6000]})
    roles = {"age": "baseline", "site": "baseline", "chemo": "treatment", "died": "outcome"}
    data = ReportData({}, pd.DataFrame(), used, [endpoint], clinical, roles)
    return {(row.variable, row.level): row for row in baseline_rows(endpoint, data)}


def test_numeric_column_shows_median_and_quartiles_by_outcome(rows):
    row = rows["age", ""]
    assert row.cells["event"] == "55.0 [52.5, 57.5]"
    assert row.cells["nonevent"] == "75.0 [72.5, 77.5]"
    assert row.cells["unknown"] == "65.0 [65.0, 65.0]"
    assert row.difference == pytest.approx(-20 / math.sqrt(50))


def test_missing_values_are_counted_by_outcome(rows):
    assert rows["age", "missing"].cells == {
        "all": "1 (17%)",
        "event": "0 (0%)",
        "nonevent": "1 (33%)",
        "unknown": "0 (0%)",
    }


def test_levels_that_differ_by_case_and_blanks_are_one(rows):
    assert rows["site", "larynx"].cells["all"] == "4 (80%)"
    assert rows["site", "larynx"].cells["event"] == "2 (100%)"
    assert rows["site", "missing"].cells["nonevent"] == "1 (33%)"


def test_treatment_is_marked_and_outcomes_are_excluded(rows):
    assert rows["chemo (treatment)", "yes"].cells["event"] == "1 (50%)"
    assert not [variable for variable, _ in rows if variable.startswith("died")]


def test_volumes_are_in_cubic_centimetres(rows):
    assert rows["Tumour volume (cm³)", ""].cells["event"] == "1.50 [1.25, 1.75]"


def test_each_patient_counts_once_whatever_the_number_of_feature_sets(rows):
    assert rows["site", "Oral"].cells["all"] == "1 (20%)"


def test_table_for_csv_contains_every_row(rows):
    table = baseline_table(list(rows.values()))
    assert len(table) == len(rows)
    assert table["standardised_difference"].notna().sum() == sum(r.difference is not None for r in rows.values())
