"""Decide whether the run continues after the quality control."""

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metaswin.cohort.review import CODE_OF as REVIEWED
from metaswin.config.cohort import QcSettings
from metaswin.core.errors import UserError, several
from metaswin.core.files import atomic, read_table

if TYPE_CHECKING:
    import pandas as pd

# Codes of patients that the configuration excludes; such a problem never stops a run.
AS_CONFIGURED = {
    "baseline-metastasis",
    "excluded-by-config",
    "not-included",
    *REVIEWED.values(),
    "uncertain-outcome",
    "died-before-horizon",
}
# Problems that exclude no patient although the run cannot succeed.
FOR_ALL = {"too-few-events"}
ENDS = {"unusable-table", "no-patient"}
SHOWN = 20  # number of patients in a message, per code


def stops(problems: "pd.DataFrame") -> "pd.Series":
    """Return which problems stop a run with ``qc.on_problem: stop``."""
    excluding = problems["excludes"].astype(bool) & ~problems["code"].isin(AS_CONFIGURED)
    return excluding | problems["code"].isin(FOR_ALL | ENDS)


def ends(problems: "pd.DataFrame") -> "pd.DataFrame":
    """Return the problems that stop every run: a table that cannot be read, or no patient left."""
    return problems[problems["code"].isin(ENDS)]


@dataclass(frozen=True)
class GateInputs:
    """Paths of the problem table and the page, of the table of matched patients, and of the folder of their sources."""

    problems: str
    page: str
    matched: str
    matched_sources: str


def pass_gate(inputs: GateInputs, patients: str, sources: str, settings: QcSettings) -> None:
    """Copy the matched patients and their sources for the later stages, if the run continues.

    Parameters
    ----------
    inputs : GateInputs
    patients, sources : str
        Copies to write: a table and a folder.
    settings : QcSettings
        With ``on_problem: stop``, the message contains all problems that stop the run.

    Raises
    ------
    UserError
        If the quality control stops the run. The message names the page.
    """
    table, page = read_table(inputs.problems), inputs.page
    for row in ends(table).itertuples():
        raise UserError(f"The run stops after the quality control: {row.found}. See {page} for all problems")
    if settings.on_problem == "stop":
        check(table[stops(table)], f"The data have problems, and qc.on_problem is stop ({page} shows all of them):")
    shutil.rmtree(sources, ignore_errors=True)
    shutil.copytree(inputs.matched_sources, sources)
    with atomic(patients) as temporary:
        shutil.copyfile(inputs.matched, temporary)


def check(problems: "pd.DataFrame", title: str) -> None:
    """Raise one error with all `problems` (public table), by code, if there are any."""
    if len(problems):
        raise _error(problems, title)


def _error(problems: "pd.DataFrame", title: str) -> UserError:
    lines = []
    for (stage, code), rows in problems.groupby(["stage", "code"], sort=True):
        who = [patient or "cohort" for patient in rows["patient"]]
        names = ", ".join(who[:SHOWN]) + (f" and {len(who) - SHOWN} more" if len(who) > SHOWN else "")
        first = rows.iloc[0]
        lines.append(
            f"{code} [{stage}]: {names}: found {first['found']}; expected {first['expected']}; {first['action']}"
        )
    return several(title, lines)
