"""`metaswin status`: stages, time left, failed jobs, models to fit anew."""

import json
import os
import pty
import signal
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

from metaswin.cli import main
from metaswin.running.jobs import RECORD, Job, RuleJobs, Run, last_run, part_done, under_way
from metaswin.running.plan import read_plan
from metaswin.running.progress import Stage, describe, stages

# `b` fails for good, `c` once; the others end well.
SNAKEFILE = """
from pathlib import Path
from snakemake.logging import logger
from metaswin.running.jobs import Recorder

onstart:
    logger.addHandler(Recorder(Path.cwd(), workflow))

rule all:
    input: expand("{patient}.done", patient=["a", "b", "c"])
rule make:
    output: "{patient}.done"
    log: "logs/make/{patient}.log"
    retries: 1
    resources: attempt=lambda wildcards, attempt: attempt
    shell: "echo '2026-11-30 10:00:00,001 INFO 1 of 2: at {wildcards.patient}' > {log}; sleep 1.5; "
           "echo said by {wildcards.patient} >&2; "
           "test {wildcards.patient} != b && test {wildcards.patient}{resources.attempt} != c1 && touch {output}"
"""
RUN = "import sys; from metaswin.cli import main; sys.exit(main(sys.argv[1:]))"


def command(folder, *arguments):
    (folder / "Snakefile").write_text(SNAKEFILE)
    options = ["--cores", "2", "--keep-going", "--directory", str(folder), "--snakefile", str(folder / "Snakefile")]
    return [sys.executable, "-c", RUN, "run", *options, *arguments]


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """A run in a pipe, without a word about jobs that ended."""
    folder = tmp_path_factory.mktemp("failed")
    done = subprocess.run(command(folder, "--quiet", "progress"), capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "Finished jobid" not in done.stderr
    subprocess.run(command(folder, "--dry-run"), capture_output=True, check=True)
    return folder


def on_terminal(words, until=None):
    """Run a command on a terminal of 80 columns; return what it wrote, its exit status and the terminal's modes.

    Where `until` is written, the process is killed.
    """
    process, terminal = pty.fork()
    if process == 0:
        os.execv(words[0], words)
    before, written = termios.tcgetattr(terminal), b""
    with suppress(OSError):  # the end of a terminal
        while chunk := os.read(terminal, 65536):
            written += chunk
            if until and until in written:
                os.kill(process, signal.SIGKILL)
                break
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    modes = termios.tcgetattr(terminal)
    os.close(terminal)
    return written.decode(), status, modes == before


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


def test_record_when_a_job_fails_for_good_then_it_is_named_and_a_retried_one_is_not(failed):
    run = last_run(failed)
    assert (run.done, run.planned, run.cores) == (2, 3, 2)
    assert [(job.rule, job.name, job.log) for job in run.failed.values()] == [("make", "b", "logs/make/b.log")]
    assert not run.running
    assert under_way(run, run.rules) == "make 2 of 3 patients"


def test_status_when_a_job_failed_then_the_last_lines_of_its_log_are_shown(failed, capsys):
    assert main(["status", "--directory", str(failed)]) == 0
    shown = capsys.readouterr().out
    assert "1 job failed" in shown
    assert "make b failed: logs/make/b.log\n    | 2026-11-30 10:00:00,001 INFO 1 of 2: at b\n" in shown
    assert "at c" not in shown


def test_run_on_a_terminal_then_bars_jobs_and_failures_appear_and_the_terminal_stays_as_it_was(tmp_path):
    shown, status, same = on_terminal(command(tmp_path))
    assert status == 1
    assert same
    assert "1 of 2: at a" in shown
    assert "said by a" in shown
    assert "make b failed: logs/make/b.log" in shown
    assert "2 of 3 jobs done in 0:00:0" in shown
    assert shown.rstrip().endswith("; 1 failed\x1b[0m")
    assert "\x1b[?25l" not in shown  # a hidden cursor


def test_run_on_a_terminal_when_it_is_killed_then_the_terminal_stays_as_it_was(tmp_path):
    shown, status, same = on_terminal(command(tmp_path), until=b"1 of 2: at ")
    assert status == -signal.SIGKILL
    assert same
    assert "\x1b[?25l" not in shown
    assert [job.rule for job in last_run(tmp_path).running.values()] == ["make", "make"]


def test_logger_when_the_user_asks_for_it_in_a_pipe_then_the_lines_are_those_of_snakemake(tmp_path):
    done = subprocess.run(command(tmp_path, "--logger=metaswin"), capture_output=True, text=True)
    assert "Finished jobid" in done.stderr
    assert "\x1b" not in done.stderr


def test_record_when_a_new_run_overwrites_it_then_it_is_read_from_its_beginning(tmp_path):
    path = tmp_path / RECORD
    path.parent.mkdir()
    path.write_text('{"event": "begin", "time": 1.0, "pid": 1, "cores": 2}\n')
    run = last_run(tmp_path)
    new = (
        '{"event": "begin", "time": 2.0, "pid": 2, "cores": 4}\n{"event": "plan", "time": 3.0, "more": true, "rules": {'
    )
    path.write_text(new)
    run.poll()
    assert (run.pid, run.cores, run.more) == (2, 4, False)  # half a line is left for later
    path.write_text(new + '"make": ["models", 3, 2]}}\n')
    run.poll()
    assert (run.planned, run.rules["make"].finished) == (2, 1)


def begun(**rules):
    """A run on two cores that began 100 s ago."""
    return Run(Path("nowhere"), 1, begun=1000.0, seen=1100.0, cores=2, rules=rules)


def test_time_left_when_a_rule_has_no_job_yet_then_it_is_counted():
    images, report = RuleJobs("imaging", total=110, planned=110, done=10, work=60.0), RuleJobs("report", 1, 1)
    run = begun(images=images, report=report)
    assert run.time_left(1100.0) == "about 5 min left, not counting 1 rule that has no finished job yet"
    run = begun(images=images)
    run.running[7] = Job("images", "P", "", 1, begun=1000.0)  # longer than the mean: it counts as nearly done
    assert run.time_left(1100.0) == "about 5 min left"
    run.more = True
    assert "not known" in run.time_left(1100.0)


def test_time_left_when_a_job_reports_its_progress_then_its_speed_counts(tmp_path):
    (tmp_path / "log").write_text("2026-11-30 10:00:00,001 INFO epoch 10 of 40: loss 0.5\nno line of a log\n")
    run = begun(train=RuleJobs("models", total=2, planned=2))
    run.directory = tmp_path
    run.running[1] = Job("train", "", "log", 1, begun=1000.0)
    assert run.time_left(1100.0) == "about 6 min left"  # (2 × 400 - 100) / 2 s


@pytest.mark.parametrize(
    ("message", "part"), [("epoch 12 of 40: loss 0.5", 0.3), ("3 of 4: A", 0.75), ("A: 3 of 4 kept", 0), ("0 of 0", 0)]
)
def test_part_done_when_a_message_begins_with_it_then_it_is_read(message, part):
    assert part_done(message) == part


def test_stages_when_patients_left_the_cohort_then_only_current_ones_are_counted(results):
    assert stages(results) == [Stage("images", 3, 1, 4, 3.0)]


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


def test_status_when_there_is_no_run_then_it_says_so(tmp_path, capsys):
    assert main(["status", "-d", str(tmp_path)]) == 0
    assert "no run is on record" in capsys.readouterr().out


def test_plan_when_nothing_is_to_be_done_then_one_sentence():
    assert read_plan("Building DAG of jobs...\nNothing to be done (all requested files are present).\n") == [
        "Nothing to be done: all results exist and are up to date."
    ]
