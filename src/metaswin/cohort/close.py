"""Close the cohort: decide who goes on, and write what later stages read of them."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from metaswin.clinical.label import Outcome, outcome
from metaswin.clinical.predictors import predictors
from metaswin.clinical.settings import ClinicalSettings, EndpointSettings
from metaswin.clinical.table import read_clinical
from metaswin.errors import UserError, several
from metaswin.files import read_json, read_table, write_json, write_table
from metaswin.problems import Problem, from_table, public_table
from metaswin.qc.gate import check
from metaswin.qc.settings import QcSettings
from metaswin.status import read_status

STOP = "The images have problems, and qc.on_problem is stop (`metaswin problems` prints the private details):"
WITHOUT_DATA = {"no-image", "no-features"}


def close_cohort(
    inputs: Mapping[str, Any],
    outputs: Mapping[str, str],
    clinical: ClinicalSettings,
    endpoints: Mapping[str, EndpointSettings],
    qc: QcSettings,
    pseudonym: Callable[[str], str] = str,
) -> None:
    """Write the used patients, all problems, the flow, the clinical table and the outcomes.

    Without endpoints (new patients are predicted) nobody needs an outcome.

    Parameters
    ----------
    inputs : mapping
        ``patients`` and ``problems`` (Parquet), ``clinical`` (the user's table), and with images the lists
        ``statuses`` (all stages), ``regions`` (regions.json) and ``images`` (image.json).
    outputs : mapping
        ``used, exclusions, flow, clinical, outcomes, counts``.
    clinical, endpoints, qc : settings
    pseudonym : callable
        Gives what stands for a study id.

    Raises
    ------
    UserError
        If nobody is left; with ``qc.on_problem: stop`` if a stage after ingest left someone out.
    """
    patients = read_table(inputs["patients"])
    problems = from_table(read_table(inputs["problems"]))
    candidates = sorted(patients["patient"])
    if inputs["statuses"]:
        found, excluded = _stage_problems(inputs["statuses"])
        problems += found
        if qc.on_problem == "stop":
            check(public_table([problem for problem in found if problem.excludes]), STOP)
        candidates = [patient for patient in candidates if patient not in excluded]

    table = read_clinical(inputs["clinical"], clinical, pseudonym)
    rows = table.table.reindex(candidates)
    outcomes = {name: outcome(rows, name, endpoint, clinical) for name, endpoint in endpoints.items()}
    problems += [problem for result in outcomes.values() for problem in result.problems]
    with_outcome = {patient for result in outcomes.values() for patient in result.table["patient"]}
    # New patients are to be predicted: there is no endpoint, and nobody's outcome is known.
    used = [patient for patient in candidates if patient in with_outcome] if endpoints else candidates
    if not used:
        raise several("Nobody is left in the cohort:", _most_common(problems))

    typed, kinds, odd = predictors(table, clinical)
    problems += [problem for problem in odd if problem.patient in {"", *used}]
    roles = {name: clinical.columns[name].role for name in kinds}
    write_table(
        outputs["clinical"],
        typed.loc[used].reset_index(),
        {"roles": json.dumps(roles, sort_keys=True), "kinds": json.dumps(kinds, sort_keys=True)},
    )
    _write_outcomes(outputs, outcomes)
    facts = _image_facts(used, inputs["regions"], inputs["images"])
    write_table(outputs["used"], pd.DataFrame({"patient": used}).merge(facts, on="patient", how="left"))
    order = {patient: i for i, patient in enumerate(sorted({p.patient for p in problems}))}
    problems.sort(key=lambda p: (order[p.patient], p.stage, p.code))
    write_table(outputs["exclusions"], public_table(problems))
    write_json(outputs["flow"], _flow(len(table.table), patients["patient"], problems, used))


def _stage_problems(paths: Sequence[str]) -> tuple[list[Problem], set[str]]:
    """Problems of the per-patient stages, each once (an exclusion is passed on), and who is excluded."""
    problems: dict[Problem, None] = {}
    excluded = set()
    for path in sorted(paths):
        status = read_status(path)
        problems.update(dict.fromkeys(status.warnings))
        if status.problem is not None:
            problems[status.problem] = None
            excluded.add(status.patient)
    return list(problems), excluded


def _write_outcomes(outputs: Mapping[str, str], outcomes: Mapping[str, Outcome]) -> None:
    tables = [result.table.assign(endpoint=name) for name, result in outcomes.items()]
    write_table(outputs["outcomes"], pd.concat(tables, ignore_index=True) if tables else pd.DataFrame())
    write_json(outputs["counts"], {name: result.counts for name, result in outcomes.items()})


def _image_facts(used: list[str], regions: Sequence[str], images: Sequence[str]) -> pd.DataFrame:
    """Volumes (mm³) and acquisition of each used patient; one row a patient, no column without images."""
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


def _flow(clinical_rows: int, patients: pd.Series, problems: list[Problem], used: list[str]) -> dict[str, Any]:
    """Numbers of the flow diagram; a patient with several problems counts under the first one.

    Rows of the clinical table without data of their own (no image, no features) are not found, so not excluded.
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
        raise UserError("Nobody is left in the cohort, and no problem says why: the list of patients is empty")
    return [
        f"{n} × {code} [{stage}]: found, for example, {examples[stage, code].found}; expected {expected}; {action}"
        for (stage, code, expected, action), n in groups.most_common(10)
    ]
