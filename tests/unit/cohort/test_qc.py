"""The gate after the quality control, and what it gathers of the clinical table."""

import json

import numpy as np
import pandas as pd
import pytest

from metaswin.cohort.gate import AS_CONFIGURED, GateInputs, pass_gate, stops
from metaswin.cohort.quality_control import QcInputs, collect
from metaswin.config.cohort import ClinicalSettings, EndpointSettings, QcSettings
from metaswin.core.errors import UserError
from metaswin.core.files import write_table
from metaswin.core.problems import Problem, public_table


def problem(patient, code, excludes=True):
    return Problem(patient, "ingest", code, f"found {patient}", "expected", "do this", excludes)


def gate(tmp_path, on_problem, *problems):
    """Pass the gate, or raise."""
    table = public_table(problems)
    table["stops"] = stops(table)
    write_table(tmp_path / "qc.parquet", table)
    (tmp_path / "matched").mkdir(exist_ok=True)
    for name in ("matched/A.json", "matched.parquet"):
        (tmp_path / name).write_text(name)
    (tmp_path / "sources").mkdir(exist_ok=True)
    (tmp_path / "sources/earlier.json").touch()
    inputs = GateInputs(
        problems=str(tmp_path / "qc.parquet"),
        page="results/cohort/qc.html",
        matched=str(tmp_path / "matched.parquet"),
        matched_sources=str(tmp_path / "matched"),
    )
    copies = [str(tmp_path / name) for name in ("patients.parquet", "sources")]
    pass_gate(inputs, *copies, QcSettings(on_problem=on_problem))
    assert [path.name for path in (tmp_path / "sources").iterdir()] == ["A.json"]
    assert (tmp_path / "patients.parquet").read_text() == "matched.parquet"


def test_gate_when_problems_exclude_then_stop_reports_all_and_exclude_continues(tmp_path):
    many = [problem(f"P{number:02d}", "no-ct") for number in range(23)]
    problems = [*many, problem("Q", "not-hu"), problem("W", "several-rois", excludes=False)]
    gate(tmp_path, "exclude", *problems)
    with pytest.raises(UserError) as caught:
        gate(tmp_path, "stop", *problems)
    title, *lines = str(caught.value).splitlines()
    assert "results/cohort/qc.html" in title
    assert len(lines) == 2
    assert "no-ct [ingest]: P00, P01" in lines[0]
    assert "P19 and 3 more: found found P00; expected expected; do this" in lines[0]
    assert "not-hu [ingest]: Q: " in lines[1]


@pytest.mark.parametrize("code", sorted(AS_CONFIGURED))
def test_gate_when_only_configured_exclusions_or_warnings_then_the_run_continues(tmp_path, code):
    gate(tmp_path, "stop", problem("P", code), problem("Q", "several-rois", excludes=False))


def test_gate_when_there_is_no_problem_then_the_run_continues(tmp_path):
    gate(tmp_path, "stop")


@pytest.mark.parametrize("code", ["no-patient", "unusable-table"])
def test_gate_when_no_patient_is_usable_then_run_ends_with_one_line_naming_the_page(tmp_path, code):
    with pytest.raises(UserError) as caught:
        gate(tmp_path, "exclude", problem("P", "no-image"), problem("", code, excludes=False))
    assert str(caught.value).count("\n") == 0
    assert "results/cohort/qc.html" in str(caught.value)


@pytest.fixture
def study(tmp_path):
    """A clinical way in of 30 patients: `late` knows the outcome, `age` does not."""
    random = np.random.default_rng(2)
    patients = [f"P{number:02d}" for number in range(30)]
    dm = np.arange(30) % 3 == 0
    table = pd.DataFrame({"patient_id": patients, "age": random.integers(50, 70, 30), "late": dm * 5, "dm": dm * 1})
    table = table.rename(columns={"patient_id": "patient"})[:28]
    write_table(tmp_path / "patients.parquet", table[["patient"]], {"clinical": "30", "found": "29"})
    write_table(tmp_path / "all.parquet", table)
    outcomes = pd.DataFrame({"patient": table["patient"], "label": table["dm"], "endpoint": "dm"})
    write_table(tmp_path / "outcomes.parquet", outcomes)
    write_table(tmp_path / "problems.parquet", public_table([problem("P28", "no-image"), problem("P29", "no-image")]))
    return tmp_path


def gathered(study, folds=5, **columns):
    names = ("patients", "problems", "choice", "clinical", "outcomes")
    inputs = QcInputs(**{name: str(study / f"{name}.parquet") for name in names}, series=None)
    clinical = ClinicalSettings(columns={"age": "baseline", **columns})
    kinds = dict.fromkeys(clinical.columns, "numeric")
    table = pd.read_parquet(study / "all.parquet")[["patient", *kinds]].astype(dict.fromkeys(kinds, float))
    write_table(inputs.clinical, table, {"kinds": json.dumps(kinds)})
    return collect(
        inputs,
        clinical,
        {"dm": EndpointSettings(column="dm")},
        0.95,
        folds,
    )


def test_collect_when_a_predictor_alone_predicts_the_outcome_then_reported(study):
    assert "single-column-auc" not in set(gathered(study).problems["code"])
    told = gathered(study, late="baseline").problems.set_index("code").loc["single-column-auc"]
    assert "the column late alone" in told["found"]
    assert not told["excludes"]


def test_collect_when_events_are_fewer_than_folds_then_reported_and_stop_ends_the_run(study):
    assert "too-few-events" not in set(gathered(study, folds=10).problems["code"])
    told = gathered(study, folds=11).problems.set_index("code").loc["too-few-events"]
    assert (told["found"], told["stage"]) == ("10 with the event", "label:dm")
    assert told["expected"] == "11 or more, at least one in each fold"
    assert told["stops"]
    assert not told["excludes"]


def test_collect_when_all_is_gathered_then_counts_columns_and_stops(study):
    qc = gathered(study)
    assert qc.counts == {"clinical": 30, "found": 29, "go_on": 28}
    assert qc.endpoints == {"dm": {"events": 10, "nonevents": 18, "unknown": 0, "excluded": 0}}
    [age] = qc.columns
    assert (age["name"], age["role"], age["kind"], age["missing"], age["problems"]) == (
        "age",
        "baseline",
        "numeric",
        0,
        0,
    )
    assert qc.problems[["patient", "stops"]].values.tolist() == [["P28", True], ["P29", True]]
    assert qc.series.empty
