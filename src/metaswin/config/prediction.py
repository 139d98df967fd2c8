"""Define the settings of the chapter prediction: the bundle and the prediction of new patients."""

from typing import Annotated

from pydantic import Field

from metaswin.core.settings import Settings


class BundleSettings(Settings):
    """Bundle of a finished run for the prediction of new patients (docs/prediction.md)."""

    licence: str = Field(default="not stated: ask the author of this bundle", description="Licence in the model card.")
    contact: str = Field(default="not stated", description="Contact in the model card.")
    intended_use: str = Field(
        default="Research on cohorts like the one it was trained on. Not for decisions about patients.",
        description="Intended use in the model card.",
    )
    groups: int = Field(
        default=3,
        ge=2,
        le=4,
        description="Number of risk groups. Their limits are quantiles of the training patients' inner cross-fitted "
        "risks.",
    )
    distance_percentile: float = Field(
        default=97.5,
        gt=50,
        lt=100,
        description="A new patient is flagged as unlike the training patients if its distance exceeds this "
        "percentile of the distances of held-out training rows.",
    )
    distance_rows: int = Field(
        default=200,
        ge=10,
        description="Largest number of training rows whose distance is computed with the row held out.",
    )


Member = Annotated[str, Field(pattern=r"^\d+,\d+$")]


class PredictSettings(Settings):
    """Prediction of new patients instead of training; `metaswin predict` sets these."""

    bundle: str | None = Field(default=None, description="Folder of the bundle.")
    clinical: str | None = Field(
        default=None, description="Your table of the new patients, from which clinical.table is made."
    )
    member: Member | None = Field(
        default=None, description='"repeat,fold": predict only with the models of one fold. null: with all models.'
    )

    @property
    def place(self) -> tuple[int, int] | None:
        """Repeat and fold of the single member, None for all members."""
        if self.member is None:
            return None
        repeat, fold = self.member.split(",")
        return int(repeat), int(fold)
