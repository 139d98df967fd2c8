"""Connect to a DICOMweb server: verified TLS, credentials, retries, size limits, and errors that quote nothing.

The messages of `requests` contain URLs, and URLs of DICOMweb contain patient ids and UIDs. Therefore no text of an
exception or of a server's answer is shown: an error names the kind of failure and the HTTP status only.
"""

import ipaddress
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import pydicom
import requests
from dicomweb_client import DICOMwebClient
from requests.auth import AuthBase, HTTPBasicAuth

from metaswin.core.errors import UserError

TOKEN, USER, PASSWORD = "METASWIN_DICOMWEB_TOKEN", "METASWIN_DICOMWEB_USER", "METASWIN_DICOMWEB_PASSWORD"
CREDENTIALS = f"set {USER} and {PASSWORD}, or {TOKEN}, or add the host to ~/.netrc"

ATTEMPTS = 5
CONNECT_TIMEOUT = 10.0
# An overloaded or restarting server answers with one of these; the request is sent again.
TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
LONGEST_WAIT = 60.0  # seconds between two attempts
ANSWER_LIMIT = 64 * 2**20  # bytes of a list of studies, series or instances
OBJECT_LIMIT = 2 * 2**30  # bytes of one DICOM object, which is held in memory
PAGE = 1000  # results of one query
PAGES = 1000  # of one query; a server that ignores `offset` ends earlier, because it repeats its answer

UID = re.compile(r"[0-9][0-9.]{0,63}")  # as a name of a file; archives contain UIDs that break DICOM's other rules

# These libraries log URLs and answers of the server.
QUOTING = ("dicomweb_client", "urllib3", "pydicom")


class CannotContinue(UserError):
    """The server or the disk cannot be used at all: no other request is tried."""


class Interrupted(Exception):
    """The user has ended the command while a request was waiting for its next attempt."""


@dataclass(frozen=True)
class Server:
    """A DICOMweb server and how requests are sent to it.

    Attributes
    ----------
    url : str
        Root of the service, without user, password, query or final ``/``.
    timeout : float
        Seconds without a byte after which a request counts as failed.
    first_wait : float
        Seconds before the second attempt; doubled before each further attempt.
    """

    url: str
    timeout: float = 60.0
    first_wait: float = 1.0


def checked_url(url: str, plain_http: bool = False) -> str:
    """Return the root URL of a DICOMweb service without its final ``/``.

    Raises
    ------
    UserError
        If it is not a URL of http or https, contains a user or password, or is http to another machine without
        `plain_http`.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise UserError(
            "--dicomweb: not the URL of a DICOMweb service; expected for example https://pacs.org/dicom-web"
        )
    if parts.username is not None or parts.password is not None:
        raise UserError(
            f"--dicomweb: the URL contains a user or a password, which other processes can read; {CREDENTIALS}"
        )
    if parts.scheme == "http" and not plain_http and not _is_this_machine(host):
        raise UserError(
            f"--dicomweb: http to {host} would send images and passwords unencrypted; use the https URL of the server, "
            "or give --plain-http if the network in between is protected in another way"
        )
    return url.rstrip("/")


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Bearer(AuthBase):
    """Send a token. As an object of its own, because requests replaces a mere header by an entry of ~/.netrc."""

    def __init__(self, token: str):
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def credentials() -> AuthBase | None:
    """Return the credentials of the environment; None leaves ~/.netrc to requests.

    Raises
    ------
    UserError
        If a user is given without a password or a password without a user.
    """
    token, user, password = (os.environ.get(name) for name in (TOKEN, USER, PASSWORD))
    if token:
        return _Bearer(token)
    if bool(user) != bool(password):
        raise UserError(f"{USER} and {PASSWORD}: only one of them is set; set both, or none to use ~/.netrc")
    return HTTPBasicAuth(user, password) if user and password else None


class Session(requests.Session):
    """A session that retries, reads every body whole, limits its size and turns failures into user errors.

    Parameters
    ----------
    server : Server
    stop : threading.Event
        When it is set, waiting requests end with `Interrupted`.
    """

    def __init__(self, server: Server, stop: threading.Event):
        super().__init__()
        self._server, self._stop = server, stop
        self.limit = ANSWER_LIMIT
        self.auth = credentials()

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request; raises UserError, CannotContinue or Interrupted."""
        # A redirection must not lead from https to http; the first URL was checked with the user's options.
        if urlsplit(self._server.url).scheme == "https" and urlsplit(request.url or "").scheme != "https":
            raise CannotContinue("the server redirects to a URL without TLS; give its https URL")
        request.headers.pop("Host", None)  # dicomweb-client sets it without the port
        kwargs |= {"stream": True, "timeout": (CONNECT_TIMEOUT, self._server.timeout)}
        wait = self._server.first_wait
        for attempt in range(1, ATTEMPTS + 1):
            failure, after = self._attempt(request, kwargs)
            if isinstance(failure, requests.Response):
                return failure
            if attempt == ATTEMPTS:
                raise type(failure)(f"{failure} ({ATTEMPTS} attempts)")
            if self._stop.wait(min(max(wait, after), LONGEST_WAIT)):
                raise Interrupted
            wait *= 2
        raise AssertionError("unreachable")

    def _attempt(
        self, request: requests.PreparedRequest, kwargs: dict[str, Any]
    ) -> tuple[requests.Response | UserError, float]:
        """Return the response, or a failure that may pass and how long the server asks to wait (s)."""
        try:
            response = super().send(request, **kwargs)
            if response.status_code in TRANSIENT:
                asked = response.headers.get("Retry-After", "")
                response.close()
                failure = UserError(f"the server answered with HTTP {response.status_code}")
                return failure, float(asked) if asked.isdecimal() else 0.0
            if response.status_code >= 400:
                response.close()
                raise _refusal(response.status_code)
            _read_body(response, self.limit)
        except requests.exceptions.SSLError:
            raise CannotContinue(
                "the certificate of the server could not be verified; if your institution has its own authority, name "
                "its certificates in REQUESTS_CA_BUNDLE"
            ) from None
        except requests.exceptions.ConnectTimeout:
            return CannotContinue(f"no connection to the server within {CONNECT_TIMEOUT:g} s"), 0.0
        except requests.exceptions.Timeout:
            return UserError(f"no answer from the server for {self._server.timeout:g} s; see --timeout"), 0.0
        except requests.exceptions.ChunkedEncodingError:
            return UserError("the connection broke during the transfer"), 0.0
        except requests.exceptions.ConnectionError as error:
            if "Read timed out" in str(error):  # while the body was read
                return UserError(f"no answer from the server for {self._server.timeout:g} s; see --timeout"), 0.0
            return CannotContinue("no connection to the server; check its URL and the network"), 0.0
        except requests.exceptions.RequestException as error:
            raise UserError(f"the request failed ({type(error).__name__})") from None
        return response, 0.0


def _refusal(status: int) -> UserError:
    if status == 401:
        return CannotContinue(f"the server asks for credentials or refuses them (HTTP 401); {CREDENTIALS}")
    reasons = {
        403: "these credentials do not permit this",
        404: "not found; check that the URL is the root of the DICOMweb service",
        409: "the server refused the object",
        413: "the object is too large for the server",
    }
    return UserError(f"HTTP {status}: {reasons.get(status, 'the server refused the request')}")


def _read_body(response: requests.Response, limit: int) -> None:
    """Read the body into the response, as requests does without `stream`, up to `limit` bytes."""
    parts, size = [], 0
    for part in response.iter_content(2**20):
        size += len(part)
        if size > limit:
            response.close()
            raise UserError(f"an answer of the server is larger than {limit >> 20} MiB and was not read")
        parts.append(part)
    response._content = b"".join(parts)  # where requests keeps the body: there is no public way


def connect(server: Server, stop: threading.Event | None = None) -> tuple[DICOMwebClient, Session]:
    """Return a client and its session, for one thread."""
    for name in QUOTING:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    session = Session(server, stop or threading.Event())
    # One chunk: a body of several is a generator, which cannot be sent again.
    client = DICOMwebClient(
        server.url, session=session, chunk_size=OBJECT_LIMIT, permissive_uid=True, timeout=server.timeout
    )
    client.set_http_retry_params(retry=False)  # the session does it, also for broken connections
    return client, session


def search(
    find: Callable[..., list[dict[str, Any]]], *arguments: str, key: str, **keywords: Any
) -> Iterator[pydicom.Dataset]:
    """Yield the results of a search page by page, each once, with valid UIDs only.

    Parameters
    ----------
    find : callable
        ``search_for_studies``, ``search_for_series`` or ``search_for_instances`` of a client.
    *arguments : str
        Its UIDs.
    key : str
        Keyword of the UID by which results differ.
    **keywords
        Further arguments of `find`.

    Raises
    ------
    UserError
        If the answer is not DICOM JSON or contains an invalid UID.
    """
    known: set[str] = set()
    for page in range(PAGES):
        try:
            found = (
                find(*arguments, limit=PAGE, offset=len(known), **keywords) if page else find(*arguments, **keywords)
            )
            results = [pydicom.Dataset.from_json(entry) for entry in found]
            uids = [str(result[key].value) for result in results]
        except (ValueError, TypeError, KeyError, AttributeError):
            raise UserError("the server's answer to a query is not the DICOM JSON of QIDO-RS") from None
        if not all(UID.fullmatch(uid) for uid in uids):
            raise UserError("the server's answer to a query contains an invalid UID")
        new = {uid: result for uid, result in zip(uids, results, strict=True) if uid not in known}
        yield from new.values()
        known |= set(new)
        if not new:
            return


def retrieve(session: Session, server: Server, study: str, series: str, instance: str) -> bytes:
    """Return the bytes of one DICOM object as the server sends them, in the transfer syntax in which it stores them.

    Raises
    ------
    UserError
        If the answer is not one whole DICOM file of this SOP instance.
    """
    url = f"{server.url}/studies/{study}/series/{series}/instances/{instance}"
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    session.limit = OBJECT_LIMIT
    try:
        response = session.get(url, headers={"Accept": accept})
    finally:
        session.limit = ANSWER_LIMIT
    return only_part(response.content, response.headers.get("Content-Type", ""))


def only_part(body: bytes, content_type: str) -> bytes:
    """Return the only part of a multipart body; some servers send the object without an envelope.

    Raises
    ------
    UserError
        If the body was cut short, or has another number of parts.
    """
    from email.message import Message

    header = Message()
    header["Content-Type"] = content_type
    if header.get_content_type() == "application/dicom":
        return body
    boundary = header.get_param("boundary")
    if header.get_content_maintype() != "multipart" or not isinstance(boundary, str):
        raise UserError("the server's answer is not a DICOM object")
    marker = b"\r\n--" + boundary.encode()
    pieces = (b"\r\n" + body).split(marker)
    if len(pieces) != 3 or not pieces[2].startswith(b"--"):
        raise UserError("the server's answer was cut short, or is not one DICOM object")
    _, found, content = pieces[1].partition(b"\r\n\r\n")
    if not found:
        raise UserError("the server's answer is not a DICOM object")
    return content


def header_of(content: bytes) -> pydicom.Dataset:
    """Return patient and UIDs of a DICOM file.

    Raises
    ------
    UserError
        If it is not a DICOM file.
    """
    names = ["PatientID", "SOPInstanceUID", "SeriesInstanceUID"]
    try:
        return pydicom.dcmread(BytesIO(content), stop_before_pixels=True, specific_tags=list(names))
    except Exception:  # pydicom raises errors of many kinds, which quote values
        raise UserError("the server sent a file that is not DICOM") from None
