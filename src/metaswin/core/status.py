"""Define the status of one patient at one stage. It tells later stages about a data problem without failing a job.

A per-patient job that meets bad *data* ends normally. It writes ``status.json`` with the problem and an **empty
(0-byte) file** under the name of every other declared output. The job of the next stage for that patient reads the
status first and passes the exclusion on. The table of radiomics is an exception: it is readable and has no rows. The
rule close_cohort lists the remaining patients. A crash (killed, out of memory, a bug) makes the job fail instead.
Therefore a 0-byte file always means "excluded, see status.json".
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from metaswin.core.files import atomic, read_json, write_json
from metaswin.core.problems import BadData, Findings, Problem, save_details


@dataclass(frozen=True)
class Status:
    """Result of one stage for one patient.

    Attributes
    ----------
    patient, stage : str
        Study id and stage that wrote the status.
    problem : Problem or None
        The problem that excludes the patient, found at this or an earlier stage; None if there is none.
    warnings : tuple of Problem
        Problems that this stage found and that do not exclude the patient.
    """

    patient: str
    stage: str
    problem: Problem | None = None
    warnings: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        return self.problem is None


def write_status(path: str | Path, status: Status, details: str | Path) -> None:
    """Write `status` to `path`, and the private part of its problems below the folder `details`."""
    problems = [*([status.problem] if status.problem else []), *status.warnings]
    save_details((p for p in problems if p.stage == status.stage), Path(details))
    write_json(
        path,
        {
            "patient": status.patient,
            "stage": status.stage,
            "status": "ok" if status.ok else "excluded",
            "problem": _public(status.problem),
            "warnings": [_public(warning) for warning in status.warnings],
        },
    )


def read_status(path: str | Path) -> Status:
    """Read a status written by `write_status`; each private part is replaced by a note that names its file."""
    raw = read_json(path)
    problem = _private_note(raw["problem"]) if raw["problem"] else None
    return Status(raw["patient"], raw["stage"], problem, tuple(_private_note(w) for w in raw["warnings"]))


def exclude(path: str | Path, status: Status, outputs: Iterable[str | Path], details: str | Path) -> None:
    """Write an excluding `status` to `path`, and an empty file under each name in `outputs`."""
    if status.ok:
        raise ValueError("exclude() needs a status with a problem")
    for output in outputs:
        with atomic(output) as temporary:
            temporary.touch()
    write_status(path, status, details)


def passed_on(
    upstream: str | Path, stage: str, path: str | Path, outputs: Iterable[str | Path], details: str | Path
) -> bool:
    """Pass on the exclusion of an earlier stage; return True if there was one, so that the job has nothing to do."""
    earlier = read_status(upstream)
    if earlier.ok:
        return False
    exclude(path, Status(earlier.patient, stage, earlier.problem), outputs, details)
    return True


@contextmanager
def patient_job(
    patient: str, stage: str, path: str | Path, outputs: Iterable[str | Path], details: str | Path
) -> Iterator[Findings]:
    """Run one patient's stage; a `BadData` error raised inside excludes the patient.

    If no error is raised, the status is ok. Any other error fails the job.

    Yields
    ------
    Findings
        Collects the warnings of the job. The status is written last, so an existing status file means that the job
        has finished.
    """
    findings = Findings(patient, stage)
    try:
        yield findings
    except BadData as bad:
        problem = Problem(patient, stage, **bad.facts)
        exclude(path, Status(patient, stage, problem, tuple(findings.warnings)), outputs, details)
    else:
        write_status(path, Status(patient, stage, None, tuple(findings.warnings)), details)


def _public(problem: Problem | None) -> dict[str, Any] | None:
    if problem is None:
        return None
    raw = asdict(problem)
    raw["private"] = bool(raw["private"])
    return raw


def _private_note(raw: dict[str, Any]) -> Problem:
    note = f"see private/details/{raw['stage']}/{raw['patient']}.json" if raw["private"] else ""
    return Problem(**{**raw, "private": note})
