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
# What the reviewer could know: no predictions existed; they existed and the viewer hid them; the viewer showed them.
NONE, HIDDEN, SHOWN = KNOWLEDGE = ("none", "hidden", "shown")
CODE_OF = {NONE: "excluded-by-review", HIDDEN: "excluded-by-review-late", SHOWN: "excluded-by-review-unblinded"}
KNOWN = {
    NONE: "before predictions existed",
    HIDDEN: "after predictions existed, which were hidden",
    SHOWN: "after predictions were shown",
}


@dataclass(frozen=True)
class Decision:
    """Hold one decision of a reviewer.

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
    """Return the valid decision of each patient. Without a file, no patient has one.

    The file is a log with one row for each decision, in order of time. The last row of a patient is valid. If the last
    rows of a patient have the same decision, its time and its knowledge of predictions are those of the first of these
    rows, and its comment is that of the last.

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
    """Return the time and the knowledge of predictions of each decision to exclude, by patient.

    The result is a parameter of the rule that matches patients. A decision that excludes no patient therefore causes no
    rerun.
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
    """Add a decision to the file and return the decision that is now valid. Several processes may call this at once."""
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
    """Yield the rows of the file in their order."""
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
        # A row without this value was written by hand, and it is not known what its author knew.
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
