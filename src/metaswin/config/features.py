"""Define the settings of the chapter features: anatomy, stability, harmonisation and selection."""

from typing import Literal

from pydantic import Field, PositiveInt

from metaswin.core.settings import Settings


class AnatomySettings(Settings):
    """Measures of organs: volume (mm³), mean HU, distance to the tumour (mm) and contact with it (mm²)."""

    enabled: bool = Field(default=True, description="Measure the organs for the modality anatomy.")
    structures: list[str] = Field(
        default=["bone", "air", "glands", "vessels", "nerves"],
        description="Organs, tissues or groups of organs.groups. Values are missing if a patient does not have them.",
    )


class StabilitySettings(Settings):
    """Stability of the radiomics features under perturbed masks, assessed on training rows before the selection."""

    enabled: bool = Field(default=True, description="Assess the stability of the features and drop the unstable ones.")
    patients: int = Field(
        default=50,
        ge=2,
        description="Number of patients whose masks are perturbed. They are drawn by the seed. All if fewer are "
        "planned.",
    )
    perturbations: int = Field(
        default=3, ge=2, description="Random masks per patient. docs/methods.md compares this with 10."
    )
    shift: float = Field(default=1.0, ge=0, description="Largest shift of a random mask along each axis (mm).")
    noise: float = Field(
        default=1.0, ge=0, description="Standard deviation of the smooth noise that moves the contour in and out (mm)."
    )
    smoothness: float = Field(default=5.0, gt=0, description="Correlation length of that noise (mm).")
    margin: float = Field(default=1.0, gt=0, description="Margin by which masks are also shrunk and grown (mm).")
    min_icc: float = Field(
        default=0.75,
        ge=0,
        le=1,
        description="Smallest lower 95 % limit of the intraclass correlation of a stable feature, for the random masks "
        "and for the shrunk and grown masks.",
    )
    min_patients: int = Field(
        default=10, ge=2, description="With fewer perturbed patients in training, stability is not assessed."
    )

    @property
    def reach(self) -> float:
        """Distance (mm) by which a perturbed mask may exceed the drawn mask, except for one voxel in ten thousand."""
        return max(self.shift + 4 * self.noise, self.margin)


# Columns of ``cohort/used.parquet`` that describe the acquisition of an image.
ACQUISITION = ("manufacturer", "model", "kernel", "slice_spacing", "tumor_source")


class HarmonisationSettings(Settings):
    """ComBat of the radiomics features, fitted on the training rows of each fit, before selection."""

    method: Literal["none", "combat"] = Field(
        default="none",
        description="combat changes every value of each feature. Check evaluation/site.parquet before you use it.",
    )
    batch: str = Field(
        default="manufacturer",
        description=f"{', '.join(ACQUISITION)}, or a column of the clinical table such as the centre.",
    )
    covariates: list[str] = Field(
        default=[],
        description="Baseline or treatment columns of the clinical table whose effect is preserved in the "
        "features. The outcome is rejected.",
    )
    min_batch: int = Field(
        default=8,
        ge=2,
        description="Smallest number of training patients in a batch. Smaller batches, and batches without a training "
        "row, are not changed.",
    )


RADIOMICS = ("radiomics", "peri_radiomics")
"""Modalities with feature selection, which is separate for each modality."""


class SelectionSettings(Settings):
    """Selection on training rows: missing, constant and correlated features are dropped, and the others are ranked.

    The paper reduces 1562 features to 36 by a correlation filter and a random forest. It states neither the threshold
    of the filter nor the size of the forest.
    """

    max_missing: float = Field(
        default=0.2, ge=0, le=1, description="Largest share of training rows in which a feature may be missing."
    )
    max_correlation: float = Field(
        default=0.9, gt=0, le=1, description="Largest absolute Spearman correlation of two features that are kept."
    )
    method: Literal["forest", "auc"] = Field(
        default="forest",
        description="forest: rank by the importance in a random forest, as in the paper. auc: rank by each feature's "
        "own AUC on the training rows. Inner folds of these rows determine how many features are kept.",
    )
    trees: int = Field(default=500, ge=1, description="Method forest: number of trees.")
    keep: int = Field(
        default=36,
        ge=1,
        description="Method forest: number of features kept of each set, radiomics and peri_radiomics.",
    )
    keep_choices: list[PositiveInt] = Field(
        default=[8, 16, 36, 72],
        min_length=1,
        description="Method auc: numbers of features of each set that are compared.",
    )
