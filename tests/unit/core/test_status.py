"""Status files: how a data problem is passed on."""

import pytest

from metaswin.core.files import read_json
from metaswin.core.problems import BadData, Problem, from_table, public_table
from metaswin.core.status import Status, exclude, passed_on, patient_job, read_status, write_status

PROBLEM = Problem("A", "images", "empty-mask", "0 voxels", "1 or more", "draw it", private="/secret/path ROI Smith")


def test_exclusion_when_passed_on_then_outputs_are_empty_and_first_stage_is_named(tmp_path):
    first, second = tmp_path / "images.json", tmp_path / "organs.json"
    exclude(first, Status("A", "images", PROBLEM), [tmp_path / "ct.nii.gz"], tmp_path / "private")
    assert (tmp_path / "ct.nii.gz").stat().st_size == 0
    assert passed_on(first, "organs", second, [tmp_path / "organs.nii.gz"], tmp_path / "private")
    status = read_status(second)
    assert not status.ok
    assert (status.problem.stage, status.problem.code) == ("images", "empty-mask")
    assert (tmp_path / "organs.nii.gz").stat().st_size == 0


def test_ok_when_upstream_is_ok_then_nothing_is_passed_on(tmp_path):
    write_status(tmp_path / "a.json", Status("A", "images"), tmp_path / "private")
    assert not passed_on(tmp_path / "a.json", "organs", tmp_path / "b.json", [], tmp_path / "private")
    assert not (tmp_path / "b.json").exists()


def test_status_when_problem_has_a_private_part_then_only_private_folder_contains_it(tmp_path):
    exclude(tmp_path / "s.json", Status("A", "images", PROBLEM), [], tmp_path / "private")
    assert "Smith" not in (tmp_path / "s.json").read_text()
    assert read_json(tmp_path / "private/images/A.json") == [{"code": "empty-mask", "private": PROBLEM.private}]
    assert read_status(tmp_path / "s.json").problem.private == "see private/details/images/A.json"


def test_public_table_when_made_then_private_text_is_absent_and_problems_come_back():
    table = public_table([PROBLEM])
    assert "Smith" not in table.to_csv()
    assert table["detail"].tolist() == ["images/A.json"]
    (back,) = from_table(table)
    assert (back.patient, back.code, back.excludes) == ("A", "empty-mask", True)
    assert public_table([back])["detail"].tolist() == ["images/A.json"]


def test_patient_job_when_data_are_bad_then_excluded_but_when_a_bug_nothing_written(tmp_path):
    path, output = tmp_path / "status.json", tmp_path / "ct.nii.gz"
    with patient_job("A", "images", path, [output], tmp_path / "private") as findings:
        findings.warn("odd-spacing", "3.27 mm", "3 mm", "nothing")
        raise BadData("empty-mask", "0 voxels", "1 or more", "draw it")
    status = read_status(path)
    assert status.problem.code == "empty-mask"
    assert [w.code for w in status.warnings] == ["odd-spacing"]
    path.unlink()
    output.unlink()
    with pytest.raises(ZeroDivisionError), patient_job("A", "images", path, [output], tmp_path / "private"):
        raise ZeroDivisionError
    assert not path.exists()
    assert not output.exists()
