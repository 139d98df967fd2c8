"""The quality control as a target, and the run that stops after it."""

import pytest
import yaml
from planned import rules_to_run

from metaswin.simulate.hazards.write import write_hazards


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hazards") / "study"
    write_hazards(folder)
    return folder, yaml.safe_load((folder / "config.yaml").read_text())


def test_qc_when_asked_for_then_no_image_is_read_and_the_page_is_there(study, snakemake):
    folder, config = study
    run = snakemake(folder, config, "qc")
    assert run.code == 0, run.text[-3000:]
    assert set(rules_to_run(run.text)) == {"index_dicom", "match_patients", "make_qc", "qc"}
    assert "HAZ-gantry-tilt" in (folder / "results/cohort/qc.html").read_text()
    assert not (folder / "results/images").exists()


def test_run_when_on_problem_is_stop_then_it_ends_after_the_quality_control_with_all_problems(study, snakemake):
    folder, config = study
    run = snakemake(folder, {**config, "qc": {"on_problem": "stop"}}, "images")
    assert run.code == 1
    for code in ("gantry-tilt [ingest]: HAZ-gantry-tilt", "negative-time [label:dm_2y]: HAZ-negative-time"):
        assert code in run.text
    assert "Traceback" not in run.text
    assert (folder / "results/cohort/qc.html").exists()
    assert not (folder / "results/images").exists()
