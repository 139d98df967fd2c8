"""Whether the run goes on after the quality control."""

from pathlib import Path
from typing import TYPE_CHECKING

from metaswin.errors import UserError, several
from metaswin.files import read_table
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
ENDS = {"unusable-table", "no-patient"}
SHOWN = 20  # patients named a code


def stops(problems: "pd.DataFrame") -> "pd.Series":
    """Which problems end a run with ``qc.on_problem: stop``."""
    left_out = problems["excludes"].astype(bool) & ~problems["code"].isin(AS_CONFIGURED)
    return left_out | problems["code"].isin(FOR_ALL | ENDS)


def ends(problems: "pd.DataFrame") -> "pd.DataFrame":
    """The problems that end every run: no table that can be read, nobody left."""
    return problems[problems["code"].isin(ENDS)]


def check_data(problems: str | Path, page: str | Path, settings: QcSettings) -> None:
    """Raise a `UserError` that names the `page` where the quality control ends the run.

    Parameters
    ----------
    problems : path
        ``qc.parquet``.
    page : path
        ``qc.html``.
    settings : QcSettings
        With ``on_problem: stop`` all problems that stop the run are in the message.
    """
    table = read_table(problems)
    for row in ends(table).itertuples():
        raise UserError(f"The run ends after the quality control: {row.found}. See {page} for all problems")
    if settings.on_problem == "stop":
        check(table[stops(table)], f"The data have problems, and qc.on_problem is stop ({page} shows all of them):")


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
