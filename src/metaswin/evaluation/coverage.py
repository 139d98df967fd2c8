"""How often the intervals held the truth in simulation; measured by ``benchmarks/coverage.py``."""

from pathlib import Path
from typing import Any

from metaswin.files import read_json

FILE = Path(__file__).with_name("coverage.json")


def measured_coverage() -> dict[str, Any]:
    """The measured coverage of every kind of interval.

    Returns
    -------
    dict
        ``command, machine, setting`` (in words)``, targets`` (what ``models`` and ``fitted`` mean)``, cohorts,
        confidence`` and ``rows``: ``interval, metric, n, repeats, lost`` (share lost before the horizon; None without
        follow-up)``, target, truth, coverage, error`` (standard error)``, width`` (median)``, estimable`` (share of
        cohorts with limits). ``without_share``: the same of intervals that are not shown, those without the variance of
        the share of events.
    """
    return read_json(FILE)
