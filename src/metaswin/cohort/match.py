"""Match clinical rows, images and tumours, and collect the included patients and the problems of all others."""

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaswin.cohort.choice import CHOICE_COLUMNS, Choice, choose
from metaswin.cohort.codes import INGEST, problem, replace_details
from metaswin.cohort.contour_sets import ROLES
from metaswin.cohort.pseudonyms import Pseudonyms, read_pseudonyms
from metaswin.cohort.review import left_by_review
from metaswin.cohort.series import check_contours, check_series
from metaswin.cohort.sheets import Sheet, check_files, read_feature_ids, read_sheet, state
from metaswin.cohort.study_ids import alike, is_usable, same_but_writing
from metaswin.config.cohort import DataSettings, IngestSettings
from metaswin.core.errors import UserError
from metaswin.core.files import read_table, write_json, write_table
from metaswin.core.problems import Problem, public_table

if TYPE_CHECKING:
    import pandas as pd

    from metaswin.cohort.clinical_table import ClinicalTable
    from metaswin.config.cohort import ClinicalSettings, CohortSettings, EndpointSettings
    from metaswin.config.imaging import ImagesSettings

LOGGER = logging.getLogger("metaswin")


@dataclass(frozen=True)
class CohortPaths:
    """Name the files that `match_patients` writes; `sources` is a folder with one JSON file per patient."""

    patients: str | Path
    problems: str | Path
    choice: str | Path
    sources: str | Path
    clinical: str | Path
    outcomes: str | Path
    details: str | Path


@dataclass
class Found:
    """Store the patients in the images, the sheet or the table of features.

    `sources` are the JSON contents of the patients that can be included. `known` are all study ids in the data,
    including those with a problem. `wanted` are the study ids that the clinical table includes.
    """

    known: set[str] = field(default_factory=set)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    choices: list[dict[str, Any]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)


@dataclass
class Cohort:
    """Store the patients that result from the clinical table and the data.

    Attributes
    ----------
    planned : list of str
        Study ids with data and, if there are endpoints, an outcome for at least one of them, sorted.
    clinical : DataFrame
        Typed predictors of the planned patients, indexed by study id.
    kinds : dict
        Predictor → ``numeric`` or ``category``.
    outcomes : dict
        Endpoint → `metaswin.cohort.outcomes.Outcome.table`.
    rows : int
        Number of ids in the clinical table.
    """

    found: Found
    planned: list[str]
    clinical: "pd.DataFrame"
    kinds: dict[str, str]
    outcomes: dict[str, "pd.DataFrame"]
    problems: list[Problem]
    rows: int


def match_patients(
    data: DataSettings,
    clinical: "ClinicalSettings",
    cohort: "CohortSettings",
    endpoints: "Mapping[str, EndpointSettings]",
    ingest: IngestSettings,
    images: "ImagesSettings",
    paths: CohortPaths,
    index: str | Path | None = None,
    index_problems: str | Path | None = None,
    pseudonyms: Mapping[str, Any] | None = None,
) -> None:
    """Match images with the clinical table, choose CT and contours, and write labels and planned patients.

    Every data fault becomes a problem in the written table, even if no patient is left. The quality control shows it,
    and its gate stops the run. docs/artefacts.md describes the files.

    Parameters
    ----------
    data, clinical, cohort, endpoints, ingest, images : settings
        Without endpoints (for a prediction of new patients), no patient needs an outcome.
    paths : CohortPaths
        Files to write.
    index, index_problems : path or None
        Private index and problems of `metaswin.cohort.index.index_dicom`. Needed if ``data.source`` is dicom.
    pseudonyms : mapping or None
        See `metaswin.cohort.pseudonyms.pseudonym_places`.
    """
    if clinical.table is None:
        raise UserError("clinical.table is not set; give the path of the clinical table (CSV)")
    known = read_pseudonyms(pseudonyms)
    earlier = read_table(index_problems) if index_problems is not None else public_table([])
    barred = set(earlier.loc[earlier["excludes"], "patient"])
    try:
        built = _match(data, clinical, cohort, endpoints, ingest, images, barred, index, known)
    except UserError as error:
        built = _nothing(endpoints, _unusable(error, clinical.table, data.sheet, data.features))
    found = built.found
    LOGGER.info("%d clinical rows, %d patients found, %d planned", built.rows, len(found.known), len(built.planned))

    replace_details(built.problems, Path(paths.details), INGEST)
    concerned = earlier["patient"].isin(["", *found.wanted])
    write_table(paths.problems, _together(earlier[concerned], public_table(built.problems)))
    facts = {"clinical": str(built.rows), "found": str(len(found.known))}
    write_table(paths.patients, _patients({patient: found.sources[patient] for patient in built.planned}), facts)
    write_table(paths.choice, _choice_table(found.choices))
    roles = {name: clinical.columns[name].role for name in built.kinds}
    metadata = {"roles": json.dumps(roles, sort_keys=True), "kinds": json.dumps(built.kinds, sort_keys=True)}
    write_table(paths.clinical, built.clinical.reset_index(), metadata)
    write_table(paths.outcomes, _outcomes_table(built.outcomes))
    _write_sources(Path(paths.sources), {patient: found.sources[patient] for patient in built.planned}, known.names)


def _match(
    data: DataSettings,
    clinical: "ClinicalSettings",
    cohort: "CohortSettings",
    endpoints: "Mapping[str, EndpointSettings]",
    ingest: IngestSettings,
    images: "ImagesSettings",
    barred: set[str],
    index: str | Path | None,
    known: Pseudonyms,
) -> Cohort:
    from metaswin.cohort.clinical_table import apply_cohort, read_clinical
    from metaswin.cohort.outcomes import outcome
    from metaswin.cohort.predictors import predictors

    table = read_clinical(clinical.table or "", clinical, known.of)
    unusable = [patient for patient in table.table.index if not is_usable(patient)]
    stay, problems = apply_cohort(table, cohort)
    in_clinical = {*table.table.index, *(item.patient for item in table.problems if item.patient)}
    stay, decided = left_by_review(cohort.review, stay, in_clinical)
    problems += [problem(**item) for item in decided]
    problems = [_without_unusable_id(item) for item in (*table.problems, *problems)]
    problems += [problem("", "unusable-id", "an id in the clinical table", repr(patient)) for patient in unusable]
    stay = [patient for patient in stay if is_usable(patient)]

    starts = _treatment_starts(table, clinical, ingest)
    found = _find(data, ingest, images, stay, barred, index, starts, known.of)
    found.wanted = stay
    problems += found.problems
    names = known.save()
    problems += _unmatched(stay, in_clinical, found.known, data.source or "", names)
    problems += _alike(stay, names)

    rows = table.table.reindex(sorted(found.sources))
    labelled = {name: outcome(rows, name, endpoint, clinical) for name, endpoint in endpoints.items()}
    outcomes = {name: result.table for name, result in labelled.items()}
    labelled_patients = {patient for result in outcomes.values() for patient in result["patient"]}
    planned = [patient for patient in rows.index if patient in labelled_patients or not endpoints]
    typed, kinds, unexpected = predictors(table, clinical)
    problems += [item for result in labelled.values() for item in result.problems]
    problems += [item for item in unexpected if item.patient in {"", *rows.index}]
    if not planned:
        problems.append(problem("", "no-patient", f"{len(rows)} patients with data, {len(planned)} with an outcome"))
    return Cohort(found, planned, typed.loc[planned], kinds, outcomes, problems, len(in_clinical))


def _nothing(endpoints: "Mapping[str, EndpointSettings]", why: Problem) -> Cohort:
    """Return the cohort if a table cannot be read at all."""
    import pandas as pd

    from metaswin.cohort.outcomes import no_outcome

    empty = pd.DataFrame(index=pd.Index([], name="patient", dtype="str"))
    return Cohort(Found(), [], empty, {}, {name: no_outcome() for name in endpoints}, [why], 0)


def _unusable(error: UserError, *paths: str | None) -> Problem:
    """Return the problem of an unreadable table of the user; its path is private."""
    public = str(error)
    for path in filter(None, paths):
        public = public.replace(str(path), "the file")
    return problem("", "unusable-table", public, str(error))


def _outcomes_table(outcomes: "Mapping[str, pd.DataFrame]") -> "pd.DataFrame":
    import pandas as pd

    from metaswin.cohort.outcomes import no_outcome

    tables = [table.assign(endpoint=name) for name, table in outcomes.items()]
    return pd.concat(tables or [no_outcome().assign(endpoint="")], ignore_index=True)


def _find(
    data: DataSettings,
    ingest: IngestSettings,
    images: "ImagesSettings",
    stay: list[str],
    barred: set[str],
    index: str | Path | None,
    treatment_starts: dict[str, str],
    pseudonym: Callable[[str], str],
) -> Found:
    if data.source == "dicom":
        if index is None:
            raise ValueError("the index of the DICOM files is needed")
        return _find_dicom(read_table(index), data, ingest, images, stay, barred, treatment_starts, pseudonym)
    if data.source == "nifti":
        return _find_nifti(data, ingest, stay, pseudonym)
    if data.source == "features":
        return _find_features(data, stay, pseudonym)
    return Found(known=set(stay), sources={patient: {"patient": patient, "kind": "clinical"} for patient in stay})


def _find_dicom(
    index: "pd.DataFrame",
    data: DataSettings,
    ingest: IngestSettings,
    images: "ImagesSettings",
    stay: list[str],
    barred: set[str],
    treatment_starts: dict[str, str],
    pseudonym: Callable[[str], str],
) -> Found:
    index = index[index["usable"].astype(bool)]
    found = Found(known=set(index["patient"]))
    sheet = _masks(data, found, pseudonym) if ingest.tumor_source == "nifti" else None
    for patient, rows in index[index["patient"].isin(stay)].groupby("patient", sort=True):
        start = treatment_starts.get(patient, "")
        choice = choose(patient, rows, start, ingest)
        found.choices += choice.rows
        found.problems += choice.problems
        if choice.ct is None or patient in barred:
            continue
        if ingest.series.treatment_start and not start:
            found.problems.append(problem(patient, "no-treatment-date", "no date, or a date that cannot be read"))
        seen = [*check_series(patient, choice.ct, images), *check_contours(patient, choice.ct, choice.rois)]
        found.problems += seen
        tumor = _tumor(patient, choice, ingest, sheet, found)
        if tumor is not None and not any(item.excludes for item in seen):
            ct = {"ct": list(choice.ct.paths), "state": choice.ct.state, "series": choice.ct.series}
            found.sources[patient] = {"patient": patient, "kind": "dicom", **ct, "tumor": tumor}
    return found


def _masks(data: DataSettings, found: Found, pseudonym: Callable[[str], str]) -> Sheet:
    if data.sheet is None:
        raise UserError("data.sheet is not set, but ingest.tumor_source is nifti; give the CSV that names the masks")
    sheet = read_sheet(data.sheet, need_image=False, pseudonym=pseudonym)
    found.problems += sheet.problems
    return sheet


def _tumor(
    patient: str, choice: Choice, ingest: IngestSettings, sheet: Sheet | None, found: Found
) -> dict[str, Any] | None:
    """Return the entry ``tumor`` of a DICOM patient's source; without a tumour, return None and add a problem."""
    kind = ingest.tumor_source
    if kind == "nnunet":
        return {"kind": kind}
    if sheet is not None:
        masks = {role: sheet.rows.get(patient, {}).get(role) for role in ROLES}
        wrong = check_files(patient, masks, automatic=False)
        found.problems += wrong
        if wrong:
            return None
        return {"kind": kind, **masks, "state": state([path for path in masks.values() if path])}
    if choice.contours is None:
        return None
    rois = {role: [roi.as_json() for roi in choice.rois[role]] for role in ROLES}
    return {"kind": kind, "path": choice.contours.paths[0], "state": choice.contours.state, "rois": rois}


def _find_nifti(data: DataSettings, ingest: IngestSettings, stay: list[str], pseudonym: Callable[[str], str]) -> Found:
    sheet = read_sheet(data.sheet or "", pseudonym=pseudonym)
    automatic = ingest.tumor_source == "nnunet"
    found = Found(known={*sheet.rows, *(item.patient for item in sheet.problems if item.patient)})
    found.problems += sheet.problems
    for patient in sorted(set(stay) & set(sheet.rows)):
        paths = sheet.rows[patient]
        wrong = check_files(patient, paths, automatic)
        if not paths["image"]:
            wrong.append(problem(patient, "missing-file", "no path of an image"))
        found.problems += wrong
        if wrong:
            continue
        masks: dict[str, Any] = {"kind": "nnunet"} if automatic else {"kind": "nifti"}
        if not automatic:
            masks.update({role: paths[role] for role in ROLES})
        files = [path for name, path in paths.items() if path and (name == "image" or not automatic)]
        found.sources[patient] = {
            "patient": patient, "kind": "nifti", "ct": paths["image"], "state": state(files), "tumor": masks,
        }  # fmt: skip
    return found


def _find_features(data: DataSettings, stay: list[str], pseudonym: Callable[[str], str]) -> Found:
    ids, problems = read_feature_ids(data.features or "", pseudonym)
    seen = {*ids, *(item.patient for item in problems if item.patient)}
    sources = {patient: {"patient": patient, "kind": "features"} for patient in stay if patient in ids}
    return Found(known=seen, sources=sources, problems=problems)


def _treatment_starts(table: "ClinicalTable", clinical: "ClinicalSettings", ingest: IngestSettings) -> dict[str, str]:
    """Return ``YYYYMMDD`` per study id if ``ingest.series.treatment_start`` names a column with a readable date."""
    import pandas as pd

    column = ingest.series.treatment_start
    if column is None:
        return {}
    if column.strip() not in table.table:
        raise UserError(
            f"ingest.series.treatment_start: the clinical table has no column {column!r} "
            f"(it has {', '.join(table.table.columns)})"
        )
    dates = pd.to_datetime(table.table[column.strip()], format=clinical.date_format, errors="coerce").dropna()
    if dates.empty:
        raise UserError(
            f"ingest.series.treatment_start: no value of {column!r} is a date like {clinical.date_format}; "
            "set clinical.date_format"
        )
    return dict(zip(dates.index, dates.dt.strftime("%Y%m%d"), strict=True))


def _unmatched(
    stay: list[str], in_clinical: set[str], known: set[str], source: str, names: Mapping[str, str]
) -> list[Problem]:
    problems = []
    missing = "no-features" if source == "features" else "no-image"
    for patient in sorted(set(stay) - known):
        near = same_but_writing(patient, known, names)
        hint = f"the data contain {', '.join(near)}: the same patient?" if near else ""
        problems.append(problem(patient, missing, "none under this id", hint=hint))
    for patient in sorted(known - in_clinical):
        near = same_but_writing(patient, in_clinical, names)
        hint = (
            f"the clinical table has {', '.join(near)}: the same patient?" if near and all(map(is_usable, near)) else ""
        )
        problems.append(problem(patient, "no-clinical-row", "none under this id", hint=hint))
    return problems


def _alike(ids: list[str], names: Mapping[str, str]) -> list[Problem]:
    """Report patients of the cohort whose ids differ only in spelling, such as 7 and 007."""
    return [
        problem(patient, "alike-ids", f"an id like {', '.join(others)}")
        for patient, others in alike(ids, names).items()
    ]


def _without_unusable_id(item: Problem) -> Problem:
    """Return a problem of the clinical table, with an id that must not be published moved to the private part."""
    if not item.patient or is_usable(item.patient):
        return item
    return replace(item, patient="", private=f"{item.patient!r} {item.private}".strip())


def _together(earlier: "pd.DataFrame", later: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd

    table = pd.concat([table for table in (earlier, later) if len(table)] or [later], ignore_index=True)
    return table.sort_values(["patient", "stage", "code"], kind="stable", ignore_index=True)


def _patients(sources: dict[str, dict[str, Any]]) -> "pd.DataFrame":
    import pandas as pd

    rows = []
    for patient, source in sorted(sources.items()):
        tumor = source.get("tumor", {})
        drawn = tumor.get("rois", tumor)
        unknown = tumor.get("kind") in (None, "nnunet")
        has = {f"has_{role}": None if unknown else bool(drawn.get(role)) for role in ROLES}
        rows.append({"patient": patient, "tumor_source": tumor.get("kind"), **has})
    types = {"patient": "str", "tumor_source": "str", "has_primary": "boolean", "has_nodes": "boolean"}
    return pd.DataFrame(rows, columns=list(types)).astype(types)


def _choice_table(rows: list[dict[str, Any]]) -> "pd.DataFrame":
    import pandas as pd

    types = {"patient": "str", "series": "str", "modality": "str", "chosen": bool, "rank": "Int64", "reason": "str"}
    table = pd.DataFrame(rows, columns=CHOICE_COLUMNS).astype(types)
    return table.sort_values(
        ["patient", "chosen", "rank", "series"], ascending=[True, False, True, True], ignore_index=True
    )


def _write_sources(folder: Path, sources: dict[str, dict[str, Any]], names: Mapping[str, str]) -> None:
    """Write one JSON file per patient with images.

    The same content gives the same bytes. Therefore Snakemake reruns only patients that changed. With pseudonyms,
    ``id`` is the study id of the patient.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for patient, source in sources.items():
        if "ct" in source:
            own = {"id": names[patient]} if patient in names else {}
            write_json(folder / f"{patient}.json", {**source, **own})
