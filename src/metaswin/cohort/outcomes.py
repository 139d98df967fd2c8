"""Read outcomes: a plain 0/1 column, or distant metastasis (DM) within a horizon with deaths as a separate event."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from metaswin.cohort.clinical_table import matches, normal
from metaswin.config.cohort import ClinicalSettings, EndpointSettings
from metaswin.core.problems import Problem

STAGE = "label"
CENSORED, METASTASIS, DEATH = 0, 1, 2
SHOWN = 20  # values of a column in the private details


@dataclass(frozen=True)
class Outcome:
    """Store the outcome of one endpoint.

    Attributes
    ----------
    table : pandas.DataFrame
        Columns ``patient, label, time, event, followup, dead`` of the patients included in this endpoint. `label` is
        Int8 (0, 1, <NA> = unknown). `time` is in days. `event` is Int8 (0 censored, 1 DM, 2 death without DM).
        `followup` is the number of days to death or last follow-up. `dead` is Int8 (0, 1; missing if the endpoint names
        no death). For a plain column, all columns except the label are missing.
    problems : list of Problem
        Reasons for excluded patients, followed by warnings about the whole endpoint.
    """

    table: pd.DataFrame
    problems: list[Problem]


def outcome(table: pd.DataFrame, name: str, endpoint: EndpointSettings, clinical: ClinicalSettings) -> Outcome:
    """Determine the outcome of the patients in `table` (text columns, indexed by study id) for one endpoint.

    With a horizon h (days), an event is a first DM in (0, h]. A non-event is a patient who was followed for at least h
    without DM, or who died before h without DM (excluded from the endpoint with ``deaths: exclude``). The label of a
    patient who was censored before h is unknown.
    """
    if endpoint.column is not None:
        return _plain(table, name, endpoint)
    return _within_horizon(table, name, endpoint, clinical)


def _plain(table: pd.DataFrame, name: str, endpoint: EndpointSettings) -> Outcome:
    assert endpoint.column is not None
    column = table[endpoint.column.strip()]
    positive = matches(column, endpoint.positive)
    # With `positive: [1]`, values other than 0 and 1 are errors. With other positive values, every other value is a
    # non-event.
    strict = {normal(value) for value in endpoint.positive} == {"1"}
    labels, problems = {}, []
    for patient, value, hit in zip(table.index, column, positive, strict=True):
        if value is None:
            problems.append(_excluded(patient, name, "no-outcome", f"no value in {endpoint.column}", "0 or 1"))
        elif strict and not hit and normal(value) != "0":
            problems.append(_excluded(patient, name, "invalid-outcome", f"{endpoint.column} = {value}", "0 or 1"))
        else:
            labels[patient] = int(hit)
    return Outcome(_frame(labels, {}, {}, {}, {}), problems)


def _within_horizon(table: pd.DataFrame, name: str, endpoint: EndpointSettings, clinical: ClinicalSettings) -> Outcome:
    assert endpoint.event is not None
    horizon = endpoint.horizon_days
    days = _Days(table, endpoint, clinical)
    followup = days.of(endpoint.followup, is_date=endpoint.start is not None)
    metastasis = matches(table[endpoint.event.column.strip()], endpoint.event.positive)
    uncertain = matches(table[endpoint.event.column.strip()], endpoint.event.uncertain)
    metastasis_column = endpoint.event.date or endpoint.event.time
    metastasis_day = days.of(metastasis_column, is_date=endpoint.event.date is not None)
    dead = [False] * len(table)
    death_day = pd.Series(math.nan, index=table.index)
    if endpoint.death is not None:
        dead = matches(table[endpoint.death.column.strip()], endpoint.death.positive)
        death_day = days.of(endpoint.death.date or endpoint.death.time, is_date=endpoint.death.date is not None)

    notes = _cohort_notes(table, name, endpoint, followup)
    invalid = _invalid(table, endpoint)
    labels: dict[str, int | None] = {}
    times, events, problems = {}, {}, []
    followups, deaths = {}, {}
    died_before = []
    for patient, is_dm, is_uncertain, is_dead in zip(table.index, metastasis, uncertain, dead, strict=True):
        end, dm, death = followup[patient], metastasis_day[patient], death_day[patient]
        if is_dead and math.isnan(death):
            death = end
        if patient in invalid:
            problems.append(_excluded(patient, name, "invalid-outcome", invalid[patient], "0 or 1"))
        elif is_uncertain:
            value = table.at[patient, endpoint.event.column.strip()]
            found = f"{endpoint.event.column} = {value}"
            problems.append(_excluded(patient, name, "uncertain-outcome", found, "a certain outcome"))
        elif is_dm and math.isnan(dm):
            found = "DM with an unreadable day" if days.written(patient, metastasis_column) else "DM without a day"
            problems.append(_excluded(patient, name, "event-without-time", found, "the day of the DM"))
        elif is_dm and dm <= 0:
            found = f"DM {-dm:g} days before the start" if dm < 0 else "DM on the day of the start"
            problems.append(_excluded(patient, name, "dm-before-treatment", found, "first DM after the start"))
        elif not is_dm and math.isnan(end) and math.isnan(death):
            written = days.written(patient, endpoint.followup)
            found = "an unreadable follow-up" if written else "no follow-up"
            problems.append(_excluded(patient, name, "no-outcome", found, f"a value in {endpoint.followup}"))
        elif not is_dm and min(_known(end, death)) < 0:
            found = f"follow-up of {min(_known(end, death)):g} days"
            problems.append(_excluded(patient, name, "negative-time", found, "0 days or more"))
        elif is_dm:
            times[patient], events[patient] = dm, METASTASIS
            labels[patient] = int(dm <= horizon)
        else:
            last = death if is_dead else end
            times[patient], events[patient] = last, DEATH if is_dead else CENSORED
            if last >= horizon:
                labels[patient] = 0
            elif is_dead:
                died_before.append(patient)
                labels[patient] = 0
            else:
                labels[patient] = None
        if patient in times:
            # Follow-up continues after a metastasis; the patient was alive at least until that day.
            followups[patient] = max(_known(times[patient], death if is_dead else end))
            deaths[patient] = None if endpoint.death is None else int(is_dead)

    if endpoint.deaths == "exclude":
        for patient in died_before:
            found = f"died on day {times[patient]:g} without DM"
            expected = f"alive or DM within {horizon:g} days (deaths: exclude)"
            problems.append(_excluded(patient, name, "died-before-horizon", found, expected))
            del labels[patient]
    return Outcome(_frame(labels, times, events, followups, deaths), problems + notes)


def no_outcome() -> pd.DataFrame:
    """Return an `Outcome.table` without rows."""
    return _frame({}, {}, {}, {}, {})


def counts(
    table: pd.DataFrame, problems: Iterable[Problem], name: str, endpoint: EndpointSettings
) -> dict[str, dict[str, int]]:
    """Count ``events, nonevents, unknown, excluded`` of an endpoint for each rule for deaths.

    Parameters
    ----------
    table : DataFrame
        Rows of `Outcome.table` to count.
    problems : iterable of Problem
        Problems that exclude patients from this endpoint count as `excluded`. Others are ignored.
    name, endpoint
        Endpoint. A plain column has only the rule ``nonevent``.
    """
    codes = [problem.code for problem in problems if problem.stage == f"{STAGE}:{name}" and problem.excludes]
    known = {"events": int((table["label"] == 1).sum()), "unknown": int(table["label"].isna().sum())}
    nonevents, excluded = int((table["label"] == 0).sum()), len(codes)
    if endpoint.column is not None:
        return {"nonevent": {**known, "nonevents": nonevents, "excluded": excluded}}
    died = codes.count("died-before-horizon")
    nonevents, excluded = nonevents + died, excluded - died
    if endpoint.deaths == "nonevent":
        died = int(((table["event"] == DEATH) & (table["time"] < endpoint.horizon_days)).sum())
    return {
        "nonevent": {**known, "nonevents": nonevents, "excluded": excluded},
        "exclude": {**known, "nonevents": nonevents - died, "excluded": excluded + died},
    }


class _Days:
    """Compute days since the start of each patient from columns of days or dates."""

    def __init__(self, table: pd.DataFrame, endpoint: EndpointSettings, clinical: ClinicalSettings) -> None:
        self.table = table
        self.format = clinical.date_format
        self.start = self._dates(endpoint.start) if endpoint.start else None

    def of(self, column: str | None, is_date: bool) -> pd.Series:
        if column is None:
            return pd.Series(math.nan, index=self.table.index)
        if not is_date or self.start is None:
            return pd.to_numeric(self.table[column.strip()], errors="coerce").astype("float64")
        return (self._dates(column) - self.start).dt.days.astype("float64")

    def written(self, patient: str, column: str | None) -> bool:
        """Return whether the table has a value."""
        return column is not None and self.table.at[patient, column.strip()] is not None

    def _dates(self, column: str) -> pd.Series:
        return pd.to_datetime(self.table[column.strip()], format=self.format, errors="coerce")


def _invalid(table: pd.DataFrame, endpoint: EndpointSettings) -> dict[str, str]:
    """Return the patients whose event or death is neither 0 nor 1 although `positive` is 1, with the value found."""
    invalid: dict[str, str] = {}
    for source in (endpoint.event, endpoint.death):
        if source is None or {normal(value) for value in source.positive} != {"1"}:
            continue
        allowed = matches(table[source.column.strip()], [0, 1, *source.uncertain])
        for patient, value, fine in zip(table.index, table[source.column.strip()], allowed, strict=True):
            if value is not None and not fine:
                text = normal(value) or ""
                invalid.setdefault(patient, f"{source.column} = {text if text.isdecimal() else 'a text'}")
    return invalid


def _cohort_notes(table: pd.DataFrame, name: str, endpoint: EndpointSettings, followup: pd.Series) -> list[Problem]:
    """Return warnings about the whole endpoint: event values that no patient has, follow-up in another unit."""
    assert endpoint.event is not None
    notes = []
    column = table[endpoint.event.column.strip()]
    values = sorted({str(value) for value in column.dropna()})
    if values and not any(matches(column, endpoint.event.positive)):
        found = f"no {endpoint.event.column} equal to {', '.join(map(str, endpoint.event.positive))}"
        action = f"set endpoints.{name}.event.positive to the value of an event in the table"
        expected = f"one of the {len(values)} values of the column"
        notes.append(_note(name, "no-event-value", found, expected, action, ", ".join(values[:SHOWN])))
    longest = followup.max()
    if longest * 5 < endpoint.horizon_days:
        found = f"a longest follow-up of {longest:g} days, with a horizon of {endpoint.horizon_days:g}"
        factor = f"clinical.columns.{endpoint.followup}.factor"
        action = f"check the unit of {endpoint.followup}: {factor} changes months (30.4375) or years (365.25) to days"
        notes.append(_note(name, "followup-units", found, "follow-up beyond the horizon, in days", action))
    return notes


def _note(endpoint: str, code: str, found: str, expected: str, action: str, private: str = "") -> Problem:
    return Problem("", f"{STAGE}:{endpoint}", code, found, expected, action, excludes=False, private=private)


def _known(*values: float) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def _frame(labels: dict, times: dict, events: dict, followups: dict, deaths: dict) -> pd.DataFrame:
    patients = sorted(labels)
    return pd.DataFrame(
        {
            "patient": pd.Series(patients, dtype="str"),
            "label": pd.array([labels[p] for p in patients], dtype="Int8"),
            "time": pd.array([times.get(p, math.nan) for p in patients], dtype="float64"),
            "event": pd.array([events.get(p) for p in patients], dtype="Int8"),
            "followup": pd.array([followups.get(p, math.nan) for p in patients], dtype="float64"),
            "dead": pd.array([deaths.get(p) for p in patients], dtype="Int8"),
        }
    )


def _excluded(patient: str, endpoint: str, code: str, found: str, expected: str) -> Problem:
    action = f"the patient is excluded from endpoint {endpoint}; fix the clinical table if this is wrong"
    return Problem(patient, f"{STAGE}:{endpoint}", code, found, expected, action)
