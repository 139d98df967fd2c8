"""Run ``metaswin run``: lock the folder, remove the leftovers of an interrupted run, then start Snakemake."""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from metaswin.config.read import read_config
from metaswin.core.errors import UserError
from metaswin.core.files import write_text
from metaswin.running.leftovers import Leftovers, end_jobs, find_leftovers, live_snakemake, remove_interrupted, unlock
from metaswin.running.owner import Owner, become, hold, is_elsewhere, last_owner, live_owner
from metaswin.running.places import CONFIG, cache_problem, workflow_root

ENDED = "--jobs-ended"
PROBE = 1 << 18  # bytes
HELP = f"""usage: metaswin run [{ENDED}] [arguments of snakemake]

Runs `snakemake` with the Snakefile of metaswin. These arguments are added if you do not give them: --snakefile,
--cores all, --configfile {CONFIG} (if the working directory contains one), --rerun-incomplete. The command locks the
working directory; a second run in it stops and reports the process that holds the lock. The leftovers of a killed run
are removed first: its jobs on this machine, Snakemake's lock, outputs of interrupted jobs.

On a terminal the progress is shown live: chapters, running jobs, time left, failures. In a pipe or a file, and with
--logger, --quiet, --verbose, --printshellcmds or --debug-dag, Snakemake writes its own lines.

  --directory DIR, -d DIR   the working directory (default: the current folder)
  {ENDED}              confirm that the jobs of a killed run on another machine or a cluster have ended
All other arguments are Snakemake's own, for example -n, --cores 8, -- all: see `snakemake --help`."""
# These commands run no job and need no lock.
LOOKING = [
    "--unlock", "--list-rules", "--list-target-rules", "--dag", "--rulegraph", "--filegraph", "--summary",
    "--detailed-summary", "--report", "--lint", "--version",
]  # fmt: skip

# With these arguments, and where standard error is not a terminal, Snakemake's own lines are shown.
LINES = ["--logger", "--quiet", "-q", "--verbose", "--printshellcmds", "-p", "--debug-dag"]


def launch(arguments: list[str]) -> int:
    """Run Snakemake with `arguments`; the function returns only if no job is run.

    Raises
    ------
    UserError
        If another process runs the workflow in the folder, if jobs of a killed run may still run elsewhere, if a
        configuration file cannot be read or parsed, or if the disk or the user's cache folder cannot be written to.
    """
    if {"--help", "-h"} & set(arguments):
        print(HELP)
        return 0
    if problem := cache_problem():
        raise UserError(problem)
    ended = ENDED in arguments
    arguments = [word for word in arguments if word != ENDED]
    known = _known(arguments)
    directory = known.directory.resolve()
    command = snakemake_command(arguments)
    if known.dryrun or any(word.split("=")[0] in LOOKING for word in arguments):
        return subprocess.run(command, check=False).returncode
    before = last_owner(directory)
    owner = live_snakemake(directory)
    left = find_leftovers(directory) if owner is None else None
    if left and not ended:
        _look_elsewhere(left, before)  # before the lock is taken, because that overwrites the last owner
    if owner is not None or not hold(directory):
        raise UserError(
            f"{directory} is in use: {owner or live_owner(directory)} runs the workflow there. Wait for it, or end it "
            "(Ctrl-C, or `kill` with its process number): two runs in one folder would write the same files"
        )
    _try_disk(directory)
    if left:
        _remove_leftovers(directory, left, before)
    become(directory, [*command[:3], *_display(arguments), *command[3:]])
    raise AssertionError("os.exec does not return")


def snakemake_command(arguments: list[str]) -> list[str]:
    """Return the command line of `snakemake` with `arguments` and the defaults for missing ones.

    Raises
    ------
    UserError
        If a configuration file cannot be read or parsed.
    """
    known = _known(arguments)
    return [sys.executable, "-m", "snakemake", *_added(known, known.directory.resolve()), *arguments]


def _known(arguments: Sequence[str]) -> argparse.Namespace:
    """Return those of Snakemake's arguments that matter here: those with a default, and the dry run."""
    parser = argparse.ArgumentParser(prog="metaswin run", add_help=False, allow_abbrev=False)
    parser.add_argument("--directory", "-d", type=Path, default=Path())
    parser.add_argument("--snakefile", "-s")
    parser.add_argument("--configfile", "--configfiles", nargs="+", action="extend", default=[])
    parser.add_argument("--cores", "-c", nargs="?", const="all")
    parser.add_argument("--jobs", "-j", nargs="?", const="all")
    parser.add_argument("--profile", nargs="+")
    parser.add_argument("--dry-run", "--dryrun", "-n", dest="dryrun", action="store_true")
    for flag in "pkfFtr":  # declared so that they can be joined, as in -np
        parser.add_argument(f"-{flag}", action="store_true")
    parser.add_argument("-q", nargs="*")
    before_targets = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return parser.parse_known_args(before_targets)[0]


def _added(known: argparse.Namespace, directory: Path) -> list[str]:
    """Return the arguments to insert before the user's; every configuration file is read to find errors in it."""
    added = []
    own = directory / CONFIG
    if not known.configfile and own.is_file():
        added += ["--configfile", str(own)]
    for path in known.configfile or [own] * own.is_file():
        if Path(path).is_file():  # like Snakemake, the parser takes targets behind --configfile for files
            read_config(path)
    if known.snakefile is None:
        added += ["--snakefile", str(workflow_root() / "Snakefile")]
    if known.cores is None and known.jobs is None and known.profile is None:
        added += ["--cores", "all"]
    return [*added, "--rerun-incomplete"]


def _display(arguments: Sequence[str]) -> list[str]:
    """Return the argument that shows the progress on a terminal; none if the user asks for lines."""
    asked = any(word.split("=")[0] in LINES for word in arguments)
    return [] if asked or not os.isatty(2) else ["--logger=metaswin"]


def _try_disk(directory: Path) -> None:
    """Check that the disk can be written to before the run starts; Snakemake would end with a traceback."""
    probe = directory / ".snakemake/metaswin.probe"
    write_text(probe, " " * PROBE)
    probe.unlink()


def _look_elsewhere(left: Leftovers, before: Owner | None) -> None:
    """Raise an error if jobs of a killed run may still run on a cluster or on another machine."""
    there = f"a cluster ({' '.join(left.cluster_jobs)})" if left.cluster_jobs else ""
    if before is not None and is_elsewhere(before):
        there = there or before.host
    if there:
        raise UserError(
            f"{_run_of(before)} was killed, and its jobs may still run on {there}, which cannot be checked from here. "
            f"End them there (on Slurm: scancel), then run again with {ENDED}"
        )


def _run_of(owner: Owner | None) -> str:
    return f"The last run here ({owner or 'without a record of its owner'})"


def _remove_leftovers(directory: Path, left: Leftovers, before: Owner | None) -> None:
    """Remove the leftovers of a killed run in `directory`."""
    print(f"{_run_of(before)} was interrupted.", file=sys.stderr)
    if left.jobs:
        print(f"  {len(left.jobs)} processes of its jobs were still running: ended", file=sys.stderr)
        end_jobs(left.jobs)
    if left.locked:
        print("  Snakemake's lock was left: removed, as by --unlock", file=sys.stderr)
        unlock(directory)
    removed = remove_interrupted(directory)
    if removed:
        print(f"  {removed} outputs of interrupted jobs: removed; they are made again", file=sys.stderr)
