"""Settings of the prediction of new patients; `metaswin predict` writes them."""

from typing import Annotated

from pydantic import Field

from metaswin.settings import Settings

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
