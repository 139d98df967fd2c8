"""Show the progress of a run (``metaswin status``): stages, failed jobs, and models that will be fitted again.

Everything except the plan is read from files. Therefore the command answers immediately, during a run or after it, on
any machine that can read the folder.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from metaswin.core.formatting import count
from metaswin.running.leftovers import live_snakemake
from metaswin.running.owner import last_owner

if TYPE_CHECKING:
    import pandas as pd


STEPS = re.compile(r"^(\d+) of (\d+) steps", re.MULTILINE)
CORES = re.compile(r"^Provided cores: (\d+)", re.MULTILINE)
FAILED = re.compile(r"^Error in rule (\w+):\n((?:    .*\n)+)", re.MULTILINE)
RETRIED = re.compile(r"^Trying to restart job (\d+)\.", re.MULTILINE)


@dataclass(frozen=True)
class FailedJob:
    """A failed job: its rule, and its log relative to the working directory (empty if it has no log)."""

    rule: str
    log: str


@dataclass(frozen=True)
class RunLog:
    """State of one run, read from Snakemake's log.

    Attributes
    ----------
    path : Path
        File of the log.
    done, steps : int
        Number of finished jobs, and of all jobs planned so far; a checkpoint can add more.
    cores : int
        Number of cores of the run; 1 if the log does not state it.
    failed : list of FailedJob
        Failed jobs, each listed once. Jobs that were tried again and did not fail again are not listed.
    """

    path: Path
    done: int = 0
    steps: int = 0
    cores: int = 1
    failed: list[FailedJob] = field(default_factory=list)


def last_run(directory: str | Path) -> RunLog | None:
    """Return the newest run of a working directory whose log contains jobs; dry-runs and silent runs are skipped."""
    logs = sorted((Path(directory) / ".snakemake/log").glob("*.snakemake.log"), reverse=True)
    for path in logs:
        text = path.read_text(encoding="utf-8", errors="replace")
        if "Select jobs to execute..." in text:
            return _parse(path, text)
    return None


def _parse(path: Path, text: str) -> RunLog:
    steps = STEPS.findall(text)
    done, planned = map(int, steps[-1]) if steps else (0, 0)
    cores = CORES.search(text)
    return RunLog(path, done, planned, int(cores[1]) if cores else 1, _failed(text))


def _failed(text: str) -> list[FailedJob]:
    """Return the failed jobs except those that succeeded, or were started again, after their last failure."""
    found: dict[str, tuple[FailedJob, int]] = {}
    for match in FAILED.finditer(text):
        facts = dict(line.strip().split(": ", 1) for line in match[2].splitlines() if ": " in line)
        log = facts.get("log", "").split(" (check log")[0]
        found[facts.get("jobid", match[0])] = (FailedJob(match[1], log), match.end())
    retried = {match[1]: match.end() for match in RETRIED.finditer(text)}
    return [job for number, (job, end) in found.items() if retried.get(number, -1) < end]


PLANNED = "cohort/patients.parquet"
# Stage → (path of the file that each patient has after it, rule).
STAGES = {
    "images": ("images/{}/status.json", "convert_images"),
    "organs": ("organs/{}/status.json", "segment_organs"),
    "regions": ("regions/{}/status.json", "make_regions"),
    "anatomy": ("anatomy/{}.parquet", "measure_anatomy"),
    "pictures": ("qc-images/{}.status.json", "draw_qc_image"),
    "radiomics": ("radiomics/{}.status.json", "extract_radiomics"),
    "patches": ("patches/{}.status.json", "make_patches"),
}
TAIL = 5  # number of last lines shown from a failed job's log
SHOWN = 10  # number of failed jobs shown


@dataclass(frozen=True)
class Stage:
    """Progress of one stage.

    Attributes
    ----------
    name : str
    done, excluded, patients : int
        Number of patients that have finished the stage, of those among them that were excluded in this or an earlier
        stage, and of all patients of the stage.
    seconds : float or None
        Mean duration of the stage's jobs so far; None if none has ended.
    """

    name: str
    done: int
    excluded: int
    patients: int
    seconds: float | None


def describe(directory: Path, results: Path) -> list[str]:
    """Return lines for the terminal: active run, stages, time left, failures and models.

    Parameters
    ----------
    directory : Path
        The working directory.
    results : Path
        The folder of its results.
    """
    run = last_run(directory)
    lines = [_who(directory, run)]
    found = stages(results)
    if found:
        lines += ["", f"{'stage':12}{'done':>8}{'excluded':>10}{'of':>8}{'s each':>9}"]
        lines += [
            f"{s.name:12}{s.done:>8}{s.excluded:>10}{s.patients:>8}{f'{s.seconds:.1f}' if s.seconds else '-':>9}"
            for s in found
        ]
        lines += time_left(found, run.cores if run else 1)
    elif not (results / PLANNED).is_file():
        lines.append("No cohort yet: the data have not been indexed, or the run does not start from images.")
    lines += ["", *models] if (models := list(_models(results))) else []
    if run and run.failed:
        lines += ["", *failures(directory, run)]
    return lines


def results_of(directory: Path, configs: Sequence[Path]) -> Path:
    """Return the folder of the results that the configuration files name.

    Raises
    ------
    UserError
        If a file cannot be read or parsed.
    """
    from metaswin.config.read import read_configs

    output = read_configs(configs).get("output") or {}
    return directory / output.get("results", "results")


def _who(directory: Path, run: RunLog | None) -> str:
    owner = live_snakemake(directory)
    steps = f"; {run.done} of {run.steps} steps of the run done, as far as it is planned" if run and run.steps else ""
    if owner is not None:
        return f"{directory}: {owner} runs the workflow here{steps}"
    before = last_owner(directory)
    ended = f"the last run was {before}" if before else "no run is on record"
    return f"{directory}: no active run; {ended}{steps if before else ''}"


def stages(results: Path) -> list[Stage]:
    """Return the stages that have begun, in the order of the workflow."""
    found = []
    patients = _patients(results / PLANNED) if (results / PLANNED).is_file() else []
    for name, (path, rule) in STAGES.items():
        if not (results / name).is_dir() or not patients:
            continue
        there = [file for patient in patients if (file := results / path.format(patient)).is_file()]
        excluded = sum(json.loads(file.read_text())["status"] != "ok" for file in there if file.suffix == ".json")
        found.append(Stage(name, len(there), excluded, len(patients), _mean_seconds(results / "benchmarks" / rule)))
    return found


def _patients(table: Path) -> list[str]:
    import pandas as pd

    return pd.read_parquet(table, columns=["patient"])["patient"].tolist()


def _mean_seconds(folder: Path) -> float | None:
    """Return the mean duration (seconds) from Snakemake's benchmark files."""
    seconds = []
    for path in folder.glob("*.tsv"):
        lines = path.read_text().splitlines()
        if len(lines) > 1:  # otherwise the file is being written
            seconds.append(float(lines[1].split("\t")[0]))
    return sum(seconds) / len(seconds) if seconds else None


def time_left(found: list[Stage], cores: int) -> list[str]:
    """Return one line with the time left for the patients' stages, from the mean duration of each stage so far.

    Stages whose duration cannot be estimated are listed in it.
    """
    rest = {stage.name: stage for stage in found if stage.done < stage.patients}
    if not rest:
        return []
    known = sum((s.patients - s.done) * s.seconds for s in rest.values() if s.seconds is not None)
    unknown = [name for name, s in rest.items() if s.seconds is None]
    line = f"about {_duration(known / cores)} left for these stages on {count(cores, 'core')}"
    return [f"{line}, without {', '.join(unknown)}: none of their jobs has ended" if unknown else line]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _models(results: Path) -> Iterator[str]:
    """Yield how many models of each endpoint are up to date, and whether models have to be refitted."""
    import pandas as pd

    if not (results / "cohort/used.parquet").is_file():
        return
    used = set(_patients(results / "cohort/used.parquet"))
    for table in sorted((results / "folds").glob("*.parquet")):
        folds = pd.read_parquet(table, columns=["patient", "repeat", "fold"])
        folders = [results / f"models/{table.stem}/as-is/r{r}/fold-{f}" for r, f in _folds(folds)]
        made = [path for folder in folders if (path := folder / "fusion/predictions.parquet").is_file()]
        current = sum(path.stat().st_mtime_ns >= table.stat().st_mtime_ns for path in made)
        yield f"{table.stem}: {current} of {len(folders)} fold models are fitted on the current folds"
        joined, left = len(used - set(folds["patient"])), len(set(folds["patient"]) - used)
        if joined or left:
            yield (
                f"  since the folds were made, patients joined: {joined}, left: {left}; the folds will be made again, "
                f"and all {len(folders)} models will be refitted"
            )
        elif current < len(made):
            yield f"  the folds were made again: {count(len(made) - current, 'model')} fitted before will be refitted"


def _folds(folds: "pd.DataFrame") -> list[tuple[int, int]]:
    pairs = folds[["repeat", "fold"]].drop_duplicates().sort_values(["repeat", "fold"])
    return list(pairs.itertuples(index=False, name=None))


def failures(directory: Path, run: RunLog) -> list[str]:
    """Return lines with the failed jobs of a run and the last lines of their logs."""
    lines = [f"{count(len(run.failed), 'job')} failed in the last run ({run.path}):"]
    for job in run.failed[:SHOWN]:
        lines.append(f"  {job.rule}: {job.log or 'no log'}")
        log = directory / job.log
        if job.log and log.is_file():
            lines += [f"    | {line}" for line in log.read_text(errors="replace").splitlines()[-TAIL:]]
    if len(run.failed) > SHOWN:
        lines.append(f"  and {len(run.failed) - SHOWN} more")
    return lines
