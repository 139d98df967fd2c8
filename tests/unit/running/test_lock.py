"""The lock: one file, every package pinned to a public version."""

import re
import tomllib
from importlib.metadata import version

import pytest


@pytest.fixture(scope="module")
def lock(repository):
    lines = (repository / "requirements.txt").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def test_lock_when_read_then_every_line_is_one_package_with_a_public_version(lock):
    assert len(lock) > 100
    assert [line for line in lock if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)] == []


def test_lock_when_compared_with_the_project_then_no_direct_dependency_is_absent(repository, lock):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["workflow"], *extras["dev"]]
    named = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in lock}
    direct = {re.sub(r"[-_.]+", "-", re.split(r"[<>=!~ ]", name)[0]).lower() for name in wanted}
    assert direct - named == set()


@pytest.mark.parametrize("package", ["torch", "monai", "snakemake", "pydicom", "pandas", "numba"])
def test_environment_when_installed_then_versions_are_those_of_the_lock(lock, package):
    pinned = dict(line.split("==") for line in lock)
    assert version(package).split("+")[0] == pinned[package]
