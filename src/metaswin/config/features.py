"""Define the settings of the chapter features: anatomy, stability, harmonisation, selection and embeddings."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

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


Millimetres = Annotated[float, Field(gt=0)]
NETWORK_SUFFIX = ".safetensors"


class EmbeddingSettings(Settings):
    """Frozen embeddings for the modality embedding: set model or table. The encoder is never trained in a run.

    An encoder in TorchScript receives the CT around the lesion with the axes z (upwards), y (to the back), x (to the
    left). The defaults are the input of FMCIB (docs/howto/embeddings.md). deep.device and deep.threads apply.
    """

    model: str | None = Field(
        default=None,
        description="File of the encoder: TorchScript (.pt), or a network.safetensors of another study, which reads "
        "the patches of this run. null: no encoder.",
    )
    table: str | None = Field(
        default=None,
        description="CSV or Parquet with your own embeddings: patient_id and numeric columns. null: no table.",
    )
    size: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        default=(50, 50, 50), description="Input of a TorchScript encoder: voxels along x, y and z."
    )
    spacing: tuple[Millimetres, Millimetres, Millimetres] = Field(
        default=(1.0, 1.0, 1.0), description="Spacing of these voxels along x, y and z (mm)."
    )
    window: tuple[float, float] = Field(
        default=(-1024.0, 2048.0), description="HU that a TorchScript encoder receives as 0 and as 1."
    )
    clip: bool = Field(default=False, description="Clip the CT to this window.")

    @property
    def enabled(self) -> bool:
        """Return whether the run has embeddings."""
        return self.model is not None or self.table is not None

    @property
    def reads_patches(self) -> bool:
        """Return whether the encoder is a network of another study, which reads the patches of the networks."""
        return self.model is not None and self.model.endswith(NETWORK_SUFFIX)

    @model_validator(mode="after")
    def _consistent(self) -> "EmbeddingSettings":
        if self.model is not None and self.table is not None:
            raise ValueError("found model and table; set only one of them")
        if self.window[0] >= self.window[1]:
            raise ValueError(f"window: the lower limit must be below the upper one; found {list(self.window)}")
        return self
