"""Define the command ``metaswin push``: store exported DICOM objects on a DICOMweb server."""

import argparse
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

from metaswin.cohort.fetch_cli import add_connection, add_server
from metaswin.core.errors import UserError, several

if TYPE_CHECKING:
    from pydicom import Dataset

    from metaswin.cohort.dicomweb import Server

DUPLICATE = 0x0111  # failure reason of a server that has the object already


def exported(folder: Path) -> dict[str, list[Path]]:
    """Return patient → files of ``<folder>/<patient>/*.dcm``; empty files (of excluded patients) are not included.

    Raises
    ------
    UserError
        If there is no file to store.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*/*.dcm")):
        if path.name.startswith(".part-"):
            continue
        files = found.setdefault(path.parent.name, [])
        if path.stat().st_size:
            files.append(path)
    if not any(found.values()):
        raise UserError(f"--export: {folder} has no exported DICOM; run the target export first (docs/dicomweb.md)")
    return found


def push(server: "Server", folder: Path, jobs: int = 2, show: Callable[[str], None] = print) -> None:
    """Store the exported objects of all patients; if one fails, the others are stored all the same.

    Parameters
    ----------
    server : Server
    folder : Path
        ``private/export`` of a run.
    jobs : int
        Patients at a time.
    show : callable
        Prints a line for each patient.

    Raises
    ------
    UserError
        If the server cannot be used, or if an object was not stored: one message that names all patients concerned.
    """
    from metaswin.cohort.dicomweb import CannotContinue

    stop = threading.Event()
    failed: list[str] = []
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        waiting: dict[Future[int], str] = {}
        for patient, files in exported(folder).items():
            if files:
                waiting[pool.submit(_push_patient, server, files, stop)] = patient
            else:
                show(f"{patient}: empty export of an excluded patient, skipped")
        try:
            for done in as_completed(waiting):
                try:
                    show(f"{waiting[done]}: {done.result()} objects stored")
                except CannotContinue:
                    raise
                except UserError as error:
                    failed.append(f"{waiting[done]}: {error}")
        except (CannotContinue, KeyboardInterrupt) as error:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise UserError(f"metaswin push: {str(error) or 'interrupted'}") from None
    if failed:
        raise several("Not everything was stored. The same command tries again:", sorted(failed))


def _push_patient(server: "Server", files: list[Path], stop: threading.Event) -> int:
    """Store each file of one patient in a request of its own, so that the server confirms it."""
    import pydicom

    from metaswin.cohort.dicomweb import Interrupted, connect

    client, session = connect(server, stop)
    session.headers["Accept"] = "application/dicom+json"
    with session:
        for path in files:
            if stop.is_set():
                raise Interrupted
            try:
                dataset = pydicom.dcmread(path)
            except Exception:  # pydicom raises errors of many kinds, which quote values
                raise UserError(f"{path.name} is not readable as DICOM; run the target export again") from None
            try:
                answer = client.store_instances([dataset])
            except (ValueError, TypeError, KeyError):
                raise UserError(f"{path.name}: the server's answer is not that of STOW-RS") from None
            if dataset.SOPInstanceUID not in _confirmed(answer):
                raise UserError(f"{path.name}: the server did not confirm that it stored this object")
    return len(files)


def _confirmed(answer: "Dataset") -> set[str]:
    """Return the UIDs of the objects that the server stored now or before."""
    stored = {str(item.ReferencedSOPInstanceUID) for item in answer.get("ReferencedSOPSequence") or []}
    failed = answer.get("FailedSOPSequence") or []
    return stored | {str(item.ReferencedSOPInstanceUID) for item in failed if item.get("FailureReason") == DUPLICATE}


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add ``push`` to the subcommands of `metaswin`."""
    parser = commands.add_parser(
        "push",
        help="store exported SEG, RTSTRUCT and structured reports on a DICOMweb server (PACS)",
        description="Store the exported DICOM objects of a run, with the identity of their patients, on a server. "
        "See docs/dicomweb.md.",
    )
    add_server(parser, required=True)
    parser.add_argument(
        "--export", type=Path, default=Path("private/export"), help="exported objects (default: %(default)s)"
    )
    parser.add_argument("--jobs", type=int, default=2, help="patients at a time (default: %(default)s)")
    add_connection(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Push; returns the exit status."""
    from metaswin.cohort.dicomweb import Server, checked_url

    server = Server(checked_url(arguments.dicomweb, arguments.plain_http), arguments.timeout)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's quote values
        push(server, arguments.export, arguments.jobs)
    return 0
