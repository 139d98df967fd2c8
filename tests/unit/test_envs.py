"""The conda environment and the container recipes agree with the one lock, and hold all that metaswin is built from."""

import re
import shutil
import subprocess
import sys
import zipfile

import pytest
import yaml


@pytest.fixture(scope="module")
def rendered(repository, tmp_path_factory):
    folder = tmp_path_factory.mktemp("envs")
    subprocess.run([sys.executable, repository / "envs/render.py", folder], check=True)
    return folder


@pytest.mark.parametrize("name", ["metaswin.yaml", "metaswin.def", "Dockerfile"])
def test_environment_when_rendered_from_the_lock_then_it_is_the_file_in_the_repository(rendered, repository, name):
    assert (rendered / name).read_text() == (repository / "envs" / name).read_text(), "run `make envs`"


def test_conda_when_read_then_its_pins_are_those_of_the_lock(repository):
    environment = yaml.safe_load((repository / "envs/metaswin.yaml").read_text())
    pins = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    lock = (repository / "requirements.txt").read_text().splitlines()
    assert pins == [line for line in lock if line and not line.startswith("#")]
    assert all("==" in pin for pin in pins)


def test_containers_when_read_then_both_take_the_same_files_and_steps(repository):
    apptainer = (repository / "envs/metaswin.def").read_text()
    oci = (repository / "envs/Dockerfile").read_text()
    copied = re.findall(r"^COPY (\S+) /opt/metaswin/\1$", oci, re.MULTILINE)
    assert copied == re.findall(r"^    (\S+) /opt/metaswin/\1$", apptainer, re.MULTILINE)
    steps = oci.partition("RUN ")[2].partition("\nENTRYPOINT")[0].split(" \\\n    && ")
    assert steps == apptainer.partition("    set -e\n")[2].rstrip().replace("    ", "").split("\n")


@pytest.mark.long
def test_container_when_its_files_are_all_there_is_then_metaswin_builds_from_them_with_the_workflow(
    repository, tmp_path
):
    oci = (repository / "envs/Dockerfile").read_text()
    for name in re.findall(r"^COPY (\S+) ", oci, re.MULTILINE):
        copy = shutil.copytree if (repository / name).is_dir() else shutil.copy
        copy(repository / name, tmp_path / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", tmp_path / "built", tmp_path], check=True)
    packed = zipfile.ZipFile(next((tmp_path / "built").glob("*.whl"))).namelist()
    assert any(name.endswith("share/metaswin/Snakefile") for name in packed)
    assert any(name.endswith("share/metaswin/workflow/scripts/report.py") for name in packed)
