"""Settings of the chapter prediction: the bundle and the prediction of new patients."""

from typing import Annotated

from pydantic import Field

from metaswin.core.settings import Settings


class BundleSettings(Settings):
    """What a frozen run says of itself, and how new patients are placed among those it was trained on.

    `licence`, `contact` and `intended_use` go onto the card. `groups` risk groups are cut at quantiles of the training
    patients' inner cross-fitted risks. A new patient is flagged whose distance from the training rows lies beyond the
    percentile `distance_percentile` of what these have when left out; at most `distance_rows` of them are left out in
    turn.
    """

    licence: str = "not stated: ask whoever made this bundle"
    contact: str = "not stated"
    intended_use: str = "Research on cohorts like the one it was trained on. Not for decisions about patients."
    groups: int = Field(default=3, ge=2, le=4)
    distance_percentile: float = Field(default=97.5, gt=50, lt=100)
    distance_rows: int = Field(default=200, ge=10)


Member = Annotated[str, Field(pattern=r"^\d+,\d+$")]


class PredictSettings(Settings):
    """A bundle to predict with, instead of training.

    `clinical` is the table of the new patients as the user has it (`clinical.table` is the one made of it). `member`
    (``repeat,fold``) predicts with the models of one fold alone; null: with all.
    """

    bundle: str | None = None
    clinical: str | None = None
    member: Member | None = None

    @property
    def place(self) -> tuple[int, int] | None:
        """Repeat and fold of the one member, None for all."""
        if self.member is None:
            return None
        repeat, fold = self.member.split(",")
        return int(repeat), int(fold)
