"""The index of a folder tree."""

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from ingest_dicom import ct_slice, rtstruct, write, write_ct

from metaswin.cohort.index import index_dicom
from metaswin.cohort.series import safe_text, series_key
from metaswin.core.errors import UserError
from metaswin.core.files import read_json

MARKER = "ZZMARKERZZ"


def run(root: Path, **settings: object) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Public index, private index, problems."""
    out = root.parent / "out"
    names = [out / name for name in ("series.parquet", "private.parquet", "problems.parquet")]
    index_dicom(root, *names, details=out / "details", **settings)
    return tuple(pd.read_parquet(name) for name in names)


@pytest.fixture
def root(tmp_path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def test_index_when_files_are_read_then_the_log_says_how_many(root, monkeypatch, caplog):
    monkeypatch.setattr("metaswin.cohort.scan.EVERY", 0.0)
    write_ct(root, 3)
    with caplog.at_level("INFO", logger="metaswin"):
        run(root)
    assert "3 of 3 files read" in caplog.messages


def test_index_when_two_patients_then_one_row_per_series_with_its_facts(root):
    write_ct(root / "any" / "where", 3)
    write(rtstruct({"GTVp": 2}), root / "flat.txt")
    write_ct(root / "any" / "where" / "deep", 5, patient="P2", series="1.2", frame="9.2", study="5.2")
    public, private, problems = run(root)
    assert sorted(public[["patient", "modality", "files"]].values.tolist()) == [
        ["P1", "CT", 3],
        ["P1", "RTSTRUCT", 1],
        ["P2", "CT", 5],
    ]
    ct = public[(public["patient"] == "P1") & (public["modality"] == "CT")].iloc[0]
    assert ct["series"] == series_key("1.1")
    assert (ct["slice_spacing"], ct["slice_thickness"], ct["pixel_spacing"], ct["kvp"]) == (3.0, 3.0, 0.9, 120.0)
    assert (ct["rows"], ct["columns"], ct["kernel"], ct["contrast"]) == (4, 6, "B30f", False)
    contours = private[private["modality"] == "RTSTRUCT"].iloc[0]
    assert list(contours["referenced_series"]) == ["1.1"]
    assert (contours["sops_referenced"], contours["sops_found"]) == (1, 1)
    assert problems.empty


def test_index_when_run_by_two_processes_or_from_the_cache_then_the_same(root, tmp_path):
    write_ct(root / "a", 4)
    write(rtstruct({"GTVp": 2}), root / "b")
    (root / "empty").touch()
    alone = run(root)
    first = run(root, workers=2, cache=tmp_path / "cache.parquet")
    again = run(root, workers=2, cache=tmp_path / "cache.parquet")
    for a, b, c in zip(alone, first, again, strict=True):
        pd.testing.assert_frame_equal(a, b)
        pd.testing.assert_frame_equal(a, c)


def test_index_when_files_become_objects_a_few_at_a_time_then_it_is_the_same(root, monkeypatch):
    for number in range(3):
        write_ct(root / f"{number}", 4, series=f"1.{number}", patient=f"P{number % 2}")
        write(ct_slice(9, series=f"1.{number}", patient=f"P{number % 2}", Rows=6), root / f"{number}" / "odd")
    whole = run(root)
    for block in (1, 3, 5):
        monkeypatch.setattr("metaswin.cohort.series.BLOCK", block)
        for a, b in zip(whole, run(root), strict=True):
            pd.testing.assert_frame_equal(a, b)


def test_cache_when_half_of_it_was_known_then_its_bytes_are_those_of_a_new_one(root, tmp_path):
    write_ct(root / "b", 3)
    run(root, cache=tmp_path / "grown.parquet")
    write_ct(root / "a", 2, series="1.2")
    run(root, cache=tmp_path / "grown.parquet")
    run(root, cache=tmp_path / "new.parquet")
    assert (tmp_path / "grown.parquet").read_bytes() == (tmp_path / "new.parquet").read_bytes()


def test_index_when_a_file_changed_since_the_cache_then_it_is_read_again(root, tmp_path):
    write_ct(root / "a", 2)
    cache = tmp_path / "cache.parquet"
    run(root, cache=cache)
    write(ct_slice(3, kernel="B70f", series="1.9"), root / "a" / "2")
    (root / "a" / "1").unlink()
    public, _, _ = run(root, cache=cache)
    assert public[["series", "kernel", "files"]].values.tolist() == [[series_key("1.9"), "B70f", 1]]


def test_index_when_the_cache_is_damaged_then_it_is_ignored(root, tmp_path):
    write_ct(root / "a", 2)
    (tmp_path / "cache.parquet").write_bytes(b"no parquet")
    assert run(root, cache=tmp_path / "cache.parquet")[0]["files"].tolist() == [2]


def test_index_when_files_are_damaged_then_one_problem_per_code_and_patient(root, tmp_path):
    paths = write_ct(root / "p1", 5)
    paths[0].write_bytes(b"")
    paths[1].write_bytes(b"")
    paths[2].write_bytes(paths[2].read_bytes()[:-4])
    (root / "notes.txt").write_text("clutter")
    (root / "loop").symlink_to(root)
    public, private, problems = run(root)
    assert public["files"].tolist() == [2]
    assert private["damaged"].tolist() == [3]
    assert problems[["patient", "code", "found", "excludes"]].values.tolist() == [
        ["P1", "empty-file", "2 files without any bytes", False],
        ["P1", "truncated-file", "1 file with truncated content", False],
    ]
    details = read_json(tmp_path / "out" / "details" / "index" / "P1.json")
    assert str(paths[0]) in details[0]["private"]


def test_index_when_series_are_mixed_in_one_folder_then_they_are_separated(root):
    for number in range(1, 4):
        write(ct_slice(number), root / f"x{number}")
        write(ct_slice(number, series="1.2", kernel="B70f"), root / f"y{number}")
        write(ct_slice(number, series="1.3", modality="PT"), root / f"z{number}")
    public, _, _ = run(root)
    assert sorted(public[["modality", "kernel", "files"]].values.tolist()) == [
        ["CT", "B30f", 3],
        ["CT", "B70f", 3],
        ["PT", "B30f", 3],
    ]


def test_index_when_a_series_contains_a_localizer_then_it_is_a_separate_part(root):
    write_ct(root / "a", 3)
    write(ct_slice(9, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], Rows=6, Columns=4), root / "a" / "scout")
    _, private, _ = run(root)
    assert private[["series", "files", "localizer"]].values.tolist() == [
        [series_key("1.1"), 3, False],
        [series_key("1.1") + "-2", 1, True],
    ]


def test_index_when_two_acquisitions_share_series_and_positions_then_kept_apart(root):
    for acquisition in (1, 2):
        for number in (1, 2, 3):
            sop = f"1.1.{acquisition}.{number}"
            write(ct_slice(number, AcquisitionNumber=acquisition, SOPInstanceUID=sop), root / f"{acquisition}{number}")
    _, private, _ = run(root)
    assert private["files"].tolist() == [3, 3]
    assert {Path(path).name[0] for path in private["paths"].iloc[0]} == {"1"}


def test_index_when_acquisition_numbers_differ_along_one_stack_then_it_stays_whole(root):
    for number in (1, 2, 3):
        write(ct_slice(number, AcquisitionNumber=number), root / f"{number}")
    assert run(root)[0]["files"].tolist() == [3]


def test_index_when_a_folder_is_copied_then_each_image_counts_once_with_a_warning(root):
    write_ct(root / "a", 3)
    shutil.copytree(root / "a", root / "b")
    public, private, problems = run(root)
    assert public["files"].tolist() == [3]
    assert {Path(path).parent.name for path in private["paths"].iloc[0]} == {"a"}
    assert problems[["code", "found", "excludes"]].values.tolist() == [
        ["duplicate-file", "3 files with the instance UID of another", False]
    ]


def test_index_when_two_people_share_an_id_then_excluded(root):
    write_ct(root / "a", 2)
    write_ct(root / "b", 2, series="1.2", PatientBirthDate="19600101")
    problems = run(root)[2]
    assert problems[["patient", "code", "excludes"]].values.tolist() == [["P1", "two-people-one-id", True]]


def test_index_when_a_series_has_two_ids_then_both_are_excluded(root):
    write_ct(root / "a", 2)
    write_ct(root / "b", 2, patient="P2")
    problems = run(root)[2]
    assert problems[["patient", "code"]].values.tolist() == [
        ["P1", "same-series-two-patients"],
        ["P2", "same-series-two-patients"],
    ]


def test_index_when_ids_come_from_folders_then_headers_do_not_matter(root):
    write_ct(root / "site" / "A1" / "x", 2, patient="ANON")
    write_ct(root / "site" / "A2", 2, patient="ANON", series="1.2", frame="9.2")
    write(ct_slice(1, series="1.3"), root / "site" / "stray")
    public, _, problems = run(root, patient_id="folder", patient_folder_level=2)
    assert public["patient"].tolist() == ["A1", "A2"]
    assert problems[["patient", "code"]].values.tolist() == [["", "no-id"]]


def test_index_when_a_patient_folder_holds_two_ids_then_excluded(root):
    write_ct(root / "A1" / "x", 2)
    write_ct(root / "A1" / "y", 2, patient="P2", series="1.2")
    problems = run(root, patient_id="folder")[2]
    assert problems[["patient", "code", "excludes"]].values.tolist() == [["A1", "two-patients-in-folder", True]]


def test_index_when_an_id_cannot_be_used_then_it_and_a_suggestion_are_private(root, tmp_path):
    write_ct(root / "a", 2, patient=f"Doe {MARKER}")
    write_ct(root / "b", 2, patient="P2", series="1.2")
    public, _, problems = run(root)
    assert public["patient"].tolist() == ["P2"]
    assert problems[["patient", "code"]].values.tolist() == [["", "unusable-id"]]
    assert f"suggested: 'Doe-{MARKER}'" in read_json(tmp_path / "out/details/index/cohort.json")[0]["private"]


def test_index_when_headers_and_paths_contain_names_then_the_public_tables_do_not(root):
    facts = {"PatientName": MARKER, "StudyDescription": MARKER, "SeriesDescription": MARKER, "InstitutionName": MARKER}
    paths = write_ct(root / MARKER, 3, kernel=f"{MARKER}^", ContrastBolusAgent=MARKER, **facts)
    paths[0].write_bytes(b"")
    write(rtstruct({MARKER: 2}), root / f"{MARKER}.dcm")
    public, _, problems = run(root)
    text = public.to_csv() + problems.to_csv()
    assert MARKER not in text
    assert "1.1.1" not in text
    assert "2020" not in text
    assert public["contrast"].any()


@pytest.mark.parametrize("workers", [1, 2])
def test_index_when_a_value_is_invalid_then_pydicom_does_not_quote_it_in_the_log(root, caplog, capfd, workers):
    path = write(rtstruct({"GTVp": 1}, sops=("1.2.3.4567890",)), root / "a")
    path.write_bytes(path.read_bytes().replace(b"1.2.3.4567890", b"x.ZZMARKERZZ."))
    run(root, workers=workers)
    assert "MARKER" not in caplog.text + "".join(capfd.readouterr())


def test_index_when_a_file_becomes_readable_then_the_cache_does_not_hide_it(root, tmp_path):
    paths = write_ct(root, 2)
    content = paths[0].read_bytes()
    paths[0].write_bytes(bytes(128) + b"DICM" + bytes(len(content) - 132))
    os.utime(paths[0], (1e9, 1e9))
    cache = tmp_path / "cache.parquet"
    assert run(root, cache=cache)[0]["files"].tolist() == [1]
    paths[0].write_bytes(content)
    os.utime(paths[0], (1e9, 1e9))
    assert run(root, cache=cache)[0]["files"].tolist() == [2]


def test_index_when_there_is_no_dicom_then_a_user_error(root):
    (root / "readme").write_text("text")
    with pytest.raises(UserError, match=r"found 1 files in .* none is a DICOM file"):
        run(root)
    with pytest.raises(UserError, match="no folder"):
        run(root / "absent")


def test_index_when_every_file_is_damaged_then_the_tables_are_there_and_name_it(root):
    for path in write_ct(root, 2):
        path.write_bytes(path.read_bytes()[:200])
    public, _, problems = run(root)
    assert public.empty
    assert problems["found"].tolist() == ["2 files that cannot be read"]


@pytest.mark.parametrize("text", ["", "B30f", "I31f/3", "Discovery ST", "FC-08_H+"])
def test_safe_text_when_harmless_then_as_it_is(text):
    assert safe_text(text) == text


@pytest.mark.parametrize("text", ["B30f^Smith", "x" * 33, "Kern é", "a\nb"])
def test_safe_text_when_anything_else_then_hashed(text):
    assert safe_text(text).startswith("h-")
    assert len(safe_text(text)) == 12
