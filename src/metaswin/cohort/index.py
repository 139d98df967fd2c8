"""Index a folder tree of DICOM files with every series and contour set and the problems of the files."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from metaswin.cohort.codes import INDEX, count, problem, replace_details
from metaswin.cohort.headers import NOT_DICOM
from metaswin.cohort.pseudonyms import read_pseudonyms
from metaswin.cohort.scan import scan
from metaswin.cohort.series import group_series, public_series
from metaswin.cohort.study_ids import is_usable, suggest
from metaswin.cohort.walk import Unlisted, walk
from metaswin.core.errors import UserError
from metaswin.core.files import write_table
from metaswin.core.problems import Problem, public_table

if TYPE_CHECKING:
    import pandas as pd

LOGGER = logging.getLogger("metaswin")
FOUND = {
    "empty-file": "without any bytes",
    "truncated-file": "with truncated content",
    "unreadable-file": "that cannot be read",
    "unreadable-folder": "that cannot be listed",
    "undecodable-name": "with a name that is not UTF-8",
}


def index_dicom(
    folder: str | Path,
    series: str | Path,
    private_series: str | Path,
    problems: str | Path,
    details: str | Path,
    cache: str | Path | None = None,
    patient_id: str = "header",
    patient_folder_level: int = 1,
    workers: int = 1,
    pseudonyms: Mapping[str, Any] | None = None,
) -> None:
    """Read the headers in `folder` and write the index (see docs/artefacts.md, ingest).

    Parameters
    ----------
    folder : path
        Any folder tree. File names and extensions are ignored.
    series, private_series, problems : path
        Parquet files to write: public index, private index, table of problems.
    details : path
        Folder of the private part of the problems.
    cache : path or None
        Headers of earlier runs, see `metaswin.cohort.scan.scan`.
    patient_id : ``header`` or ``folder``
        Whether the id is PatientID or the name of the folder at `patient_folder_level` (1 is directly in `folder`).
    workers : int
        Number of processes that read headers.
    pseudonyms : mapping or None
        See `metaswin.cohort.pseudonyms.pseudonym_places`.

    Raises
    ------
    UserError
        If there is no such folder or no DICOM file in it.
    """
    if not Path(folder).is_dir():
        raise UserError(f"data.dicom: no folder {folder}; set it to the folder with the DICOM files")
    found, unlisted = walk(folder)
    headers = scan(folder, found, workers, cache)
    if not headers["code"].ne(NOT_DICOM).any():
        raise UserError(
            f"data.dicom: found {len(found)} files in {folder}, but none is a DICOM file; check the path of the folder"
        )
    names = read_pseudonyms(pseudonyms)
    table, messages = index(headers, unlisted, folder, patient_id, patient_folder_level, names.of)
    names.save()
    LOGGER.info("%d series and contour sets, %d problems", len(table), len(messages))
    replace_details(messages, Path(details), INDEX)
    write_table(private_series, table)
    write_table(series, public_series(table))
    write_table(problems, public_table(messages))


def index(
    headers: "pd.DataFrame",
    unlisted: list[Unlisted],
    folder: str | Path,
    patient_id: str = "header",
    patient_folder_level: int = 1,
    pseudonym: Callable[[str], str] = str,
) -> tuple["pd.DataFrame", list[Problem]]:
    """Return series and problems of scanned headers.

    `pseudonym` returns the pseudonym of an id. The other parameters are those of `index_dicom`.
    """
    headers = headers[headers["code"] != NOT_DICOM].copy()
    headers["full_path"] = [str(Path(folder) / path) for path in headers["path"]]
    headers["folder"] = [str(PurePosixPath(path).parent) for path in headers["path"]]
    if patient_id == "header":
        headers["patient"] = headers["patient_id"]
    else:
        headers["patient"] = [_part(path, patient_folder_level) for path in headers["path"]]
    headers["patient"] = headers["patient"].map(pseudonym)
    headers["usable"] = headers["patient"].map(is_usable)
    readable = headers[headers["code"] == ""]
    damaged = _attributed(headers[headers["code"] != ""], readable)
    problems = _file_problems(damaged, unlisted)
    problems += _id_problems(readable)
    readable, repeated = _without_copies(readable[readable["patient"] != ""])
    problems += repeated
    problems += _identity_problems(readable, patient_id == "folder")
    table = group_series(readable)
    table["damaged"] = table["series_uid"].map(damaged["series"].value_counts()).fillna(0).astype(int)
    return table, problems


def _part(path: str, level: int) -> str:
    parts = PurePosixPath(path).parts
    return parts[level - 1] if len(parts) > level else ""


def _attributed(damaged: "pd.DataFrame", readable: "pd.DataFrame") -> "pd.DataFrame":
    """Assign damaged files to the patient and series of the readable files in their folder, if these have only one."""
    damaged = damaged.copy()
    for column in ("patient", "series"):
        owners = readable.groupby("folder")[column].unique()
        sole = {folder: values[0] for folder, values in owners.items() if len(values) == 1}
        damaged[column] = [
            value or sole.get(folder, "") for value, folder in zip(damaged[column], damaged["folder"], strict=True)
        ]
    damaged["usable"] = damaged["patient"].map(is_usable)
    return damaged


def _file_problems(damaged: "pd.DataFrame", unlisted: list[Unlisted]) -> list[Problem]:
    groups: dict[tuple[str, str], list[str]] = {}
    for patient, usable, code, path, note in zip(
        damaged["patient"], damaged["usable"], damaged["code"], damaged["full_path"], damaged["note"], strict=True
    ):
        groups.setdefault((patient if usable else "", code), []).append(f"{path}: {note}")
    for entry in unlisted:
        groups.setdefault(("", entry.code), []).append(f"{entry.path}: {entry.reason}")
    return [
        problem(
            patient,
            code,
            f"{count(len(lines), 'folder' if code == 'unreadable-folder' else 'file')} {FOUND[code]}",
            "\n".join(lines),
            stage=INDEX,
        )
        for (patient, code), lines in sorted(groups.items())
    ]


def _id_problems(readable: "pd.DataFrame") -> list[Problem]:
    problems = []
    nameless = readable[readable["patient"] == ""]
    if len(nameless):
        paths = "\n".join(nameless["full_path"])
        problems.append(problem("", "no-id", f"{count(len(nameless), 'file')} without an id", paths, stage=INDEX))
    unusable = readable[~readable["usable"] & (readable["patient"] != "")]
    for patient, files in unusable.groupby("patient", sort=True):
        suggestion = suggest(patient)
        note = f"{patient!r} ({count(len(files), 'file')}, such as {files['full_path'].iloc[0]})"
        note += f"; suggested: {suggestion!r}" if suggestion else ""
        found = f"an id of {len(patient)} characters that contains other characters, {count(len(files), 'file')}"
        problems.append(problem("", "unusable-id", found, note, stage=INDEX))
    return problems


def _without_copies(readable: "pd.DataFrame") -> tuple["pd.DataFrame", list[Problem]]:
    """Keep the first file (by path) of each SOPInstanceUID of a patient's series."""
    readable = readable.sort_values("path")
    copies = readable.duplicated(["patient", "series", "sop"])
    problems = [
        problem(
            patient,
            "duplicate-file",
            f"{count(len(files), 'file')} with the instance UID of another",
            "\n".join(files["full_path"]),
            stage=INDEX,
        )
        for patient, files in readable[copies & readable["usable"]].groupby("patient", sort=True)
    ]
    return readable[~copies], problems


def _identity_problems(readable: "pd.DataFrame", by_folder: bool) -> list[Problem]:
    problems = []
    readable = readable[readable["usable"]]
    for patient, files in readable.groupby("patient", sort=True):
        people = sorted({person for person in files["person"] if person})
        ids = sorted({identifier for identifier in files["patient_id"] if identifier})
        if by_folder and len(ids) > 1:
            found = f"{len(ids)} different PatientIDs in one folder"
            problems.append(problem(patient, "two-patients-in-folder", found, "\n".join(ids), stage=INDEX))
        elif len(people) > 1:
            examples = files[files["person"] != ""].drop_duplicates("person")["full_path"]
            found = f"{len(people)} different pairs of birth date and sex"
            problems.append(problem(patient, "two-people-one-id", found, "\n".join(examples), stage=INDEX))
    images = readable[readable["rows"] > 0]
    twice = _shared(images, "series")
    for patient, others in sorted(twice.items()):
        found = f"image series shared with {count(len(others), 'other patient')}: {', '.join(sorted(others)[:5])}"
        problems.append(problem(patient, "same-series-two-patients", found, stage=INDEX))
    framed = images[(images["frame"] != "") & ~images["patient"].isin(twice)]
    for patient, others in sorted(_shared(framed, "frame").items()):
        found = f"a frame of reference shared with {count(len(others), 'other patient')}: "
        found += ", ".join(sorted(others)[:5])
        problems.append(problem(patient, "same-frame-two-patients", found, stage=INDEX))
    return problems


def _shared(files: "pd.DataFrame", column: str) -> dict[str, set[str]]:
    """Return the patients that share a value of `column` with other patients, and these other patients."""
    owners = files.groupby(column)["patient"].unique()
    shared: dict[str, set[str]] = {}
    for patients in owners[owners.map(len) > 1]:
        for patient in patients:
            shared.setdefault(patient, set()).update(set(patients) - {patient})
    return shared
