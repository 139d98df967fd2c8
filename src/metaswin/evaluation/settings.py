"""Settings of evaluation."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from metaswin.settings import Settings

# Strata that come from the images, and the column of `cohort/used.parquet` they are.
SCANNER = {"scanner": "manufacturer", "kernel": "kernel"}

Probability = Annotated[float, Field(gt=0, lt=1)]


class EvaluationSettings(Settings):
    """Intervals, threshold rule, comparisons and strata.

    `strata` names columns of the clinical table, or ``scanner`` (manufacturer) and ``kernel``. Cells with fewer than
    `min_cell_events` events or non-events are not estimable, and their counts are not told. A numeric column is cut at
    its `bands`, otherwise at its median where it has more than six values.
    """

    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    threshold: Literal["youden", "sensitivity"] = "youden"
    sensitivity: float = Field(default=0.8, gt=0, lt=1, description="with threshold: sensitivity")
    headline_head: Literal["network", "logistic"] = Field(
        default="network", description="head of the confirmatory comparisons, on both sides"
    )
    confirmatory_clinical_set: str | None = Field(
        default=None, description="null = the set with the most columns, the first of them"
    )
    net_benefit_threshold: Literal["prevalence"] | Probability = Field(
        default="prevalence", description="threshold probability of the compared net benefit"
    )
    decision_range: tuple[Probability, Probability] = Field(
        default=(0.01, 0.5), description="first and last threshold probability of the decision curve"
    )
    calibration_bins: int = Field(default=10, ge=2, description="at most so many quantile bins")
    strata: list[str] = []
    bands: dict[str, Annotated[list[float], Field(min_length=1)]] = {}
    min_cell_events: int = Field(default=5, ge=1)
    bootstrap: int = Field(default=500, ge=100, description="draws of the interval of a stratum")

    @model_validator(mode="after")
    def _in_order(self) -> "EvaluationSettings":
        if self.decision_range[0] > self.decision_range[1]:
            raise ValueError("decision_range must go from the lower to the higher threshold probability")
        for column, cuts in self.bands.items():
            if sorted(set(cuts)) != cuts:
                raise ValueError(f"bands of {column} must go up")
        return self
