"""Read and write the decisions of a reviewer on the images of each patient (``private/review.csv``)."""

import csv
import fcntl
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from metaswin.core.errors import UserError
from metaswin.core.files import write_text

FILE = "review.csv"  # in the private folder
KEPT = "review/predictions.parquet"  # below the results: the predictions of the run that a late decision followed
COLUMNS = ["time", "patient", "decision", "comment", "predictions"]
ACCEPTED, CHECK, EXCLUDE = DECISIONS = ("accepted", "check", "exclude")
# What the reviewer could know of the predictions: none were made yet; they existed, but the viewer hid them; shown.
NONE, HIDDEN, SHOWN = KNOWLEDGE = ("none", "hidden", "shown")
CODE_OF = {NONE: "excluded-by-review", HIDDEN: "excluded-by-review-late", SHOWN: "excluded-by-review-unblinded"}
KNOWN = {
    NONE: "before predictions existed",
    HIDDEN: "after predictions existed, which were hidden",
    SHOWN: "after predictions were shown",
}


@dataclass(frozen=True)
class Decision:
    """One decision.

    Attributes
    ----------
    patient : str
    decision : str
        One of `DECISIONS`.
    comment : str
        The reason, in the reviewer's words. It is private.
    time : str
        ISO 8601, UTC.
    predictions : str
        One of `KNOWLEDGE`.
    """

    patient: str
    decision: str
    comment: str
    time: str
    predictions: str


def read_review(path: str | Path) -> dict[str, Decision]:
    """Return the decision in force of each patient; none if there is no file yet.

    The file is a log with one row for each decision, in order of time. The last row of a patient is in force. If
    several last rows have the same decision, it was made when the first of them was written; the last one has the
    comment.

    Raises
    ------
    UserError
        If the file cannot be read.
    """
    found: dict[str, Decision] = {}
    for row in _rows(Path(path)):
        before = found.get(row.patient)
        if before is not None and before.decision == row.decision:
            row = replace(row, time=before.time, predictions=before.predictions)
        found[row.patient] = row
    return found


def excluded_by_review(path: str | Path | None) -> dict[str, dict[str, str]]:
    """Return what decides on exclusions: patient → ``{"time", "predictions"}`` of those marked "exclude".

    It is a parameter of the rule that matches patients: a decision that excludes nobody re-runs nothing.
    """
    if path is None:
        return {}
    decisions = sorted(read_review(path).values(), key=lambda decision: decision.patient)
    return {
        decision.patient: {"time": decision.time, "predictions": decision.predictions}
        for decision in decisions
        if decision.decision == EXCLUDE
    }


def save_decision(path: str | Path, patient: str, decision: str, comment: str, predictions: str) -> Decision:
    """Add a decision to the file and return the one that is now in force. Several processes may do so at once."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.parent):
        row = Decision(patient, decision, comment, datetime.now(UTC).isoformat(timespec="seconds"), predictions)
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: getattr(one, name) for name in COLUMNS} for one in [*_rows(path), row])
        write_text(path, text.getvalue())
        return read_review(path)[patient]


def left_by_review(
    path: str | Path | None, stay: Iterable[str], known: Iterable[str]
) -> tuple[list[str], list[dict[str, Any]]]:
    """Apply the decisions to the patients that the other settings keep.

    Parameters
    ----------
    path : path or None
        ``cohort.review``.
    stay : iterable of str
    known : iterable of str
        All study ids of the clinical table.

    Returns
    -------
    stay : list of str
    problems : list of dict
        Arguments of `metaswin.cohort.codes.problem`: one for each patient who leaves, and one for each id in the file
        that no patient has.
    """
    kept = list(stay)
    if path is None:
        return kept, []
    decisions = read_review(path)
    problems: list[dict[str, Any]] = []
    for patient in kept:
        decision = decisions.get(patient)
        if decision is not None and decision.decision == EXCLUDE:
            found = f"marked for exclusion on {decision.time[:10]}, {KNOWN[decision.predictions]}"
            code = CODE_OF[decision.predictions]
            problems.append({"patient": patient, "code": code, "found": found, "private": decision.comment})
    left = {item["patient"] for item in problems}
    unknown = sorted({name for name, one in decisions.items() if one.decision == EXCLUDE} - set(known))
    problems += [
        {"patient": "", "code": "unknown-reviewed-id", "found": "an id without a clinical row", "private": name}
        for name in unknown
    ]
    return [patient for patient in kept if patient not in left], problems


def _rows(path: Path) -> Iterator[Decision]:
    """The rows of the file in their order."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the review {path}: {error}; give a CSV file in UTF-8") from None
    reader = csv.DictReader(io.StringIO(text))
    missing = {"patient", "decision"} - set(reader.fieldnames or [])
    if missing:
        raise UserError(
            f"{path}: no column {' and '.join(sorted(missing))}; a review has the columns {', '.join(COLUMNS)}"
        )
    for row in reader:
        values = {name: (row.get(name) or "").strip() for name in COLUMNS}
        # A row without this column was written by hand: what its author knew is not on record.
        values["predictions"] = values["predictions"] or SHOWN
        for name, allowed in (("decision", DECISIONS), ("predictions", KNOWLEDGE)):
            if values[name] not in allowed:
                raise UserError(
                    f"{path}, line {reader.line_num}: {name} is {values[name]!r}; give one of {', '.join(allowed)}"
                )
        if not values["patient"]:
            raise UserError(f"{path}, line {reader.line_num}: no study id in the column patient")
        yield Decision(**values)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder; the operating system releases it when the process ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
