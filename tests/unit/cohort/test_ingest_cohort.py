"""Building the cohort from images and the clinical table."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import SimpleITK as sitk
from ingest_dicom import rtstruct, segmentation, write, write_ct

from metaswin.cohort.index import index_dicom
from metaswin.cohort.match import CohortPaths, match_patients
from metaswin.config.cohort import ClinicalSettings, CohortSettings, DataSettings, EndpointSettings, IngestSettings
from metaswin.config.imaging import ImagesSettings
from metaswin.core.files import read_json


class Study:
    """A small study below a folder: its clinical table, its data and what `match_patients` makes of them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.dicom = folder / "dicom"
        self.dicom.mkdir()
        self.clinical("P1", "P2")

    def clinical(self, *patients: str, **columns: list[object]) -> None:
        table = pd.DataFrame({"patient_id": patients, "age": 60, **columns})
        table.to_csv(self.folder / "clinical.csv", index=False)

    def patient(self, patient: str, number: int, names: dict[str, int] | None = None, **facts: object) -> None:
        folder = self.dicom / f"folder{number}"
        write_ct(folder, 3, patient=patient, series=f"1.{number}", frame=f"9.{number}", study=f"5.{number}", **facts)
        drawn = rtstruct(
            names or {"GTVp": 2}, patient, f"2.{number}", f"1.{number}", f"9.{number}", (f"1.{number}.1",),
            study=f"5.{number}",
        )  # fmt: skip
        write(drawn, folder / "rs")

    def build(
        self,
        data: dict[str, object] | None = None,
        cohort: dict[str, object] | None = None,
        clinical: dict[str, object] | None = None,
        endpoints: dict[str, dict[str, object]] | None = None,
        **ingest: object,
    ) -> None:
        out = self.folder / "results"
        settings = DataSettings(**(data or {"source": "dicom", "dicom": str(self.dicom)}))
        index = problems = None
        if settings.source == "dicom":
            index, problems = self.folder / "index.parquet", self.folder / "problems.parquet"
            index_dicom(self.dicom, out / "series.parquet", index, problems, self.folder / "details")
        match_patients(
            settings,
            ClinicalSettings(table=str(self.folder / "clinical.csv"), columns={"age": "baseline"}, **(clinical or {})),
            CohortSettings(**(cohort or {})),
            {name: EndpointSettings(**values) for name, values in (endpoints or {}).items()},
            IngestSettings(**ingest),
            ImagesSettings(min_slices=2),
            CohortPaths(
                out / "patients.parquet", out / "problems.parquet", out / "choice.parquet",
                self.folder / "sources", out / "clinical.parquet", out / "outcomes.parquet", self.folder / "details",
            ),
            index,
            problems,
        )  # fmt: skip

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "results" / f"{name}.parquet")

    def source(self, patient: str) -> dict[str, object]:
        return read_json(self.folder / "sources" / f"{patient}.json")

    def sources(self) -> list[str]:
        return sorted(path.stem for path in (self.folder / "sources").iterdir())

    def codes(self) -> list[tuple[str, str]]:
        return list(self.table("problems")[["patient", "code"]].itertuples(index=False, name=None))


@pytest.fixture
def study(tmp_path) -> Study:
    return Study(tmp_path)


def test_build_when_two_patients_are_valid_then_both_have_a_source(study):
    study.patient("P1", 1)
    study.patient("P2", 2, {"GTVp": 2, "GTVn1": 1, "GTVn2": 3})
    study.build()
    patients = study.table("patients")
    assert patients.values.tolist() == [["P1", "rtstruct", True, False], ["P2", "rtstruct", True, True]]
    source = study.source("P2")
    assert source["kind"] == "dicom"
    assert source["ct"] == [str(study.dicom / "folder2" / name) for name in ("1", "2", "3")]
    assert source["tumor"]["path"] == str(study.dicom / "folder2" / "rs")
    assert source["tumor"]["rois"] == {
        "primary": [{"number": 1, "name": "GTVp"}],
        "nodes": [{"number": 2, "name": "GTVn1"}, {"number": 3, "name": "GTVn2"}],
    }
    assert study.codes() == [("P2", "several-rois")]
    assert study.table("choice")["chosen"].all()
    metadata = pq.read_schema(study.folder / "results" / "patients.parquet").metadata
    assert (metadata[b"clinical"], metadata[b"found"]) == (b"2", b"2")


def test_build_when_a_patient_is_added_then_sources_of_the_others_keep_their_bytes(study):
    study.clinical("P1", "P2", "P3")
    study.patient("P1", 1)
    study.patient("P2", 2)
    study.build()
    before = {path.name: path.read_bytes() for path in (study.folder / "sources").iterdir()}
    study.patient("P3", 3)
    study.build()
    after = {path.name: path.read_bytes() for path in (study.folder / "sources").iterdir()}
    assert sorted(after) == ["P1.json", "P2.json", "P3.json"]
    assert {name: after[name] for name in before} == before


def test_build_when_a_file_of_one_patient_changes_then_only_that_source_changes(study):
    study.patient("P1", 1)
    study.patient("P2", 2)
    study.build()
    before = {patient: study.source(patient) for patient in ("P1", "P2")}
    write_ct(study.dicom / "folder1", 3, series="1.1", frame="9.1", StudyDescription="longer than before")
    study.build()
    assert study.source("P1") != before["P1"]
    assert study.source("P2") == before["P2"]


def test_build_when_a_patient_leaves_then_its_source_is_removed(study):
    study.patient("P1", 1)
    study.patient("P2", 2)
    study.build()
    study.clinical("P1")
    study.build()
    assert study.sources() == ["P1"]
    assert study.codes() == [("P2", "no-clinical-row")]


def test_build_when_ids_differ_by_writing_then_both_sides_name_the_other(study):
    study.clinical("p_001", "P2")
    study.patient("P-1", 1)
    study.patient("P2", 2)
    study.build()
    problems = study.table("problems").set_index("code")
    assert problems.loc["no-image", "patient"] == "p_001"
    assert problems.loc["no-image", "action"].endswith("the data contain P-1: the same patient?")
    assert problems.loc["no-clinical-row", "action"].endswith("the clinical table has p_001: the same patient?")
    assert study.sources() == ["P2"]


def test_build_when_the_config_excludes_a_patient_then_its_images_are_not_required(study):
    study.clinical("P1", "P2", "P3", m_stage=["M0", "M1", "M0"])
    study.patient("P1", 1)
    study.patient("P3", 3, {"Parotid": 1})
    study.build(cohort={"baseline_metastasis": {"m_stage": ["M1"]}})
    assert study.codes() == [("P2", "baseline-metastasis"), ("P3", "no-matching-roi")]
    assert study.sources() == ["P1"]


def test_build_when_rows_of_an_id_contradict_then_reported_once(study):
    study.clinical("P1", "P1", "P2", age=[1, 2, 3])
    study.patient("P1", 1)
    study.patient("P2", 2)
    study.build()
    assert study.codes() == [("P1", "duplicated-id")]


def test_build_when_the_index_excluded_a_patient_then_it_stays_excluded(study):
    study.patient("P1", 1)
    study.patient("P2", 2)
    write_ct(study.dicom / "more", 2, patient="P1", series="1.7", PatientBirthDate="19700101")
    study.build()
    assert study.sources() == ["P2"]
    assert study.codes() == [("P1", "two-people-one-id")]


def test_build_when_treatment_dates_are_given_then_a_later_ct_is_excluded(study):
    study.clinical("P1", "P2", "P3", rt_start=["10.01.2020", "09.01.2020", "unknown"])
    for number in (1, 2, 3):
        study.patient(f"P{number}", number, StudyDate="20200110")
    study.build(clinical={"date_format": "%d.%m.%Y"}, series={"treatment_start": "rt_start"})
    assert study.codes() == [("P2", "ct-after-treatment"), ("P3", "no-treatment-date")]
    assert study.sources() == ["P1", "P3"]
    assert "2020" not in study.table("problems").to_csv() + study.table("choice").to_csv()


def test_build_when_a_table_is_unusable_then_reported_without_path_and_none_planned(study):
    study.clinical("P1", "P2", rt_start=["10.01.2020", "x"])
    study.patient("P1", 1)
    study.build(series={"treatment_start": "rt_start"}, endpoints={"dm": {"column": "dm"}})
    [told] = study.table("problems").to_dict("records")
    assert (told["code"], told["patient"], told["excludes"]) == ("unusable-table", "", False)
    assert "set clinical.date_format" in told["found"]
    (study.folder / "clinical.csv").write_text("patient_id,age\nP1,5\nP2,6,7\n")
    study.build()
    [told] = study.table("problems").to_dict("records")
    assert "the file has 2 columns, but more values in line 3" in told["found"]
    assert str(study.folder) in (study.folder / "details/ingest/cohort.json").read_text()
    assert study.sources() == study.table("patients")["patient"].tolist() == []
    assert study.table("outcomes").columns.tolist()[-1] == "endpoint"


def test_build_when_outcomes_are_missing_then_patients_with_any_outcome_are_planned(study):
    study.clinical("P1", "P2", "P3", "P4", a=["1", "", "", "0"], b=["", "0", "", "1"])
    for number in (1, 2, 3):
        study.patient(f"P{number}", number)
    study.build(endpoints={"a": {"column": "a"}, "b": {"column": "b"}})
    assert study.table("patients")["patient"].tolist() == study.sources() == ["P1", "P2"]
    assert study.table("clinical").to_dict("list") == {"patient": ["P1", "P2"], "age": [60.0, 60.0]}
    outcomes = study.table("outcomes")[["endpoint", "patient", "label"]].to_numpy().tolist()
    assert outcomes == [["a", "P1", 1], ["b", "P2", 0]]
    assert study.codes() == [
        ("P1", "no-outcome"),
        ("P2", "no-outcome"),
        *[("P3", "no-outcome")] * 2,
        ("P4", "no-image"),
    ]


def test_build_when_segmentations_draw_then_segments_are_the_rois(study):
    write_ct(study.dicom, 3)
    write(segmentation(["GTVp", "GTVn"], [1, 1], "1.1", ("1.1.1",)), study.dicom / "seg")
    study.build(tumor_source="seg")
    tumor = study.source("P1")["tumor"]
    assert tumor["kind"] == "seg"
    assert tumor["rois"] == {"primary": [{"number": 1, "name": "GTVp"}], "nodes": []}
    assert ("P1", "empty-roi-left-out") in study.codes()


def test_build_when_a_model_draws_then_contours_are_not_needed(study):
    write_ct(study.dicom, 3)
    study.build(tumor_source="nnunet")
    assert study.source("P1")["tumor"] == {"kind": "nnunet"}
    assert study.table("patients")["has_primary"].isna().all()


def nifti(path: Path) -> str:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5), np.uint8)), str(path))
    return path.name


def test_build_when_source_is_a_sheet_then_paths_are_kept_and_bad_rows_reported(study):
    image, mask = nifti(study.folder / "i.nii.gz"), nifti(study.folder / "m.nii.gz")
    study.clinical("P1", "P2", "P3", "P4")
    rows = [f"P1,{image},{mask},", f"P2,{image},,{mask}", f"P3,{image},gone.nii.gz,", f"P9,{image},{mask},"]
    (study.folder / "s.csv").write_text("\n".join(["patient_id,image,primary,nodes", *rows]))
    study.build({"source": "nifti", "sheet": str(study.folder / "s.csv")})
    assert study.table("patients").values.tolist() == [["P1", "nifti", True, False], ["P2", "nifti", False, True]]
    assert study.codes() == [("P3", "missing-file"), ("P4", "no-image"), ("P9", "no-clinical-row")]
    source = study.source("P1")
    assert source["ct"] == str(study.folder / image)
    assert source["tumor"] == {"kind": "nifti", "primary": str(study.folder / mask), "nodes": None}
    assert study.table("choice").empty


def test_build_when_dicom_images_have_masks_in_a_sheet_then_the_source_holds_both(study):
    write_ct(study.dicom, 3)
    write_ct(study.dicom / "two", 3, patient="P2", series="1.2", frame="9.2")
    mask = nifti(study.folder / "m.nii.gz")
    (study.folder / "s.csv").write_text(f"patient_id,primary,nodes\nP1,{mask},\n")
    data = {"source": "dicom", "dicom": str(study.dicom), "sheet": str(study.folder / "s.csv")}
    study.build(data, tumor_source="nifti")
    source = study.source("P1")
    assert (source["kind"], len(source["ct"])) == ("dicom", 3)
    assert source["tumor"]["primary"] == str(study.folder / mask)
    assert study.codes() == [("P2", "no-mask")]


def test_build_when_source_is_a_table_of_features_then_patients_in_both_are_included(study):
    study.clinical("P1", "P2")
    (study.folder / "f.csv").write_text("patient_id,a\nP1,1\nP3,2\n")
    study.build({"source": "features", "features": str(study.folder / "f.csv")})
    assert study.table("patients")["patient"].tolist() == ["P1"]
    assert study.codes() == [("P2", "no-features"), ("P3", "no-clinical-row")]
    assert study.sources() == []


def test_build_when_source_is_the_clinical_table_then_its_rows_are_included(study):
    study.clinical("P1", "P2", "bad id")
    study.build({"source": "clinical"})
    assert study.table("patients")["patient"].tolist() == ["P1", "P2"]
    assert study.codes() == [("", "unusable-id")]
    assert study.table("patients")["tumor_source"].isna().all()


def test_build_when_no_patient_is_left_then_tables_are_written_with_a_problem(study):
    study.patient("P1", 1, {"Parotid": 1})
    study.build()
    assert study.codes() == [("", "no-patient"), ("P1", "no-matching-roi"), ("P2", "no-image")]
    assert study.table("patients").empty
    assert study.sources() == []
    assert "Parotid" in (study.folder / "details" / "ingest" / "P1.json").read_text()


def test_build_when_paths_rois_and_headers_contain_names_then_public_tables_do_not(study):
    marker = "ZZMARKERZZ"
    study.dicom = study.dicom / marker
    study.dicom.mkdir()
    study.clinical("P1", "P2", "P3", f"{marker} x", f"{marker} x", age=[1, 2, 3, 4, 5])
    study.patient("P1", 1, {f"GTVp {marker}": 2, f"GTVp2 {marker}": 1, f"GTVn {marker}": 0}, SeriesDescription=marker)
    study.patient("P2", 2, {marker: 2})
    study.patient(f"{marker}^", 3)
    (study.dicom / "empty").touch()
    study.build()
    names = ("series", "patients", "problems", "choice")
    text = "".join(study.table(name).to_csv() for name in names)
    assert ("P2", "no-matching-roi") in study.codes()
    assert marker not in text
    assert "1.1" not in text
    assert all(marker.encode() not in (study.folder / "results" / f"{n}.parquet").read_bytes() for n in names)
    assert marker in (study.folder / "details" / "ingest" / "P1.json").read_text()
