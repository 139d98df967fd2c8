"""Record what happens to the jobs of a run, and read it: the source of the live display and of ``metaswin status``.

Snakemake (9.27) reports each event as a log record with fields. `Recorder` writes the few fields that are needed as
lines of JSON; `Run` reads them again, also in another process and during the run.
"""

import json
import logging
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RECORD = ".snakemake/metaswin.jobs.jsonl"
TAIL = 5  # number of last lines shown from a failed job's log
CHUNK = 32768  # bytes read from the end of a job's log
LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ [A-Z]+ (.*)$", re.MULTILINE)
PART_DONE = re.compile(r"(?:[a-z]+ )?(\d+) of (\d+)\b")  # at the start of a message: "epoch 3 of 40: loss 0.61"


@dataclass
class RuleJobs:
    """Jobs of one rule.

    Attributes
    ----------
    chapter : str
        Chapter of the workflow that the rule belongs to.
    total : int
        Number of jobs of the rule, including those whose outputs existed before this run.
    planned : int
        Number of jobs that this run has planned so far.
    each : str
        Unit that is counted for this rule: ``patients`` if each patient has one job, otherwise ``jobs``.
    done : int
        Number of jobs that have ended in this run.
    work : float
        Sum of their durations (seconds) times their threads.
    """

    chapter: str
    total: int = 0
    planned: int = 0
    each: str = "jobs"
    done: int = 0
    work: float = 0.0

    @property
    def finished(self) -> int:
        """Number of jobs whose outputs exist."""
        return self.total - self.planned + self.done


@dataclass(frozen=True)
class Job:
    """A job that was started; `log` is relative to the working directory, `begun` is a time as of `time.time`."""

    rule: str
    name: str
    log: str
    threads: int
    begun: float

    def __str__(self) -> str:
        return f"{self.rule} {self.name}".strip()


@dataclass
class Run:
    """State of the last run in a working directory.

    Attributes
    ----------
    directory : Path
    pid : int
        Process number of Snakemake.
    begun, seen : float
        Time of the start, and of the last event.
    cores : int or None
        None if jobs go to a cluster.
    more : bool
        Whether a checkpoint will add jobs to the plan.
    rules : dict
        Rule → its jobs, in the order of the workflow.
    running, failed : dict
        Number of a job → the job. A failed job that is started again is no longer a failed job.
    """

    directory: Path
    pid: int = 0
    begun: float = 0.0
    seen: float = 0.0
    cores: int | None = None
    more: bool = False
    rules: dict[str, RuleJobs] = field(default_factory=dict)
    running: dict[int, Job] = field(default_factory=dict)
    failed: dict[int, Job] = field(default_factory=dict)
    _first: bytes = b""
    _place: int = 0

    def poll(self) -> None:
        """Read the events that were written since the last call; reset the state if a new run has begun."""
        try:
            with (self.directory / RECORD).open("rb") as file:
                first = file.readline()
                if first != self._first:  # another run
                    self.__dict__.update(Run(self.directory, _first=first).__dict__)
                file.seek(self._place)
                written = file.read()
        except OSError:
            return
        whole = written[: written.rfind(b"\n") + 1]
        self._place += len(whole)
        for line in whole.splitlines():
            self._update(json.loads(line))

    def _update(self, event: dict[str, Any]) -> None:
        self.seen = event["time"]
        match event["event"]:
            case "begin":
                self.pid, self.begun, self.cores = event["pid"], event["time"], event["cores"]
            case "plan":
                self.more = event["more"]
                for rule, (chapter, total, planned) in event["rules"].items():
                    jobs = self.rules.setdefault(rule, RuleJobs(chapter))
                    jobs.total, jobs.planned = total, planned
            case "start":
                job = Job(event["rule"], event["name"], event["log"], event["threads"], event["time"])
                self.running[event["job"]] = job
                self.failed.pop(event["job"], None)
                if job.rule in self.rules:
                    self.rules[job.rule].each = event["each"]
            case "end":
                ended = self.running.pop(event["job"], None)
                if ended is not None and ended.rule in self.rules:
                    jobs = self.rules[ended.rule]
                    jobs.done += 1
                    jobs.work += (event["time"] - ended.begun) * ended.threads
            case "fail":
                failed = self.running.pop(event["job"], None)
                if failed is not None:
                    self.failed[event["job"]] = failed

    @property
    def done(self) -> int:
        """Number of jobs that have ended in this run."""
        return sum(jobs.done for jobs in self.rules.values())

    @property
    def planned(self) -> int:
        """Number of jobs that this run has planned so far."""
        return sum(jobs.planned for jobs in self.rules.values())

    def time_left(self, now: float) -> str:
        """Estimate the time left from the jobs that have ended and the progress inside those that run.

        The work per job of a rule is the mean over its ended jobs. If none has ended, it is what a running job of the
        rule needs at its present speed. Rules with neither are only counted. The work is divided by the number of
        cores; on a cluster, by the threads of the jobs that run now.
        """
        if self.more:
            return "time left: not known before the cohort is built"
        slots = self.cores or max(1, sum(job.threads for job in self.running.values()))
        work, unknown = 0.0, 0
        for rule, jobs in self.rules.items():
            rest = jobs.planned - jobs.done - sum(job.rule == rule for job in self.failed.values())
            running = [job for job in self.running.values() if job.rule == rule]
            each = jobs.work / jobs.done if jobs.done else self._at_present_speed(running, now)
            if each is None:
                unknown += rest > 0
            else:
                spent = (min((now - job.begun) * job.threads, each) for job in running)
                work += max(0.0, rest * each - sum(spent))
        if not work:
            return "time left: not known yet" if unknown else ""
        rules = f"{unknown} rules that have" if unknown > 1 else "1 rule that has"
        excluded = f", not counting {rules} no finished job yet" if unknown else ""
        return f"about {duration(work / slots)} left{excluded}"

    def _at_present_speed(self, running: Iterable[Job], now: float) -> float | None:
        """Return the work that a job needs, from the progress inside jobs that run; None if they report none."""
        for job in running:
            part = part_done(last_message(self.directory / job.log))
            if job.log and part:
                return (now - job.begun) * job.threads / part
        return None


def last_run(directory: str | Path) -> Run | None:
    """Return the last run of a working directory that started jobs; None if there is none."""
    run = Run(Path(directory))
    run.poll()
    return run if run.begun else None


def last_message(log: Path) -> str:
    """Return the last message in a job's log that reports progress, otherwise the last message, or an empty text."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - CHUNK))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    messages = LOG_LINE.findall(text)
    return (
        next((message for message in reversed(messages) if PART_DONE.match(message)), messages[-1]) if messages else ""
    )


def last_lines(directory: Path, job: Job) -> list[str]:
    """Return the last lines of a job's log: for a failed job, they state the reason."""
    path = directory / job.log
    return path.read_text(errors="replace").splitlines()[-TAIL:] if job.log and path.is_file() else []


def part_done(message: str) -> float:
    """Return the part of a job that is done according to its last message, such as .3 for "epoch 3 of 10: …"."""
    found = PART_DONE.match(message)
    return min(1.0, int(found[1]) / int(found[2])) if found and int(found[2]) else 0.0


def duration(seconds: float) -> str:
    """Return a duration as text: seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def clock(seconds: float) -> str:
    """Return a duration as ``h:mm:ss``."""
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def by_chapter(run: Run) -> dict[str, dict[str, RuleJobs]]:
    """Return the rules of a run by the chapter of the workflow."""
    found: dict[str, dict[str, RuleJobs]] = {}
    for rule, jobs in run.rules.items():
        found.setdefault(jobs.chapter, {})[rule] = jobs
    return found


def under_way(run: Run, rules: Mapping[str, RuleJobs]) -> str:
    """Return the progress of rules with several jobs that have begun and not ended, such as the patients done."""
    running = {job.rule for job in run.running.values()}
    return ", ".join(
        f"{rule} {jobs.finished} of {jobs.total} {jobs.each}"
        for rule, jobs in rules.items()
        if jobs.total > 1 and jobs.finished < jobs.total and (jobs.finished or rule in running)
    )


def failure(directory: Path, job: Job) -> list[str]:
    """Return lines about a failed job: its name, its log and the last lines of this log, which state the reason."""
    lines = [f"{job} failed: {job.log or 'no log'}"]
    return lines + [f"  | {line}" for line in last_lines(directory, job)]


class Recorder(logging.Handler):
    """Handler of Snakemake's logger that writes the events of the jobs of a run.

    Parameters
    ----------
    directory : Path
        The working directory; the record of the run before is overwritten.
    workflow : snakemake.workflow.Workflow
        Its graph of jobs is read when the run starts and when the scheduler starts jobs: both happen in the thread that
        changes the graph.
    """

    def __init__(self, directory: Path, workflow: Any) -> None:
        super().__init__()
        self.workflow = workflow
        workflow.scheduler.print_progress = True  # without it, `--quiet` reports no ended job
        self.file = (directory / RECORD).open("w", encoding="utf-8")
        self._write("begin", pid=os.getpid(), cores=workflow.cores if workflow.local_exec else None)
        self._seen: tuple[int, bool] | None = None
        self._plan()

    def emit(self, record: logging.LogRecord) -> None:
        """Write the event of a record, if it is one of a job."""
        facts = record.__dict__
        try:
            match facts.get("event"):
                case "job_started":
                    self._plan()
                case "job_info":
                    wildcards = facts["wildcards"]
                    self._write(
                        "start",
                        job=facts["jobid"],
                        rule=facts["rule_name"],
                        name=" ".join(map(str, wildcards.values())),
                        each="patients" if "patient" in wildcards else "jobs",
                        log=str(next(iter(facts["log"]), "")),
                        threads=facts["threads"],
                    )
                case "job_finished":
                    self._write("end", job=facts["job_id"])
                case "job_error":
                    self._write("fail", job=facts["jobid"])
        except Exception:  # as in every handler: a problem of the display must not end the run
            self.handleError(record)

    def _plan(self) -> None:
        """Write the numbers of jobs of all rules if the plan has changed; rules without an action are not counted."""
        dag = self.workflow.dag
        state = len(dag), not all(map(dag.finished, dag.checkpoint_jobs))
        if state == self._seen:
            return
        self._seen = state
        total = Counter(job.rule.name for job in dag.jobs)
        planned = Counter(job.rule.name for job in (*dag.needrun_jobs(), *dag.finished_jobs))
        rules = {
            rule.name: (Path(rule.snakefile).stem, total[rule.name], planned[rule.name])
            for rule in self.workflow.rules
            if rule.name in total and not rule.norun
        }
        self._write("plan", more=state[1], rules=rules)

    def _write(self, event: str, **facts: Any) -> None:
        self.file.write(json.dumps({"event": event, "time": round(time.time(), 3), **facts}) + "\n")
        self.file.flush()

    def close(self) -> None:
        """Close the file."""
        self.file.close()
        super().close()
