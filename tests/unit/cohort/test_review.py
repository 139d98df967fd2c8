"""Decisions of a reviewer: the file, who leaves the cohort by it, and what the report says of late exclusions."""

import pandas as pd
import pytest
from report_page import evaluated, reported
from synthetic_run import Plan, draw

from metaswin.cohort.codes import problem
from metaswin.cohort.gate import stops
from metaswin.cohort.review import excluded_by_review, left_by_review, read_review, save_decision
from metaswin.core.errors import UserError
from metaswin.core.files import read_table, write_table
from metaswin.core.problems import public_table
from metaswin.evaluation.review import keep_predictions, predictions_exist, with_and_without


def test_decision_when_saved_then_the_last_one_counts_and_all_stay_on_record(tmp_path):
    path = tmp_path / "private/review.csv"
    assert read_review(path) == {}
    save_decision(path, "P1", "check", 'motion, "blurred"', "none")
    save_decision(path, "P2", "exclude", "metal", "hidden")
    first = read_review(path)["P1"].time
    assert save_decision(path, "P1", "accepted", "", "shown").decision == "accepted"
    found = read_review(path)
    assert (found["P1"].decision, found["P1"].predictions) == ("accepted", "shown")
    assert excluded_by_review(path) == {"P2": {"time": found["P2"].time, "predictions": "hidden"}}
    log = pd.read_csv(path, dtype="str", keep_default_na=False)
    assert log["patient"].tolist() == ["P1", "P2", "P1"]
    assert log.loc[0, ["time", "comment"]].tolist() == [first, 'motion, "blurred"']


def test_decision_when_only_its_comment_changes_then_it_dates_from_the_first(tmp_path):
    path = tmp_path / "review.csv"
    first = save_decision(path, "P1", "exclude", "metal", "none")
    again = save_decision(path, "P1", "exclude", "metal of teeth", "shown")
    assert (again.time, again.predictions, again.comment) == (first.time, "none", "metal of teeth")
    save_decision(path, "P1", "accepted", "", "shown")
    assert save_decision(path, "P1", "exclude", "metal", "shown").predictions == "shown"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,decision\nP1,exclude\n", "no column patient"),
        ("patient,decision\nP1,out\n", "line 2: decision is 'out'; give one of accepted, check, exclude"),
        ("patient,decision\n,exclude\n", "no study id"),
        ("patient,decision,predictions\nP1,exclude,maybe\n", "give one of none, hidden, shown"),
    ],
)
def test_file_when_wrong_then_line_and_choice_are_named(tmp_path, text, message):
    (tmp_path / "review.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_review(tmp_path / "review.csv")


def test_cohort_when_reviewed_then_each_exclusion_has_the_code_of_its_time(tmp_path):
    path = tmp_path / "review.csv"
    for patient, decision, known in [
        ("P1", "exclude", "none"),
        ("P2", "exclude", "hidden"),
        ("P3", "exclude", "shown"),
        ("P4", "check", "none"),
        ("P9", "exclude", "none"),
    ]:
        save_decision(path, patient, decision, "a private word", known)
    stay, found = left_by_review(path, ["P1", "P2", "P3", "P4", "P5"], ["P1", "P2", "P3", "P4", "P5"])
    assert stay == ["P4", "P5"]
    problems = [problem(**item) for item in found]
    assert [(item.patient, item.code) for item in problems] == [
        ("P1", "excluded-by-review"),
        ("P2", "excluded-by-review-late"),
        ("P3", "excluded-by-review-unblinded"),
        ("", "unknown-reviewed-id"),
    ]
    table = public_table(problems)
    assert not table.astype("str").apply(lambda column: column.str.contains("private word|P9")).any(axis=None)
    assert not stops(table).any()


def test_file_written_by_hand_when_nothing_is_known_then_it_counts_as_unblinded(tmp_path):
    (tmp_path / "review.csv").write_text("patient,decision,comment\nP1,exclude,metal\n")
    assert read_review(tmp_path / "review.csv")["P1"].predictions == "shown"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return evaluated(draw(tmp_path_factory.mktemp("reviewed"), Plan(patients=60, endpoints={"dm": 900.0}, k=4)))


def test_report_when_patients_were_excluded_late_then_counted_with_the_result_with_and_without(run):
    results = run.results
    predictions = read_table(results / "evaluation/predictions.parquet")
    assert predictions_exist(results)
    keep_predictions(results)
    kept = results / "review/predictions.parquet"
    summary = read_table(results / "evaluation/summary.parquet")
    primary = summary[summary["primary"] & (summary["classifier"] == "network")].iloc[0]
    out = predictions.loc[predictions["label"] == 1, "patient"].unique()[:3].tolist()
    (record,) = with_and_without(kept, out)
    assert record["with"]["auc"] == pytest.approx(primary["auc_ipcw"])
    assert record["without"]["n"] == record["with"]["n"] - 3
    assert record["without"]["events"] == record["with"]["events"] - 3
    assert record["without"]["auc"] != record["with"]["auc"]

    codes = ["excluded-by-review-late", "excluded-by-review-unblinded", "excluded-by-review"]
    found = [problem(patient, code, "marked for exclusion") for patient, code in zip(out, codes, strict=True)]
    exclusions = results / "cohort/exclusions.parquet"
    earlier = read_table(exclusions)
    write_table(exclusions, pd.concat([earlier, public_table(found)], ignore_index=True))
    page = reported(run, {"review": str(kept)}).html
    (record,) = with_and_without(kept, out[:2])
    assert "1 patient: decided before predictions existed" in page
    assert "1 patient: decided after predictions were shown" in page
    assert f"{record['with']['auc']:.3f}" in page
    assert f"{record['without']['auc']:.3f}" in page
    assert "A reviewer excluded 2 patients after predictions existed" in page
    assert "were not kept" in reported(run).html
    write_table(exclusions, earlier)
    assert "Excluded by a reviewer" not in reported(run, {"review": str(kept)}).html


def test_kept_predictions_when_a_later_run_lacks_a_patient_then_they_stay(run):
    results = run.results
    keep_predictions(results)
    before = read_table(results / "review/predictions.parquet")
    path = results / "evaluation/predictions.parquet"
    whole = read_table(path)
    write_table(path, whole[whole["patient"] != before["patient"].iloc[0]])
    keep_predictions(results)
    pd.testing.assert_frame_equal(read_table(results / "review/predictions.parquet"), before)
    write_table(path, whole.assign(probability=0.5))
    keep_predictions(results)
    assert (read_table(results / "review/predictions.parquet")["probability"] == 0.5).all()
    write_table(path, whole)
