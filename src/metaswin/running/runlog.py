"""What Snakemake's own log says of a run (9.27): steps, cores, failed jobs."""

import re
from dataclasses import dataclass, field
from pathlib import Path

STEPS = re.compile(r"^(\d+) of (\d+) steps", re.MULTILINE)
CORES = re.compile(r"^Provided cores: (\d+)", re.MULTILINE)
FAILED = re.compile(r"^Error in rule (\w+):\n((?:    .*\n)+)", re.MULTILINE)
RETRIED = re.compile(r"^Trying to restart job (\d+)\.", re.MULTILINE)


@dataclass(frozen=True)
class FailedJob:
    """A job that failed: its rule, and its log relative to the working directory (empty where it has none)."""

    rule: str
    log: str


@dataclass(frozen=True)
class RunLog:
    """One run, as far as it has come.

    Attributes
    ----------
    path : Path
        The log.
    done, steps : int
        Jobs that have ended, and jobs of the run as far as it is planned: more come behind a checkpoint.
    cores : int
        Cores that it was given; 1 where it does not say.
    failed : list of FailedJob
        Jobs that failed, once each; those that were tried again and have not failed again are not among them.
    """

    path: Path
    done: int = 0
    steps: int = 0
    cores: int = 1
    failed: list[FailedJob] = field(default_factory=list)


def last_run(directory: str | Path) -> RunLog | None:
    """The newest run of a working directory whose log tells of jobs; dry-runs and silent runs are passed over."""
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
    """Failed jobs, less those that ended well, or run again, after their last failure."""
    found: dict[str, tuple[FailedJob, int]] = {}
    for match in FAILED.finditer(text):
        facts = dict(line.strip().split(": ", 1) for line in match[2].splitlines() if ": " in line)
        log = facts.get("log", "").split(" (check log")[0]
        found[facts.get("jobid", match[0])] = (FailedJob(match[1], log), match.end())
    retried = {match[1]: match.end() for match in RETRIED.finditer(text)}
    return [job for number, (job, end) in found.items() if retried.get(number, -1) < end]
