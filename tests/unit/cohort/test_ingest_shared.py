"""Ingest of real data (not part of the repository)."""

import tarfile
from pathlib import Path

import pandas as pd
import pytest

from metaswin.cohort.index import index_dicom
from metaswin.cohort.match import CohortPaths, match_patients
from metaswin.config.cohort import ClinicalSettings, CohortSettings, DataSettings, IngestSettings, RoiSettings
from metaswin.config.imaging import ImagesSettings
from metaswin.core.files import read_json

pytestmark = pytest.mark.shared


def unpack(archive: Path, folder: Path, limit: int | None = None) -> None:
    """Unpack the first `limit` files of an archive, all without a limit; the rest of it is not even decompressed."""
    if not archive.is_file():
        pytest.skip(f"no {archive.name} among the real data")
    files = 0
    with tarfile.open(archive) as tar:
        for member in tar:
            if files == limit:
                break
            tar.extract(member, folder, filter="data")
            files += member.isfile()


def ingest(dicom: Path, clinical: Path, out: Path, pattern: str) -> CohortPaths:
    index, problems = out / "index.parquet", out / "index_problems.parquet"
    index_dicom(dicom, out / "series.parquet", index, problems, out / "details")
    paths = CohortPaths(
        out / "patients.parquet",
        out / "problems.parquet",
        out / "choice.parquet",
        out / "sources",
        out / "clinical.parquet",
        out / "outcomes.parquet",
        out / "details",
    )
    match_patients(
        DataSettings(source="dicom", dicom=str(dicom)),
        ClinicalSettings(table=str(clinical)),
        CohortSettings(),
        {},
        IngestSettings(rois=RoiSettings(primary=[pattern])),
        ImagesSettings(),
        paths,
        index,
        problems,
    )
    return paths


def test_ingest_when_sarcoma_then_ct_and_contour_are_found_and_unmatched_reported(shared_data, tmp_path):
    unpack(shared_data / "sts" / "ct-rtstruct.tar.xz", tmp_path / "in", limit=150)
    whole = sorted(path.parent.name for path in (tmp_path / "in").rglob("RTSTRUCT"))
    slices = {patient: len(list((tmp_path / "in").rglob(f"{patient}/CT/*.dcm"))) for patient in whole}
    paths = ingest(tmp_path / "in", shared_data / "sts" / "clinical.csv", tmp_path / "out", "GTV_Mass.*")
    went_on = pd.read_parquet(paths.patients)["patient"].tolist()
    assert len(went_on) >= 2
    assert set(went_on) <= set(whole)
    problems = pd.read_parquet(paths.problems).groupby("code")["patient"].apply(list)
    assert problems["contour-images-unmatched"] == whole
    assert problems.get("variable-spacing", []) == sorted(set(whole) - set(went_on))  # unpacked in part
    assert len(problems["no-image"]) == 33 - len(whole)
    for patient in went_on:
        source = read_json(Path(paths.sources) / f"{patient}.json")
        assert len(source["ct"]) == slices[patient]
        assert source["tumor"]["rois"]["primary"] == [{"number": 1, "name": "GTV_Mass_CT"}]


def test_ingest_when_ibsi_phantom_then_the_contour_refers_to_the_ct(shared_data, tmp_path):
    unpack(shared_data / "ibsi" / "ibsi1-ct-phantom.tar.xz", tmp_path / "in")
    (tmp_path / "clinical.csv").write_text("patient_id,age\n1,60\n")
    paths = ingest(tmp_path / "in", tmp_path / "clinical.csv", tmp_path / "out", "GTV-1")
    choice = pd.read_parquet(paths.choice)
    assert choice[choice["chosen"]]["reason"].tolist() == ["contours refer to it", "refers to the chosen CT"]
    assert len(read_json(Path(paths.sources) / "1.json")["ct"]) == 60
