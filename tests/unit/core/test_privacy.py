"""The public zone names nobody: a marker planted in headers, paths and free columns stays in `private/`."""

import gzip
import shutil

import marked
import pandas as pd
import pytest
from joblogs import restored_logging
from marked import MARKER, leaks, plant

from metaswin.cohort.index import index_dicom
from metaswin.cohort.match import CohortPaths, match_patients
from metaswin.config.cohort import ClinicalSettings, CohortSettings, DataSettings, IngestSettings
from metaswin.config.imaging import ImagesSettings
from metaswin.core.files import read_json, read_table
from metaswin.core.joblog import job
from metaswin.imaging.convert import convert_patient

PATIENTS = ["SIM-0001", "SIM-0002", "SIM-0003"]


@pytest.fixture(scope="module")
def marked_cohort(tmp_path_factory):
    """Three simulated patients: the second with a file cut short, the third with contours of other names."""
    from damage import edit_structures, files_of, rename_lesions

    from metaswin.simulate.cohort import simulate_cohort
    from metaswin.simulate.options import SimulationOptions

    folder = tmp_path_factory.mktemp("marked") / f"{MARKER} Smith"
    simulate_cohort(folder, SimulationOptions(n=3, seed=3, matrix=48, coverage=90, draws=1000, extra_series=0))
    edit_structures(files_of(folder / "dicom")["SIM-0003"], rename_lesions)
    plant(folder / "dicom")
    first = files_of(folder / "dicom")["SIM-0002"]["CT"][0]
    whole = first.read_bytes()
    first.write_bytes(whole[: len(whole) // 2])
    table = pd.read_csv(folder / "clinical.csv", dtype=str)
    table["notes"] = f"{MARKER} says"
    table["age"] = [f"{MARKER} old", *table["age"][1:]]
    table.to_csv(folder / f"{MARKER}.csv", index=False)
    return folder


def write_public_files(cohort, folder):
    """Ingest and images of the cohort, as their scripts do it."""
    results, private = folder / "results", folder / "private"
    with restored_logging(), job(folder / "logs/all.log"):
        index_dicom(
            cohort / "dicom",
            results / "ingest/series.parquet",
            private / "ingest/series.parquet",
            results / "ingest/index_problems.parquet",
            private / "details",
        )
        columns = {"age": {"role": "baseline", "kind": "numeric"}, "notes": "ignore"}
        match_patients(
            DataSettings(source="dicom", dicom=str(cohort / "dicom")),
            ClinicalSettings(table=str(cohort / f"{MARKER}.csv"), columns=columns),
            CohortSettings(),
            {},
            IngestSettings(),
            ImagesSettings(),
            CohortPaths(
                results / "cohort/patients.parquet",
                results / "cohort/early_problems.parquet",
                results / "ingest/series_choice.parquet",
                private / "sources",
                results / "cohort/clinical.parquet",
                results / "cohort/outcomes.parquet",
                private / "details",
            ),
            private / "ingest/series.parquet",
            results / "ingest/index_problems.parquet",
        )
        for source in sorted((private / "sources").glob("*.json")):
            images = results / "images" / source.stem
            names = ("ct.nii.gz", "tumor.nii.gz", "image.json", "status.json")
            convert_patient(str(source), *(images / name for name in names), ImagesSettings(), private / "details", 1)


@pytest.fixture(scope="module")
def written(marked_cohort, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_public_files(marked_cohort, folder)
    return folder


def test_marker_when_planted_then_it_is_in_the_private_zone_and_nowhere_else(written):
    assert leaks(written, [MARKER, "Smith"]) == []
    assert len(leaks(written, [MARKER], apart=())) >= 5
    assert set(read_table(written / "results/cohort/patients.parquet")["patient"]) <= set(PATIENTS)


def test_scanner_when_its_texts_do_not_look_like_a_product_then_they_are_hashed(written):
    series = read_table(written / "results/ingest/series.parquet")
    images = [read_json(path) for path in (written / "results/images").rglob("image.json") if path.stat().st_size]
    assert images
    for name in ("manufacturer", "model", "kernel"):
        texts = [*series.loc[series["modality"] == "CT", name], *(facts[name] for facts in images)]
        assert all(text.startswith("h-") for text in texts), (name, texts)


def test_search_when_a_marker_is_packed_then_it_is_found(tmp_path):
    pd.DataFrame({"x": [f"a {MARKER.upper()} b"]}).to_parquet(tmp_path / "t.parquet", compression="zstd")
    (tmp_path / "v.nii.gz").write_bytes(gzip.compress(f"{MARKER} ".encode() * 50))
    shutil.make_archive(str(tmp_path / "z"), "zip", tmp_path, "v.nii.gz")
    (tmp_path / f"{MARKER}.txt").touch()
    (tmp_path / "plain.txt").write_text("nobody")
    assert leaks(tmp_path, [MARKER]) == sorted([f"{MARKER}.txt", "t.parquet", "v.nii.gz"])
    assert b"v.nii.gz" in b"".join(marked.readings(tmp_path / "z.zip"))
