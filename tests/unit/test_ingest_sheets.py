"""The sheet of NIfTI files and the table of features."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from metaswin.errors import UserError
from metaswin.ingest.sheets import check_files, read_features, read_sheet


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


def test_read_sheet_when_ids_are_repeated_empty_or_unusable_then_they_are_left_out_and_told(tmp_path):
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


def test_check_files_when_all_is_well_then_nothing(tmp_path):
    paths = {"image": volume(tmp_path / "a.nii.gz"), "primary": volume(tmp_path / "b.nii.gz"), "nodes": None}
    assert check_files("P1", paths, automatic=False) == []


def test_check_files_when_files_are_absent_damaged_or_on_another_grid_then_each_is_told(tmp_path):
    (tmp_path / "damaged.nii.gz").write_bytes(b"no volume")
    paths = {"image": volume(tmp_path / "a.nii.gz"), "primary": str(tmp_path / "gone.nii"), "nodes": None}
    absent = check_files("P1", paths, automatic=False)
    damaged = check_files("P1", {**paths, "primary": str(tmp_path / "damaged.nii.gz")}, automatic=False)
    other = check_files("P1", {**paths, "primary": volume(tmp_path / "b.nii.gz", (4, 5, 7))}, automatic=False)
    assert [(p.code, p.found) for p in absent] == [("missing-file", "the primary is not there")]
    assert [(p.code, p.found) for p in damaged] == [("missing-file", "the primary cannot be read as a volume")]
    assert [p.code for p in other] == ["grid-mismatch"]
    assert "4 × 5 × 6 and a mask of the primary of 4 × 5 × 7" in other[0].found
    assert not any(str(tmp_path) in str(problem) for problem in [*absent, *damaged, *other])


def test_check_files_when_no_mask_is_named_then_told_unless_a_model_draws(tmp_path):
    paths = {"image": volume(tmp_path / "a.nii.gz"), "primary": None, "nodes": None}
    assert [p.code for p in check_files("P1", paths, automatic=False)] == ["no-mask"]
    assert check_files("P1", paths, automatic=True) == []


def test_read_features_when_csv_then_ids_stay_text_and_bare_columns_belong_to_the_tumor(tmp_path):
    path = write(tmp_path / "f.csv", "patient_id,primary__a,b\n007,1,2.5\n003,,4\n")
    features, problems = read_features(path)
    assert features.index.tolist() == ["003", "007"]
    assert features.columns.tolist() == ["primary__a", "tumor__b"]
    assert features.loc["007"].tolist() == [1.0, 2.5]
    assert np.isnan(features.loc["003", "primary__a"])
    assert problems == []


def test_read_features_when_parquet_then_the_same(tmp_path):
    pd.DataFrame({"patient_id": ["P1"], "a": [3]}).to_parquet(tmp_path / "f.parquet")
    features, _ = read_features(tmp_path / "f.parquet")
    assert features.loc["P1", "tumor__a"] == 3.0
    assert features.dtypes.tolist() == ["float64"]


def test_read_features_when_ids_repeat_then_left_out_and_told(tmp_path):
    features, problems = read_features(write(tmp_path / "f.csv", "patient_id,a\nP1,1\nP1,2\nP2,3\n"))
    assert features.index.tolist() == ["P2"]
    assert [(p.patient, p.code) for p in problems] == [("P1", "duplicated-row")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,a\n1,2\n", "no column patient_id"),
        ("patient_id,a\n1,x\n", "a: a column of text"),
        ("patient_id\n1\n", "no column but patient_id"),
        ("patient_id,a,tumor__a\n1,2,3\n", "tumor__a: named twice"),
    ],
)
def test_read_features_when_the_table_cannot_be_used_then_a_user_error(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read_features(write(tmp_path / "f.csv", text))


def test_read_features_when_the_file_is_damaged_then_a_user_error(tmp_path):
    (tmp_path / "f.parquet").write_bytes(b"no parquet")
    with pytest.raises(UserError, match="cannot read"):
        read_features(tmp_path / "f.parquet")
