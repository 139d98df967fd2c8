"""Collect all data problems before any long computation, and write the quality control page."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metaswin.cohort.clinical_table import STAGE as CLINICAL
from metaswin.cohort.gate import ends, stops
from metaswin.cohort.outcomes import STAGE as LABEL
from metaswin.cohort.outcomes import counts
from metaswin.cohort.screening import column_aucs, suspicious
from metaswin.config.cohort import ClinicalSettings, EndpointSettings, QcSettings
from metaswin.core.files import atomic, metadata_of, read_table, write_table, write_text
from metaswin.core.pages import environment, resource
from metaswin.core.problems import Problem, from_table, public_table, save_details

PARTS = 5  # parts of the patients within which the levels of a category are ranked, see `column_aucs`
FEWEST = 5  # with fewer events or non-events, one column may separate them by chance


@dataclass(frozen=True)
class Qc:
    """Store the content of the page.

    Attributes
    ----------
    problems : pandas.DataFrame
        Public columns of the problems, and `stops` (whether the problem stops a run with ``qc.on_problem: stop``).
    new : list of Problem
        Problems that are found here, with their private part.
    counts : dict
        Numbers of patients: ``clinical, found, go_on`` (included).
    columns : list of dict
        Clinical columns that may be predictors: ``name, role, kind, missing, levels, problems``.
    endpoints : dict
        Numbers of ``events, nonevents, unknown, excluded`` of each endpoint.
    series : pandas.DataFrame
        Chosen CT of each patient with its facts, the reason and the number of candidates. Empty without DICOM.
    """

    problems: pd.DataFrame
    new: list[Problem]
    counts: dict[str, int]
    columns: list[dict[str, Any]]
    endpoints: dict[str, dict[str, int]]
    series: pd.DataFrame


@dataclass(frozen=True)
class QcInputs:
    """Name the tables of `metaswin.cohort.match.match_patients`; ``series`` (public index) is None without DICOM."""

    patients: str | Path
    problems: str | Path
    choice: str | Path
    clinical: str | Path
    outcomes: str | Path
    series: str | Path | None


@dataclass(frozen=True)
class QcOutputs:
    """Name the files of the quality control: the page (one offline file) and the problems as Parquet and CSV."""

    html: str | Path
    table: str | Path
    csv: str | Path


def collect(
    inputs: QcInputs,
    clinical: ClinicalSettings,
    endpoints: Mapping[str, EndpointSettings],
    single_column_auc: float,
    folds: int,
) -> Qc:
    """Collect the problems and facts that are known before any image is converted.

    Parameters
    ----------
    inputs : QcInputs
    clinical, endpoints : settings
    single_column_auc : float
        A predictor that alone has a higher AUC is reported.
    folds : int
        An endpoint with fewer events or non-events than folds is reported.
    """
    early = from_table(read_table(inputs.problems))
    typed = read_table(inputs.clinical).set_index("patient")
    kinds = json.loads(metadata_of(inputs.clinical)["kinds"])
    table = read_table(inputs.outcomes)
    outcomes = {name: table[table["endpoint"] == name] for name in endpoints}
    numbers = {
        name: counts(outcomes[name], early, name, endpoint)[endpoint.deaths] for name, endpoint in endpoints.items()
    }
    new = _too_good(typed, kinds, outcomes, single_column_auc)
    new += [problem for name in numbers for problem in _too_few(name, numbers[name], folds)]
    problems = sorted([*early, *new], key=lambda item: (not item.excludes, item.patient, item.stage, item.code))
    public = public_table(problems)
    public["stops"] = stops(public)
    metadata = metadata_of(inputs.patients)
    return Qc(
        problems=public,
        new=new,
        counts={"clinical": int(metadata["clinical"]), "found": int(metadata["found"]), "go_on": len(typed)},
        columns=_columns(typed, kinds, clinical, early),
        endpoints=numbers,
        series=_chosen(inputs.choice, inputs.series),
    )


def _too_good(
    typed: pd.DataFrame, kinds: dict[str, str], outcomes: Mapping[str, pd.DataFrame], limit: float
) -> list[Problem]:
    """Report predictors that alone predict the outcome too well, such as columns recorded after the outcome."""
    found: dict[str, Problem] = {}
    for table in outcomes.values():
        known = table.dropna(subset=["label"])
        label = known["label"].to_numpy(dtype=int)
        if min(label.sum(), (1 - label).sum()) < FEWEST:
            continue
        rows = typed.loc[known["patient"]]
        aucs = column_aucs(rows, kinds, label, np.arange(len(rows)) % PARTS)
        found.update({name: suspicious(name, limit) for name, auc in aucs.items() if auc > limit})
    return list(found.values())


def _too_few(endpoint: str, counts: Mapping[str, int], folds: int) -> list[Problem]:
    """Report fewer events or non-events than folds; later stages can only exclude more patients."""
    return [
        Problem(
            "", f"{LABEL}:{endpoint}", "too-few-events", f"{counts[kind]} {what}",
            f"{folds} or more, at least one in each fold",
            f"check the settings of endpoints.{endpoint} (column, positive values, horizon), set folds.k lower or add "
            "patients; otherwise the run stops when the folds are made",
            excludes=False,
        )
        for kind, what in (("events", "with the event"), ("nonevents", "without it"))
        if counts[kind] < folds
    ]  # fmt: skip


def _columns(
    typed: pd.DataFrame, kinds: dict[str, str], clinical: ClinicalSettings, early: list[Problem]
) -> list[dict[str, Any]]:
    here = set(typed.index)
    return [
        {
            "name": name,
            "role": clinical.columns[name].role,
            "kind": kind,
            "missing": int(typed[name].isna().sum()),
            "levels": int(typed[name].nunique()),
            "problems": sum(_concerns(problem, name) for problem in early if problem.patient in here),
        }
        for name, kind in kinds.items()
    ]


def _concerns(problem: Problem, column: str) -> bool:
    """Return whether a problem is an unexpected value of a column."""
    names_column = problem.found.startswith(f"{column} = ") or problem.found.endswith(f" {column}")
    return names_column and problem.stage == CLINICAL and not problem.excludes


def _chosen(choices: str | Path, index: str | Path | None) -> pd.DataFrame:
    if index is None:
        return pd.DataFrame()
    choice, series = read_table(choices), read_table(index)
    ranked = choice[choice["rank"].notna()]
    chosen = ranked[ranked["chosen"]].drop(columns="modality")
    chosen = chosen.merge(ranked.groupby("patient").size().rename("candidates").reset_index(), on="patient")
    return chosen.merge(series, on=["patient", "series"]).sort_values("patient", ignore_index=True)


MANY = 12  # with more rows a table scrolls; with more codes the flow shows only the most frequent


def make_qc(
    inputs: QcInputs,
    outputs: QcOutputs,
    clinical: ClinicalSettings,
    endpoints: Mapping[str, EndpointSettings],
    settings: QcSettings,
    single_column_auc: float,
    folds: int,
    details: str | Path,
) -> None:
    """Write the page and its problems.

    Parameters
    ----------
    inputs, clinical, endpoints, single_column_auc, folds
        See `metaswin.cohort.quality_control.collect`.
    outputs : QcOutputs
    settings : QcSettings
    details : path
        Folder of the private part of the problems.
    """
    qc = collect(inputs, clinical, endpoints, single_column_auc, folds)
    save_details(qc.new, Path(details))
    write_table(outputs.table, qc.problems)
    with atomic(outputs.csv) as temporary:
        qc.problems.to_csv(temporary, index=False)
    write_text(outputs.html, _page(qc, settings))


def _page(qc: Qc, settings: QcSettings) -> str:
    out = qc.problems[qc.problems["excludes"]]
    warned = qc.problems[~qc.problems["excludes"]]
    template = environment("metaswin.cohort").get_template("qc.html.j2")
    return template.render(
        qc=qc,
        stop=settings.on_problem == "stop",
        stopping=int(qc.problems["stops"].sum()),
        ended=ends(qc.problems).to_dict("records"),
        out=out.to_dict("records"),
        warned=warned.to_dict("records"),
        codes=_by_code(qc.problems),
        series=_series(qc.series),
        summary=_summary(qc.series),
        many=MANY,
        style=resource("report.css"),
        script=resource("report.js"),
    )


def _by_code(problems: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one row per code with the number of patients, what is expected and what to do; excluding codes first."""
    groups = problems.groupby(["excludes", "stage", "code"], sort=False)
    rows = [
        {
            "excludes": bool(excludes), "stage": stage, "code": code, "patients": len(set(rows["patient"]) - {""}),
            "stops": bool(rows["stops"].any()), **rows.iloc[0][["found", "expected", "action"]],
        }
        for (excludes, stage, code), rows in groups
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (not row["excludes"], -row["patients"], row["code"]))


def _series(series: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of the table of chosen CTs; unknown values are None."""
    return series.astype(object).where(series.notna(), None).to_dict("records")


def _summary(series: pd.DataFrame) -> list[tuple[str, list[tuple[str, int]]]]:
    """Count the chosen CTs by manufacturer, model, kernel and slice distance, the most frequent first."""
    if series.empty:
        return []
    distances = series["slice_spacing"].map(lambda value: "unknown" if pd.isna(value) else f"{value:g} mm")
    facts = [
        ("Manufacturer", series["manufacturer"]),
        ("Model", series["model"]),
        ("Kernel", series["kernel"]),
        ("Slice distance", distances),
    ]
    counts = [(name, column.replace("", "unknown").fillna("unknown").value_counts()) for name, column in facts]
    return [(name, list(found.items())[:6]) for name, found in counts]
