"""The kernels on disk: whole or not there, whoever compiles them at the same time, and all that the jobs use."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from metaswin.radiomics import kernels

# A patient's region by all image types and classes, from a process of its own; prints a hash of the values.
EXTRACTION = """
import hashlib, json, sys
import numpy as np, SimpleITK as sitk
from metaswin.controls.shuffle import shuffle_regions
from metaswin.radiomics.extract import extract
from metaswin.radiomics.names import FEATURES, IMAGE_TYPES
from metaswin.radiomics.region import cut_region
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
def test_kernels_when_several_jobs_find_none_then_one_folder_is_left_that_holds_all_they_use(tmp_path):
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
    with pytest.raises(subprocess.CalledProcessError):
        kernels.compile_kernels(tmp_path / "kernels-0")
    assert not list(tmp_path.iterdir())


def test_kernels_folder_when_the_sources_may_not_be_written_beside_then_the_users_cache(tmp_path, monkeypatch):
    (tmp_path / "engine").touch()  # a folder cannot be made below a file
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(kernels, "ENGINE", tmp_path / "engine")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert kernels.kernels_folder().parent == tmp_path / "cache/metaswin"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "engine"))
    monkeypatch.setattr(kernels.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    assert kernels.kernels_folder().parent == tmp_path / "temporary"


def test_kernels_folder_when_sources_or_processor_differ_then_another(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(kernels, "ENGINE", tmp_path)
    source = tmp_path / "glcm.py"
    source.write_text("a = 1\n")
    first = kernels.kernels_folder()
    assert kernels.kernels_folder() == first
    source.write_text("a = 2\n")
    second = kernels.kernels_folder()
    monkeypatch.setattr(kernels.llvmlite.binding, "get_host_cpu_name", lambda: "another")
    assert len({first, second, kernels.kernels_folder()}) == 3
