"""A clinical table alone: the whole flow, and what re-runs after an edit."""

import copy
import shutil

import pandas as pd
import pytest
from clinical_cohort import CONFIG, write_cohort
from planned import rules_to_run

from metaswin.cohort.review import save_decision


@pytest.fixture(scope="module")
def finished(snakemake, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clinical")
    write_cohort(folder / "clinical.csv")
    return snakemake(folder, CONFIG, "all")


def test_run_when_finished_then_report_and_tables_are_there(finished):
    assert finished.code == 0, finished.text
    assert (finished.folder / "results/report/report.html").stat().st_size > 10_000
    folds = finished.table("folds/year.parquet")
    assert folds["repeat"].nunique() == 2
    summary = finished.table("evaluation/summary.parquet")
    assert set(summary["endpoint"]) == {"ever", "year"}
    assert {"clinical:paper", "clinical:staging"} <= set(summary["feature_set"])


def test_model_when_outcome_follows_age_then_it_is_found(finished):
    summary = finished.table("evaluation/summary.parquet")
    logistic = summary[(summary["endpoint"] == "ever") & (summary["classifier"] == "logistic")].set_index("feature_set")
    assert logistic.at["clinical:paper", "auc"] > 0.75


def test_evaluation_when_finished_then_its_tables_contain_both_endpoints(finished):
    for name in ("pr", "calibration", "decision", "delong", "sample_size", "strata"):
        table = finished.table(f"evaluation/{name}.parquet")
        assert set(table["endpoint"]) == {"ever", "year"}, name
        assert set(table["feature_set"]) == {"clinical:paper", "clinical:staging"}, name
    assert {"< 55", "55 to < 65", "≥ 65"} <= set(finished.table("evaluation/strata.parquet")["level"])
    comparisons = finished.table("evaluation/comparisons.parquet")
    planned = comparisons[comparisons["family"] == "confirmatory"].set_index("endpoint")
    assert planned["metric"].to_dict() == {"ever": "auc", "year": "auc_ipcw"}
    assert set(comparisons["metric"]) >= {"brier_ipcw", "net_benefit_ipcw"}


def test_survival_when_an_endpoint_has_a_horizon_then_only_its_tables_exist(finished):
    summary = finished.table("evaluation/survival.parquet")
    assert set(summary["endpoint"]) == {"year"}
    assert set(summary["feature_set"]) == {"clinical:paper", "clinical:staging"}
    assert summary.query("metric == 'auc_t'")["value"].notna().all()
    curves = finished.table("evaluation/survival_curves.parquet")
    assert curves.query("curve == 'km_overall'")["why"].eq("the endpoint names no column of deaths").all()
    assert set(finished.table("models/year/as-is/r1/fold-1/survival/predictions.parquet")["part"]) == {"inner", "test"}


def test_survival_when_switched_off_or_deaths_are_excluded_then_it_is_not_planned(snakemake, tmp_path):
    write_cohort(tmp_path / "clinical.csv")
    year = {**CONFIG["endpoints"]["year"], "deaths": "exclude"}
    for edit in ({"survival": {"enabled": False}}, {"endpoints": {"year": year}}):
        planned = rules_to_run(snakemake(tmp_path, {**CONFIG, **edit}, "-n", "--", "all").text)
        assert "train_fusion" in planned
        assert not set(planned) & {"train_hazard", "evaluate_survival"}


def test_clinical_table_in_results_does_not_contain_outcomes(finished):
    assert set(finished.table("cohort/clinical.parquet").columns) == {"patient", "age", "sex", "site"}


def test_crate_when_finished_then_it_has_the_report_and_no_place_or_table_of_patients(finished):
    folder = finished.folder / "results/ro-crate"
    assert (folder / "report/report.html").read_bytes() == (finished.folder / "results/report/report.html").read_bytes()
    described = (folder / "ro-crate-metadata.json").read_text() + (folder / "settings.json").read_text()
    assert str(finished.folder) not in described
    assert not list(folder.glob("report/tables/patients-*.csv"))
    assert "P001" not in described


def test_rerun_when_nothing_changed_then_nothing_to_do(finished, snakemake):
    run = snakemake(finished.folder, CONFIG, "-n", "--", "all")
    assert "Nothing to be done" in run.text


@pytest.mark.parametrize(
    ("edit", "again", "not_again"),
    [
        (
            {"evaluation": {"min_cell_events": 7}},
            {"evaluate", "report"},
            {"train_fusion", "train_hazard", "make_folds", "build_cohort"},
        ),
        ({"report": {"title": "Other"}}, {"report"}, {"evaluate", "train_fusion"}),
        (
            {"survival": {**CONFIG["survival"], "groups": 2}},
            {"train_hazard", "evaluate_survival", "report"},
            {"train_fusion", "evaluate"},
        ),
        ({"fusion": {"logistic_penalties": [0.5]}}, {"train_fusion", "evaluate"}, {"make_folds", "close_cohort"}),
        ({"folds": {"k": 4}}, {"make_folds", "train_fusion"}, {"build_cohort", "close_cohort"}),
    ],
)
def test_rerun_when_config_is_edited_then_only_what_depends_on_it_runs(finished, snakemake, edit, again, not_again):
    config = copy.deepcopy(CONFIG)
    for section, values in edit.items():
        config[section] = {**config.get(section, {}), **values}
    planned = rules_to_run(snakemake(finished.folder, config, "-n", "--", "all").text)
    assert again <= set(planned)
    assert not set(planned) & not_again


def test_review_without_exclusion_runs_nothing_and_an_exclusion_leaves_the_cohort(snakemake, tmp_path):
    write_cohort(tmp_path / "clinical.csv")
    assert snakemake(tmp_path, CONFIG, "cohort").code == 0
    reviewed = {**CONFIG, "cohort": {"review": "private/review.csv"}}
    path = tmp_path / "private/review.csv"
    save_decision(path, "P001", "accepted", "", "hidden")
    assert "Nothing to be done" in snakemake(tmp_path, reviewed, "-n", "--", "cohort").text
    save_decision(path, "P001", "exclude", "a private word", "hidden")
    done = snakemake(tmp_path, reviewed, "cohort")
    assert done.code == 0, done.text
    exclusions = done.table("cohort/exclusions.parquet").set_index("patient")
    assert exclusions.at["P001", "code"] == "excluded-by-review-late"
    assert "private word" not in exclusions.to_csv()
    assert "a private word" in (tmp_path / "private/details/ingest/P001.json").read_text()
    assert "P001" not in set(done.table("cohort/used.parquet")["patient"])


def test_stage_when_named_as_target_then_only_it_and_what_it_needs_run(snakemake, tmp_path):
    write_cohort(tmp_path / "clinical.csv")
    planned = rules_to_run(snakemake(tmp_path, CONFIG, "-n", "--", "cohort").text)
    assert "train_fusion" not in planned
    assert "close_cohort" in planned


def test_run_when_one_class_only_then_the_message_names_endpoint_and_setting(snakemake, tmp_path):
    write_cohort(tmp_path / "clinical.csv")
    table = pd.read_csv(tmp_path / "clinical.csv")
    table.assign(dm=0).to_csv(tmp_path / "clinical.csv", index=False)
    run = snakemake(tmp_path, CONFIG, "folds")
    assert run.code == 1
    assert "endpoint ever: found 0 events among 90 patients, but folds.k = 3" in run.text
    assert "Traceback" not in run.text


def test_controls_when_switched_off_then_they_do_not_run_and_the_table_says_so(finished, snakemake, tmp_path):
    folder = shutil.copytree(finished.folder, tmp_path / "run", symlinks=True)
    run = snakemake(folder, {**CONFIG, "controls": {"leaky": False, "permuted": False}}, "controls")
    assert run.code == 0, run.text[-3000:]
    assert set(rules_to_run(run.text)) == {"evaluate_controls", "controls"}
    table = run.table("evaluation/controls.parquet").set_index(["endpoint", "control"])
    assert table.loc[("ever", "permuted"), "note"] == "turned off by the setting controls.permuted: false"
    assert table.loc[("year", "leaky"), "auc_why"] == "not applicable: no feature set uses radiomics"
    assert table["auc"].isna().all()
