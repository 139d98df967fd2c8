"""Settings of feature selection."""

from pydantic import Field

from metaswin.settings import Settings

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
