"""Change the one private attribute of Snakemake that the workflow changes."""

from typing import Any

TESTED = "9.27."
DEFAULT = (100, 1)  # jobs, seconds


def lift_default_rate_limit(scheduler: Any, version: str) -> None:
    """Remove Snakemake's default limit of 100 jobs per second; a limit that the user sets is kept.

    With any limit, Snakemake 9.27 starts a timer each time it has looked for jobs, and looks again when the timer
    ends (`JobScheduler._schedule_reevalutation`). Therefore every job that ends adds one more look per second at all
    waiting jobs and their inputs. No documented value of ``--max-jobs-per-timespan`` avoids this. There is no value
    for "no limit". The timers of a longer timespan keep the process alive at its end, because their threads are not
    daemons.

    Parameters
    ----------
    scheduler : snakemake.scheduling.job_scheduler.JobScheduler
    version : str
        Version of Snakemake. With any version other than `TESTED`, nothing is changed. The results are the same, but
        the main process may need more time if thousands of jobs wait.
    """
    if version.startswith(TESTED):
        limiter = scheduler.job_rate_limiter
        if limiter and (limiter.max_jobs, limiter.timespan) == DEFAULT:
            scheduler.job_rate_limiter = None
