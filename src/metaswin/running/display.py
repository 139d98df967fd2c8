"""Show the progress of a run on a terminal: a bar for each chapter, running jobs, time left and failures.

The display reads the record of the jobs (`metaswin.running.jobs`). Lines that the jobs and Snakemake write to
the terminal meanwhile appear above the bars. Nothing in the terminal has to be restored at the end: the cursor stays
visible, and no mode is changed. A killed run therefore leaves a usable terminal.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from metaswin.core.formatting import count
from metaswin.running.jobs import Run, by_chapter, clock, failure, last_message, under_way

if TYPE_CHECKING:
    from rich.console import RenderableType

    Say = Callable[[str], None]

EVERY = 1.0  # seconds between two updates
RUNNING = 8  # running jobs that are shown
BAR = 24  # columns


class Display:
    """Show the run of this process on the terminal of standard error."""

    def __init__(self, directory: Path, nocolor: bool = False) -> None:
        self.run = Run(directory)
        self._terminals = _Terminals()
        self.console = _Console(file=self._terminals.stream, no_color=nocolor or None, highlight=False)
        self._live = Live(
            console=self.console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False, transient=True
        )
        self._shown: set[tuple[int, float]] = set()
        self._over = threading.Event()
        self._refresher = threading.Thread(target=self._refresh, daemon=True)

    def start(self) -> None:
        """Begin to show bars, and to take what is written to the terminal."""
        self._live.start()
        self._terminals.take(self.say)
        self._refresher.start()

    def say(self, text: str, style: str = "") -> None:
        """Show lines above the bars."""
        self.console.print(Text(text, style=style), soft_wrap=True)

    def stop(self) -> None:
        """Remove the bars, give the terminal back and show one line about the run."""
        if self._over.is_set():
            return
        self._over.set()
        self._refresher.join()
        self._terminals.give_back()
        self._update()
        self._live.stop()
        self.say(summary(self.run), style="bold")
        self._terminals.close()

    def _refresh(self) -> None:
        while not self._over.wait(EVERY):
            self._update()

    def _update(self) -> None:
        self.run.poll()
        if self.run.pid != os.getpid():  # the record of an earlier run
            return
        for number, job in self.run.failed.items():
            if (number, job.begun) not in self._shown:
                self._shown.add((number, job.begun))
                self.say("\n".join(failure(self.run.directory, job)), style="red")
        self._live.update(render(self.run, time.time(), self.console.height), refresh=True)


class _Console(Console):
    """Never hide the cursor, because a killed process cannot show it again."""

    def show_cursor(self, show: bool = True) -> bool:
        return False


class _Terminals:
    """Redirect standard output and error of this process and its jobs line by line, if they are a terminal."""

    def __init__(self) -> None:
        self._kept = {number: os.dup(number) for number in (1, 2) if os.isatty(number)}
        self.stream = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")  # closed by `close`
        self._reader: threading.Thread | None = None

    def take(self, say: "Say") -> None:
        """Give every line that is written to them to `say`."""
        sys.stdout.flush()
        sys.stderr.flush()
        end, begin = os.pipe()
        for number in self._kept:
            os.dup2(begin, number)
        os.close(begin)
        self._reader = threading.Thread(target=_read, args=(end, say), daemon=True)
        self._reader.start()

    def give_back(self) -> None:
        """Give the terminal back, after the lines that were written so far."""
        sys.stdout.flush()
        sys.stderr.flush()
        for number, kept in self._kept.items():
            os.dup2(kept, number)
            os.close(kept)
        if self._reader is not None:
            self._reader.join(timeout=1)  # a process that outlives the run may keep the pipe open

    def close(self) -> None:
        with suppress(OSError):
            self.stream.close()


def _read(end: int, say: "Say") -> None:
    with open(end, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            say(line.rstrip("\n"))


def summary(run: Run) -> str:
    """Return one line about a run that has ended."""
    failed = f"; {len(run.failed)} failed" if run.failed else ""
    return f"{run.done} of {count(run.planned, 'job')} done in {clock(run.seen - run.begun)}{failed}"


def render(run: Run, now: float, height: int) -> "RenderableType":
    """Return what the terminal shows of a run: one line about all of it, the chapters, and the running jobs."""
    head = f"{run.done} of {count(run.planned, 'job')} done in {clock(now - run.begun)}"
    head = "; ".join(filter(None, (head, f"{len(run.failed)} failed" if run.failed else "", run.time_left(now))))
    table = Table.grid(padding=(0, 2))
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for name, rules in by_chapter(run).items():
        total, finished = sum(r.total for r in rules.values()), sum(r.finished for r in rules.values())
        bar = ProgressBar(total=total, completed=finished, width=BAR, finished_style="green", complete_style="cyan")
        table.add_row(name, bar, f"{finished}/{total}", Text(under_way(run, rules), style="dim"))
    parts: list[RenderableType] = [Text(head, style="bold"), table]
    room = max(1, min(RUNNING, height - table.row_count - 5))
    jobs = Table.grid(padding=(0, 2))
    for _ in range(2):
        jobs.add_column(no_wrap=True)
    jobs.add_column(no_wrap=True, overflow="ellipsis")
    for job in list(run.running.values())[:room]:
        jobs.add_row(str(job), clock(now - job.begun), Text(last_message(run.directory / job.log), style="dim"))
    parts.append(jobs)
    if len(run.running) > room:
        parts.append(Text(f"and {len(run.running) - room} more jobs", style="dim"))
    return Group(*parts, "")
