"""Collect the problems found in the data of the whole cohort in one table instead of stopping at the first one."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaswin.core.files import write_json

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Problem:
    """One problem of one patient's data.

    Attributes
    ----------
    patient : str
        Study id; empty if the problem concerns the whole cohort.
    stage : str
        Stage that found it (``ingest``, ``clinical``, ``images``, ``organs``, ``regions``, ``radiomics``, …).
    code : str
        Short kebab-case code, stable between versions, such as ``empty-mask``.
    found, expected, action : str
        What was found, what was expected and what to do next. These texts are public: they never contain a path, a
        UID, an ROI name or anything else that identifies a person beyond the study id.
    excludes : bool
        Whether the problem excludes the patient; False for a warning.
    private : str
        Text that only the local user may read (paths, ROI names as found). It is written to `private/`, see
        `save_details`.
    """

    patient: str
    stage: str
    code: str
    found: str
    expected: str
    action: str
    excludes: bool = True
    private: str = ""

    def __str__(self) -> str:
        who = self.patient or "cohort"
        return f"{who} [{self.stage}: {self.code}] found {self.found}; expected {self.expected}; {self.action}"


class BadData(Exception):
    """Error for data of one patient that cannot be used; `metaswin.core.status.patient_job` turns it into a status.

    The parameters are those of `Problem`; the job adds patient and stage.
    """

    def __init__(self, code: str, found: str, expected: str, action: str, private: str = "") -> None:
        super().__init__(f"{code}: found {found}; expected {expected}; {action}")
        self.facts: dict[str, Any] = {
            "code": code, "found": found, "expected": expected, "action": action, "private": private,
        }  # fmt: skip


@dataclass
class Findings:
    """Warnings that one job collects about one patient; a warning does not exclude the patient."""

    patient: str
    stage: str
    warnings: list[Problem] = field(default_factory=list)

    def warn(self, code: str, found: str, expected: str, action: str, private: str = "") -> None:
        """Add a warning; the patient is kept."""
        self.warnings.append(Problem(self.patient, self.stage, code, found, expected, action, False, private))


PUBLIC_COLUMNS = ["patient", "stage", "code", "found", "expected", "action", "excludes", "detail"]


def save_details(problems: Iterable[Problem], directory: Path) -> None:
    """Write the private part of each problem to ``directory/<stage>/<patient or 'cohort'>.json``.

    `directory` is in the private zone. The public table refers to these files by stage and study id.
    """
    grouped: dict[tuple[str, str], list[dict[str, str]]] = {}
    for problem in problems:
        if problem.private:
            key = (problem.stage, problem.patient or "cohort")
            grouped.setdefault(key, []).append({"code": problem.code, "private": problem.private})
    for (stage, patient), details in grouped.items():
        write_json(Path(directory) / stage / f"{patient}.json", details)


def public_table(problems: Iterable[Problem]) -> "pd.DataFrame":
    """Return the problems as a table without their private part.

    The column `detail` names the file below `private/details` that contains the private part.
    """
    import pandas as pd

    rows = []
    for problem in problems:
        row = asdict(problem)
        private = row.pop("private")
        row["detail"] = f"{problem.stage}/{problem.patient or 'cohort'}.json" if private else ""
        rows.append(row)
    text = [column for column in PUBLIC_COLUMNS if column != "excludes"]
    return pd.DataFrame(rows, columns=PUBLIC_COLUMNS).astype({**dict.fromkeys(text, "str"), "excludes": bool})


def from_table(table: "pd.DataFrame") -> list[Problem]:
    """Return the problems of a public table; a note says where in `private/` the private part is stored."""
    problems = []
    for row in table.to_dict("records"):
        detail = row.pop("detail")
        problems.append(Problem(**row, private=f"see private/details/{detail}" if detail else ""))
    return problems
