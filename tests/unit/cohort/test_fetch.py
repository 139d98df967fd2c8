"""Fetching from a DICOMweb server that fails in every way; the real one is in tests/workflow/test_dicomweb.py."""

import errno
import shutil
import ssl
import subprocess
from datetime import date
from pathlib import Path

import pytest
from dicomweb_server import FakePacs, encoded, objects, running

from metaswin.cli import main
from metaswin.cohort import dicomweb
from metaswin.cohort.dicomweb import Server, checked_url, only_part
from metaswin.cohort.fetch import Selection, fetch, patient_folder, read_patients
from metaswin.core.errors import UserError

ALL = Selection()


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch, tmp_path):
    """No credentials of the person who runs the tests."""
    for name in (dicomweb.TOKEN, dicomweb.USER, dicomweb.PASSWORD):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def server(pacs: FakePacs, timeout: float = 5.0) -> Server:
    return Server(pacs.url, timeout=timeout, first_wait=0.01)


def contents(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def wanted(found) -> dict[str, bytes]:
    return {f"{one.PatientID}/{one.SeriesInstanceUID}/{one.SOPInstanceUID}.dcm": encoded(one) for one in found}


@pytest.mark.parametrize("ignores_filters", [False, True])
def test_fetch_when_the_server_has_more_then_only_selected_series_of_listed_patients(tmp_path, ignores_filters):
    chosen = objects("A-1") + objects("B-2", "RTSTRUCT")
    others = objects("A-10") + objects("A-1", "PT") + objects("A-1", "SEG", description="metaswin: tumour")
    with running(FakePacs(chosen + others, ignores_filters=ignores_filters)) as pacs:
        lines = []
        fetch(server(pacs), ["A-1", "B-2"], ALL, tmp_path / "out", show=lines.append)
        assert contents(tmp_path / "out") == wanted(chosen)
        assert sorted(lines) == ["A-1: 3 files, 3 of them new", "B-2: 3 files, 3 of them new"]
        (tmp_path / "out" / next(iter(wanted(chosen)))).unlink()
        pacs.asked.clear()
        fetch(server(pacs), ["A-1", "B-2"], ALL, tmp_path / "out", show=lines.append)
    assert contents(tmp_path / "out") == wanted(chosen)
    assert sum("/instances/" in path for path in pacs.asked) == 1


def test_fetch_when_dates_are_given_then_other_studies_are_omitted_and_named(tmp_path):
    found = objects("A", date="20150630") + objects("B", date="20160101") + objects("C", date="")
    selection = Selection(first=date(2015, 1, 1), last=date(2015, 12, 31))
    with running(FakePacs(found)) as pacs, pytest.raises(UserError, match=r"in the selected dates.*: B, C$"):
        fetch(server(pacs), ["A", "B", "C"], selection, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"A"}
    assert any("StudyDate=20150101-20151231" in path for path in pacs.asked)


def test_fetch_when_the_server_fails_for_a_while_then_everything_is_there(tmp_path):
    found = objects("A")
    failures = [("/studies?", 500), ("/series?", 503), ("/instances/", 500), ("/instances/", 502)]
    with running(FakePacs(found, failures=failures)) as pacs:
        fetch(server(pacs), ["A"], ALL, tmp_path)
    assert pacs.failures == []
    assert contents(tmp_path) == wanted(found)


def test_fetch_when_one_object_always_fails_then_the_rest_is_fetched_and_the_patient_named(tmp_path):
    found = objects("A") + objects("B")
    broken = found[1].SOPInstanceUID
    with running(FakePacs(found, failures=[(broken, 500)] * dicomweb.ATTEMPTS)) as pacs:
        with pytest.raises(UserError) as error:
            fetch(server(pacs), ["A", "B"], ALL, tmp_path)
        assert "HTTP 500 (5 attempts): A" in str(error.value)
        assert len(contents(tmp_path)) == 5
        fetch(server(pacs), ["A", "B"], ALL, tmp_path)
    assert contents(tmp_path) == wanted(found)


def test_fetch_when_one_patient_times_out_then_the_others_are_fetched(tmp_path):
    with running(FakePacs(objects("A") + objects("SLOW"), slow="PatientID=SLOW")) as pacs:
        with pytest.raises(
            UserError, match=r"no answer from the server for 0\.2 s; see --timeout \(5 attempts\): SLOW$"
        ):
            fetch(server(pacs, timeout=0.2), ["A", "SLOW"], ALL, tmp_path)
        assert len(contents(tmp_path)) == 3


def test_fetch_when_credentials_are_refused_then_one_message_after_one_request(tmp_path, monkeypatch):
    monkeypatch.setenv(dicomweb.USER, "reader")
    monkeypatch.setenv(dicomweb.PASSWORD, "hunter-22")
    refusing = FakePacs(objects("A"), failures=[("/studies", 401)] * 9)
    with running(refusing) as pacs, pytest.raises(UserError) as error:
        fetch(server(pacs), ["A"], ALL, tmp_path)
    assert len(pacs.asked) == 1
    assert pacs.authorizations[0].startswith("Basic ")
    assert "HTTP 401" in str(error.value)
    for secret in ("hunter-22", "Doe^Jane", "1.2.", "127.0.0.1"):
        assert secret not in str(error.value)


def test_fetch_when_no_server_listens_then_one_message(tmp_path):
    with running(FakePacs([])) as pacs:
        pass
    with pytest.raises(UserError, match="no connection to the server"):
        fetch(server(pacs), ["A", "B"], ALL, tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda body: body[:-40], "cut short"),
        (lambda body: body.replace(b"DICM", b"XXXX"), "not DICOM"),
        (lambda body: body.replace(b"2.25.", b"2.26."), "another object"),
        (lambda body: body.replace(b"PATIENT-A", b"PATIENT-B"), "another patient"),
        (lambda body: body + bytes(2**20), "larger than 0 MiB"),
    ],
)
def test_fetch_when_an_object_is_damaged_then_no_file_and_the_patient_is_named(tmp_path, monkeypatch, damage, message):
    monkeypatch.setattr(dicomweb, "OBJECT_LIMIT", 2**19)
    found = objects("PATIENT-A")
    for number, image in enumerate(found):
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"2.25.{number + 1}"
    with running(FakePacs(found, damage=damage)) as pacs, pytest.raises(UserError, match=message) as error:
        fetch(server(pacs), ["PATIENT-A"], ALL, tmp_path)
    assert str(error.value).endswith("PATIENT-A")
    assert contents(tmp_path) == {}


def test_fetch_when_the_disk_is_full_then_one_message_without_uids(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    found = objects("A") + objects("B")
    with running(FakePacs(found)) as pacs, pytest.raises(UserError) as error:
        fetch(server(pacs), ["A", "B"], ALL, tmp_path, jobs=1)
    assert str(error.value).splitlines()[0] == (
        "metaswin fetch: cannot write below --out: the disk is full; free some space and run again"
    )
    assert contents(tmp_path) == {}


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")  # the command itself ignores pydicom's warnings
def test_fetch_when_a_uid_could_leave_the_folder_then_nothing_is_written(tmp_path):
    found = objects("A")
    found[0].SOPInstanceUID = "../../1.2"
    with running(FakePacs(found)) as pacs, pytest.raises(UserError, match="invalid UID: A"):
        fetch(server(pacs), ["A"], ALL, tmp_path)
    assert contents(tmp_path) == {}


def test_fetch_when_the_folder_is_in_use_then_it_says_so(tmp_path):
    import fcntl
    import os

    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(UserError, match="another process fetches into"):
        fetch(Server("http://127.0.0.1:9"), ["A"], ALL, tmp_path)
    os.close(descriptor)


@pytest.mark.parametrize("way", ["netrc", "token", "token over netrc"])
def test_credentials_when_of_netrc_or_a_token_then_they_are_sent(tmp_path, monkeypatch, way):
    if "netrc" in way:
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
        (tmp_path / "netrc").chmod(0o600)
    if "token" in way:
        monkeypatch.setenv(dicomweb.TOKEN, "abc")
    with running(FakePacs(objects("A"))) as pacs:
        fetch(server(pacs), ["A"], ALL, tmp_path / "out")
    assert set(pacs.authorizations) == {"Basic bWU6c2VjcmV0" if way == "netrc" else "Bearer abc"}


def test_fetch_when_the_certificate_is_unknown_then_it_ends(tmp_path, monkeypatch):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    found = objects("A")
    with running(FakePacs(found), context) as pacs:
        with pytest.raises(UserError, match="certificate of the server could not be verified"):
            fetch(server(pacs), ["A"], ALL, tmp_path / "out")
        assert pacs.asked == []
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        fetch(server(pacs), ["A"], ALL, tmp_path / "out")
    assert contents(tmp_path / "out") == wanted(found)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://me:secret@pacs.org/dicom-web", "contains a user or a password"),
        ("http://pacs.org/dicom-web", "unencrypted"),
        ("ftp://pacs.org", "not the URL"),
        ("pacs.org/dicom-web", "not the URL"),
        ("https://pacs.org:x/", "not the URL"),
    ],
)
def test_url_when_unsafe_or_wrong_then_what_to_give(url, message):
    with pytest.raises(UserError, match=message) as error:
        checked_url(url)
    assert "secret" not in str(error.value)


def test_url_when_https_or_this_machine_then_it_is_taken():
    assert checked_url("https://pacs.org/dicom-web/") == "https://pacs.org/dicom-web"
    assert checked_url("http://127.0.0.1:8042/dicom-web") == "http://127.0.0.1:8042/dicom-web"
    assert checked_url("http://pacs.local", plain_http=True) == "http://pacs.local"


def test_part_when_sent_without_an_envelope_or_with_two_objects_then_one_or_an_error():
    assert only_part(b"bytes", "application/dicom") == b"bytes"
    two = b"--s\r\n\r\na\r\n--s\r\n\r\nb\r\n--s--"
    with pytest.raises(UserError, match="not one DICOM object"):
        only_part(two, "multipart/related; boundary=s")
    with pytest.raises(UserError, match="not a DICOM object"):
        only_part(b"<html>", "text/html")


def test_patients_when_read_then_each_once_and_wildcards_are_refused(tmp_path):
    table = tmp_path / "list.csv"
    table.write_text("patient_id;age\nB;1\nA;2\nB;3\n;4\n")
    assert read_patients(table, "patient_id") == ["A", "B"]
    with pytest.raises(UserError, match=r"no column 'patient'.*did you mean 'patient_id'"):
        read_patients(table, "patient")
    table.write_text("patient_id\nA*\nB?\nC\n")
    with pytest.raises(UserError, match=r"(?s)match other patients.*A\*.*B\?"):
        read_patients(table, "patient_id")
    assert patient_folder("A-1") == "A-1"
    assert patient_folder("../A").startswith("id-")


def test_command_when_several_options_are_wrong_then_all_are_named(tmp_path, capsys):
    arguments = ["--dicomweb", "http://pacs.org", "--out", str(tmp_path), "--jobs", "0", "--timeout", "0"]
    arguments += ["--from", "2016-01-01", "--to", "2015-01-01"]
    assert main(["fetch", *arguments]) == 1
    text = capsys.readouterr().err
    for part in ("--dicomweb", "--patients is missing", "--jobs", "--timeout", "--from is later"):
        assert part in text
