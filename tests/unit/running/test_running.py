"""Owner, leftovers and the command line of `metaswin run`, `init` and `doctor`."""

import base64
import json
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import yaml
from wheels import build_wheel, tracked

from metaswin.cli import main
from metaswin.config.read import read_config, read_configs, with_lines
from metaswin.core.errors import UserError
from metaswin.running.doctor import examine
from metaswin.running.leftovers import find_leftovers, remove_interrupted
from metaswin.running.owner import Owner, hold, is_elsewhere, is_mine, live_owner, this_machine

ROOT = Path(__file__).parents[3]
METASWIN = [sys.executable, "-c", "import sys; from metaswin.cli import main; sys.exit(main())"]
# A checkpoint and one job behind it, whose script waits as long as its patience lasts and writes when it was made.
SNAKEFILE = """
rule all:
    input: lambda wildcards: [f"{checkpoints.who.get().output[0]}.{n}.done" for n in "ab"]
checkpoint who:
    output: "who.txt"
    script: "who.py"
rule wait:
    input: "who.txt"
    output: "who.txt.{n}.done", "who.txt.{n}.more"
    script: "wait.py"
"""
WAIT = """
import os, time
open(snakemake.output[0], "w").write(str(os.getpid()))
time.sleep(float(open("patience").read()))
open(snakemake.output[1], "w").write(str(os.getpid()))
"""


@pytest.fixture
def workflow(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "who.py").write_text("open(snakemake.output[0], 'w').write('me')")
    (tmp_path / "wait.py").write_text(WAIT)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/patience").write_text("600")
    return tmp_path


def until(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def is_running(pid):
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rsplit(")")[1].split()[0] != "Z"


@pytest.mark.parametrize("starter", ["metaswin", pytest.param("plain snakemake", marks=pytest.mark.long)])
def test_run_when_another_is_alive_then_it_is_named_and_after_a_kill_its_jobs_end(workflow, starter):
    arguments = ["-s", str(workflow / "Snakefile"), "-d", str(workflow / "run"), "-c", "2"]
    command = [sys.executable, "-m", "snakemake"] if starter != "metaswin" else [*METASWIN, "run"]
    first = subprocess.Popen([*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    written = [workflow / f"run/who.txt.{n}.done" for n in "ab"]
    try:
        until(lambda: all(path.exists() and path.read_text() for path in written))
        second = subprocess.run([*METASWIN, "run", *arguments], capture_output=True, text=True)
        assert second.returncode == 1
        assert f"process {first.pid} on " in second.stderr
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    orphans = [int(path.read_text()) for path in written]
    assert all(map(is_running, orphans))
    (workflow / "run/patience").write_text("0")
    third = subprocess.run([*METASWIN, "run", *arguments], capture_output=True, text=True)
    assert third.returncode == 0, third.stderr
    assert "was interrupted" in third.stderr
    assert "2 outputs of interrupted jobs: removed" in third.stderr
    assert not any(map(is_running, orphans))
    assert not set(orphans) & {int(path.read_text()) for path in written}
    assert not find_leftovers(workflow / "run")
    assert (
        "missing provenance/metadata"
        not in subprocess.run([*METASWIN, "run", *arguments], capture_output=True, text=True).stderr
    )


def test_lock_when_its_process_is_killed_then_it_is_free(tmp_path):
    code = "import sys, time\nfrom metaswin.running.owner import hold\nassert hold(sys.argv[1])\nprint(1, flush=True)\n"
    code += "time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE)
    holder.stdout.readline()
    try:
        assert live_owner(tmp_path).pid == holder.pid
        assert not hold(tmp_path)
        assert not is_mine(tmp_path)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert live_owner(tmp_path) is None
    assert hold(tmp_path)
    assert is_mine(tmp_path)


def test_lock_when_the_folder_cannot_be_written_to_then_one_clear_error(tmp_path):
    (tmp_path / ".snakemake").write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"cannot write .*metaswin\.lock: File exists"):
        hold(tmp_path)


def mark(folder, output, job=None, kind="incomplete"):
    """A marker, or a record, as Snakemake (9.27) leaves it: base64 of the output, in folders where that is long."""
    name = base64.urlsafe_b64encode(output.encode()).decode()
    *above, last = [name[start : start + 254] for start in range(0, len(name), 254)]
    path = folder.joinpath(".snakemake", kind, *("@" + part for part in above), last)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"external_jobid": job}))
    return path


def test_leftovers_when_jobs_were_interrupted_then_only_their_outputs_are_removed(tmp_path):
    long = "results/" + "a-long-name/" * 40 + "x.json"
    for name in (long, "private/sources/A.json", "results/whole.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    mark(tmp_path, long)
    mark(tmp_path, "private/sources", "4711")
    mark(tmp_path, "results/not-begun.json")
    left = find_leftovers(tmp_path)
    assert sorted(left.outputs) == [tmp_path / "private/sources", tmp_path / long]
    assert left.cluster_jobs == ["4711"]
    assert remove_interrupted(tmp_path) == 2
    assert not (tmp_path / "private/sources").exists()
    assert (tmp_path / "results/whole.json").exists()
    assert not find_leftovers(tmp_path)


@pytest.mark.parametrize("text", ["", '{"external_jobid": nu', "\0" * 40])
@pytest.mark.parametrize("kind", ["incomplete", "metadata"])
def test_leftovers_when_a_snakemake_record_is_cut_short_then_its_output_is_redone(tmp_path, kind, text):
    mark(tmp_path, "half.txt", kind=kind).write_text(text)
    whole = mark(tmp_path, "whole.txt", kind="metadata")
    (tmp_path / ".snakemake" / kind / "migration_underway").touch()
    for name in ("half.txt", "whole.txt"):
        (tmp_path / name).write_text("1")
    left = find_leftovers(tmp_path)
    assert (left.outputs, left.cluster_jobs) == ([tmp_path / "half.txt"], [])
    assert remove_interrupted(tmp_path) == 1
    assert not find_leftovers(tmp_path)
    assert (tmp_path / "whole.txt").exists()
    assert whole.exists()


@pytest.mark.parametrize(
    ("host", "machine", "elsewhere"),
    [("here", "boot pid:[1]", False), ("renamed", "boot pid:[1]", False), ("other", "boot pid:[2]", True),
     ("other", "", True), ("here", "", False)],
)  # fmt: skip
def test_owner_when_the_machine_has_another_name_then_it_is_known_by_its_start(monkeypatch, host, machine, elsewhere):
    monkeypatch.setattr("socket.gethostname", lambda: "here")
    monkeypatch.setattr("metaswin.running.owner.this_machine", lambda: "boot pid:[1]")
    assert is_elsewhere(Owner(host, 1, "", machine)) == elsewhere


def test_machine_when_asked_twice_then_it_is_the_same_and_not_empty():
    assert this_machine() == this_machine() != ""


@pytest.mark.parametrize("elsewhere", ["host", "cluster"])
def test_run_when_jobs_of_a_killed_run_cannot_be_seen_then_it_asks_to_end_them(tmp_path, capsys, elsewhere):
    mark(tmp_path, "out.txt", "4711" if elsewhere == "cluster" else None)
    (tmp_path / "out.txt").write_text("half")
    owner = {"host": "another-machine", "pid": 1, "since": "2025-01-01 10:00:00"}
    (tmp_path / ".snakemake/metaswin.lock").write_text(json.dumps(owner) if elsewhere == "host" else "")
    code = f"from metaswin.cli import main; import sys; sys.exit(main(['run', '-d', {str(tmp_path)!r}]))"
    for _ in range(2):  # it does not forget
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 1
    assert ("a cluster (4711)" if elsewhere == "cluster" else "run on another-machine") in done.stderr
    assert "run again with --jobs-ended" in done.stderr
    assert (tmp_path / "out.txt").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("data:\n  source: [dicom\n", r"c\.yaml, line 3, column 1"),
        ("data:\n  source: dicom\n   root: x\n", r"c\.yaml, line 3, column 8: mapping values are not allowed"),
        ("data:\n\tsource: dicom\n", r"c\.yaml, line 2, column 1: found character '\\t'"),
        ("seed: 1\nfolds: {k: 3}\nseed: 2\n", r"c\.yaml, line 3, column 1: the key 'seed' is already in line 1"),
        ("a: {yes: 1,\n  on: 2}\n", r"c\.yaml, line 2, column 3: the key True is already in line 1"),
        ("a: &x {k: 1}\nb: {<<: *x, k: 2, k: 3}\n", r"c\.yaml, line 2, column 19: the key 'k' is already in line 2"),
        ('{"seed": 1, "seed": 2}', r"c\.yaml: the key 'seed' is written twice"),
        ("a: 1\nb: *x\n", r"c\.yaml, line 2, column 4: found undefined alias"),
        ("a: 1\nb:\n  <<: 5\n", r"c\.yaml, line 3, column 7: expected a mapping or list of mappings for merging"),
        ("day: 2024-02-30\n", r"c\.yaml, line 1, column 6: 2024-02-30 \(day .*\)"),
        ("a: !!python/tuple [1]\n", r"c\.yaml, line 1, column 4: could not determine a constructor"),
        ("- a\n", r"c\.yaml: found list; expected"),
    ],
)
def test_config_when_it_has_an_error_then_file_and_line_are_reported(tmp_path, text, told):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=told):
        read_config(path)


VALUES = """
truths: [yes, no, on, off, Yes, OFF, true, y]
numbers: [010, 0o10, 0x1f, 1_000, 190:20:30, 1e5, 1.0e+5, .5, 1., -0.0, .inf]
days: [2024-01-31, 2024-01-31 10:00:00, "2024-01-31"]
nothing: [~, null, Null, ""]
text: |
  two
  lines
below: {deep: {<<: &base {k: 1, n: {m: 2}}, k: 3}}
endpoint: &endpoint {<<: *base, more: 4}
other: {k: 0, <<: *endpoint, n: 9}
several: {<<: [*endpoint, *base], own: 1}
same: *endpoint
1: a number as key
"""


@pytest.mark.parametrize(
    "text", [VALUES, '{"seed": 1e5, "list": [1, 2.50, null, true, "on"]}', "# nothing but this: \na:"]
)
def test_config_when_read_then_the_values_are_those_that_snakemake_reads(tmp_path, text):
    from snakemake.common.configfile import load_configfile

    path = tmp_path / "c.yaml"
    path.write_text(text)
    assert repr(read_config(path)) == repr(dict(load_configfile(path)))


def test_configs_when_there_are_several_then_the_later_overrides_key_by_key(tmp_path):
    (tmp_path / "a.yaml").write_text("folds: {k: 5, repeats: 4}\nseed: 1\ncohort: {include: {a: [1, 2]}}\n")
    (tmp_path / "b.yaml").write_text("folds:\n  k: 3\ncohort: {include: {a: [3]}}\n")
    paths = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    assert read_configs(paths) == {"folds": {"k": 3, "repeats": 4}, "seed": 1, "cohort": {"include": {"a": [3]}}}
    assert with_lines("folds.k: too small", paths).endswith("b.yaml, line 2)")
    assert with_lines("unknown key folds.repeats; known", paths).endswith("b.yaml, line 1)")
    assert with_lines("seed: odd", paths).endswith("a.yaml, line 2)")
    assert with_lines("selection.keep: odd", paths) == "selection.keep: odd"


def test_init_when_called_then_the_config_is_commented_valid_and_never_overwritten(tmp_path, capsys):
    from metaswin.config.load import load

    for example in ("head-and-neck", "all-settings"):
        assert main(["init", str(tmp_path / example), "--example", example]) == 0
    text = (tmp_path / "head-and-neck/metaswin.yaml").read_text()
    assert text.startswith("# Configuration of this folder")
    assert load(read_config(tmp_path / "head-and-neck/metaswin.yaml")).data.source == "dicom"
    (tmp_path / "all-settings/metaswin.yaml").write_text("mine")
    assert main(["init", str(tmp_path / "all-settings")]) == 1
    assert (tmp_path / "all-settings/metaswin.yaml").read_text() == "mine"
    assert main(["init", str(tmp_path / "x"), "--example", "sarcoma"]) == 1
    assert "soft-tissue-sarcoma" in capsys.readouterr().err


@pytest.fixture
def study(tmp_path):
    (tmp_path / "clinical.csv").write_text("patient_id,age,dm\nA,61,1\n")
    text = "data: {source: clinical}\nclinical:\n  table: clinical.csv\n  columns: {age: baseline, dm: outcome}\n"
    (tmp_path / "metaswin.yaml").write_text(
        f"{text}endpoints: {{dm: {{column: dm}}}}\nfusion: {{modalities: [clinical]}}\n"
    )
    return tmp_path


def states(lines):
    return {line.what: line.state for line in lines}


def test_doctor_when_there_is_no_problem_then_config_data_and_run_are_ok(study):
    lines = examine(study, [study / "metaswin.yaml"])
    assert {"python", "packages", "gpu", "disk", "memory", "config", "data", "weights", "run"} == set(states(lines))
    assert states(lines)["config"] == states(lines)["data"] == states(lines)["run"] == "ok"
    assert len(lines) < 24


def test_doctor_when_things_are_wrong_then_each_is_named_with_its_setting_and_fix(study, capsys):
    path = study / "metaswin.yaml"
    path.write_text(path.read_text() + "folds: {k: many}\n")
    mark(study, "clinical.csv")
    assert main(["doctor", "--directory", str(study), "--profile", str(study / "slurm")]) == 1
    told = capsys.readouterr().out
    assert re.search(r"error +config +folds\.k: .*metaswin\.yaml, line 7\)", told)
    assert re.search(r"error +profile +no profile\.yaml in .*slurm", told)
    assert re.search(r"error +run +a killed run .* left 1 outputs of interrupted jobs: `metaswin run` removes", told)


def test_cache_when_it_cannot_be_written_then_run_and_doctor_say_what_to_set(study, monkeypatch, capsys):
    (study / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(study / "file/cache"))
    assert main(["run", "--directory", str(study), "-n"]) == 1
    told = capsys.readouterr().err
    assert f"{study}/file/cache cannot be written to" in told
    assert "XDG_CACHE_HOME=/tmp" in told
    assert states(examine(study, [study / "metaswin.yaml"]))["cache"] == "error"


def test_doctor_when_data_or_weights_are_absent_then_it_says_where_it_looked(study):
    path = study / "metaswin.yaml"
    text = (
        path.read_text()
        .replace("{source: clinical}", "{source: dicom, dicom: nowhere}")
        .replace("age: base", "agee: base")
    )
    path.write_text(text)
    lines = [line for line in examine(study, [path]) if line.state == "error" and line.what in ("data", "weights")]
    assert [line.what for line in lines] == ["data", "data", "weights"]
    assert "no folder nowhere" in lines[0].text
    assert "did you mean 'age'?" in lines[1].text
    assert "metaswin weights fetch" in lines[2].text


def test_doctor_when_a_profile_is_given_then_its_executor_is_looked_at(study):
    (study / "cluster").mkdir()
    profile = study / "cluster/profile.yaml"
    for text, state in (("executor: no-such-thing\n", "error"), ("cores: 4\n", "ok"), ("a: [\n", "error")):
        profile.write_text(text)
        assert states(examine(study, [study / "metaswin.yaml"], str(study / "cluster")))["profile"] == state


@pytest.mark.long
def test_wheel_when_built_then_the_workflow_is_in_it(repository, tmp_path):
    packed = zipfile.ZipFile(build_wheel(repository, tmp_path)).namelist()
    shared = {name.partition("/share/metaswin/")[2] for name in packed} - {""}
    wanted = {name for name in tracked(repository) if name.startswith(("workflow/", "config/", "profiles/"))}
    assert shared == wanted | {"Snakefile", "requirements.txt"}


def test_profile_of_slurm_groups_rules_that_exist_and_every_group_has_its_size():
    profile = yaml.safe_load((ROOT / "profiles/slurm/profile.yaml").read_text())
    text = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    rules = set(re.findall(r"^ *(?:rule|checkpoint) (\w+):", text, re.MULTILINE))
    assert set(profile["groups"]) <= rules
    assert set(profile["groups"].values()) == set(profile["group-components"])
