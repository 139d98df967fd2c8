"""The report as a file: complete, offline, naming everyone, never a number that is none."""

import re
import shutil
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from report_page import evaluated_and_reported, reported
from synthetic_run import Plan, Run, draw

from metaswin.core.files import read_table, write_table
from metaswin.report.files import figure_files, table_files

PLANS = {
    "images": Plan(patients=90, endpoints={"dm": 900.0, "late": 1826.0}, modalities=("clinical", "radiomics", "deep")),
    "tiny": Plan(patients=33, endpoints={"any_dm": None}, k=4),
    "clinical": Plan(patients=80, endpoints={"dm": 900.0}, modalities=("clinical",), repeats=2, exclusions=False),
}


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """Name of a plan → its run and the page, made once."""

    @cache
    def run_of(name):
        run = draw(tmp_path_factory.mktemp(name), PLANS[name])
        return run, evaluated_and_reported(run)

    return run_of


@pytest.fixture(scope="module", params=list(PLANS))
def made(request, run_of):
    return run_of(request.param)


def test_page_is_well_formed_with_unique_identifiers(made):
    _, page = made
    assert page.open == []
    assert page.wrong == []
    assert len(page.ids) == len(set(page.ids))


def test_page_makes_no_network_request(made):
    _, page = made
    assert all(value.startswith(("#", "data:")) for value in page.references)
    outside = [url for url in re.findall(r"https?://[^\s\"')<]+", page.html) if "www.w3.org" not in url]
    assert outside == []
    assert "@import" not in page.html
    assert "url(" not in page.html


def test_page_shows_no_missing_number_as_a_number(made):
    _, page = made
    assert not re.search(r"\b(nan|None|inf|NaT)\b", page.text)


def test_links_within_the_page_have_targets(made):
    _, page = made
    assert {value[1:] for value in page.references if value.startswith("#")} <= set(page.ids)


def test_exactly_the_declared_files_exist(made):
    run, _ = made
    endpoints, deep = list(run.plan.endpoints), ["deep"] if "deep" in run.plan.modalities else []
    tables = {path.name for path in (run.results / "report/tables").iterdir()}
    figures = {path.name for path in (run.results / "report/figures").iterdir()}
    names = figure_files(dict.fromkeys(endpoints, deep))
    assert tables == set(table_files(endpoints))
    assert figures == {f"{name}{ending}" for name in names for ending in (".svg", ".pdf")}


def test_primary_number_and_interval_are_those_of_the_summary(made):
    run, page = made
    for name, horizon in run.plan.endpoints.items():
        table = read_table(run.evaluation_outputs.summary)
        row = table[table["primary"] & (table["endpoint"] == name) & (table["classifier"] == "network")].iloc[0]
        auc = "auc_ipcw" if horizon else "auc"
        assert f"{row[auc]:.3f} (95% interval {row[f'{auc}_low']:.3f} to {row[f'{auc}_high']:.3f})" in page.text


def test_ablation_table_contains_every_feature_set_and_classifier(made):
    run, _ = made
    for endpoint in run.plan.endpoints:
        table = pd.read_csv(run.results / f"report/tables/ablation-{endpoint}.csv")
        summary = read_table(run.evaluation_outputs.summary).query("endpoint == @endpoint")
        assert set(zip(table["feature_set"], table["classifier"], strict=True)) == set(
            zip(summary["feature_set"], summary["classifier"], strict=True)
        )


@pytest.fixture(scope="module")
def images(run_of):
    return run_of("tiny")


def test_every_excluded_patient_is_named_with_code_and_what_to_do(images):
    run, page = images
    problems = read_table(f"{run.results}/cohort/exclusions.parquet")
    for row in problems.to_dict("records"):
        for column in ("patient", "code", "found", "expected", "action"):
            assert row[column] in page.text


def test_text_found_in_data_is_escaped(images):
    _, page = images
    assert "no RTSTRUCT &amp; no SEG &lt;none&gt;" in page.html


def test_private_part_of_problems_is_not_in_the_page(images):
    run, page = images
    assert "/secret/path" not in page.html
    assert str(run.folder) not in page.html


def test_warnings_of_the_fits_are_shown(images):
    _, page = images
    assert "site alone has AUC .97" in page.text


def test_paper_numbers_are_shown_with_a_warning_not_to_compare(images):
    _, page = images
    assert "AUC 0.803" in page.text
    assert "ACC 0.752, SEN 0.730, SPE 0.758" in page.text
    assert "AUC 0.715" in page.text
    assert "not comparable" in page.text


def test_every_patient_is_in_the_patient_table_once(images):
    run, page = images
    table = pd.read_csv(run.results / "report/tables/patients-any_dm.csv")
    assert table["patient"].is_unique
    assert len(table) == 33
    assert all(patient in page.text for patient in table["patient"])


def test_report_twice_gives_the_same_figures_and_page(images):
    run, page = images
    svg = (run.results / "report/figures/roc-any_dm.svg").read_bytes()
    date = re.compile(r"\d{4}-\d\d-\d\d")
    assert date.sub("", reported(run).html) == date.sub("", page.html)
    assert (run.results / "report/figures/roc-any_dm.svg").read_bytes() == svg


def test_title_selected_features_and_paper_follow_the_settings(images):
    run, _ = images
    page = reported(run, title="Sarcoma & lung", selected_features=2, paper=False)
    assert "<h1>Sarcoma &amp; lung</h1>" in page.html
    assert page.html.count('<span class="fill"') == 2 * 2
    assert "2508.20469" not in page.text


def test_page_states_that_repeats_are_not_pooled(run_of):
    _, page = run_of("clinical")
    assert "repeats are never pooled" in page.text
    assert "mean AUC of 10 folds" in page.text


def test_paper_numbers_are_omitted_if_the_run_has_none_to_compare(run_of):
    assert "2508.20469" not in run_of("clinical")[1].text


def test_primary_without_predictions_is_not_estimable_and_says_why(tmp_path):
    run = draw(tmp_path, Plan(patients=60, modalities=("clinical",)))
    for path in run.evaluation_inputs.predictions:
        table = read_table(path)
        table.loc[table["feature_set"] == "clinical:paper", "probability"] = float("nan")
        write_table(path, table)
    page = evaluated_and_reported(run)
    assert "the AUC is not estimable" in page.text
    assert "predictions are missing" in page.text
    assert not re.search(r"\bnan\b", page.text)


def test_report_without_benchmark_files_has_no_times(run_of, tmp_path):
    made, page = run_of("clinical")
    assert "Times per stage" in page.html
    run = Run(shutil.copytree(made.folder, tmp_path / "run"), made.plan)
    for path in Path(f"{run.results}/benchmarks").rglob("*.tsv"):
        path.unlink()
    assert "Times per stage" not in reported(run).html
