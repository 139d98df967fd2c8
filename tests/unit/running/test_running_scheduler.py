"""Snakemake's private attributes are changed under the tested version only, and the tested range is stated once."""

import re
import tomllib
from importlib.metadata import version
from types import SimpleNamespace

import pytest

from metaswin.running.scheduler import TESTED, lift_default_rate_limit


def limited(jobs, seconds):
    return SimpleNamespace(job_rate_limiter=SimpleNamespace(max_jobs=jobs, timespan=seconds))


def test_rate_limit_when_it_is_the_default_of_the_tested_version_then_lifted():
    scheduler = limited(100, 1)
    lift_default_rate_limit(scheduler, f"{TESTED}0")
    assert scheduler.job_rate_limiter is None


@pytest.mark.parametrize(("jobs", "seconds", "snakemake"), [(100, 1, "9.28.0"), (100, 1, "10.0.0"), (5, 60, "9.27.1")])
def test_rate_limit_when_another_version_or_limit_then_kept(jobs, seconds, snakemake):
    scheduler = limited(jobs, seconds)
    lift_default_rate_limit(scheduler, snakemake)
    assert scheduler.job_rate_limiter.max_jobs == jobs


def test_snakemake_when_it_is_the_locked_one_then_the_patched_attributes_exist():
    from snakemake.scheduling.job_scheduler import JobRateLimiter
    from snakemake.settings.types import MaxJobsPerTimespan

    assert version("snakemake").startswith(TESTED)
    limiter = JobRateLimiter(MaxJobsPerTimespan.parse_choice("100/1s"))
    assert (limiter.max_jobs, limiter.timespan) == (100, 1)


def test_snakemake_range_when_in_pyproject_and_snakefile_then_the_same_lower_bound(repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    wanted = next(name for name in project["optional-dependencies"]["workflow"] if re.match(r"snakemake[<>=]", name))
    lower = re.fullmatch(r"snakemake>=(\d+\.\d+),<10", wanted)[1]
    assert f'min_version("{lower}")' in (repository / "Snakefile").read_text()
