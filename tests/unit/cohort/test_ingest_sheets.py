"""The sheet of NIfTI files and the ids of the table of features."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from metaswin.cohort.sheets import check_files, read_feature_ids, read_sheet
from metaswin.core.errors import UserError


def volume(path: Path, size: tuple[int, int, int] = (4, 5, 6)) -> str:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros(size[::-1], np.uint8)), str(path))
    return str(path)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_read_sheet_when_paths_are_relative_then_they_start_at_its_folder(tmp_path):
    sheet = read_sheet(write(tmp_path / "s.csv", "patient_id,image,primary,nodes\nP1,a.nii.gz,/x/p.nii.gz,\n"))
    assert sheet.rows == {"P1": {"image": str(tmp_path / "a.nii.gz"), "primary": "/x/p.nii.gz", "nodes": None}}
    assert sheet.problems == []


def test_read_sheet_when_ids_are_repeated_empty_or_unusable_then_rows_are_excluded(tmp_path):
    text = "patient_id,image,primary,nodes\nP1,a,b,\nP1,c,d,\n,a,b,\nDoe^J,a,b,\nP2,a,b,\n"
    sheet = read_sheet(write(tmp_path / "s.csv", text))
    assert list(sheet.rows) == ["P2"]
    assert [(p.patient, p.code) for p in sheet.problems] == [
        ("", "no-id"), ("", "unusable-id"), ("P1", "duplicated-row"),
    ]  # fmt: skip
    assert not any("Doe" in str(problem) for problem in sheet.problems)


def test_read_sheet_when_a_column_is_missing_then_the_error_names_it_and_the_header(tmp_path):
    with pytest.raises(UserError, match=r"no column nodes .*patient_id,image,primary,nodes"):
        read_sheet(write(tmp_path / "s.csv", "patient_id,image,primary\nP1,a,b\n"))
    with pytest.raises(UserError, match="cannot read"):
        read_sheet(tmp_path / "absent.csv")


def test_read_sheet_when_only_masks_are_needed_then_no_image_column(tmp_path):
    sheet = read_sheet(write(tmp_path / "s.csv", "patient_id,primary,nodes\nP1,,n.nii\n"), need_image=False)
    assert sheet.rows["P1"]["nodes"] == str(tmp_path / "n.nii")


def test_check_files_when_all_files_are_valid_then_no_message(tmp_path):
    paths = {"image": volume(tmp_path / "a.nii.gz"), "primary": volume(tmp_path / "b.nii.gz"), "nodes": None}
    assert check_files("P1", paths, automatic=False) == []


def test_check_files_when_absent_damaged_or_on_another_grid_then_each_is_reported(tmp_path):
    (tmp_path / "damaged.nii.gz").write_bytes(b"no volume")
    paths = {"image": volume(tmp_path / "a.nii.gz"), "primary": str(tmp_path / "gone.nii"), "nodes": None}
    absent = check_files("P1", paths, automatic=False)
    damaged = check_files("P1", {**paths, "primary": str(tmp_path / "damaged.nii.gz")}, automatic=False)
    other = check_files("P1", {**paths, "primary": volume(tmp_path / "b.nii.gz", (4, 5, 7))}, automatic=False)
    assert [(p.code, p.found) for p in absent] == [("missing-file", "the primary does not exist")]
    assert [(p.code, p.found) for p in damaged] == [("missing-file", "the primary cannot be read as a volume")]
    assert [p.code for p in other] == ["grid-mismatch"]
    assert "4 × 5 × 6 and a mask of the primary of 4 × 5 × 7" in other[0].found
    assert not any(str(tmp_path) in str(problem) for problem in [*absent, *damaged, *other])


def test_check_files_when_no_mask_is_named_then_reported_unless_a_model_draws(tmp_path):
    paths = {"image": volume(tmp_path / "a.nii.gz"), "primary": None, "nodes": None}
    assert [p.code for p in check_files("P1", paths, automatic=False)] == ["no-mask"]
    assert check_files("P1", paths, automatic=True) == []


def test_read_feature_ids_when_csv_then_ids_stay_text_and_repeated_ones_are_reported(tmp_path):
    ids, problems = read_feature_ids(write(tmp_path / "f.csv", "a,patient_id\n1,007\n2, 003\n3,P1\n4,P1\n5,\n"))
    assert ids == {"007", "003"}
    assert [(p.patient, p.code) for p in problems] == [("", "no-id"), ("P1", "duplicated-row")]


def test_read_feature_ids_when_rows_end_with_a_separator_then_no_column_shifts(tmp_path):
    assert read_feature_ids(write(tmp_path / "f.csv", "a,patient_id,b\n1,P1,2,\n1,P2,3,\n")) == ({"P1", "P2"}, [])


def test_read_feature_ids_when_parquet_then_numbers_become_text(tmp_path):
    pd.DataFrame({"patient_id": [3, 12], "a": [1.0, 2.0]}).to_parquet(tmp_path / "f.parquet")
    assert read_feature_ids(tmp_path / "f.parquet") == ({"3", "12"}, [])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("f.csv", "id,a\n1,2\n", "no column patient_id"),
        ("f.parquet", "no parquet", "cannot read"),
        ("f.csv", "", "cannot read"),
    ],
)
def test_read_feature_ids_when_the_table_cannot_be_used_then_a_user_error(tmp_path, name, text, message):
    with pytest.raises(UserError, match=message):
        read_feature_ids(write(tmp_path / name, text))
