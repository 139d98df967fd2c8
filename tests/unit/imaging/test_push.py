"""Storing exported objects on a DICOMweb server that refuses some; the real one is in tests/workflow."""

import pytest
from dicomweb_server import FakePacs, encoded, objects, running

from metaswin.cli import main
from metaswin.cohort.dicomweb import Server
from metaswin.core.errors import UserError
from metaswin.imaging.push import push


@pytest.fixture
def folder(tmp_path):
    """Exports of three patients, one of them excluded."""
    for patient in ("A", "B"):
        for name, data in zip(("report", "segmentation"), objects(patient), strict=False):
            path = tmp_path / patient / f"{name}.dcm"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(encoded(data))
    (tmp_path / "C").mkdir()
    (tmp_path / "C/report.dcm").touch()
    (tmp_path / "A/.part-1-report.dcm").write_bytes(b"half")
    return tmp_path


def server(pacs):
    return Server(pacs.url, timeout=5, first_wait=0.01)


def test_push_when_a_server_fails_once_then_all_but_empty_exports_are_stored(folder):
    lines = []
    with running(FakePacs([], failures=[("/studies", 500)])) as pacs:
        push(server(pacs), folder, show=lines.append)
    assert sorted(data.PatientID for data in pacs.stored) == ["A", "A", "B", "B"]
    assert {encoded(data) for data in pacs.stored} == {path.read_bytes() for path in folder.glob("[AB]/[a-z]*")}
    assert sorted(lines) == [
        "A: 2 objects stored", "B: 2 objects stored", "C: empty export of an excluded patient, skipped",
    ]  # fmt: skip


def test_push_when_one_patient_is_refused_then_the_others_are_stored(folder):
    with running(FakePacs([], refuses="A")) as pacs, pytest.raises(UserError, match="did not confirm") as error:
        push(server(pacs), folder)
    assert "A: report.dcm" in str(error.value)
    assert [data.PatientID for data in pacs.stored] == ["B", "B"]


def test_push_when_the_response_is_empty_then_it_does_not_count_as_stored(folder):
    with running(FakePacs([], silent=True)) as pacs, pytest.raises(UserError, match="did not confirm"):
        push(server(pacs), folder)


def test_push_when_credentials_are_refused_then_one_message(folder):
    with running(FakePacs([], failures=[("/studies", 401)] * 9)) as pacs:
        with pytest.raises(UserError, match="HTTP 401") as error:
            push(server(pacs), folder, jobs=1)
        assert len(str(error.value).splitlines()) == 1


def test_command_when_nothing_was_exported_then_what_to_do(tmp_path, capsys):
    assert main(["push", "--dicomweb", "http://127.0.0.1:9", "--export", str(tmp_path)]) == 1
    assert "run the target export first" in capsys.readouterr().err
