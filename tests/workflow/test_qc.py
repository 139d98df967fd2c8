"""The quality control as a target, and the run that stops after it."""

import re
import subprocess
import sys

import pytest
import yaml
from planned import rules_to_run

from metaswin.simulate.data_faults.write import write_data_faults


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data_faults") / "study"
    write_data_faults(folder)
    return folder, yaml.safe_load((folder / "config.yaml").read_text())


def test_qc_when_asked_for_then_no_image_is_read_and_the_page_is_there(study, snakemake):
    folder, config = study
    run = snakemake(folder, config, "qc")
    assert run.code == 0, run.text[-3000:]
    assert set(rules_to_run(run.text)) == {"index_dicom", "match_patients", "make_qc", "build_cohort", "qc"}
    assert "FAULT-gantry-tilt" in (folder / "results/cohort/qc.html").read_text()
    assert not (folder / "results/images").exists()


def test_run_when_on_problem_is_stop_then_it_ends_after_qc_with_all_problems(study, snakemake):
    folder, config = study
    run = snakemake(folder, {**config, "qc": {"on_problem": "stop"}}, "images")
    assert run.code == 1
    for code in ("gantry-tilt [ingest]: FAULT-gantry-tilt", "negative-time [label:dm_2y]: FAULT-negative-time"):
        assert code in run.text
    assert "Traceback" not in run.text
    assert (folder / "results/cohort/qc.html").exists()
    assert not (folder / "results/images").exists()


@pytest.mark.parametrize("call", ["metaswin run", "snakemake"])
@pytest.mark.parametrize("wrong", ["no id matches", "no date can be read"])
def test_qc_when_no_patient_remains_then_run_ends_with_one_message_naming_the_page(snakemake, tmp_path, call, wrong):
    rows = "A,5,1,2020-01-01\n" if wrong == "no id matches" else "P1,5,1,1.1.2020\nP2,6,0,2.1.2020\n"
    (tmp_path / "clinical.csv").write_text(f"patient_id,age,dm,start\n{rows}")
    (tmp_path / "features.csv").write_text("patient_id,original_shape_VoxelVolume\nP1,5\nP2,6\n")
    config = {
        "data": {"source": "features", "features": "features.csv"},
        "clinical": {"table": "clinical.csv", "columns": {"age": "baseline", "dm": "outcome"}},
        "ingest": {"series": {"treatment_start": "start"}},
        "endpoints": {"dm": {"column": "dm"}},
        "harmonisation": {"method": "none"},
        "evaluation": {"strata": []},
    }
    if call == "snakemake":
        run = snakemake(tmp_path, config, "qc")
        code, text = run.code, run.text
    else:
        (tmp_path / "metaswin.yaml").write_text(yaml.safe_dump(config))
        command = [sys.executable, "-c", "import sys; from metaswin.cli import main; sys.exit(main())"]
        done = subprocess.run(
            [*command, "run", "--directory", str(tmp_path), "--", "qc"], capture_output=True, text=True, check=False
        )
        code, text = done.returncode, done.stdout + done.stderr
    assert code == 1, text
    found = {"no id matches": "0 patients with data", "no date can be read": "set clinical.date_format"}[wrong]
    [told] = [line for line in text.splitlines() if found in line]
    assert "results/cohort/qc.html" in told
    assert not {"CalledProcessError", "Traceback"} & set(re.findall(r"\w+", text))
    page = (tmp_path / "results/cohort/qc.html").read_text()
    assert "The run stops here" in page
    assert found in page
    assert found in (tmp_path / "results/cohort/qc.csv").read_text()
    assert str(tmp_path) not in page
