"""Settings of the chapter features: anatomy, stability, harmonisation and selection."""

from typing import Literal

from pydantic import Field, PositiveInt

from metaswin.core.settings import Settings


class AnatomySettings(Settings):
    """Measures of organs: volume (mm³), mean HU, distance to the tumour (mm) and contact with it (mm²)."""

    enabled: bool = Field(default=True, description="Measure the organs; the modality anatomy is made of them.")
    structures: list[str] = Field(
        default=["bone", "air", "glands", "vessels", "nerves"],
        description="Organs, tissues or groups of organs.groups; one that a patient's organ masks lack is missing.",
    )


class StabilitySettings(Settings):
    """Stability of the radiomics features under perturbed masks, judged on training rows before their selection."""

    enabled: bool = Field(default=True, description="Judge the features and drop the unstable ones.")
    patients: int = Field(
        default=50,
        ge=2,
        description="Patients whose masks are perturbed, drawn by the seed; all if fewer are planned.",
    )
    perturbations: int = Field(
        default=3, ge=2, description="Random masks of each of them; docs/methods.md compares with 10."
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
        description="A feature stays if the lower 95 % limit of its intraclass correlation reaches this, for random "
        "masks and for shrunk and grown ones.",
    )
    min_patients: int = Field(
        default=10, ge=2, description="With fewer of these patients in training no feature is judged."
    )

    @property
    def reach(self) -> float:
        """How far a perturbed mask may reach beyond the drawn one (mm), but for one voxel in ten thousand."""
        return max(self.shift + 4 * self.noise, self.margin)


# Columns of ``cohort/used.parquet`` that say how an image was made.
ACQUISITION = ("manufacturer", "model", "kernel", "slice_spacing", "tumor_source")


class HarmonisationSettings(Settings):
    """ComBat of the radiomics features, fitted on the training rows of each fit, before selection."""

    method: Literal["none", "combat"] = Field(
        default="none",
        description="combat moves every value of each feature: look at evaluation/site.parquet first.",
    )
    batch: str = Field(
        default="manufacturer",
        description=f"{', '.join(ACQUISITION)}, or a column of the clinical table such as the centre.",
    )
    covariates: list[str] = Field(
        default=[],
        description="Baseline or treatment columns of the clinical table whose effect is preserved in the "
        "features; the outcome is refused.",
    )
    min_batch: int = Field(
        default=8,
        ge=2,
        description="Training patients that a batch needs; smaller batches, and batches without a training row, "
        "are not changed.",
    )


RADIOMICS = ("radiomics", "peri_radiomics")
"""Modalities that features are selected from, each by itself."""


class SelectionSettings(Settings):
    """Selection on training rows: missing, constant and correlated features are dropped, the rest is ranked.

    The paper reduces 1562 features to 36 by a correlation filter and a random forest; it states neither the
    threshold of the filter nor the size of the forest.
    """

    max_missing: float = Field(
        default=0.2, ge=0, le=1, description="Largest share of training rows in which a feature may be missing."
    )
    max_correlation: float = Field(
        default=0.9, gt=0, le=1, description="Largest absolute Spearman correlation of two features that stay."
    )
    method: Literal["forest", "auc"] = Field(
        default="forest",
        description="forest: rank by the importance in a random forest, as in the paper. auc: rank by each feature's "
        "own AUC on the training rows; inner folds of these rows choose how many features are kept.",
    )
    trees: int = Field(default=500, ge=1, description="Method forest: trees.")
    keep: int = Field(
        default=36, ge=1, description="Method forest: features kept of each set, radiomics and peri_radiomics."
    )
    keep_choices: list[PositiveInt] = Field(
        default=[8, 16, 36, 72],
        min_length=1,
        description="Method auc: numbers of features of each set that are compared.",
    )
