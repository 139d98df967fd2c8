"""Logger plugin of Snakemake that shows the progress of a run on a terminal: ``snakemake --logger metaswin``.

Snakemake finds its plugins by the name of this package and imports all of them at each start. Therefore it imports
the display only when a run begins on a terminal. Where standard error is not a terminal, Snakemake's own lines remain.
"""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

if TYPE_CHECKING:
    from metaswin.running.display import Display

# The display shows a failed job with the end of its log; Snakemake reports it by these exceptions too.
OF_JOBS = ("RuleException", "CalledProcessError")
# What else is shown of Snakemake's plain messages; warnings and errors always are.
SHOWN = ("Building DAG of jobs", "Nothing to be done", "Complete log")


class LogHandler(LogHandlerBase):
    """Handler that starts the display when the plan of a run is known, and passes warnings and errors on to it."""

    def __post_init__(self) -> None:
        self.display: Display | None = None
        self.live = os.isatty(2) and os.environ.get("TERM") != "dumb" and not self.common_settings.dryrun

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        if not self.live:
            return
        try:
            self._show(record)
        except Exception:  # a problem of the display must not end the run
            self.handleError(record)

    def _show(self, record: logging.LogRecord) -> None:
        event, text = getattr(record, "event", None), record.getMessage().rstrip()
        if event == LogEvent.RUN_INFO and self.display is None:
            from metaswin.running.display import Display

            self.display = Display(Path.cwd(), self.common_settings.nocolor)
            self.display.start()
            return
        of_jobs = event == LogEvent.ERROR and getattr(record, "exception", "") in OF_JOBS
        if of_jobs or event not in (None, LogEvent.ERROR):
            return
        if record.levelno > logging.INFO or text.startswith(SHOWN):
            if self.display is None:
                os.write(2, f"{text}\n".encode())
            else:
                self.display.say(text)

    def close(self) -> None:
        """End the display."""
        if self.display is not None:
            self.display.stop()
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        """Whether Snakemake's own lines are replaced."""
        return self.live

    @property
    def writes_to_file(self) -> bool:
        return False

    @property
    def has_filter(self) -> bool:
        return False

    @property
    def has_formatter(self) -> bool:
        return False

    @property
    def needs_rulegraph(self) -> bool:
        return False
