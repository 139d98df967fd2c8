"""A DICOMweb server in the test's own process, which fails as it is told."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from urllib.parse import parse_qs, urlsplit

import pydicom
from images_dicom import ct_slices, grid, noise
from pydicom.dataset import Dataset


def objects(patient: str, modality: str = "CT", date: str = "20200101", description: str = "") -> list[Dataset]:
    """Three slices of a small series of one patient."""
    on = grid(size=(4, 4, 3))
    slices = ct_slices(noise(on), on)
    for image in slices:
        image.PatientID, image.Modality, image.StudyDate = patient, modality, date
        image.StudyInstanceUID, image.SeriesDescription = f"1.2.{sum(map(ord, patient))}", description
    return slices


def encoded(data: Dataset) -> bytes:
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, data, enforce_file_format=True)
    return buffer.getvalue()


@dataclass
class FakePacs:
    """Objects, what was asked, and how to answer.

    Attributes
    ----------
    failures : list of (str, int)
        Part of a path and HTTP status: each is used once, for the first request whose path contains it.
    slow : str
        Requests whose path or query contains it get no answer in time.
    damage : callable or None
        Changes the body of every object that is sent.
    """

    objects: list[Dataset]
    failures: list[tuple[str, int]] = field(default_factory=list)
    slow: str = "nothing"
    damage: object = None
    ignores_filters: bool = False
    asked: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    stored: list[Dataset] = field(default_factory=list)
    refuses: str = "nobody"
    silent: bool = False
    url: str = ""

    def found(self, path: str, query: dict[str, list[str]]) -> list[dict]:
        parts = path.strip("/").split("/")[1:]
        uids = dict(zip(parts[0::2], parts[1::2], strict=False))
        offset = int(query.get("offset", ["0"])[0])
        levels = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}
        key = levels[parts[-1]]
        names = ["PatientID", "StudyDate", "Modality", "SeriesDescription", *levels.values()]
        results = {}
        for data in self.objects:
            asked = {"StudyInstanceUID": uids.get("studies"), "SeriesInstanceUID": uids.get("series")}
            if not self.ignores_filters:
                asked["PatientID"] = query.get("PatientID", [None])[0]
            if all(value is None or data.get(name) == value for name, value in asked.items()):
                results[data[key].value] = data
        answer = []
        for data in list(results.values())[0 if self.ignores_filters else offset :]:
            entry = Dataset()
            for name in names:
                entry[name] = data[name]
            answer.append(entry.to_json_dict())
        return answer


@contextmanager
def running(pacs: FakePacs, context: object = None) -> Iterator[FakePacs]:
    """Serve on a free port of the loopback interface, with `context` by TLS."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status: int, body: bytes = b"", kind: str = "application/dicom+json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def fails(self) -> bool:
            pacs.asked.append(self.path)
            pacs.authorizations.append(self.headers.get("Authorization", ""))
            if pacs.slow in self.path:
                time.sleep(0.5)
            for failure in pacs.failures:
                if failure[0] in self.path:
                    pacs.failures.remove(failure)
                    self.answer(failure[1], b"Doe^Jane has been here", "text/plain")
                    return True
            return False

        def do_GET(self) -> None:
            if self.fails():
                return
            url = urlsplit(self.path)
            if "/instances/" not in url.path:
                self.answer(200, json.dumps(pacs.found(url.path, parse_qs(url.query))).encode())
                return
            (data,) = [one for one in pacs.objects if one.SOPInstanceUID == url.path.split("/")[-1]]
            content = encoded(data)
            body = b"--sep\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--sep--\r\n"
            if callable(pacs.damage):
                body = pacs.damage(body)
            self.answer(200, body, 'multipart/related; type="application/dicom"; boundary=sep')

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.fails():
                return
            content = body[body.index(b"\r\n\r\n") + 4 : body.rindex(b"\r\n--")]
            data = pydicom.dcmread(BytesIO(content))
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
            answer = Dataset()
            refused = pacs.refuses in data.PatientID
            if refused:
                item.FailureReason = 0xA700
            if not pacs.silent:
                answer.add_new("FailedSOPSequence" if refused else "ReferencedSOPSequence", "SQ", [item])
            pacs.stored += [] if refused or pacs.silent else [data]
            self.answer(202 if refused else 200, json.dumps(answer.to_json_dict()).encode())

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:  # a client that has gone
            pass

    server = Quiet(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    pacs.url = f"{'http' if context is None else 'https'}://127.0.0.1:{server.server_port}/dicom-web"
    try:
        yield pacs
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
