"""A user's table of features: the long form, and all errors at once."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metaswin.core.errors import UserError
from metaswin.core.files import read_json
from metaswin.features.importing import import_features, read_wide, to_long

COHORT = ["001", "A-2", "A-3"]


def imported(folder: Path, text: str, cohort: list[str] = COHORT) -> tuple[pd.DataFrame, pd.DataFrame]:
    (folder / "table.csv").write_text(text, encoding="utf-8")
    pd.DataFrame({"patient": cohort}).to_parquet(folder / "used.parquet")
    paths = [str(folder / name) for name in ("table.csv", "used.parquet", "long.parquet", "problems.parquet")]
    import_features(*paths, details=folder / "details")
    return pd.read_parquet(paths[2]), pd.read_parquet(paths[3])


def test_import_features_when_wide_then_a_row_per_region_with_nan_for_other_regions(tmp_path: Path) -> None:
    text = "patient_id,volume,tumor__mean,ring_0_10mm__mean\nA-2,10,1.5,2\n001,20,-3,\nA-3,30,,4\n"
    long, problems = imported(tmp_path, text)
    assert problems.empty
    expected = pd.DataFrame(
        [
            ["001", "tumor", 20.0, -3.0],
            ["A-2", "ring_0_10mm", np.nan, 2.0],
            ["A-2", "tumor", 10.0, 1.5],
            ["A-3", "ring_0_10mm", np.nan, 4.0],
            ["A-3", "tumor", 30.0, np.nan],
        ],
        columns=["patient", "region", "volume", "mean"],
    )
    pd.testing.assert_frame_equal(long[expected.columns.tolist()], expected, check_like=True)
    assert long["voxels"].isna().all()


def test_import_features_reads_parquet_as_it_reads_csv(tmp_path: Path) -> None:
    table = pd.DataFrame({"patient_id": ["A-2", "001"], "mean": [1.0, np.inf], "tumor__sd": [2, 3]})
    table.to_parquet(tmp_path / "table.parquet")
    wide, unused = read_wide(str(tmp_path / "table.parquet"), COHORT)
    assert unused == []
    assert wide.loc["A-2"].to_dict() == {"tumor__mean": 1.0, "tumor__sd": 2.0}
    assert np.isnan(wide.loc["001", "tumor__mean"])


def test_import_features_when_ids_differ_then_both_sides_reported_and_ids_private(tmp_path: Path) -> None:
    long, problems = imported(tmp_path, "patient_id,mean\nA-2,1\n001,\nJohn Doe,3\n,4\n", cohort=["001", "A-2"])
    assert long["patient"].tolist() == ["A-2"]
    assert problems[["patient", "code"]].to_numpy().tolist() == [
        ["001", "no-feature-values"],
        ["", "unused-feature-rows"],
    ]
    assert not problems["excludes"].any()
    assert "John" not in problems.to_string()
    assert "2 rows" in problems["found"].iloc[1]
    (detail,) = read_json(tmp_path / "details/radiomics/cohort.json")
    assert "John Doe" in detail["private"]


def test_import_features_when_table_has_errors_then_all_reported_nothing_written(tmp_path: Path) -> None:
    text = "patient_id,mean,tumor__mean,node__sd,kernel\nA-2,1,1,1,soft\nA-2,1,1,1,sharp\n001,1,1,1,\n"
    with pytest.raises(UserError) as error:
        imported(tmp_path, text)
    message = str(error.value)
    assert "1 ids in more than one row (A-2)" in message
    assert "'tumor__mean' is in more than one column" in message
    assert "column 'node__sd': expected <region>__<feature>" in message
    assert "column 'kernel': 2 values are not numbers, such as 'soft'" in message
    assert not (tmp_path / "long.parquet").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("patient,mean\nA-2,1\n", "no column 'patient_id'; rename 'patient'"),
        ("patient_id,mean,mean\nA-2,1,2\n", "columns named twice: mean"),
        ("", "cannot read"),
        ("patient_id\nA-2\n", "no column except patient_id"),
    ],
)
def test_import_features_when_the_header_is_wrong_then_user_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        imported(tmp_path, text)


def test_to_long_keeps_no_row_of_a_region_without_values() -> None:
    wide = pd.DataFrame({"tumor__a": [1.0, np.nan]}, index=pd.Index(["x", "y"], name="patient"))
    assert to_long(wide)["patient"].tolist() == ["x"]
