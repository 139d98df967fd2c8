"""One patient's job: which regions, what is written, what becomes of bad ones; and the tables of all patients."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import SimpleITK as sitk

from metaswin.core.errors import UserError
from metaswin.core.files import write_json, write_volume
from metaswin.core.problems import Problem
from metaswin.core.provenance import release
from metaswin.core.status import Status, exclude, read_status, write_status
from metaswin.features.radiomics import (
    RadiomicsInputs,
    collect_features,
    collect_problems,
    extract_patient,
    settings_hash,
    wanted_regions,
)
from metaswin.radiomics.names import expected_features
from metaswin.radiomics.settings import RadiomicsSettings

SETTINGS = RadiomicsSettings(image_types=["Original", "LoG"], log_sigma=[1.0], feature_classes=["shape", "firstorder"])


class Job:
    """Inputs of the stage regions in a folder, and a run of the job on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = ("ct.nii.gz", "regions.nii.gz", "regions.json", "status.json")
        self.inputs = RadiomicsInputs(*(folder / name for name in names))
        self.table = str(folder / f"{folder.name}.parquet")
        self.status_path = str(folder / f"{folder.name}.status.json")

    def regions(self, labels: np.ndarray, named: dict[str, list[int]], missing: dict[str, str], patient: str) -> None:
        image = np.random.default_rng(3).normal(40, 60, labels.shape).astype(np.float32)
        write_volume(self.inputs.ct, sitk.GetImageFromArray(image))
        write_volume(self.inputs.regions, sitk.GetImageFromArray(labels))
        write_json(self.inputs.facts, {"labels": named, "missing": missing})
        write_status(self.inputs.status, Status(patient, "regions"), self.folder / "details")

    def run(self, settings: RadiomicsSettings = SETTINGS) -> pd.DataFrame:
        extract_patient(self.inputs, self.table, self.status_path, settings, self.folder / "details")
        return pd.read_parquet(self.table)

    @property
    def status(self) -> Status:
        return read_status(self.status_path)


@pytest.fixture
def make_job(tmp_path: Path) -> Any:
    """A job of a patient whose regions are boxes: label → size along x."""

    def make(sizes: dict[int, int], named: dict[str, list[int]], missing: dict[str, str] | None = None) -> Job:
        patient = f"P-{len(list(tmp_path.iterdir())) + 1}"
        folder = tmp_path / patient
        folder.mkdir()
        labels = np.zeros((12, 12, 40), np.uint8)
        start = 2
        for label, size in sizes.items():
            labels[3:8, 3:8, start : start + size] = label
            start += size + 1
        job = Job(folder)
        job.regions(labels, named, missing or {}, patient)
        return job

    return make


def test_extract_patient_writes_one_row_per_region_and_how_it_was_made(make_job: Any) -> None:
    job = make_job({1: 6, 2: 5, 11: 7}, {"primary": [1], "nodes": [2], "tumor": [1, 2], "ring_0_10mm": [11]})
    table = job.run()
    assert table["region"].tolist() == ["tumor", "primary", "nodes", "ring_0_10mm"]
    assert table["voxels"].tolist() == [275, 150, 125, 175]
    assert table.columns.tolist() == ["patient", "region", "voxels", *expected_features(SETTINGS)]
    assert table["original_shape_VoxelVolume"].tolist() == [275, 150, 125, 175]
    metadata = pq.read_schema(job.table).metadata
    assert metadata[b"engine"] == b"metaswin"
    assert metadata[b"version"].decode() == release()
    assert metadata[b"settings_hash"].decode() == settings_hash(SETTINGS) != settings_hash(RadiomicsSettings())
    assert job.status == Status("P-1", "radiomics")


def test_extract_patient_when_there_is_a_primary_only_then_the_tumor_equals_it(make_job: Any) -> None:
    job = make_job({1: 6}, {"primary": [1], "tumor": [1, 2]}, {"nodes": "absent"})
    table = job.run().set_index("region").drop(columns="patient")
    assert table.index.tolist() == ["tumor", "primary"]
    assert (table.loc["tumor"] == table.loc["primary"]).all()
    assert job.status.ok
    assert job.status.warnings == ()


def test_extract_patient_when_a_region_is_too_small_then_it_has_no_row_but_a_problem(make_job: Any) -> None:
    job = make_job({1: 6, 11: 1}, {"primary": [1], "tumor": [1], "ring_0_10mm": [11]})
    table = job.run(SETTINGS.model_copy(update={"min_voxels": 30}))
    assert table["region"].tolist() == ["tumor", "primary"]
    (warning,) = job.status.warnings
    assert job.status.ok
    assert (warning.code, warning.excludes, warning.patient) == ("radiomics-failed", False, "P-1")
    assert "region ring_0_10mm" in warning.found
    assert "25 voxels, fewer than radiomics.min_voxels = 30" in warning.found


def test_extract_patient_when_every_region_fails_then_table_is_empty_and_readable(make_job: Any) -> None:
    job = make_job({1: 1}, {"primary": [1], "tumor": [1]})
    table = job.run(SETTINGS.model_copy(update={"min_voxels": 100}))
    assert table.shape == (0, 3 + len(expected_features(SETTINGS)))
    assert job.status.ok
    assert [warning.code for warning in job.status.warnings] == ["radiomics-failed", "radiomics-failed"]


def test_extract_patient_when_some_features_fail_then_row_stays_and_reason_reported(make_job: Any) -> None:
    job = make_job({1: 6}, {"primary": [1], "tumor": [1]})
    table = job.run(SETTINGS.model_copy(update={"regions": ["tumor"], "bin_width": 1e-4}))
    assert table["region"].tolist() == ["tumor"]
    assert table.filter(like="shape").notna().all(axis=None)
    assert table.filter(like="firstorder").isna().all(axis=None)
    (warning,) = job.status.warnings
    assert warning.code == "radiomics-incomplete"
    assert "without 36 of 50 features" in warning.found


def test_extract_patient_when_excluded_earlier_then_still_excluded_with_empty_table(make_job: Any) -> None:
    job = make_job({1: 6}, {"primary": [1], "tumor": [1]})
    problem = Problem("P-1", "images", "empty-mask", "nothing", "a tumour", "draw it")
    inputs = [str(path) for path in (job.inputs.ct, job.inputs.regions, job.inputs.facts)]
    exclude(job.inputs.status, Status("P-1", "regions", problem), inputs, job.folder / "details")
    assert job.run().empty
    assert job.status == Status("P-1", "radiomics", problem)


def test_wanted_regions_when_rings_are_requested_then_in_the_order_of_their_labels() -> None:
    labels = {"ring_10_20mm": [12], "ring_0_10mm": [11], "ring_0_5mm": [13], "tumor": [1]}
    facts = {"labels": labels, "missing": {"nodes": "absent", "ring_20_30mm": "ring-too-small"}}
    assert wanted_regions(["tumor", "nodes", "rings", "ring_0_10mm", "ring_20_30mm"], facts) == [
        "tumor",
        "ring_0_10mm",
        "ring_10_20mm",
        "ring_0_5mm",
    ]


def test_wanted_regions_when_a_ring_is_unknown_then_user_error() -> None:
    facts = {"labels": {"tumor": [1], "ring_0_10mm": [11]}, "missing": {}}
    with pytest.raises(UserError, match=r"names ring_0_5mm, but regions\.rings creates ring_0_10mm"):
        wanted_regions(["tumor", "ring_0_5mm"], facts)


def used(folder: Path, patients: Any = ("P-1", "P-2", "P-3")) -> str:
    path = folder / "used.parquet"
    pd.DataFrame({"patient": list(patients)}).to_parquet(path)
    return str(path)


def test_collect_features_sorts_and_keeps_how_they_were_made(make_job: Any, tmp_path: Path) -> None:
    jobs = [make_job({1: size, 11: 5}, {"tumor": [1], "ring_0_10mm": [11]}) for size in (5, 6)]
    empty = make_job({1: 1}, {"tumor": [1]})
    for job in (*jobs, empty):
        job.run(SETTINGS.model_copy(update={"regions": ["tumor", "rings"], "min_voxels": 30}))
    path = tmp_path / "all.parquet"
    collect_features([job.table for job in (jobs[1], empty, jobs[0])], used(tmp_path), str(path))
    table = pd.read_parquet(path)
    assert list(zip(table["patient"], table["region"], strict=True)) == [
        ("P-1", "ring_0_10mm"),
        ("P-1", "tumor"),
        ("P-2", "ring_0_10mm"),
        ("P-2", "tumor"),
    ]
    assert pq.read_schema(path).metadata[b"engine"] == b"metaswin"


def test_collect_features_when_settings_differ_then_it_refuses(make_job: Any, tmp_path: Path) -> None:
    jobs = [make_job({1: 5}, {"tumor": [1]}) for _ in range(2)]
    jobs[0].run()
    jobs[1].run(SETTINGS.model_copy(update={"bin_width": 10.0}))
    with pytest.raises(UserError, match="2 different ways"):
        collect_features([job.table for job in jobs], used(tmp_path), str(tmp_path / "all.parquet"))


def test_collect_problems_contains_the_problems_of_the_stages_themselves(tmp_path: Path) -> None:
    earlier = Problem("B", "images", "empty-mask", "nothing", "a tumour", "draw it")
    own = [Problem(who, "radiomics", "radiomics-failed", "x", "y", "z", excludes=False) for who in "BA"]
    statuses = [Status("B", "radiomics", earlier, (own[0],)), Status("A", "radiomics", warnings=(own[1],))]
    paths = [str(tmp_path / f"{status.patient}.status.json") for status in statuses]
    for path, status in zip(paths, statuses, strict=True):
        write_status(path, status, tmp_path / "details")
    collect_problems(paths, used(tmp_path, "AB"), str(tmp_path / "problems.parquet"))
    table = pd.read_parquet(tmp_path / "problems.parquet")
    assert table[["patient", "code"]].to_numpy().tolist() == [["A", "radiomics-failed"], ["B", "radiomics-failed"]]
    collect_problems([], used(tmp_path), str(tmp_path / "none.parquet"))
    assert pd.read_parquet(tmp_path / "none.parquet").columns.tolist() == table.columns.tolist()
