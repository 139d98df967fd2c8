"""Show the progress of a run (``metaswin status``): stages, failed jobs, and models that will be fitted again.

Everything except the plan is read from files. Therefore the command answers immediately, during a run or after it, on
any machine that can read the folder.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from metaswin.core.formatting import count
from metaswin.running.jobs import Run, clock, failure, last_message, last_run
from metaswin.running.leftovers import live_snakemake
from metaswin.running.owner import Owner, last_owner

if TYPE_CHECKING:
    import pandas as pd


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
SHOWN = 10  # number of running and of failed jobs shown


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
    owner = live_snakemake(directory)
    lines = [_who(directory, owner, run)]
    found = stages(results)
    if found:
        lines += ["", f"{'stage':12}{'done':>8}{'excluded':>10}{'of':>8}{'s each':>9}"]
        lines += [
            f"{s.name:12}{s.done:>8}{s.excluded:>10}{s.patients:>8}{f'{s.seconds:.1f}' if s.seconds else '-':>9}"
            for s in found
        ]
    elif not (results / PLANNED).is_file():
        lines.append("No cohort yet: the data have not been indexed, or the run does not start from images.")
    if owner and run:
        lines += ["", *filter(None, [run.time_left(time.time())]), *running(run, time.time())]
    lines += ["", *models] if (models := list(_models(results))) else []
    if run and run.failed:
        lines += ["", *failures(run)]
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


def _who(directory: Path, owner: Owner | None, run: Run | None) -> str:
    steps = f"; {run.done} of {count(run.planned, 'job')} done, as far as it is planned" if run else ""
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


def running(run: Run, now: float) -> list[str]:
    """Return one line for each running job: since when, and the last message of its log."""
    lines = [
        f"  {job}, {clock(now - job.begun)}: {last_message(run.directory / job.log) if job.log else ''}".rstrip(": ")
        for job in run.running.values()
    ]
    return [f"{count(len(lines), 'job')} running:", *lines[:SHOWN], *_more(lines)] if lines else []


def failures(run: Run) -> list[str]:
    """Return lines with the failed jobs of a run and the last lines of their logs."""
    jobs = list(run.failed.values())
    lines = [f"  {line}" for job in jobs[:SHOWN] for line in failure(run.directory, job)]
    return [f"{count(len(jobs), 'job')} failed in the last run:", *lines, *_more(jobs)]


def _more(items: Sequence[object]) -> list[str]:
    return [f"  and {len(items) - SHOWN} more"] if len(items) > SHOWN else []
