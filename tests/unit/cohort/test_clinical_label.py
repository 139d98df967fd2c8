"""Outcomes at a horizon: the label rule, case by case."""

import pandas as pd
import pytest
from pydantic import ValidationError

from metaswin.cohort.outcomes import counts, outcome
from metaswin.config.cohort import ClinicalSettings, EndpointSettings

CLINICAL = ClinicalSettings(date_format="%m/%d/%Y")
HORIZON = {
    "horizon_days": 730,
    "followup": "last",
    "event": {"column": "dm", "positive": ["Yes"], "uncertain": ["Possible"], "time": "dm_day"},
    "death": {"column": "status", "positive": ["Dead"], "time": "death_day"},
}
#           dm, dm_day, status, death_day, last
CASES = {
    "dm_within": ("Yes", "100", "Alive", None, "900"),
    "dm_on_horizon": ("Yes", "730", "Dead", "800", "800"),
    "dm_after": ("Yes", "731", "Alive", None, "900"),
    "followed": (None, None, "Alive", None, "730"),
    "died_before": (None, None, "Dead", "400", "400"),
    "died_after": (None, None, "Dead", "1000", "1000"),
    "lost": (None, None, "Alive", None, "729"),
    "dm_before_start": ("Yes", "-3", "Alive", None, "900"),
    "dm_without_day": ("Yes", None, "Alive", None, "900"),
    "uncertain": ("Possible", "50", "Alive", None, "900"),
    "no_followup": (None, None, "Alive", None, None),
    "negative": (None, None, "Alive", None, "-5"),
}


def table(cases):
    frame = pd.DataFrame.from_dict(cases, orient="index", columns=["dm", "dm_day", "status", "death_day", "last"])
    return frame.astype(object).where(frame.notna(), None).sort_index()


def labels(result):
    return {row.patient: None if pd.isna(row.label) else int(row.label) for row in result.table.itertuples()}


def test_label_when_deaths_are_nonevents_then_each_case_follows_the_rule():
    result = outcome(table(CASES), "dm", EndpointSettings(**HORIZON), CLINICAL)
    assert labels(result) == {
        "dm_within": 1,
        "dm_on_horizon": 1,
        "dm_after": 0,
        "followed": 0,
        "died_before": 0,
        "died_after": 0,
        "lost": None,
    }
    assert {p.patient: p.code for p in result.problems} == {
        "dm_before_start": "dm-before-treatment",
        "dm_without_day": "event-without-time",
        "uncertain": "uncertain-outcome",
        "no_followup": "no-outcome",
        "negative": "negative-time",
    }
    events = dict(zip(result.table["patient"], result.table["event"], strict=True))
    assert events["dm_after"] == 1
    assert events["died_before"] == 2
    assert events["lost"] == 0


def test_label_when_deaths_are_excluded_then_only_early_deaths_leave_and_are_counted():
    both = outcome(table(CASES), "dm", EndpointSettings(**HORIZON, deaths="exclude"), CLINICAL)
    assert "died_before" not in labels(both)
    assert labels(both)["died_after"] == 0
    assert counts(both.table, both.problems, "dm", EndpointSettings(**HORIZON, deaths="exclude")) == {
        "nonevent": {"events": 2, "nonevents": 4, "unknown": 1, "excluded": 5},
        "exclude": {"events": 2, "nonevents": 3, "unknown": 1, "excluded": 6},
    }


def test_label_when_dates_are_given_then_days_count_from_the_start():
    rows = pd.DataFrame(
        {
            "rt": ["1/1/2010", "1/1/2010"],
            "last": ["1/1/2014", "1/1/2014"],
            "dm": ["Yes", None],
            "dm_date": ["1/1/2012", None],
        },
        index=["A", "B"],
    ).astype(object)
    rows = rows.where(rows.notna(), None)
    settings = EndpointSettings(
        horizon_days=730, start="rt", followup="last", event={"column": "dm", "positive": ["Yes"], "date": "dm_date"}
    )
    result = outcome(rows, "dm", settings, CLINICAL)
    assert result.table["time"].tolist() == [730.0, 1461.0]
    assert labels(result) == {"A": 1, "B": 0}


ZERO_ONE = {
    "horizon_days": 730,
    "followup": "last",
    "event": {"column": "dm", "time": "dm_day"},
    "death": {"column": "status", "time": "death_day"},
}


def test_label_when_an_event_or_death_is_neither_0_nor_1_then_excluded():
    #                dm, dm_day, status, death_day, last
    cases = {
        "event": ("1", "100", "0", None, "900"),
        "none": ("0", None, "1.0", "800", "900"),
        "missing": (None, None, None, None, "900"),
        "two": ("2", "100", "0", None, "900"),
        "word": ("0", None, "Dead", "400", "400"),
    }
    result = outcome(table(cases), "dm", EndpointSettings(**ZERO_ONE), CLINICAL)
    assert labels(result) == {"event": 1, "none": 0, "missing": 0}
    assert {(p.patient, p.code, p.found) for p in result.problems} == {
        ("two", "invalid-outcome", "dm = 2"),
        ("word", "invalid-outcome", "status = a text"),
    }
    assert counts(result.table, result.problems, "dm", EndpointSettings(**ZERO_ONE))["nonevent"]["excluded"] == 2


def test_label_when_no_value_is_an_event_then_reported_with_the_values_found():
    cases = {"A": ("Ja", "100", "0", None, "900"), "B": ("Nein", None, "0", None, "900")}
    settings = {**ZERO_ONE, "event": {"column": "dm", "positive": ["Yes"], "time": "dm_day"}}
    result = outcome(table(cases), "dm", EndpointSettings(**settings), CLINICAL)
    [note] = result.problems
    assert (note.code, note.patient, note.excludes) == ("no-event-value", "", False)
    assert (note.expected, note.private) == ("one of the 2 values of the column", "Ja, Nein")
    assert counts(result.table, result.problems, "dm", EndpointSettings(**settings))["nonevent"]["excluded"] == 0


def test_label_when_followup_is_in_months_then_reported():
    cases = {"A": ("0", None, "0", None, "36"), "B": ("0", None, "0", None, "84"), "C": ("1", "9", "0", None, "60")}
    result = outcome(table(cases), "dm", EndpointSettings(**ZERO_ONE), CLINICAL)
    [note] = result.problems
    assert (note.code, note.excludes) == ("followup-units", False)
    assert note.found == "a longest follow-up of 84 days, with a horizon of 730"


def test_label_when_a_time_is_not_a_number_then_reported():
    cases = {
        "A": ("1", "soon", "0", None, "900"),
        "B": ("0", None, "0", None, "two years"),
        "C": ("0", None, "0", None, "900"),
    }
    result = outcome(table(cases), "dm", EndpointSettings(**ZERO_ONE), CLINICAL)
    assert {(p.patient, p.code, p.found) for p in result.problems} == {
        ("A", "event-without-time", "DM with an unreadable day"),
        ("B", "no-outcome", "an unreadable follow-up"),
    }


def test_plain_column_when_values_are_invalid_then_they_are_reported():
    rows = pd.DataFrame({"y": ["1", "0", "2", None, "1.0"]}, index=list("ABCDE")).astype(object)
    rows = rows.where(rows.notna(), None)
    result = outcome(rows, "y", EndpointSettings(column="y"), CLINICAL)
    assert labels(result) == {"A": 1, "B": 0, "E": 1}
    assert {p.patient: p.code for p in result.problems} == {"C": "invalid-outcome", "D": "no-outcome"}


def test_plain_column_when_positive_values_are_named_then_all_others_are_nonevents():
    rows = pd.DataFrame({"y": ["Lung", "none"]}, index=["A", "B"]).astype(object)
    assert labels(outcome(rows, "y", EndpointSettings(column="y", positive=["lung"]), CLINICAL)) == {"A": 1, "B": 0}


@pytest.mark.parametrize("wrong", [{}, {"column": "y", "event": {"column": "dm"}}, {"event": {"column": "dm"}}])
def test_endpoint_when_neither_or_both_kinds_are_given_then_it_is_refused(wrong):
    with pytest.raises(ValidationError):
        EndpointSettings(**wrong)


def test_radcure_when_labelled_then_counts_and_pitfalls_are_as_documented(shared_data, repository):
    import yaml

    from metaswin.cohort.clinical_table import apply_cohort, read_clinical
    from metaswin.config.model import Config

    raw = yaml.safe_load((repository / "config/examples/radcure-clinical.yaml").read_text())
    config = Config.model_validate(raw)
    clinical = read_clinical(shared_data / "radcure" / config.clinical.table, config.clinical)
    stay, left = apply_cohort(clinical, config.cohort)
    assert len(clinical.table) == 3346
    assert [p.code for p in left] == ["baseline-metastasis"] * 2
    result = outcome(clinical.table.loc[stay], "dm_2y", config.endpoints["dm_2y"], config.clinical)
    numbers = counts(result.table, result.problems, "dm_2y", config.endpoints["dm_2y"])
    assert numbers["nonevent"]["events"] == 326
    assert numbers["exclude"]["nonevents"] == 2279
    assert sum(p.code == "uncertain-outcome" for p in result.problems) == 5
