"""Settings of the chapter evaluation: metrics, negative controls and explanation."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from metaswin.core.settings import Settings

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


Heads = Annotated[list[Literal["network", "logistic"]], Field(min_length=1)]


class PermutationSettings(Settings):
    """The permuted outcome.

    `n` permutations, in jobs of `batch`. Each is refitted as the run is, but for what makes it affordable: the first
    repeat only; the `heads` named, of the headline arm also the head that answers; a forest of `trees` trees; and
    `penalty: fixed`, the middle one of the head's penalties, which needs no inner fit. ``penalty: chosen`` selects
    and fits in every inner fit to choose the penalty as the run does. The unpermuted outcome is refitted in the
    same way, and p compares with that. `deep: once` trains the networks of the first repeat on one permuted outcome
    and takes their scores in all permutations; ``none`` leaves arms with `deep` out, and so do
    `fusion.deep_score` in-sample.
    """

    n: int = Field(default=200, ge=1)
    batch: int = Field(default=20, ge=1)
    heads: Heads = ["logistic"]
    penalty: Literal["fixed", "chosen"] = "fixed"
    trees: int = Field(default=100, ge=1)
    deep: Literal["once", "none"] = "once"


class ControlsSettings(Settings):
    """Controls through the same folds; one that is left out is named in the report.

    `leaky` selects features before the split: wrong on purpose, to show how much that inflates. `shuffled` takes
    the radiomics of regions whose voxels are shuffled: same histogram and shape, no texture. `permuted` refits on
    permuted outcomes.
    """

    leaky: bool = True
    shuffled: bool = True
    permuted: bool = True
    permutation: PermutationSettings = PermutationSettings()


class OcclusionSettings(Settings):
    """A cube of edge `cube` (mm) is hidden in steps of `step` (mm), wherever it meets tumour or ring.

    ``hide: ct`` makes the CT in the cube plain (the middle of its window) and leaves the masks as they are; ``all``
    takes tumour, ring and organs out of the cube too. With ``method: gradient`` integrated gradients at `steps` points
    estimate the fall of the logit for all cubes at once; ``occlusion`` runs the network once for each cube.
    """

    method: Literal["gradient", "occlusion"] = "gradient"
    steps: int = Field(default=8, ge=1)
    cube: float = Field(default=20.0, gt=0)
    step: float = Field(default=10.0, gt=0)
    hide: Literal["ct", "all"] = "ct"
    batch_size: int = Field(default=8, ge=1)


class ExplanationSettings(Settings):
    """Shapley values of the headline arm in each fold, and maps of its deep network.

    `background` training rows stand for "not known"; at most `patients` held-out rows of a fold are explained.
    `permutations` orders of the features (each forwards and backwards) are drawn for the values of single features;
    those of modalities are exact. Occlusion maps are made of `maps` patients: half of them those of the highest
    risk, half the most wrong; 0 makes none.
    """

    background: int = Field(default=100, ge=1)
    patients: int = Field(default=200, ge=1)
    permutations: int = Field(default=2, ge=1)
    maps: int = Field(default=6, ge=0)
    occlusion: OcclusionSettings = OcclusionSettings()
