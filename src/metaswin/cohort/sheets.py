"""The other ways in: a sheet of image and mask files, and the ids of a ready table of features."""

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
    """Paths of each patient by column (None where empty), and what is wrong with the sheet's rows."""

    rows: dict[str, dict[str, str | None]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_sheet(path: str | Path, need_image: bool = True, pseudonym: Callable[[str], str] = str) -> Sheet:
    """Read a CSV ``patient_id,image,primary,nodes``; relative paths start at the sheet's folder.

    Parameters
    ----------
    path : path
    need_image : bool
        False where the sheet names masks of DICOM images only; the column `image` may then be absent.
    pseudonym : callable
        Gives what stands for a study id.

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
            f"data.sheet: {path} has no column {', '.join(missing)} (found {', '.join(header) or 'no row'}); "
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
    """Problems of the id column of a sheet or table: repeated, empty and unusable ids."""
    problems = []
    for identifier, number in sorted(Counter(ids).items()):
        if not identifier:
            problems.append(problem("", "no-id", f"{count(number, 'row')} of the {name} without"))
        elif not is_usable(identifier):
            note = f"{identifier!r}; suggested: {suggest(identifier)!r}"
            problems.append(problem("", "unusable-id", f"an id with other characters in the {name}", note))
        elif number > 1:
            problems.append(problem(identifier, "duplicated-row", f"{number} rows"))
    return problems


def check_files(patient: str, paths: dict[str, str | None], automatic: bool) -> list[Problem]:
    """Whether a patient's files can be read and lie on one grid; only their headers are read."""
    problems = []
    if not automatic and not any(paths.get(role) for role in ROLES):
        problems.append(problem(patient, "no-mask", "neither of the two"))
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
    """Study ids of a ready table of features; the features themselves are read by `metaswin.features.importing`.

    Parameters
    ----------
    path : path
        CSV or Parquet with the column `patient_id`.
    pseudonym : callable
        Gives what stands for a study id.

    Returns
    -------
    ids : set of str
        Usable ids that stand in one row.
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
        raise UserError(f"data.features: {path} has no column patient_id; name the column of the study ids so")
    ids = table["patient_id"].astype("str").str.strip().fillna("").map(pseudonym).tolist()
    once = {identifier for identifier, number in Counter(ids).items() if number == 1 and is_usable(identifier)}
    return once, id_problems(ids, "table of features")


def state(paths: list[str]) -> str:
    """Sizes and times of change of some files, so that a changed file is seen."""
    facts = []
    for path in paths:
        status = os.stat(path)
        facts.append(f"{status.st_size}:{status.st_mtime_ns}")
    return " ".join(facts)


def _below(folder: Path, path: str | None) -> str | None:
    return str(folder / path) if path else None


def _grid(path: str) -> tuple[tuple[int, ...], str]:
    """Size of a volume in voxels, or why there is none (public words)."""
    import SimpleITK as sitk

    if not os.path.isfile(path):
        return (), "is not there"
    reader = sitk.ImageFileReader()
    reader.SetFileName(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return (), "cannot be read as a volume"
    return reader.GetSize(), ""


def _times(size: Any) -> str:
    return " × ".join(map(str, size))
