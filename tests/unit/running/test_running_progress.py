"""`metaswin status`: stages, time left, failed jobs, models to fit anew."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from metaswin.cli import main
from metaswin.running.plan import read_plan
from metaswin.running.progress import Stage, describe, last_run, stages, time_left

# `b` fails for good, `c` once; the others end well.
SNAKEFILE = """
rule all:
    input: expand("{n}.done", n=["a", "b", "c"])
rule make:
    output: "{n}.done"
    log: "logs/make/{n}.log"
    retries: 1
    shell: "echo at {wildcards.n} > {log}; test {wildcards.n} != b && test {wildcards.n}{resources.attempt} != c1 "
           "&& touch {output}"
"""


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("failed")
    resources = "    resources: attempt=lambda wildcards, attempt: attempt\n    shell"
    (folder / "Snakefile").write_text(SNAKEFILE.replace("    shell", resources))
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--keep-going", "--directory", str(folder)]
    done = subprocess.run([*command, "--snakefile", str(folder / "Snakefile")], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    subprocess.run([*command, "--dry-run", "--snakefile", str(folder / "Snakefile")], capture_output=True, check=True)
    return folder


@pytest.fixture
def results(tmp_path):
    """Four patients, three of them through the images, one of these excluded; folds of three patients."""
    folder = tmp_path / "results"
    for name in ("cohort", "folds", "images", "benchmarks/convert_images"):
        (folder / name).mkdir(parents=True)
    pd.DataFrame({"patient": list("ABCD")}).to_parquet(folder / "cohort/patients.parquet")
    pd.DataFrame({"patient": list("ABC")}).to_parquet(folder / "cohort/used.parquet")
    for patient, state in {"A": "ok", "B": "ok", "C": "excluded", "gone": "ok"}.items():
        (folder / "images" / patient).mkdir()
        (folder / "images" / patient / "status.json").write_text(json.dumps({"status": state}))
        (folder / "benchmarks/convert_images" / f"{patient}.tsv").write_text("s\th:m:s\n3.0\t0:00:03\n")
    rows = [(patient, 0, number % 2) for number, patient in enumerate("ABC")]
    pd.DataFrame(rows, columns=["patient", "repeat", "fold"]).to_parquet(folder / "folds/dm.parquet")
    for fold in (0, 1):
        path = folder / f"models/dm/as-is/r0/fold-{fold}/fusion/predictions.parquet"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
    return folder


def test_log_when_a_job_fails_for_good_then_it_is_named_and_a_retried_one_is_not(failed):
    run = last_run(failed)
    assert (run.done, run.steps, run.cores) == (2, 4, 2)
    assert [(job.rule, job.log) for job in run.failed] == [("make", "logs/make/b.log")]


def test_status_when_a_job_failed_then_the_last_lines_of_its_log_are_shown(failed, capsys):
    assert main(["status", "--directory", str(failed)]) == 0
    shown = capsys.readouterr().out
    assert "1 job failed" in shown
    assert "make: logs/make/b.log\n    | at b\n" in shown
    assert "at c" not in shown


def test_stages_when_patients_left_the_cohort_then_only_those_of_now_are_counted(results):
    assert stages(results) == [Stage("images", 3, 1, 4, 3.0)]


def test_time_left_when_a_stage_has_no_job_yet_then_it_is_named():
    found = [Stage("images", 10, 0, 110, 6.0), Stage("organs", 0, 0, 110, None), Stage("regions", 4, 0, 4, 1.0)]
    assert time_left(found, 2) == [
        "about 5 min left for these stages on 2 cores, without organs: none of their jobs has ended"
    ]
    assert time_left(found[2:], 2) == []


def test_models_when_a_patient_joins_then_all_are_named_and_why(results):
    assert any(
        "2 of 2 fold models are fitted on the current folds" in line for line in describe(results.parent, results)
    )
    pd.DataFrame({"patient": list("ABD")}).to_parquet(results / "cohort/used.parquet")
    shown = "\n".join(describe(results.parent, results))
    assert "since the folds were made, patients joined: 1, left: 1; the folds will be made again" in shown
    assert "all 2 models will be refitted" in shown


def test_models_when_older_than_the_folds_then_they_are_counted(results):
    model = results / "models/dm/as-is/r0/fold-1/fusion/predictions.parquet"
    before = (results / "folds/dm.parquet").stat().st_mtime_ns - 1
    os.utime(model, ns=(before, before))
    shown = "\n".join(describe(results.parent, results))
    assert "1 of 2 fold models are fitted on the current folds" in shown
    assert "1 model fitted before will be refitted" in shown


def test_status_when_nothing_is_there_then_it_says_so(tmp_path, capsys):
    assert main(["status", "-d", str(tmp_path)]) == 0
    assert "no run is on record" in capsys.readouterr().out


def test_plan_when_nothing_is_to_be_done_then_one_sentence():
    assert read_plan("Building DAG of jobs...\nNothing to be done (all requested files are present).\n") == [
        "Nothing to be done: all results exist and are up to date."
    ]
