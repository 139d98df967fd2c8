"""Everything that ingest and the clinical table say, gathered before any long computation."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metaswin.clinical.label import STAGE as LABEL
from metaswin.clinical.label import counts
from metaswin.clinical.settings import ClinicalSettings, EndpointSettings
from metaswin.clinical.table import STAGE as CLINICAL
from metaswin.files import metadata_of, read_table
from metaswin.fusion.suspicion import column_aucs, suspicious
from metaswin.problems import Problem, from_table, public_table
from metaswin.qc.gate import stops

PARTS = 5  # parts of the patients among which the levels of a category are ranked, see `column_aucs`
FEWEST = 5  # events and non-events below which one column may tell them apart by chance


@dataclass(frozen=True)
class Qc:
    """What the page shows.

    Attributes
    ----------
    problems : pandas.DataFrame
        Public columns of the problems and `stops`, whether it ends a run with ``qc.on_problem: stop``.
    new : list of Problem
        Those that are found here, with their private part.
    counts : dict
        Numbers of patients: ``clinical, found, go_on``.
    columns : list of dict
        The clinical columns that may predict: ``name, role, kind, missing, levels, problems``.
    endpoints : dict
        Per endpoint: numbers of ``events, nonevents, unknown, left_out``.
    series : pandas.DataFrame
        The chosen CT of each patient with its facts, the reason, and the number of candidates; empty without DICOM.
    """

    problems: pd.DataFrame
    new: list[Problem]
    counts: dict[str, int]
    columns: list[dict[str, Any]]
    endpoints: dict[str, dict[str, int]]
    series: pd.DataFrame


def collect(
    inputs: Mapping[str, Any],
    clinical: ClinicalSettings,
    endpoints: Mapping[str, EndpointSettings],
    single_column_auc: float,
    folds: int,
) -> Qc:
    """Gather what is known so far.

    Parameters
    ----------
    inputs : mapping
        ``patients, problems, choice, clinical, outcomes`` (of `metaswin.ingest.cohort.match_patients`). With DICOM
        also ``series``, the public index.
    clinical, endpoints : settings
    single_column_auc : float
        A predictor that alone ranks events above non-events with a higher AUC is told.
    folds : int
        An endpoint with fewer events or non-events is told: so many folds cannot be made.
    """
    early = from_table(read_table(inputs["problems"]))
    typed = read_table(inputs["clinical"]).set_index("patient")
    kinds = json.loads(metadata_of(inputs["clinical"])["kinds"])
    table = read_table(inputs["outcomes"])
    outcomes = {name: table[table["endpoint"] == name] for name in endpoints}
    numbers = {
        name: counts(outcomes[name], early, name, endpoint)[endpoint.deaths] for name, endpoint in endpoints.items()
    }
    new = _too_good(typed, kinds, outcomes, single_column_auc)
    new += [problem for name in numbers for problem in _too_few(name, numbers[name], folds)]
    problems = sorted([*early, *new], key=lambda item: (not item.excludes, item.patient, item.stage, item.code))
    public = public_table(problems)
    public["stops"] = stops(public)
    metadata = metadata_of(inputs["patients"])
    return Qc(
        problems=public,
        new=new,
        counts={"clinical": int(metadata["clinical"]), "found": int(metadata["found"]), "go_on": len(typed)},
        columns=_columns(typed, kinds, clinical, early),
        endpoints=numbers,
        series=_chosen(inputs),
    )


def _too_good(
    typed: pd.DataFrame, kinds: dict[str, str], outcomes: Mapping[str, pd.DataFrame], limit: float
) -> list[Problem]:
    """Predictors that alone know the outcome too well, as something recorded after it does."""
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
    """Events or non-events that are fewer than the folds; later stages leave out more patients, never fewer."""
    return [
        Problem(
            "", f"{LABEL}:{endpoint}", "too-few-events", f"{counts[kind]} {what}",
            f"{folds} or more, one in each fold",
            f"check the settings of endpoints.{endpoint} (column, positive values, horizon), set folds.k lower or add "
            "patients: as it is, the run ends where folds are made",
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
    """Whether a problem is an odd value of a column."""
    told = problem.found.startswith(f"{column} = ") or problem.found.endswith(f" {column}")
    return told and problem.stage == CLINICAL and not problem.excludes


def _chosen(inputs: Mapping[str, Any]) -> pd.DataFrame:
    if not inputs.get("series"):
        return pd.DataFrame()
    choice, series = read_table(inputs["choice"]), read_table(inputs["series"])
    ranked = choice[choice["rank"].notna()]
    chosen = ranked[ranked["chosen"]].drop(columns="modality")
    chosen = chosen.merge(ranked.groupby("patient").size().rename("candidates").reset_index(), on="patient")
    return chosen.merge(series, on=["patient", "series"]).sort_values("patient", ignore_index=True)
