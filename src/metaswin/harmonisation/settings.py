"""Settings of harmonisation."""

from typing import Literal

from pydantic import Field

from metaswin.settings import Settings

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
