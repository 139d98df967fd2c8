"""Settings of the chapter features: anatomy, stability, harmonisation and selection."""

from typing import Literal

from pydantic import Field

from metaswin.core.settings import Settings


class AnatomySettings(Settings):
    """What is measured of the organs.

    `structures` are organs, tissues or groups of ``organs.groups``; one that a patient's organ masks do not have
    is missing for that patient. The modality `anatomy` is made of them.
    """

    enabled: bool = True
    structures: list[str] = ["bone", "air", "glands", "vessels", "nerves"]


class StabilitySettings(Settings):
    """Perturbed masks of a subset of the patients, and what a feature must withstand to stay.

    `patients` are drawn from the planned ones by the seed; all where there are fewer. Each is drawn anew
    `perturbations` times, moved by up to `shift` (mm) along each axis and with its contour moved in and out by a
    smooth noise of standard deviation `noise` (mm) and correlation length `smoothness` (mm); and shrunk and grown
    by `margin` (mm). A feature stays whose lower 95 % limit of the intraclass correlation is at least `min_icc` for
    both. Fewer than `min_patients` of them among the training rows: no feature is judged.
    """

    enabled: bool = True
    patients: int = Field(default=50, ge=2)
    perturbations: int = Field(default=3, ge=2)
    shift: float = Field(default=1.0, ge=0)
    noise: float = Field(default=1.0, ge=0)
    smoothness: float = Field(default=5.0, gt=0)
    margin: float = Field(default=1.0, gt=0)
    min_icc: float = Field(default=0.75, ge=0, le=1)
    min_patients: int = Field(default=10, ge=2)

    @property
    def reach(self) -> float:
        """How far a perturbed mask may reach beyond the drawn one (mm), but for one voxel in ten thousand."""
        return max(self.shift + 4 * self.noise, self.margin)


# Columns of ``cohort/used.parquet`` that say how an image was made.
ACQUISITION = ("manufacturer", "model", "kernel", "slice_spacing", "tumor_source")


class HarmonisationSettings(Settings):
    """ComBat of the radiomics features, fitted on the training rows of each part of a fold.

    `batch` is a column of the used patients (``manufacturer``, ``model``, ``kernel``, ``slice_spacing``,
    ``tumor_source``) or of the clinical table. `covariates` are baseline (or treatment) columns of the clinical
    table whose effect stays in the features; never the outcome. A batch with fewer than `min_batch` training
    patients is left alone, as is one that no training row has. Every value of each feature is moved, so the switch is
    off by default: look at ``evaluation/site.parquet`` first.
    """

    method: Literal["none", "combat"] = "none"
    batch: str = "manufacturer"
    covariates: list[str] = []
    min_batch: int = Field(default=8, ge=2)


SETS = ("radiomics", "peri_radiomics")
"""Modalities that features are selected from, each by itself."""


class SelectionSettings(Settings):
    """Selection on training rows: missing, constant, correlated, then random-forest rank.

    The paper reduces 1562 features to 36 by a correlation filter and a random forest; it states neither the
    threshold of the filter nor the size of the forest. `max_missing` is a share of the training rows,
    `max_correlation` an absolute Spearman correlation, `keep` the number of features kept of each set.
    """

    max_missing: float = Field(default=0.2, ge=0, le=1)
    max_correlation: float = Field(default=0.9, gt=0, le=1)
    trees: int = Field(default=500, ge=1)
    keep: int = Field(default=36, ge=1)
