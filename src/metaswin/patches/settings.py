"""Settings of the network's input patches."""

from pydantic import Field, field_validator

from metaswin.settings import Settings


class PatchesSettings(Settings):
    """A cube of `size` voxels at `spacing` (mm) around the tumour.

    Channels: CT clipped to `window` (HU) and scaled to 0…1, tumour, ring, then one channel per entry of
    `organ_groups`, which maps a channel name to organ names. All but the CT are the fraction of the voxel
    that lies in the region.
    """

    size: int = Field(default=64, ge=32, multiple_of=16)
    spacing: float = Field(default=1.5, gt=0)
    window: tuple[float, float] = (-160.0, 240.0)
    organ_groups: dict[str, list[str]] = {"bone": ["bone"], "air": ["air"]}

    @field_validator("window")
    @classmethod
    def _ordered(cls, window: tuple[float, float]) -> tuple[float, float]:
        if window[0] >= window[1]:
            raise ValueError("the lower limit must be below the upper one")
        return window

    @field_validator("organ_groups")
    @classmethod
    def _named_apart(cls, groups: dict[str, list[str]]) -> dict[str, list[str]]:
        taken = sorted({"ct", "tumor", "ring"} & set(groups))
        if taken:
            raise ValueError(f"{', '.join(taken)} is a channel already; give the organ group another name")
        return groups
