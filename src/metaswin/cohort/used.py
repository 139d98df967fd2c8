"""List the patients that a run uses, and the problems of the others."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from metaswin.cohort.clinical_table import STAGE as CLINICAL
from metaswin.cohort.gate import check
from metaswin.cohort.outcomes import STAGE as LABEL
from metaswin.cohort.outcomes import counts
from metaswin.cohort.pseudonyms import MAP, read_map
from metaswin.config.cohort import EndpointSettings
from metaswin.core.errors import UserError, several
from metaswin.core.files import metadata_of, read_json, read_table, write_json, write_table
from metaswin.core.problems import Problem, from_table, public_table
from metaswin.core.status import read_status

STOP = "The images have problems, and qc.on_problem is stop (`metaswin problems` prints the private details):"
WITHOUT_DATA = {"no-image", "no-features"}


@dataclass(frozen=True)
class UsedInputs:
    """Name the tables of `metaswin.cohort.match.match_patients`, and the files of the planned patients.

    ``statuses`` are those of all image stages. ``regions`` are the files ``regions.json``, and ``images`` the files
    ``image.json``. Without images, these lists are empty.
    """

    patients: str
    problems: str
    outcomes: str
    statuses: list[str]
    regions: list[str]
    images: list[str]


@dataclass(frozen=True)
class UsedOutputs:
    """Name the files that `close_cohort` writes: used patients and all problems (Parquet), flow and counts (JSON)."""

    used: str
    exclusions: str
    flow: str
    counts: str


def close_cohort(inputs: UsedInputs, outputs: UsedOutputs, endpoints: Mapping[str, EndpointSettings]) -> None:
    """Write the used patients, all problems, the flow and the numbers of each endpoint.

    Parameters
    ----------
    inputs : UsedInputs
    outputs : UsedOutputs
    endpoints : mapping
        Endpoint → settings.

    Raises
    ------
    UserError
        If no patient is left.
    """
    planned = sorted(read_table(inputs.patients)["patient"])
    early = from_table(read_table(inputs.problems))
    late, excluded = stage_problems(inputs.statuses)
    used = [patient for patient in planned if patient not in excluded]
    problems = [*(problem for problem in early if not _superseded(problem, used, excluded)), *late]
    if not used:
        raise several("No patient is left in the cohort:", _most_common(problems))

    table = read_table(inputs.outcomes)
    table = table[table["patient"].isin(used)]
    own = {name: table[table["endpoint"] == name] for name in endpoints}
    write_json(outputs.counts, {name: counts(own[name], problems, name, endpoints[name]) for name in endpoints})
    facts = _image_facts(used, inputs.regions, inputs.images)
    write_table(outputs.used, pd.DataFrame({"patient": used}).merge(facts, on="patient", how="left"))
    order = {patient: i for i, patient in enumerate(sorted({p.patient for p in problems}))}
    problems.sort(key=lambda p: (order[p.patient], p.stage, p.code))
    write_table(outputs.exclusions, public_table(problems))
    write_json(outputs.flow, _flow(int(metadata_of(inputs.patients)["clinical"]), planned, problems, used))


def _superseded(problem: Problem, used: Sequence[str], excluded: Collection[str]) -> bool:
    """Return whether a problem is no longer relevant: a warning about a value or label of an unused patient."""
    if not problem.patient or problem.patient in used:
        return False
    stage = problem.stage.partition(":")[0]
    return (stage == CLINICAL and not problem.excludes) or (stage == LABEL and problem.patient in excluded)


def check_images(statuses: Sequence[str]) -> None:
    """Raise one `UserError` with all problems if an image stage has excluded a patient."""
    check(public_table([problem for problem in stage_problems(statuses)[0] if problem.excludes]), STOP)


def stage_problems(paths: Sequence[str]) -> tuple[list[Problem], set[str]]:
    """Return the problems of the per-patient stages, each once (an exclusion is passed on), and excluded patients."""
    problems: dict[Problem, None] = {}
    excluded = set()
    for path in sorted(paths):
        status = read_status(path)
        problems.update(dict.fromkeys(status.warnings))
        if status.problem is not None:
            problems[status.problem] = None
            excluded.add(status.patient)
    return list(problems), excluded


def _image_facts(used: list[str], regions: Sequence[str], images: Sequence[str]) -> pd.DataFrame:
    """Return volumes (mm³) and acquisition of each used patient, one row per patient; no columns without images."""
    rows: dict[str, dict[str, Any]] = {patient: {"patient": patient} for patient in used}
    for path in regions:
        patient = Path(path).parent.name
        if patient in rows:
            volumes = read_json(path)["volumes_mm3"]
            rows[patient] |= {
                f"volume_{role}_mm3": volumes.get(role, 0.0 if role != "tumor" else None)
                for role in ("tumor", "primary", "nodes")
            }
    for path in images:
        patient = Path(path).parent.name
        if patient in rows:
            image = read_json(path)
            rows[patient] |= {key: image.get(key) for key in ("tumor_source", "manufacturer", "model", "kernel")}
            rows[patient]["slice_spacing"] = image["spacing"][2]
    return pd.DataFrame(list(rows.values()))


def _flow(clinical_rows: int, patients: Sequence[str], problems: list[Problem], used: list[str]) -> dict[str, Any]:
    """Return the numbers of the flow diagram; a patient with several problems is counted under the first problem.

    Rows of the clinical table without data (no image, no features) are not found. Therefore they are not counted as
    excluded.
    """
    first: dict[str, str] = {}
    for problem in problems:
        if problem.excludes and problem.patient and problem.patient not in used:
            first.setdefault(problem.patient, problem.code)
    first = {patient: code for patient, code in first.items() if code not in WITHOUT_DATA}
    return {
        "clinical": clinical_rows,
        "found": len({*patients, *first}),
        "used": len(used),
        "excluded": dict(sorted(Counter(first.values()).items())),
    }


def _most_common(problems: list[Problem]) -> list[str]:
    groups = Counter((p.stage, p.code, p.expected, p.action) for p in problems if p.excludes)
    examples = {(p.stage, p.code): p for p in reversed(problems)}
    if not groups:
        raise UserError(
            "No patient is left in the cohort, and no problem gives the reason; the list of patients is empty"
        )
    return [
        f"{n} × {code} [{stage}]: found, for example, {examples[stage, code].found}; expected {expected}; {action}"
        for (stage, code, expected, action), n in groups.most_common(10)
    ]


TABLES = ["cohort/exclusions.parquet", "features/problems.parquet"]
EARLY = ["cohort/qc.parquet", "cohort/early_problems.parquet"]  # the first one that exists is used


def listing(directory: str | Path, results: str = "results", private: str = "private") -> str:
    """Return a text with one paragraph per problem: the public part, then paths and ROI names; exclusions come first.

    A run that stopped before its cohort was built has no table yet. Then only the private details are listed.

    Raises
    ------
    UserError
        If the run has neither.
    """
    folder = Path(directory)
    details = folder / private / "details"
    tables = [path for name in TABLES if (path := folder / results / name).exists()]
    tables = tables or [path for name in EARLY if (path := folder / results / name).exists()][:1]
    if not tables:
        return _details_only(details, folder / results)
    rows = [row for table in tables for row in read_table(table).to_dict("records")]
    rows.sort(key=lambda row: not row["excludes"])
    names = read_map(folder / private / MAP)
    return "\n".join(line for row in rows for line in _paragraph(row, details, names)) or "no problems"


def _paragraph(row: dict[str, Any], details: Path, names: dict[str, str]) -> list[str]:
    effect = "excluded" if row["excludes"] else "warning"
    own = f" = {names[row['patient']]}" if row["patient"] in names else ""
    lines = [
        f"{row['patient'] or 'cohort'}{own}  {row['stage']}  {row['code']}  ({effect})",
        f"    found     {row['found']}",
        f"    expected  {row['expected']}",
        f"    do        {row['action']}",
    ]
    path = details / row["detail"]
    if row["detail"] and path.exists():
        lines += [f"    private   {d['private']}" for d in read_json(path) if d["code"] == row["code"]]
    return lines


def _details_only(details: Path, results: Path) -> str:
    lines = []
    for path in sorted(details.rglob("*.json")):
        for detail in read_json(path):
            lines.append(f"{path.stem}  {path.parent.name}  {detail['code']}")
            lines.append(f"    private   {detail['private']}")
    if not lines:
        raise UserError(f"no table of problems in {results}; run the workflow there first")
    return "\n".join(lines)
