"""Whether the run goes on after the quality control."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from metaswin.errors import UserError, several
from metaswin.files import atomic, read_table
from metaswin.qc.settings import QcSettings

if TYPE_CHECKING:
    import pandas as pd

# Who is left out because the configuration says so; such a problem never stops a run.
AS_CONFIGURED = {
    "baseline-metastasis",
    "excluded-by-config",
    "not-included",
    "uncertain-outcome",
    "died-before-horizon",
}
# Nobody is left out, and yet the run cannot end well.
FOR_ALL = {"too-few-events"}
SHOWN = 20  # patients named a code


def stops(problems: "pd.DataFrame") -> "pd.Series":
    """Which problems end a run with ``qc.on_problem: stop``."""
    left_out = problems["excludes"].astype(bool) & ~problems["code"].isin(AS_CONFIGURED)
    return left_out | problems["code"].isin(FOR_ALL)


def pass_gate(
    problems: str | Path,
    page: str | Path,
    matched: str | Path,
    matched_sources: str | Path,
    patients: str | Path,
    sources: str | Path,
    settings: QcSettings,
) -> None:
    """Copy the matched patients and their sources to where later stages read them, if the run goes on.

    Parameters
    ----------
    problems, page : path
        ``qc.parquet``, and the page for the message.
    matched, matched_sources : path
        What ingest wrote.
    patients, sources : path
        The copies.
    settings : QcSettings

    Raises
    ------
    UserError
        With all problems that stop the run.
    """
    table = read_table(problems)
    if settings.on_problem == "stop":
        check(table[stops(table)], f"The data have problems, and qc.on_problem is stop ({page} shows all of them):")
    shutil.rmtree(sources, ignore_errors=True)
    shutil.copytree(matched_sources, sources)
    with atomic(patients) as temporary:
        shutil.copyfile(matched, temporary)


def check(problems: "pd.DataFrame", title: str) -> None:
    """Raise one error with all `problems` (public table), by code; nothing where there are none."""
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
