"""Summarise what a run would do now, and why, from a dry-run of Snakemake."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from metaswin.core.errors import UserError
from metaswin.running.launch import snakemake_command

JOBS = re.compile(r"^Job stats:\n.*\n-.*\n((?:\w+ +\d+\n)+)", re.MULTILINE)
REASONS = re.compile(r"^Reasons:\n.*\n((?:    .*\n)+)", re.MULTILINE)
PASSED_ON = "input files updated by another job"
FITS = ("train_fusion", "train_hazard", "train_deep", "select_features")


def plan(directory: Path, arguments: Sequence[str]) -> list[str]:
    """Return lines for the terminal: every rule that would run, how often, and the reasons for it.

    Parameters
    ----------
    directory : Path
        The working directory.
    arguments : sequence of str
        Arguments for Snakemake, such as ``--configfile``.

    Raises
    ------
    UserError
        If Snakemake cannot plan the run. The message contains Snakemake's own output.
    """
    command = snakemake_command([*arguments, "--directory", str(directory), "--dry-run", "--quiet", "rules"])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    if done.returncode:
        raise UserError(f"Snakemake cannot plan the run:\n{text.strip()}")
    return read_plan(text)


def read_plan(text: str) -> list[str]:
    """Return the lines of `plan` from the output of a dry-run."""
    tables = JOBS.findall(text)
    if not tables:
        return ["Nothing to be done: all results exist and are up to date."]
    counts = {rule: int(count) for rule, count in (line.split() for line in tables[-1].splitlines())}
    counts.pop("total", None)
    lines = ["A run would do the following now (more if a checkpoint finds more patients):"]
    lines += [f"  {rule:24}{count:>7}" for rule, count in counts.items() if rule != "all"]
    lines += ["Reasons:", *_reasons(text)]
    refitted = [f"{counts[rule]} × {rule}" for rule in FITS if rule in counts]
    if refitted:
        lines.append(
            f"Models: {', '.join(refitted)}. Models are fitted on the training rows of their fold. If a patient is "
            "added or removed, or a value changes, the training rows of every fold change, and all models are refitted."
        )
    return lines


def _reasons(text: str) -> list[str]:
    """Return one line per reason with its rules; rules that only follow others are counted."""
    found = REASONS.search(text)
    lines = []
    reason = ""
    for line in found[1].splitlines() if found else []:
        if not line.startswith(" " * 8):
            reason = line.strip().rstrip(":")
        elif reason == PASSED_ON:
            lines.append(f"  these or other rules in this list run before: {len(line.split(','))} rules")
        else:
            lines.append(f"  {reason}: {line.strip()}")
    return lines
