"""Settings of the chapter evaluation: metrics, negative controls and explanation."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from metaswin.core.settings import Settings

# Strata that come from the images, and the column of `cohort/used.parquet` they are.
SCANNER = {"scanner": "manufacturer", "kernel": "kernel"}

Probability = Annotated[float, Field(gt=0, lt=1)]


class EvaluationSettings(Settings):
    """Intervals, threshold rule, comparisons and strata."""

    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Confidence level of the intervals.")
    threshold: Literal["youden", "sensitivity"] = Field(
        default="youden",
        description="Rule of the decision threshold. youden: the largest Youden index; sensitivity: "
        "evaluation.sensitivity is reached.",
    )
    sensitivity: float = Field(
        default=0.8, gt=0, lt=1, description="Sensitivity to reach, with threshold: sensitivity."
    )
    primary_classifier: Literal["network", "logistic"] = Field(
        default="network", description="Classifier of the confirmatory comparisons, on both sides."
    )
    confirmatory_clinical_set: str | None = Field(
        default=None,
        description="Clinical set of the confirmatory comparisons, fixed beforehand; null: the set with the most "
        "columns, the first of them.",
    )
    equivalence_margin: float = Field(
        default=0.05,
        gt=0,
        lt=0.5,
        description="Largest difference in AUC that still counts as equivalent (two one-sided tests).",
    )
    net_benefit_threshold: Literal["prevalence"] | Probability = Field(
        default="prevalence",
        description="Threshold probability of the compared net benefit; prevalence: that of the training rows.",
    )
    decision_range: tuple[Probability, Probability] = Field(
        default=(0.01, 0.5), description="First and last threshold probability of the decision curve."
    )
    calibration_bins: int = Field(
        default=10, ge=2, description="Largest number of quantile bins; small cohorts have fewer."
    )
    strata: list[str] = Field(
        default=[],
        description="Clinical columns to evaluate by, such as the site of the tumour; with images also scanner "
        "(manufacturer) and kernel.",
    )
    bands: dict[str, Annotated[list[float], Field(min_length=1)]] = Field(
        default={},
        description="Stratum: where it is cut, ascending, such as { age: [50, 65] }. Other numeric strata with more "
        "than six values are cut at their median.",
    )
    min_cell_events: int = Field(
        default=5,
        ge=1,
        description="Events and non-events that a cell needs; with fewer, the cell is not estimable and its counts "
        "are suppressed.",
    )
    bootstrap: int = Field(default=500, ge=100, description="Bootstrap draws of the interval of a stratum.")

    @model_validator(mode="after")
    def _in_order(self) -> "EvaluationSettings":
        if self.decision_range[0] > self.decision_range[1]:
            raise ValueError("decision_range must go from the lower to the higher threshold probability")
        for column, cuts in self.bands.items():
            if sorted(set(cuts)) != cuts:
                raise ValueError(f"bands of {column} must go up")
        return self


Classifiers = Annotated[list[Literal["network", "logistic"]], Field(min_length=1)]


class PermutationSettings(Settings):
    """Refits on permuted outcomes, and on the true one to compare with: the first repeat only, and as set here."""

    n: int = Field(default=200, ge=1, description="Number of permutations.")
    batch: int = Field(default=20, ge=1, description="Permutations per job.")
    classifiers: Classifiers = Field(
        default=["logistic"],
        description="Classifiers of every feature set; the primary feature set also has evaluation.primary_classifier.",
    )
    penalty: Literal["fixed", "chosen"] = Field(
        default="fixed",
        description="fixed: the middle one of the classifier's penalties, without inner fits. chosen: as in the run, "
        "by inner fits with a selection in each, which takes k times as long.",
    )
    trees: int = Field(default=100, ge=1, description="Trees of the forest with selection.method: forest.")
    deep: Literal["once", "none"] = Field(
        default="once",
        description="once: the networks of the first repeat are trained on one permuted outcome, as long as the run's, "
        "and score all permutations. none: feature sets with deep are omitted, as with fusion.deep_score: in-sample.",
    )


class ControlsSettings(Settings):
    """Negative controls in the same folds; the report names each one that is switched off."""

    leaky: bool = Field(
        default=True,
        description="Select features before the split: wrong on purpose, to show how much that inflates.",
    )
    shuffled: bool = Field(
        default=True,
        description="Take the radiomics of regions whose voxels are shuffled: same histogram and shape, no texture. "
        "This costs one more extraction.",
    )
    permuted: bool = Field(default=True, description="Refit on permuted outcomes.")
    permutation: PermutationSettings = PermutationSettings()


class OcclusionSettings(Settings):
    """Occlusion maps: a cube is hidden step by step, wherever it meets tumour or ring."""

    method: Literal["gradient", "occlusion"] = Field(
        default="gradient",
        description="gradient: integrated gradients estimate the effect of all places of the cube at once, in seconds; "
        "occlusion: the network runs once for each place, which takes minutes.",
    )
    steps: int = Field(default=8, ge=1, description="Points at which the gradients are taken.")
    cube: float = Field(default=20.0, gt=0, description="Edge of the cube (mm).")
    step: float = Field(
        default=10.0,
        gt=0,
        description="Distance between two places of the cube (mm).",
    )
    hide: Literal["ct", "all"] = Field(
        default="ct",
        description="ct: the CT in the cube becomes plain, the middle of its window, and the masks stay; all: tumour, "
        "ring and organs leave the cube too.",
    )
    batch_size: int = Field(
        default=8, ge=1, description="Places of the cube that the network scores at once, with method occlusion."
    )


class ExplanationSettings(Settings):
    """Shapley values of the primary feature set in each fold, and maps of its deep network."""

    background: int = Field(default=100, ge=1, description='Training rows that stand for "not known".')
    patients: int = Field(default=200, ge=1, description="Largest number of held-out rows explained in a fold.")
    permutations: int = Field(
        default=2,
        ge=1,
        description="Orders of the features, each forwards and backwards, for the values of single features; those of "
        "modalities are exact.",
    )
    maps: int = Field(
        default=6,
        ge=0,
        description="Patients with an occlusion map: half of the highest risk, half the most wrong; 0: none.",
    )
    occlusion: OcclusionSettings = OcclusionSettings()
