"""Jobs and Snakemake itself killed at random points of real runs: the end is that of the undisturbed run."""

import copy
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from base64 import urlsafe_b64decode
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import yaml
from clinical_cohort import CONFIG, write_cohort
from damage import edit_table

from metaswin.running.leftovers import SCRIPTS

pytestmark = pytest.mark.long

METASWIN = [sys.executable, "-c", "import sys; from metaswin.cli import main; sys.exit(main())"]
KILLS = 8  # of jobs, and as many of Snakemake, a cohort
PACE = {"clinical": 1.5, "dicom": 0.5}  # seconds: about half of how long a job takes
# Times of day and lengths of time; everything else must be the same to the byte.
TIMED = re.compile(
    r"results/benchmarks/|results/report/report\.html|results/report/tables/times\.csv|results/ro-crate/"
)


@dataclass
class Disturbed:
    """A run that was killed again and again, and how often."""

    folder: Path
    arguments: list[str]
    jobs: int = 0
    snakemakes: int = 0
    rules: list[str] = field(default_factory=list)


def command(folder, *arguments):
    return [*METASWIN, "run", "--directory", str(folder), "--cores", "2", *arguments]


def finish(folder, *arguments):
    done = subprocess.run(command(folder, *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout[-5000:]
    return done.stdout


def scripts_of(folder):
    """Processes that run a script for the workflow in `folder`, and the scripts' rules."""
    found = []
    for process in psutil.process_iter(["cwd", "cmdline", "name"]):
        words = process.info["cmdline"] or []
        script = next((word for word in words[1:2] if SCRIPTS in word), None)
        if script and process.info["cwd"] == str(folder):
            found.append((process, script.split(".")[-2]))
    return found


def kill_jobs(run, snakemake, draw, pace):
    """Let up to four jobs begin and kill one that runs after up to `pace` seconds; do it once or twice."""
    for _ in range(draw.randint(1, 2)):
        spared, begun, running = draw.randint(0, 4), set(), []
        while snakemake.poll() is None and not (running and len(begun) > spared):
            time.sleep(0.02)
            running = scripts_of(run.folder)
            begun.update(process.pid for process, _ in running)
        time.sleep(draw.uniform(0, pace))
        running = scripts_of(run.folder)
        for process, rule in draw.sample(running, k=min(1, len(running))):
            process.send_signal(signal.SIGKILL)
            run.jobs += 1
            run.rules.append(rule)


def disturb(run, seed, pace):
    """Kill jobs and Snakemake until enough of both are dead; a run that comes to its end is begun anew.

    Snakemake follows its jobs after up to `pace` seconds, while it still writes down what became of them.
    """
    draw = random.Random(seed)
    for _ in range(4 * KILLS):
        if run.jobs >= KILLS and run.snakemakes >= KILLS:
            return
        snakemake = subprocess.Popen(
            command(run.folder, *run.arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        kill_jobs(run, snakemake, draw, pace)
        time.sleep(draw.uniform(0, pace))
        if snakemake.poll() is None:
            snakemake.send_signal(signal.SIGKILL)
            run.snakemakes += 1
        elif snakemake.returncode == 0:
            for name in ("results", "private", ".snakemake"):
                shutil.rmtree(run.folder / name)
        snakemake.wait()


def clinical_only(base):
    """A small clinical cohort in `base` and its configuration."""
    write_cohort(base / "clinical.csv", n=60)
    config = copy.deepcopy(CONFIG)
    del config["endpoints"]["ever"]
    config["data"]["root"] = str(base)
    config["clinical"]["sets"] = {"paper": ["age", "sex"]}
    config["folds"] = {"k": 3}
    config["fusion"]["primary_feature_set"] = "clinical:paper"
    config["controls"] = {"permutation": {"n": 4, "batch": 2}}
    config["evaluation"] = {"bootstrap": 100}
    return config


@pytest.fixture(scope="module", params=["clinical", "dicom"])
def pair(request, small, tmp_path_factory):
    """The undisturbed run and the disturbed one, both at their end, on the same data."""
    base = tmp_path_factory.mktemp(request.param).resolve()
    if request.param == "clinical":
        config, target = clinical_only(base), "all"
    else:
        from metaswin.simulate.cohort import simulate_cohort
        from metaswin.simulate.options import SimulationOptions

        simulate_cohort(base, SimulationOptions(n=4, seed=11, matrix=64, coverage=96, draws=1000, extra_series=0))
        config, target = {**small, "data": {"source": "dicom", "dicom": "dicom", "root": str(base)}}, "radiomics"
        config["clinical"] = {**small["clinical"], "table": "clinical.csv"}
        edit_table(base / "clinical.csv", lambda table: table.assign(dm=[str(i % 2) for i in range(len(table))]))
    runs = []
    for name in ("undisturbed", "disturbed"):
        folder = base / name
        folder.mkdir()
        (folder / "metaswin.yaml").write_text(yaml.safe_dump(config))
        runs.append(Disturbed(folder, ["--", target]))
    finish(runs[0].folder, "--", target)
    disturb(runs[1], seed=2, pace=PACE[request.param])
    finish(runs[1].folder, "--", target)
    return runs[0], runs[1], config


def contents(folder):
    places = [folder / "results", folder / "private"]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    named = {str(path.relative_to(folder)): path for path in files}
    return {name: path.read_bytes() for name, path in named.items() if not TIMED.search(name)}


def test_run_when_killed_repeatedly_then_equal_to_the_undisturbed_one(pair):
    undisturbed, disturbed, _ = pair
    print(f"{disturbed.jobs} jobs ({', '.join(disturbed.rules)}) and {disturbed.snakemakes} Snakemakes killed")
    assert disturbed.jobs >= KILLS
    assert disturbed.snakemakes >= KILLS
    wanted, found = contents(undisturbed.folder), contents(disturbed.folder)
    assert set(found) == set(wanted)
    assert [name for name in wanted if found[name] != wanted[name]] == []


def test_run_when_it_was_killed_then_snakemake_knows_every_job_and_sees_later_edits(pair):
    _, disturbed, config = pair
    again = finish(disturbed.folder, "--dry-run", *disturbed.arguments)
    assert "Nothing to be done" in again
    assert "missing provenance" not in again
    section = "folds" if config["data"]["source"] == "clinical" else "radiomics"
    edited = {**config, section: {**config[section], **({"k": 4} if section == "folds" else {"bin_width": 20.0})}}
    (disturbed.folder / "metaswin.yaml").write_text(yaml.safe_dump(edited))
    planned = finish(disturbed.folder, "--dry-run", *disturbed.arguments)
    wanted = {"folds": r"^make_folds +1$", "radiomics": r"^extract_radiomics +4$"}[section]
    assert re.search(wanted, planned, flags=re.MULTILINE), planned


@pytest.fixture(scope="module")
def fused(tmp_path_factory):
    """A finished run of a clinical table to its models, with the table in its folder."""
    base = tmp_path_factory.mktemp("fused").resolve()
    config = clinical_only(base)
    del config["data"]["root"]
    folder = base / "run"
    folder.mkdir()
    write_cohort(folder / "clinical.csv", n=60)
    (folder / "metaswin.yaml").write_text(yaml.safe_dump(config))
    finish(folder, "--", "fusion")
    return folder


def assert_ended_well(folder, wanted):
    """The files are those of `wanted`, and Snakemake knows of which settings they are."""
    found = contents(folder)
    assert set(found) == set(wanted)
    assert [name for name in wanted if found[name] != wanted[name]] == []
    again = finish(folder, "--dry-run", "--", "fusion")
    assert "Nothing to be done" in again
    assert "missing provenance" not in again
    assert "Ignore corrupted" not in again


@pytest.mark.parametrize("kind", ["metadata", "incomplete", "locks"])
def test_run_when_snakemake_is_killed_writing_its_records_then_the_end_is_the_same(fused, tmp_path, kind):
    folder = shutil.copytree(fused, tmp_path / "run", symlinks=True)
    records = folder / ".snakemake"
    if kind == "locks":
        (records / "locks").mkdir(exist_ok=True)
        (records / "locks/0.output.lock").write_text("results/mod")
        (records / "locks/0.input.lock").touch()
        (records / "metaswin.lock").write_text('{"host": "')
    else:
        models = [path for path in (records / "metadata").iterdir() if b"models/" in urlsafe_b64decode(path.name)]
        assert len(models) > 1
        for number, record in enumerate(models):
            text = record.read_text()
            (records / kind / record.name).write_text(text[: number % 2 * len(text) // 2])
    told = finish(folder, "--", "fusion")
    assert "was interrupted" in told
    assert_ended_well(folder, contents(fused))


@pytest.mark.parametrize("rule", ["match_patients", "make_folds"])
def test_run_when_a_redone_early_rule_is_cut_short_then_nothing_of_the_old_run_stays(fused, tmp_path, rule):
    folder, fresh = shutil.copytree(fused, tmp_path / "run", symlinks=True), tmp_path / "fresh"
    fresh.mkdir()
    shutil.copy(folder / "metaswin.yaml", fresh)
    for place in (folder, fresh):
        write_cohort(place / "clinical.csv", n=61, seed=6)
    forced = subprocess.Popen(
        command(folder, "--forcerun", "match_patients", "--", "fusion"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while forced.poll() is None and rule not in [name for _, name in scripts_of(folder)]:
        time.sleep(0.02)
    assert forced.poll() is None
    forced.send_signal(signal.SIGKILL)
    forced.wait()
    assert list((folder / "results/models").rglob("*.parquet"))
    finish(folder, "--", "fusion")
    finish(fresh, "--", "fusion")
    assert contents(fresh) != contents(fused)
    assert_ended_well(folder, contents(fresh))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of three megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]).returncode:
        pytest.skip("no right to mount a file system here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_run_when_disk_is_full_or_read_only_then_reported_and_resumed_after_the_fix(small_disk, tmp_path):
    config = clinical_only(tmp_path)
    (small_disk / "metaswin.yaml").write_text(yaml.safe_dump(config))
    finish(small_disk, "--", "cohort")
    before = contents(small_disk)
    ballast = small_disk / "ballast"
    assert subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=1k"], capture_output=True).returncode
    full = subprocess.run(command(small_disk, "--", "folds"), capture_output=True, text=True)
    assert full.returncode == 1
    assert "the disk is full; free some space" in full.stderr
    assert "Traceback" not in full.stderr
    assert contents(small_disk) == before
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    closed = subprocess.run(command(small_disk, "--", "folds"), capture_output=True, text=True)
    assert closed.returncode == 1
    assert "the file system is read-only; mount it for writing" in closed.stderr
    assert "Traceback" not in closed.stderr
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    ballast.unlink()
    finish(small_disk, "--", "folds")
    assert set(contents(small_disk)) > set(before)
