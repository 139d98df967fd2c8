"""Serve the viewer of a run to a browser on this machine. The server answers no other machine."""

import hmac
import json
import secrets
import shutil
import socketserver
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from metaswin.cohort.review import ACCEPTED, DECISIONS
from metaswin.core.errors import UserError
from metaswin.running.viewer_data import ViewedRun

HOST = "127.0.0.1"
HOSTS = (HOST, "localhost")
PAGE = {
    "": ("index.html", "text/html; charset=utf-8"),
    "viewer.css": ("viewer.css", "text/css; charset=utf-8"),
    "viewer.js": ("viewer.js", "text/javascript; charset=utf-8"),
    "niivue.umd.js": ("niivue.umd.js", "text/javascript; charset=utf-8"),
}
MOST_BYTES = 16_384  # of a decision that is received
MOST_COMMENT = 2_000  # characters
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Refused(Exception):
    """Report that a request is refused, with the HTTP status of the answer."""

    def __init__(self, status: HTTPStatus, reason: str = "") -> None:
        super().__init__(reason or status.phrase)
        self.status = status


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Listen on the loopback interface.

    `http.server.HTTPServer` would look up the name of the host, which may ask a name server. `socketserver` does not.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, run: ViewedRun, port: int = 0) -> None:
        self.run = run
        self.token = secrets.token_urlsafe(24)
        super().__init__((HOST, port), Handler)

    @property
    def url(self) -> str:
        """Return the address of the page, with the token."""
        return f"http://{HOST}:{self.server_address[1]}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing. A browser may close a connection at any time, and a traceback may name a patient."""


class Handler(BaseHTTPRequestHandler):
    """Answer one request. Names are looked up in tables; only a valid study id becomes part of a file name."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "metaswin"
    sys_version = ""
    timeout = 60  # seconds without a byte

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log, because paths contain the token and study ids."""

    def _answer(self, method: Any) -> None:
        try:
            method(self._path())
        except Refused as refused:
            self.close_connection = True  # the unread rest of the body would be read as the next request
            self._send_json({"error": str(refused)}, refused.status)
        except UserError as error:
            self._send_json({"error": str(error)}, HTTPStatus.CONFLICT)
        except ConnectionError:
            self.close_connection = True  # the browser closed the connection
        except Exception as error:  # the message may name a patient, the type of the error does not
            self.close_connection = True
            self._send_json({"error": f"unexpected {type(error).__name__}"}, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _path(self) -> list[str]:
        """Return the parts of the path behind the token.

        Raises
        ------
        Refused
            If the host is not this machine (a page of another site that had its name resolved to 127.0.0.1 would come
            with its own), if the request comes from a page of another origin, or if the token is wrong.
        """
        host = self.headers.get("Host", "")
        if urlsplit(f"//{host}").hostname not in HOSTS:
            raise Refused(HTTPStatus.FORBIDDEN)
        origin = self.headers.get("Origin")
        if origin is not None and origin != f"http://{host}":
            raise Refused(HTTPStatus.FORBIDDEN)
        parts = [unquote(part) for part in urlsplit(self.path).path.split("/")]
        token = parts[1] if len(parts) > 2 else ""
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise Refused(HTTPStatus.FORBIDDEN)
        return parts[2:]

    def _get(self, parts: list[str]) -> None:
        run = self.server.run
        match parts:
            case [name] if name in PAGE:
                file, kind = PAGE[name]
                with resources.as_file(resources.files("metaswin.running") / "viewer" / file) as path:
                    self._send_file(path, kind)
            case ["run.json"]:
                self._send_json(run.overview())
            case ["layers", patient] if run.volume(patient, "ct") is not None:
                self._send_json(run.layers(patient))
            case ["volumes", patient, name] if name.endswith(".nii.gz"):
                found = run.volume(patient, name.removesuffix(".nii.gz"))
                if found is None:
                    raise Refused(HTTPStatus.NOT_FOUND)
                self._send_file(found, "application/gzip")
            case _:
                raise Refused(HTTPStatus.NOT_FOUND)

    def _post(self, parts: list[str]) -> None:
        if parts != ["review"]:
            raise Refused(HTTPStatus.NOT_FOUND)
        if self.headers.get_content_type() != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise Refused(HTTPStatus.LENGTH_REQUIRED)
        if int(length) > MOST_BYTES:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        patient, decision, comment = _decision(self.rfile.read(int(length)))
        if patient not in {row["patient"] for row in self.server.run.patients()}:
            raise Refused(HTTPStatus.BAD_REQUEST, "there is no such patient")
        saved = self.server.run.decide(patient, decision, comment)
        self._send_json(vars(saved))

    def _send_json(self, value: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        body = json.dumps(value, allow_nan=False).encode()
        self._head(status, "application/json", len(body))
        self.wfile.write(body)

    def _send_file(self, path: Path, kind: str) -> None:
        with path.open("rb") as file:
            self._head(HTTPStatus.OK, kind, path.stat().st_size)
            shutil.copyfileobj(file, self.wfile, 1 << 20)

    def _head(self, status: HTTPStatus, kind: str, length: int) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()


def _decision(body: bytes) -> tuple[str, str, str]:
    """Return patient, decision and comment of a request.

    Raises
    ------
    Refused
        If a field is missing or wrong.
    """
    try:
        value = json.loads(body)
        patient, decision, comment = (value[name] for name in ("patient", "decision", "comment"))
    except (ValueError, TypeError, KeyError):
        raise Refused(HTTPStatus.BAD_REQUEST, "a decision has patient, decision and comment") from None
    if not all(isinstance(text, str) for text in (patient, decision, comment)) or decision not in DECISIONS:
        raise Refused(HTTPStatus.BAD_REQUEST, f"a decision is one of {', '.join(DECISIONS)}")
    comment = " ".join(comment.split())
    if len(comment) > MOST_COMMENT:
        raise Refused(HTTPStatus.BAD_REQUEST, f"a comment has {MOST_COMMENT} characters at most")
    if decision != ACCEPTED and not comment:
        raise Refused(HTTPStatus.BAD_REQUEST, "give the reason as a comment")
    return patient, decision, comment


def serve(run: ViewedRun, patient: str | None = None, port: int = 0) -> None:
    """Serve the viewer until Ctrl-C.

    Parameters
    ----------
    run : ViewedRun
    patient : str or None
        Patient that the page opens.
    port : int
        0 takes a free one.

    Raises
    ------
    UserError
        If the run does not have the patient, or if the port is in use.
    """
    if patient is not None:
        run.check_patient(patient)
    try:
        server = Server(run, port)
    except (OSError, OverflowError) as error:
        raise UserError(f"--port {port}: {error}; give another port, or none to take a free one") from None
    with server:
        mode = "results are shown" if run.with_results else "review: risk, outcome and occlusion maps are hidden"
        print(f"{run.directory} ({mode})")
        print("Open this address in a browser on this machine. A person who knows it can see the patients:")
        print(f"  {server.url}" + (f"#{patient}" if patient is not None else ""))
        print(f"Decisions are saved in {run.file}. Ctrl-C ends the viewer.", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
