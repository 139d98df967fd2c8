"""Settings of organ and tissue masks."""

from typing import Literal

from metaswin.settings import Settings


class ThresholdSettings(Settings):
    """HU limits of the `threshold` backend (HU)."""

    air_below: float = -400.0
    fat: tuple[float, float] = (-190.0, -30.0)
    bone_above: float = 200.0


class MasksSettings(Settings):
    """The user's own organ masks: a NIfTI per organ at `pattern`, where ``{patient}`` and ``{organ}`` are filled in."""

    pattern: str | None = None
    organs: list[str] = []
    rtstruct_rois: dict[str, list[str]] = {}


class OrgansSettings(Settings):
    """Backend of the organ masks, and the groups of organs that later stages use.

    `groups` joins organ names to the groups that clean the ring and make the network's organ channels.
    """

    backend: Literal["threshold", "masks"] = "threshold"
    threshold: ThresholdSettings = ThresholdSettings()
    masks: MasksSettings = MasksSettings()
