"""Whether the run goes on after the quality control."""

from pathlib import Path
from typing import TYPE_CHECKING

from metaswin.errors import UserError, several
from metaswin.files import read_table, write_text
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
SHOWN = 20  # patients named a code


def stops(problems: "pd.DataFrame") -> "pd.Series":
    """Which problems end a run with ``qc.on_problem: stop``."""
    return problems["excludes"].astype(bool) & ~problems["code"].isin(AS_CONFIGURED)


def pass_qc(problems: str | Path, page: str | Path, passed: str | Path, settings: QcSettings) -> None:
    """Write the file `passed` if the run goes on.

    Parameters
    ----------
    problems : path
        ``qc.parquet``.
    page : path
        The page, for the message.
    passed : path
        What the jobs after the quality control wait for; its content never changes.

    Raises
    ------
    UserError
        With all problems that stop the run.
    """
    table = read_table(problems)
    if settings.on_problem == "stop":
        check(table[stops(table)], f"The data have problems, and qc.on_problem is stop ({page} shows all of them):")
    write_text(passed, "passed\n")


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
