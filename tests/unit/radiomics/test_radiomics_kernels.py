"""The kernels on disk: whole or not there, whoever compiles them at the same time, and all that the jobs use."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numba
import pytest

from metaswin.core.errors import UserError
from metaswin.radiomics import kernels

# A patient's region by all image types and classes, from a process of its own; prints a hash of the values.
EXTRACTION = """
import hashlib, json, sys
import numpy as np, SimpleITK as sitk
from metaswin.evaluation.shuffle import shuffle_regions
from metaswin.radiomics.extract import extract
from metaswin.radiomics.names import FEATURES, IMAGE_TYPES
from metaswin.radiomics.regions import cut_region
from metaswin.radiomics.settings import RadiomicsSettings
image = sitk.GetImageFromArray(np.random.default_rng(7).normal(40, 200, (26, 30, 28)).astype(np.float32))
labels = np.zeros((26, 30, 28), np.uint8)
labels[6:20, 8:22, 9:21] = 1
found = {}
for shuffled in (False, True):
    volume = shuffle_regions(image, labels, 1, "P1") if shuffled else image
    for crop in ("patient", "per-region"):
        settings = RadiomicsSettings(
            image_types=list(IMAGE_TYPES), feature_classes=list(FEATURES), omit_features=[], crop=crop
        )
        region = cut_region(volume, labels, [1], settings)
        extract(volume, [region], settings)
        found[f"{crop} {shuffled}"] = sorted(region.values.items())
assert min(map(len, found.values())) > 1000, {name: len(values) for name, values in found.items()}
print(hashlib.sha256(json.dumps(found).encode()).hexdigest())
"""


def start(home: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", EXTRACTION],
        env={**os.environ, "NUMBA_CACHE_DIR": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def files(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}


@pytest.mark.long
def test_kernels_when_several_jobs_find_none_then_one_folder_contains_all_of_them(tmp_path):
    jobs = [start(tmp_path) for _ in range(3)]
    told = [job.communicate()[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0, 0], told
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith("kernels-")
    compiled = files(tmp_path)
    assert len(compiled) > 40
    later = start(tmp_path)
    told.append(later.communicate()[0])
    assert later.returncode == 0
    assert len(set(told)) == 1
    assert files(tmp_path) == compiled


def test_compile_when_another_job_was_first_then_its_kernels_stay(tmp_path, monkeypatch):
    folder = tmp_path / "kernels-0"

    def compiled_meanwhile(command, check):
        (Path(command[-1]) / "mine").touch()
        folder.mkdir()
        (folder / "theirs").touch()

    monkeypatch.setattr(kernels.subprocess, "run", compiled_meanwhile)
    kernels.compile_kernels(folder)
    assert [path.name for path in folder.iterdir()] == ["theirs"]
    assert list(tmp_path.iterdir()) == [folder]


def test_compile_when_it_fails_then_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels.sys, "executable", "/bin/false")
    with pytest.raises(UserError, match=f"could not be compiled into {tmp_path} .*NUMBA_CACHE_DIR"):
        kernels.compile_kernels(tmp_path / "kernels-0")
    assert not list(tmp_path.iterdir())


def test_compile_when_earlier_ones_were_killed_then_their_old_folders_are_removed(tmp_path, monkeypatch):
    for name, age in (("old", 2 * kernels.LONG), ("new", 0)):
        (tmp_path / f"{kernels.PART}{name}/kernels-0").mkdir(parents=True)
        os.utime(tmp_path / f"{kernels.PART}{name}", (time.time() - age,) * 2)
    monkeypatch.setattr(kernels.subprocess, "run", lambda command, check: None)
    kernels.compile_kernels(tmp_path / "kernels-0")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{kernels.PART}new", "kernels-0"]


def test_kernels_when_numba_is_switched_off_then_nothing_is_compiled(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_DISABLE_JIT": "1"}
    command = "from metaswin.radiomics.kernels import load_kernels; load_kernels()"
    subprocess.run([sys.executable, "-c", command], env=environment, check=True)
    assert not list(tmp_path.iterdir())


def test_kernels_folder_when_the_sources_cannot_be_written_to_then_the_users_cache(tmp_path, monkeypatch):
    (tmp_path / "engine").touch()  # a folder cannot be made below a file
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(kernels, "ENGINE", tmp_path / "engine")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert kernels.kernels_folder().parent == tmp_path / "cache/metaswin"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "engine"))
    monkeypatch.setattr(kernels.tempfile, "tempdir", str(tmp_path))
    first, second = kernels.kernels_folder().parent, kernels.kernels_folder().parent
    assert first != second
    assert first.parent == second.parent == tmp_path
    assert first.stat().st_mode & 0o777 == 0o700


def test_kernels_folder_when_it_is_another_users_then_the_next_place(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(kernels, "ENGINE", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    beside = kernels.kernels_folder()
    assert beside.parent == tmp_path / "__pycache__"
    beside.mkdir()
    monkeypatch.setattr(kernels.os, "access", lambda path, mode: Path(path) != beside)
    assert kernels.kernels_folder().parent == tmp_path / "cache/metaswin"


def test_kernels_folder_when_sources_place_or_processor_differ_then_another(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    found = {}
    for name in ("elsewhere", "engine"):
        source = tmp_path / name / "glcm.py"
        source.parent.mkdir()
        source.write_text("a = 1\n")
        monkeypatch.setattr(kernels, "ENGINE", source.parent)
        found[name] = kernels.kernels_folder()
    first = found["engine"]
    assert kernels.kernels_folder() == first
    source.write_text("a = 2\n")
    second = kernels.kernels_folder()
    monkeypatch.setattr(kernels.llvmlite.binding, "get_host_cpu_name", lambda: "another")
    assert len({found["elsewhere"], first, second, kernels.kernels_folder()}) == 4
