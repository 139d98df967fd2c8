"""Settings of the patients' pictures."""

from pydantic import Field, field_validator

from metaswin.settings import Settings


class PicturesSettings(Settings):
    """The CT of the pictures in `window` (HU), with `margin` (mm) around the lesions.

    `leave_out` are labels of the organ masks that are not drawn.
    """

    window: tuple[float, float] = (-160.0, 240.0)
    margin: float = Field(default=50.0, ge=10)
    leave_out: list[str] = ["fat", "soft_tissue", "outside"]

    @field_validator("window")
    @classmethod
    def _ordered(cls, window: tuple[float, float]) -> tuple[float, float]:
        if window[0] >= window[1]:
            raise ValueError("the lower limit must be below the upper one")
        return window
