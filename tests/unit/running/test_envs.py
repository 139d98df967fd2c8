"""The conda environment and the container recipes install the one lock, and hold all that metaswin is built from."""

import re
import shutil
import subprocess
import sys
import zipfile

import pytest
import yaml


def test_conda_when_read_then_pip_takes_the_lock_for_the_same_python(repository):
    environment = yaml.safe_load((repository / "envs/metaswin.yaml").read_text())
    (options,) = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    lock = (repository / "envs" / options.removeprefix("-r ")).resolve()
    assert lock == repository / "requirements.txt"
    python = re.search(r"on Python (\d+\.\d+)", lock.read_text())[1]
    assert f"python ={python}" in environment["dependencies"]
    for recipe in ("Dockerfile", "metaswin.def"):
        assert re.search(rf"(?im)^from: ?python:{python}-slim|^FROM python:{python}-slim", read(repository, recipe))


def test_lock_when_read_then_every_package_has_one_version(repository):
    lock = (repository / "requirements.txt").read_text().splitlines()
    pins = [line for line in lock if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)


def read(repository, recipe):
    return (repository / "envs" / recipe).read_text()


def test_containers_when_read_then_both_install_the_lock_with_equal_files_and_steps(repository):
    apptainer, oci = read(repository, "metaswin.def"), read(repository, "Dockerfile")
    copied = re.findall(r"^COPY (\S+) /opt/metaswin/\1$", oci, re.MULTILINE)
    assert copied == re.findall(r"^    (\S+) /opt/metaswin/\1$", apptainer, re.MULTILINE)
    steps = oci.partition("RUN ")[2].partition("\nENTRYPOINT")[0].split(" \\\n    && ")
    assert steps == apptainer.partition("    set -e\n")[2].rstrip().replace("    ", "").split("\n")
    assert "pip install --no-cache-dir --requirement /opt/metaswin/requirements.txt" in steps


@pytest.mark.long
def test_container_when_only_its_files_exist_then_metaswin_builds_with_the_workflow(repository, tmp_path):
    oci = read(repository, "Dockerfile")
    for name in re.findall(r"^COPY (\S+) ", oci, re.MULTILINE):
        copy = shutil.copytree if (repository / name).is_dir() else shutil.copy
        copy(repository / name, tmp_path / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", tmp_path / "built", tmp_path], check=True)
    packed = zipfile.ZipFile(next((tmp_path / "built").glob("*.whl"))).namelist()
    assert any(name.endswith("share/metaswin/Snakefile") for name in packed)
    assert any(name.endswith("share/metaswin/workflow/scripts/report/report.py") for name in packed)
    assert {"index.html", "viewer.js", "viewer.css", "niivue.umd.js", "LICENSES.txt"} <= {
        name.rpartition("/")[2] for name in packed if "metaswin/running/viewer/" in name
    }
