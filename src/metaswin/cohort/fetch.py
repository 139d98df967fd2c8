"""Fetch the DICOM objects of listed patients from a DICOMweb server; a second call completes an interrupted one."""

import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from dicomweb_client import DICOMwebClient
from pydicom import Dataset

from metaswin.cohort.clinical_table import read_rows
from metaswin.cohort.dicomweb import CannotContinue, Interrupted, Server, Session, connect, header_of, retrieve, search
from metaswin.cohort.study_ids import is_usable
from metaswin.core.errors import UserError, several, suggestion
from metaswin.core.files import atomic

MODALITIES = ("CT", "RTSTRUCT", "SEG")
OWN = "metaswin:"  # the descriptions of series that `export_dicom` writes begin so
FAILURES = 3  # objects of one patient; then the patient is given up
SHOWN = 20  # patients named in one message


@dataclass(frozen=True)
class Selection:
    """Which objects of a patient are fetched: modalities, and the first and last date of the study (None: any)."""

    modalities: tuple[str, ...] = MODALITIES
    first: date | None = None
    last: date | None = None

    def contains(self, study_date: str) -> bool:
        """Return whether a study of this date (YYYYMMDD, empty where unknown) is selected."""
        return (self.first is None or study_date >= f"{self.first:%Y%m%d}") and (
            self.last is None or "" < study_date <= f"{self.last:%Y%m%d}"
        )

    @property
    def query(self) -> str:
        """The range of dates as a query matches it; empty for any date."""
        if self.first is None and self.last is None:
            return ""
        return "-".join("" if day is None else f"{day:%Y%m%d}" for day in (self.first, self.last))


def read_patients(path: str | Path, column: str) -> list[str]:
    """Return the ids in a column of a CSV file, sorted, each once.

    Raises
    ------
    UserError
        If the file or column is missing, if there is no id, or if ids contain wildcards of a query.
    """
    try:
        header, rows = read_rows(path)
    except UserError as error:
        raise UserError(str(error).replace("clinical.table", "--patients")) from None
    if column not in header:
        raise UserError(f"--patients: {path} has no column {column!r}; name it with --id{suggestion(column, header)}")
    found = sorted({row[header.index(column)] for row in rows} - {""})
    if not found:
        raise UserError(f"--patients: the column {column!r} of {path} has no id")
    wild = [patient for patient in found if set(patient) & set("*?\\") or not patient.isprintable()]
    if wild:
        raise several(f"--patients: in {path}, ids contain *, ? or \\, which match other patients:", wild)
    return found


def patient_folder(patient: str) -> str:
    """Return the name of a patient's folder: the id, or a hash of it where the id cannot name a file."""
    return patient if is_usable(patient) else f"id-{hashlib.sha256(patient.encode()).hexdigest()[:12]}"


def fetch(
    server: Server,
    patients: Sequence[str],
    selection: Selection,
    out: Path,
    jobs: int = 4,
    show: Callable[[str], None] = print,
) -> None:
    """Write the objects of the patients as ``<out>/<patient>/<series UID>/<SOP instance UID>.dcm``.

    A file under its final name is complete and is not fetched again. Patients are fetched in parallel; if one fails,
    the others are fetched all the same.

    Parameters
    ----------
    server : Server
    patients : sequence of str
        Their ``PatientID`` on the server.
    selection : Selection
    out : Path
    jobs : int
        Patients at a time.
    show : callable
        Prints a line for each patient.

    Raises
    ------
    UserError
        If the server cannot be used, if another process fetches into `out`, or if something is missing at the end:
        one message that names all patients concerned.
    """
    stop = threading.Event()
    failed: dict[str, list[str]] = {}
    with _locked(out), ThreadPoolExecutor(max(1, jobs)) as pool:
        waiting = {pool.submit(_fetch_patient, server, patient, selection, out, stop): patient for patient in patients}
        try:
            for done in as_completed(waiting):
                for message in _messages(done, waiting[done], show):
                    failed.setdefault(message, []).append(waiting[done])
        except (CannotContinue, KeyboardInterrupt) as error:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            why = str(error) or "interrupted"
            raise UserError(f"metaswin fetch: {why}\nThe same command continues with what is missing.") from None
    if failed:
        messages = [f"{message}: {_named(who)}" for message, who in failed.items()]
        raise several("Not everything was fetched. The same command tries again and keeps what is there.", messages)


def _messages(done: "Future[tuple[int, int, list[str]]]", patient: str, show: Callable[[str], None]) -> list[str]:
    """Show a patient that is done, and return what failed."""
    try:
        files, new, messages = done.result()
    except CannotContinue:
        raise
    except UserError as error:
        return [str(error)]
    show(f"{patient}: {files} files, {new} of them new")
    return messages


def _named(patients: Sequence[str]) -> str:
    more = f" and {len(patients) - SHOWN} more" if len(patients) > SHOWN else ""
    return ", ".join(sorted(patients)[:SHOWN]) + more


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Hold a lock on the folder: two processes would remove each other's temporary files."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out: cannot make the folder {out} ({error.strerror})") from None
    descriptor = os.open(out, os.O_RDONLY)
    try:
        with suppress(OSError):  # not every network file system locks folders
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"--out: another process fetches into {out}; wait until it ends") from None
        yield
    finally:
        os.close(descriptor)


def _fetch_patient(
    server: Server, patient: str, selection: Selection, out: Path, stop: threading.Event
) -> tuple[int, int, list[str]]:
    """Fetch one patient; returns the number of files, of those that are new, and what failed."""
    client, session = connect(server, stop)
    files = new = 0
    failed: list[str] = []
    with session:
        for study, series in _series(client, patient, selection):
            folder = out / patient_folder(patient) / series
            objects = search(client.search_for_instances, study, series, key="SOPInstanceUID")
            for instance in objects:
                if stop.is_set():
                    raise Interrupted
                path = folder / f"{instance.SOPInstanceUID}.dcm"
                try:
                    new += not path.exists() and _fetch_object(session, server, patient, study, series, path)
                    files += 1
                except CannotContinue:
                    raise
                except UserError as error:
                    failed.append(str(error))
                if len(failed) == FAILURES:
                    return files, new, _once(failed)
    if not files and not failed:
        failed.append(f"no series of {', '.join(selection.modalities)} in the selected dates, or no such PatientID")
    return files, new, _once(failed)


def _once(failed: list[str]) -> list[str]:
    """Return each message once, with the number of objects that it concerns."""
    counts = {message: failed.count(message) for message in failed}
    return [message if count == 1 else f"{message} ({count} objects or more)" for message, count in counts.items()]


def _series(client: DICOMwebClient, patient: str, selection: Selection) -> Iterator[tuple[str, str]]:
    """Yield study and series UID of the selected series; what a server returns too much is passed over."""
    filters = {"PatientID": patient} | ({"StudyDate": selection.query} if selection.query else {})
    for study in list(search(client.search_for_studies, key="StudyInstanceUID", search_filters=filters)):
        if _text(study, "PatientID") != patient or not selection.contains(_text(study, "StudyDate")):
            continue
        uid = str(study.StudyInstanceUID)
        fields = ["SeriesDescription"]
        for series in list(search(client.search_for_series, uid, key="SeriesInstanceUID", fields=fields)):
            own = _text(series, "SeriesDescription").startswith(OWN)
            if _text(series, "Modality") in selection.modalities and not own:
                yield uid, str(series.SeriesInstanceUID)


def _text(result: Dataset, keyword: str) -> str:
    return str(result.get(keyword) or "").strip()


def _fetch_object(session: Session, server: Server, patient: str, study: str, series: str, path: Path) -> bool:
    """Fetch one object, check that it is the one asked for, and write it."""
    content = retrieve(session, server, study, series, path.stem)
    header = header_of(content)
    if _text(header, "SOPInstanceUID") != path.stem or _text(header, "SeriesInstanceUID") != series:
        raise UserError("the server sent another object than the one asked for")
    if _text(header, "PatientID") != patient:
        raise UserError("the server sent an object of another patient")
    try:
        with atomic(path) as temporary:
            temporary.write_bytes(content)
    except UserError as error:  # without the path, which contains UIDs
        raise CannotContinue(f"cannot write below --out: {str(error).rpartition(': ')[2]}") from None
    return True
