"""The viewer: what it serves to whom, what it hides, and the page in a browser."""

import json
import socket
import tarfile
import threading
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pandas as pd
import pytest
from browser import executable, launched, opened
from images_dicom import rtstruct_source, write_source
from viewed_run import HIDDEN, draw_prediction, draw_results, draw_run

from metaswin.cli import main
from metaswin.cohort.review import read_review
from metaswin.config.imaging import ImagesSettings
from metaswin.core.errors import UserError
from metaswin.core.files import read_table, write_table
from metaswin.imaging.convert import convert_patient
from metaswin.running.viewer import MOST_BYTES, Server, serve
from metaswin.running.viewer_data import ViewedRun


@contextmanager
def served(folder: Path, with_results: bool = False):
    with Server(ViewedRun.of(folder, [], with_results)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that has no results yet."""
    return draw_run(tmp_path_factory.mktemp("viewed") / "study")


@pytest.fixture
def finished(tmp_path):
    draw_run(tmp_path / "finished")
    draw_results(tmp_path / "finished")
    return tmp_path / "finished"


@pytest.fixture
def server(run):
    with served(run) as found:
        yield found


def asked(server, path, method="GET", body=None, **headers):
    """Status, headers and body of an answer; the path is sent as it is."""
    connection = HTTPConnection(*server.server_address, timeout=20)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    found = answer.status, answer.headers, answer.read()
    connection.close()
    return found


def decided(server, value, **headers):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return asked(server, f"/{server.token}/review", "POST", body, **{"Content_Type": "application/json", **headers})


# What is served to whom.


@pytest.mark.parametrize(
    "path", ["/", "/run.json", "//run.json", "/{wrong}/", "/{wrong}/run.json", "/../{token}/run.json"]
)
def test_request_when_the_token_is_wrong_then_refused_without_details(server, path):
    wrong = server.token[:-1] + ("A" if server.token[-1] != "A" else "B")
    status, _, body = asked(server, path.format(wrong=wrong, token=server.token))
    assert (status, json.loads(body)) == (403, {"error": "Forbidden"})


@pytest.mark.parametrize(
    "path",
    [
        "../../private/review.csv", "volumes/../../../etc/passwd", "volumes/P1/../../cohort/used.parquet",
        "volumes/..%2f..%2fprivate/ct.nii.gz", "volumes/%2e%2e/ct.nii.gz", "volumes/P1/%2e%2e%2fstatus.nii.gz",
        "volumes", "volumes/", "volumes/P1/", "volumes/P1/status.json", "volumes/P9/ct.nii.gz", "volumes/P4/ct.nii.gz",
        "layers/..%2fP1", "viewer.py", "../viewer.py", "volumes/P1/map-..%2f..%2fprivate.nii.gz", "review",
    ],
)  # fmt: skip
def test_request_when_it_names_anything_else_then_not_found(server, path):
    status, _, body = asked(server, f"/{server.token}/{path}")
    assert (status, json.loads(body)) == (404, {"error": "Not Found"})


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Host": "127.0.0.1.evil.example:80"}, {"Origin": "http://evil.example"}]
)
def test_request_when_from_another_site_then_refused(server, headers):
    assert asked(server, f"/{server.token}/run.json", **headers)[0] == 403
    value = {"patient": "P1", "decision": "accepted", "comment": ""}
    assert decided(server, value, **headers)[0] == 403


def test_volume_when_requested_then_the_file_with_headers_against_other_sites(server, run):
    status, headers, body = asked(server, f"/{server.token}/volumes/P1/ct.nii.gz", Host="localhost:9")
    assert (status, body) == (200, (run / "results/images/P1/ct.nii.gz").read_bytes())
    assert "Access-Control-Allow-Origin" not in headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "Python" not in headers["Server"]


def test_server_when_started_then_on_the_loopback_interface_with_a_token_of_its_own(run):
    with served(run) as first, served(run) as second:
        assert first.server_address[0] == second.server_address[0] == "127.0.0.1"
        assert first.token != second.token
        assert len(first.token) == 32


def test_file_when_a_link_leads_out_of_the_results_then_not_served(tmp_path):
    draw_run(tmp_path / "study")
    (tmp_path / "secret.nii.gz").write_bytes(b"secret")
    target = tmp_path / "study/results/images/P1/ct.nii.gz"
    target.unlink()
    target.symlink_to(tmp_path / "secret.nii.gz")
    with served(tmp_path / "study") as server:
        assert asked(server, f"/{server.token}/volumes/P1/ct.nii.gz")[0] == 404


# Decisions.


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (b"", 400), (b"{", 400), (b"[1]", 400), ({"patient": "P1", "decision": "exclude"}, 400),
        ({"patient": "P1", "decision": "drop", "comment": "x"}, 400),
        ({"patient": "P1", "decision": "exclude", "comment": "  "}, 400),
        ({"patient": "P1", "decision": "exclude", "comment": 3}, 400),
        ({"patient": "P9", "decision": "exclude", "comment": "x"}, 400),
        ({"patient": "P1", "decision": "check", "comment": "x" * 2001}, 400),
        (b" " * (MOST_BYTES + 1), 413),
    ],
)  # fmt: skip
def test_decision_when_wrong_or_too_long_then_refused_and_nothing_is_saved(server, run, value, status):
    assert decided(server, value)[0] == status
    assert not (run / "private/review.csv").exists()


def test_decision_when_not_json_or_without_length_then_refused(server):
    value = {"patient": "P1", "decision": "accepted", "comment": ""}
    assert decided(server, value, Content_Type="text/plain")[0] == 415
    with socket.create_connection(server.server_address, timeout=20) as connection:
        head = f"POST /{server.token}/review HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 411 ")


def test_decision_when_saved_then_it_records_whether_predictions_could_be_known(tmp_path):
    folder = draw_run(tmp_path / "study")
    value = {"patient": "P1", "decision": "exclude", "comment": "metal\nof teeth"}
    with served(folder) as server:
        status, _, body = decided(server, value)
    assert status == 200
    assert json.loads(body)["comment"] == "metal of teeth"
    assert read_review(folder / "private/review.csv")["P1"].predictions == "none"
    assert not (folder / "results/review").exists()

    draw_results(folder)
    with served(folder) as server:
        assert decided(server, {**value, "patient": "P2"})[0] == 200
    with served(folder, with_results=True) as server:
        assert decided(server, {**value, "patient": "P3"})[0] == 200
    found = read_review(folder / "private/review.csv")
    assert {patient: one.predictions for patient, one in found.items()} == {"P1": "none", "P2": "hidden", "P3": "shown"}
    kept = read_table(folder / "results/review/predictions.parquet")
    assert kept["patient"].tolist() == ["P1", "P2", "P3"]


def test_review_when_results_exist_then_nothing_of_them_leaves_the_server(finished):
    with served(finished) as server:
        body = asked(server, f"/{server.token}/run.json")[2].decode()
        layers = asked(server, f"/{server.token}/layers/P1")[2].decode()
        assert asked(server, f"/{server.token}/volumes/P1/map-dm.nii.gz")[0] == 404
    for word in ("risk", "event", HIDDEN, "negative-time", "0.9", "map"):
        assert word not in body + layers
    assert json.loads(body)["predictions_exist"]
    with served(finished, with_results=True) as server:
        body = asked(server, f"/{server.token}/run.json")[2].decode()
        assert asked(server, f"/{server.token}/volumes/P1/map-dm.nii.gz")[0] == 200
    rows = {row["patient"]: row for row in json.loads(body)["patients"]}
    assert rows["P1"]["results"] == {"dm": {"risk": 0.9, "outcome": "event"}}
    assert rows["P3"]["results"]["dm"]["outcome"] == "unknown"
    assert HIDDEN in body


def test_patient_when_excluded_by_an_earlier_review_then_still_listed(tmp_path):
    folder = draw_run(tmp_path / "study")
    for name in ("patients", "used"):
        write_table(folder / f"results/cohort/{name}.parquet", pd.DataFrame({"patient": ["P2", "P3"]}))
    assert [row["patient"] for row in ViewedRun.of(folder, [], False).patients()] == ["P1", "P2", "P3", "P4"]


def test_command_when_there_is_no_run_or_no_such_patient_then_one_sentence(tmp_path, capsys):
    assert main(["view", "--directory", str(tmp_path)]) == 1
    assert "found no patients" in capsys.readouterr().err
    folder = draw_run(tmp_path / "study")
    assert main(["view", "--directory", str(folder), "--patient", "P11"]) == 1
    assert "no patient 'P11' among 4; did you mean 'P1'?" in capsys.readouterr().err
    assert main(["view", "--directory", str(folder), "--results"]) == 1
    assert "has no predictions yet" in capsys.readouterr().err
    with served(folder) as server, pytest.raises(UserError, match="give another port"):
        serve(ViewedRun.of(folder, [], False), None, server.server_address[1])


# The page.


@pytest.fixture(scope="module")
def browser():
    executable()
    with launched(webgl=True) as found:
        yield found


def shown(browser, server, patient):
    watched = opened(browser, f"{server.url}#{patient}", 900, 600)
    ready(watched.page, patient)
    return watched


def ready(page, patient):
    page.wait_for_selector(f"body[data-ready='{patient}']", timeout=120_000)


def quiet(watched):
    """Whether nothing was asked of another machine and the console is empty but for what `colours` itself does."""
    return not watched.requests and all("GPU stall due to ReadPixels" in text for text in watched.complaints)


def colours(page):
    """Red, green and blue summed over the canvas."""
    return page.evaluate(
        """async () => {
          viewer.drawScene();
          const gl = viewer.gl, [w, h] = [gl.drawingBufferWidth, gl.drawingBufferHeight];
          const found = new Uint8Array(4 * w * h);
          gl.readPixels(0, 0, w, h, gl.RGBA, gl.UNSIGNED_BYTE, found);
          const sums = [0, 0, 0];
          for (let i = 0; i < found.length; i++) if (i % 4 < 3) sums[i % 4] += found[i];
          return sums;
        }"""
    )


def test_page_when_a_patient_is_reviewed_then_volumes_overlays_and_decision_work_offline(browser, tmp_path, capfd):
    folder = draw_run(tmp_path / "study")
    draw_results(folder)
    with served(folder) as server:
        watched = shown(browser, server, "P2")
        page = watched.page
        assert page.evaluate("viewer.volumes.map((volume) => volume.name)") == [
            "ct.nii.gz", "primary.nii.gz", "nodes.nii.gz", "rings.nii.gz", "organs.nii.gz",
        ]  # fmt: skip
        assert page.inner_text("#hu") == "HU 60"
        assert page.inner_text("#here") == "Primary tumour"
        assert page.inner_text("#count") == "4 of 4 patients, 0 reviewed"

        with_tumour = colours(page)
        page.uncheck("[data-layer=primary] input[type=checkbox]")
        without = colours(page)
        assert with_tumour[0] - with_tumour[2] > without[0] - without[2]
        page.check("[data-layer=primary] input[type=checkbox]")
        assert colours(page) == with_tumour
        page.evaluate(
            "() => { const range = document.querySelector('[data-layer=primary] input[type=range]');"
            "range.value = 1; range.dispatchEvent(new Event('input')); }"
        )
        filled = colours(page)
        assert filled[0] > with_tumour[0]
        page.check("#outline")
        assert colours(page) != filled
        assert page.inner_text("#here") == "Primary tumour"
        page.uncheck("#outline")
        assert colours(page) == filled
        page.select_option("#window", label="Bone 2000 / 500")
        assert page.evaluate("[viewer.volumes[0].cal_min, viewer.volumes[0].cal_max]") == [-500, 1500]
        page.click("#views >> text=Coronal")
        assert page.evaluate("viewer.opts.sliceType") == 1

        page.select_option("#filter", "warning:ring-at-border")
        assert page.inner_text("#count").startswith("1 of 4")
        page.select_option("#filter", "excluded:missing-slices")
        assert page.locator("#patients tr").evaluate_all("rows => rows.map((row) => row.dataset.patient)") == ["P4"]
        page.select_option("#filter", "all")
        assert page.locator("#risk-from").is_hidden()
        assert page.locator("#heads th").count() == 3

        page.click("#decisions >> text=exclude")
        page.click("#save")
        assert page.inner_text("#saved") == "Give the reason."
        page.fill("#comment", "<b>metal</b> of teeth")
        page.click("#save")
        page.get_by_text("Saved. Decided").wait_for()
        assert page.inner_text("tr[data-patient=P2] td:nth-child(3)") == "exclude"
        page.click("#next")
        ready(page, "P3")
        assert page.input_value("#comment") == ""
        page.click("#previous")
        ready(page, "P2")
        assert page.input_value("#comment") == "<b>metal</b> of teeth"
        page.click("tr[data-patient=P4]")
        ready(page, "P4")
        assert "no images" in page.inner_text("#message")
        assert quiet(watched)
    (found,) = read_review(folder / "private/review.csv").values()
    assert (found.patient, found.decision, found.predictions) == ("P2", "exclude", "hidden")
    assert capfd.readouterr() == ("", "")


def test_page_when_results_are_shown_then_risks_sort_and_the_map_is_an_overlay(browser, finished):
    with served(finished, with_results=True) as server:
        watched = shown(browser, server, "P1")
        page = watched.page
        page.click("#heads >> text=Risk")
        rows = page.locator("#patients tr")
        assert rows.evaluate_all("rows => rows.map((row) => row.dataset.patient)") == ["P1", "P3", "P2", "P4"]
        page.fill("#risk-from", "0.5")
        assert rows.count() == 2
        assert "risk 0.900; outcome: event" in page.inner_text("#results")
        before = colours(page)
        page.uncheck("[data-layer=map-dm] input[type=checkbox]")
        assert colours(page) != before
        assert "after the predictions were shown" in page.inner_text("#mode")
        assert quiet(watched)


def test_page_when_new_patients_were_predicted_then_shown_in_the_same_way(browser, tmp_path):
    folder = draw_run(tmp_path / "new")
    draw_prediction(folder)
    with served(folder, with_results=True) as server:
        watched = shown(browser, server, "P1")
        assert "risk 0.800, group high" in watched.page.inner_text("#results")
        watched.page.click("tr[data-patient=P3]")
        ready(watched.page, "P3")
        assert "no contour" in watched.page.inner_text("#results")
        assert "they do not change the predictions" in watched.page.inner_text("#effect")
        assert quiet(watched)


@pytest.mark.long
@pytest.mark.shared
def test_page_when_the_patients_are_real_then_ct_and_tumour_are_shown(browser, shared_data, tmp_path):
    archive = shared_data / "sts/ct-rtstruct.tar.xz"
    if not archive.is_file():
        pytest.skip(f"{archive.name} is not among the shared data")
    folder, patients = tmp_path / "sarcoma", []
    with tarfile.open(archive) as tar:
        for member in tar:  # the archive has one patient after the other
            if member.isfile() and len(patients) < 3:
                patients += [patient] if (patient := Path(member.name).parts[1]) not in patients else []
                if patient in patients[:2]:
                    tar.extract(member, tmp_path, filter="data")
    for patient in patients[:2]:
        root, out = tmp_path / "dicom" / patient, folder / "results/images" / patient
        slices = sorted(map(str, (root / "CT").iterdir()))
        source = write_source(tmp_path / f"{patient}.json", slices, rtstruct_source(str(root / "RTSTRUCT/RS.dcm"), [1]))
        convert_patient(
            source, out / "ct.nii.gz", out / "tumor.nii.gz", out / "image.json", out / "status.json",
            ImagesSettings(), tmp_path / "details",
        )  # fmt: skip
    with served(folder) as server:
        watched = shown(browser, server, patients[0])
        for patient in patients[:2]:
            watched.page.click(f"tr[data-patient='{patient}']")
            ready(watched.page, patient)
            assert watched.page.inner_text("#here") == "Primary tumour"
            with_tumour = colours(watched.page)
            watched.page.uncheck("[data-layer=primary] input[type=checkbox]")
            assert colours(watched.page) != with_tumour
        assert quiet(watched)
