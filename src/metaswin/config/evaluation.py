"""Define the settings of the chapter evaluation: metrics, controls and explanation."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from metaswin.core.settings import Settings

# Strata that come from the images, and their columns in `cohort/used.parquet`.
SCANNER = {"scanner": "manufacturer", "kernel": "kernel"}

Probability = Annotated[float, Field(gt=0, lt=1)]


class EvaluationSettings(Settings):
    """Intervals, threshold rule, comparisons and strata."""

    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Confidence level of the intervals.")
    threshold: Literal["youden", "sensitivity"] = Field(
        default="youden",
        description="Rule of the decision threshold. youden: largest Youden index. sensitivity: highest threshold that "
        "reaches evaluation.sensitivity.",
    )
    sensitivity: float = Field(default=0.8, gt=0, lt=1, description="Required sensitivity with threshold: sensitivity.")
    primary_classifier: Literal["network", "logistic"] = Field(
        default="network", description="Classifier of the confirmatory comparisons, on both sides."
    )
    confirmatory_clinical_set: str | None = Field(
        default=None,
        description="Clinical set of the confirmatory comparisons, fixed before the results are known. null: the set "
        "with the most columns, or the first of several.",
    )
    equivalence_margin: float = Field(
        default=0.05,
        gt=0,
        lt=0.5,
        description="Largest difference in AUC that is regarded as equivalent (two one-sided tests).",
    )
    net_benefit_threshold: Literal["prevalence"] | Probability = Field(
        default="prevalence",
        description="Threshold probability of the compared net benefit. prevalence: prevalence in the training rows.",
    )
    decision_range: tuple[Probability, Probability] = Field(
        default=(0.01, 0.5), description="First and last threshold probability of the decision curve."
    )
    calibration_bins: int = Field(
        default=10, ge=2, description="Largest number of quantile bins. Small cohorts have fewer bins."
    )
    strata: list[str] = Field(
        default=[],
        description="Clinical columns that define strata, such as the site of the tumour. With images also scanner "
        "(manufacturer) and kernel.",
    )
    bands: dict[str, Annotated[list[float], Field(min_length=1)]] = Field(
        default={},
        description="Limits of numeric strata in ascending order, such as { age: [50, 65] }. Other numeric strata with "
        "more than six values are divided at their median.",
    )
    min_cell_events: int = Field(
        default=5,
        ge=1,
        description="Smallest number of events and of non-events in a cell. With fewer, the cell is not estimable and "
        "its counts are suppressed.",
    )
    bootstrap: int = Field(default=500, ge=100, description="Bootstrap draws for the interval of a stratum.")

    @model_validator(mode="after")
    def _in_order(self) -> "EvaluationSettings":
        if self.decision_range[0] > self.decision_range[1]:
            raise ValueError("decision_range must have the lower threshold probability first")
        for column, cuts in self.bands.items():
            if sorted(set(cuts)) != cuts:
                raise ValueError(f"bands of {column} must be in ascending order without repetitions")
        return self


Classifiers = Annotated[list[Literal["network", "logistic"]], Field(min_length=1)]


class PermutationSettings(Settings):
    """Refits on permuted outcomes and, for comparison, on the true outcome, for the first repeat only."""

    n: int = Field(default=200, ge=1, description="Number of permutations.")
    batch: int = Field(default=20, ge=1, description="Permutations per job.")
    classifiers: Classifiers = Field(
        default=["logistic"],
        description="Classifiers of every feature set; the primary feature set also has evaluation.primary_classifier.",
    )
    penalty: Literal["fixed", "chosen"] = Field(
        default="fixed",
        description="fixed: the middle penalty of the classifier, without inner fits. chosen: as in the run, by inner "
        "fits with a feature selection in each, which takes k times as long.",
    )
    trees: int = Field(default=100, ge=1, description="Trees of the forest with selection.method: forest.")
    deep: Literal["once", "none"] = Field(
        default="once",
        description="once: the networks of the first repeat are trained on one permuted outcome, for as long as those "
        "of the run, and their scores are used in all permutations. none: feature sets with deep are excluded, as with "
        "fusion.deep_score: in-sample.",
    )


class ControlsSettings(Settings):
    """Controls in the same folds; the report names each control that is turned off."""

    leaky: bool = Field(
        default=True,
        description="Leakage demonstration: select features before the split (wrong on purpose), to show how much this "
        "inflates the performance.",
    )
    shuffled: bool = Field(
        default=True,
        description="Negative control: radiomics of regions with shuffled voxels, which have the same histogram and "
        "shape but no texture. This needs one more extraction.",
    )
    permuted: bool = Field(default=True, description="Negative control: refit on permuted outcomes.")
    permutation: PermutationSettings = PermutationSettings()


class OcclusionSettings(Settings):
    """Occlusion maps, for which a cube is hidden at each position that overlaps the tumour or a ring."""

    method: Literal["gradient", "occlusion"] = Field(
        default="gradient",
        description="gradient: integrated gradients estimate the effect of all positions of the cube at once, which "
        "takes seconds. occlusion: the network runs once for each position, which takes minutes.",
    )
    steps: int = Field(default=8, ge=1, description="Number of points at which the gradients are computed.")
    cube: float = Field(default=20.0, gt=0, description="Edge of the cube (mm).")
    step: float = Field(
        default=10.0,
        gt=0,
        description="Distance between two positions of the cube (mm).",
    )
    hide: Literal["ct", "all"] = Field(
        default="ct",
        description="ct: the CT in the cube is replaced by the middle of its window, and the masks stay. all: tumour, "
        "ring and organs are also removed from the cube.",
    )
    batch_size: int = Field(
        default=8, ge=1, description="Positions of the cube that the network predicts at once, with method: occlusion."
    )


class ExplanationSettings(Settings):
    """Shapley values of the primary feature set in each fold, and maps of its deep network."""

    background: int = Field(default=100, ge=1, description="Number of training rows of the background.")
    patients: int = Field(default=200, ge=1, description="Largest number of held-out rows explained per fold.")
    permutations: int = Field(
        default=2,
        ge=1,
        description="Orders of the features, each forwards and backwards, for the values of single features. The "
        "values of modalities are exact.",
    )
    maps: int = Field(
        default=6,
        ge=0,
        description="Number of patients with an occlusion map: half with the highest risk, half with the most wrong "
        "prediction. 0: none.",
    )
    occlusion: OcclusionSettings = OcclusionSettings()
