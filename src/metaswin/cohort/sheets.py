"""Read the other data sources: a sheet of image and mask files, and the ids of a given table of features."""

import csv
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metaswin.cohort.codes import count, problem
from metaswin.cohort.contour_sets import ROLES
from metaswin.cohort.study_ids import is_usable, suggest
from metaswin.core.errors import UserError
from metaswin.core.problems import Problem

SHEET_COLUMNS = ["patient_id", "image", *ROLES]


@dataclass
class Sheet:
    """Store the paths of each patient by column (None if empty), and the problems of the rows."""

    rows: dict[str, dict[str, str | None]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_sheet(path: str | Path, need_image: bool = True, pseudonym: Callable[[str], str] = str) -> Sheet:
    """Read a CSV ``patient_id,image,primary,nodes``; relative paths start at the folder of the sheet.

    Parameters
    ----------
    path : path
    need_image : bool
        False if the sheet names only masks of DICOM images. The column `image` may then be absent.
    pseudonym : callable
        Returns the pseudonym of a study id.

    Raises
    ------
    UserError
        If the file cannot be read or a column is missing.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = list(csv.DictReader(file))
            header = [name.strip() for name in (lines[0] if lines else {}) if name is not None]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"data.sheet: cannot read {path} as UTF-8 text ({error}); save it as CSV") from None
    expected = [name for name in SHEET_COLUMNS if need_image or name != "image"]
    missing = [name for name in expected if name not in header]
    if missing:
        raise UserError(
            f"data.sheet: {path} has no column {', '.join(missing)} (found {', '.join(header) or 'no rows'}); "
            f"its first line must be {','.join(expected)}"
        )
    folder = Path(path).parent
    entries = []
    for line in lines:
        values = {(name or "").strip(): (value or "").strip() for name, value in line.items() if name is not None}
        entries.append(
            (pseudonym(values["patient_id"]), {name: _below(folder, values.get(name)) for name in SHEET_COLUMNS[1:]})
        )
    sheet = Sheet()
    ids = [identifier for identifier, _ in entries]
    sheet.problems += id_problems(ids, "sheet")
    once = {identifier for identifier, number in Counter(ids).items() if number == 1 and is_usable(identifier)}
    sheet.rows = {identifier: paths for identifier, paths in entries if identifier in once}
    return sheet


def id_problems(ids: list[str], name: str) -> list[Problem]:
    """Return the problems of the id column of a sheet or table: repeated, empty and unusable ids."""
    problems = []
    for identifier, number in sorted(Counter(ids).items()):
        if not identifier:
            problems.append(problem("", "no-id", f"{count(number, 'row')} of the {name} without an id"))
        elif not is_usable(identifier):
            note = f"{identifier!r}; suggested: {suggest(identifier)!r}"
            problems.append(problem("", "unusable-id", f"an id with other characters in the {name}", note))
        elif number > 1:
            problems.append(problem(identifier, "duplicated-row", f"{number} rows"))
    return problems


def check_files(patient: str, paths: dict[str, str | None], automatic: bool) -> list[Problem]:
    """Check that a patient's files can be read and are on one grid; only their headers are read."""
    problems = []
    if not automatic and not any(paths.get(role) for role in ROLES):
        problems.append(problem(patient, "no-mask", "neither of the two masks"))
    sizes = {}
    for name in ("image", *ROLES):
        if path := paths.get(name):
            size, reason = _grid(path)
            if reason:
                problems.append(problem(patient, "missing-file", f"the {name} {reason}", path))
            sizes[name] = size
    image = sizes.get("image")
    for role in ROLES:
        if image and sizes.get(role) and sizes[role] != image:
            found = f"an image of {_times(image)} and a mask of the {role} of {_times(sizes[role])} voxels"
            problems.append(problem(patient, "grid-mismatch", found, paths[role] or ""))
    return problems


def read_feature_ids(path: str | Path, pseudonym: Callable[[str], str] = str) -> tuple[set[str], list[Problem]]:
    """Return the study ids of a given table of features; `metaswin.features.importing` reads the features.

    Parameters
    ----------
    path : path
        CSV or Parquet with the column `patient_id`.
    pseudonym : callable
        Returns the pseudonym of a study id.

    Returns
    -------
    ids : set of str
        Usable ids that occur in exactly one row.
    problems : list of Problem
        Repeated, empty and unusable ids.

    Raises
    ------
    UserError
        If the file cannot be read or has no `patient_id`.
    """
    import pandas as pd

    try:
        if Path(path).suffix.casefold() in (".parquet", ".pq"):
            table = pd.read_parquet(path).filter(["patient_id"])
        else:
            # Without `index_col` a separator at the end of each row would shift every column.
            table = pd.read_csv(
                path, usecols=lambda name: name == "patient_id", index_col=False, dtype=str, encoding="utf-8-sig"
            )
    except (OSError, ValueError) as error:
        raise UserError(f"data.features: cannot read {path} ({error}); give a CSV (UTF-8) or Parquet file") from None
    if "patient_id" not in table:
        raise UserError(f"data.features: {path} has no column patient_id; rename the column of the study ids")
    ids = table["patient_id"].astype("str").str.strip().fillna("").map(pseudonym).tolist()
    once = {identifier for identifier, number in Counter(ids).items() if number == 1 and is_usable(identifier)}
    return once, id_problems(ids, "table of features")


def state(paths: list[str]) -> str:
    """Return sizes and times of change of files, by which a changed file is detected."""
    facts = []
    for path in paths:
        status = os.stat(path)
        facts.append(f"{status.st_size}:{status.st_mtime_ns}")
    return " ".join(facts)


def _below(folder: Path, path: str | None) -> str | None:
    return str(folder / path) if path else None


def _grid(path: str) -> tuple[tuple[int, ...], str]:
    """Return the size of a volume in voxels, or the reason if it cannot be read (public text)."""
    import SimpleITK as sitk

    if not os.path.isfile(path):
        return (), "does not exist"
    reader = sitk.ImageFileReader()
    reader.SetFileName(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return (), "cannot be read as a volume"
    return reader.GetSize(), ""


def _times(size: Any) -> str:
    return " × ".join(map(str, size))
