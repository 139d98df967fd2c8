"""Locate the workflow's files (in the checkout or the installed environment) and check the user's cache folder."""

import os
import sysconfig
from pathlib import Path

import metaswin
from metaswin.core.errors import UserError

CONFIG = "metaswin.yaml"


def workflow_root() -> Path:
    """Return the folder that contains the Snakefile, `workflow`, `config`, `profiles` and `requirements.txt`.

    Raises
    ------
    UserError
        If there is no such folder.
    """
    candidates = [Path(metaswin.__file__).resolve().parents[2], Path(sysconfig.get_path("data")) / "share/metaswin"]
    for folder in candidates:
        if (folder / "Snakefile").is_file() and (folder / "workflow/rules").is_dir():
            return folder
    raise UserError(
        f"found no Snakefile of metaswin (searched in {' and '.join(map(str, candidates))}); install metaswin again, "
        "or run `snakemake` in a checkout"
    )


def cache_problem() -> str:
    """Return what is wrong with the user's cache folder, which Snakemake needs; empty if it can be written to."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if there.is_dir() and os.access(there, os.W_OK):
        return ""
    return (
        f"{folder} cannot be written to, and Snakemake needs a cache there: set HOME or XDG_CACHE_HOME to a writable "
        "folder, for example XDG_CACHE_HOME=/tmp"
    )
