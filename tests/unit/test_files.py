"""Writing beside and renaming."""

import pandas as pd
import pytest

from metaswin.files import atomic, read_json, read_table, write_json, write_table


def test_atomic_when_the_writer_fails_then_the_old_file_stays_and_nothing_is_left_beside(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write_half():
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_when_written_then_ending_is_kept_for_writers_that_look_at_it(tmp_path):
    with atomic(tmp_path / "a" / "ct.nii.gz") as temporary:
        assert temporary.name.endswith("ct.nii.gz")
        temporary.write_bytes(b"x")
    assert (tmp_path / "a" / "ct.nii.gz").read_bytes() == b"x"


def test_json_when_value_is_nan_then_it_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_json_and_table_when_written_then_read_back_equal(tmp_path):
    write_json(tmp_path / "x.json", {"b": [1, None], "a": "µ"})
    assert read_json(tmp_path / "x.json") == {"a": "µ", "b": [1, None]}
    table = pd.DataFrame({"patient": ["A", "B"], "x": [1.5, None]})
    write_table(tmp_path / "t.parquet", table, {"engine": "e"})
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet"), table)
    import pyarrow.parquet as pq

    assert pq.read_schema(tmp_path / "t.parquet").metadata[b"engine"] == b"e"


def test_table_when_written_twice_then_bytes_are_equal(tmp_path):
    table = pd.DataFrame({"patient": ["A"], "x": [0.1]})
    write_table(tmp_path / "1.parquet", table)
    write_table(tmp_path / "2.parquet", table)
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()
