"""How often the intervals in time held the truth in simulation; measured by ``benchmarks/survival_coverage.py``."""

from pathlib import Path
from typing import Any

from metaswin.core.files import read_json

FILE = Path(__file__).with_name("survival_coverage.json")


def measured_coverage() -> dict[str, Any]:
    """The measured coverage of every kind of interval in time, and the size of Gray's test.

    Returns
    -------
    dict
        As `metaswin.evaluation.intervals.measured_coverage` gives it, and ``gray_below_05_when_nothing_predicts``:
        ``n, share`` (of cohorts with p < .05 between cross-validated risk groups)``, error`` (standard error).
    """
    return read_json(FILE)
