"""Leave one centre out from a clinical table: the plan of the fits, and what the report shows."""

import copy

import numpy as np
import pandas as pd
import pytest
from clinical_cohort import CONFIG, write_cohort
from planned import rules_to_run

CENTRES = {"A": 60, "B": 60, "C": 60, "D": 30, "E": 7, "": 3}


def by_centre() -> dict:
    """A configuration with one endpoint and four centres of their own; the small ones share the fold of the fourth."""
    config = copy.deepcopy(CONFIG)
    config["clinical"]["columns"]["centre"] = "baseline"
    config["endpoints"].pop("year")
    config["survival"] = {"enabled": False}
    return {**config, "folds": {"by": "centre"}}


def write(path) -> None:
    write_cohort(path, n=sum(CENTRES.values()))
    centre = np.repeat(list(CENTRES), list(CENTRES.values()))
    pd.read_csv(path).assign(centre=centre).to_csv(path, index=False)


@pytest.fixture(scope="module")
def planned(snakemake, tmp_path_factory):
    folder = tmp_path_factory.mktemp("centres")
    write(folder / "clinical.csv")
    return snakemake(folder, by_centre(), "qc")


def test_plan_when_the_centres_are_known_then_each_has_a_model(planned, snakemake):
    assert planned.code == 0, planned.text
    assert planned.table("cohort/centres.parquet")["fold"].nunique() == 4
    run = snakemake(planned.folder, by_centre(), "-n", "--", "all")
    rules = rules_to_run(run.text)
    assert rules["train_fusion"] == rules["explain_fusion"] == 4
    assert rules["make_folds"] == 1


def test_plan_when_folds_are_random_again_then_their_number_is_k(planned, snakemake):
    config = {**by_centre(), "folds": {"k": 3}}
    rules = rules_to_run(snakemake(planned.folder, config, "-n", "--", "all").text)
    assert rules["train_fusion"] == 3
    assert "group_centres" not in rules


def test_run_when_centres_are_too_few_then_they_are_listed(snakemake, tmp_path):
    write(tmp_path / "clinical.csv")
    table = pd.read_csv(tmp_path / "clinical.csv")
    table.assign(centre=table["centre"].map({"A": "one", "B": "one"})).to_csv(tmp_path / "clinical.csv", index=False)
    run = snakemake(tmp_path, by_centre(), "folds")
    assert run.code == 1
    assert "folds.by: found 2 folds of the levels of 'centre'" in run.text
    assert "one: ever" in run.text
    assert "Traceback" not in run.text


@pytest.mark.long
def test_run_when_finished_then_the_report_shows_each_centre(planned, snakemake):
    run = snakemake(planned.folder, by_centre(), "all")
    assert run.code == 0, run.text
    folds = run.table("folds/ever.parquet").merge(run.table("cohort/centres.parquet"), on="patient")
    assert (folds["fold_x"] == folds["fold_y"]).all()
    page = (run.folder / "results/report/report.html").read_text()
    assert "Each row shows the performance in one centre" in page
    assert "share one fold: D, E, unknown" in page
    assert (run.folder / "results/report/figures/centres-ever.pdf").stat().st_size > 1000
    centres = pd.read_csv(run.folder / "results/report/tables/centres-ever.csv")
    assert set(centres["level"]) == {"A", "B", "C", "D + E + unknown"}
    assert "Nothing to be done" in snakemake(planned.folder, by_centre(), "-n", "--", "all").text
