"""Settings of the network's input patches."""

from pydantic import Field

from metaswin.settings import Settings


class PatchesSettings(Settings):
    """A cube of `size` voxels at `spacing` (mm) around the tumour.

    Channels: CT clipped to `window` (HU) and scaled to 0…1, tumour, ring, then one channel per entry of
    `organ_groups`, which maps a channel name to organ names.
    """

    size: int = Field(default=64, ge=32, multiple_of=16)
    spacing: float = Field(default=1.5, gt=0)
    window: tuple[float, float] = (-160.0, 240.0)
    organ_groups: dict[str, list[str]] = {"bone": ["bone"], "air": ["air"]}
