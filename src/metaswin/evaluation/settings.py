"""Settings of evaluation."""

from typing import Literal

from pydantic import Field

from metaswin.settings import Settings


class EvaluationSettings(Settings):
    """Intervals, threshold rule and strata.

    `strata` names columns of the clinical table; cells with fewer than `min_cell_events` events or non-events
    are shown as not estimable. A numeric column with more than six values is cut at its median.
    """

    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    threshold: Literal["youden", "sensitivity"] = "youden"
    sensitivity: float = Field(default=0.8, gt=0, lt=1, description="with threshold: sensitivity")
    strata: list[str] = []
    min_cell_events: int = Field(default=5, ge=1)
    bootstrap: int = Field(default=500, ge=100, description="draws of the interval of a stratum")
