"""Settings of organ and tissue masks."""

import re
from typing import Literal

from pydantic import Field, model_validator

from metaswin.settings import Settings

TISSUES = ("air", "fat", "soft_tissue", "bone", "outside")


class ThresholdSettings(Settings):
    """Limits of the `threshold` backend (HU).

    Connected parts of air or bone smaller than `min_component_mm3` (mm³) are noise and count as soft tissue;
    so does all of the body that is neither air, fat nor bone.
    """

    air_below: float = -400.0
    fat: tuple[float, float] = (-190.0, -30.0)
    bone_above: float = 200.0
    min_component_mm3: float = Field(default=50.0, ge=0)

    @model_validator(mode="after")
    def _ascending(self) -> "ThresholdSettings":
        limits = (self.air_below, *self.fat, self.bone_above)
        if list(limits) != sorted(limits) or len(set(limits)) < len(limits):
            raise ValueError(f"air_below, fat and bone_above must ascend; found {limits}")
        return self


class MasksSettings(Settings):
    """The user's own organ masks: a NIfTI per organ at `pattern`, where ``{patient}`` and ``{organ}`` are filled in.

    `rtstruct_rois` maps organ names to regular expressions of ROI names (case ignored, whole name) in the RTSTRUCT
    that holds the tumour. Where organs overlap the first named wins. With `tissues` the rest of the body takes
    the labels of the `threshold` backend, which the ring's cleaning needs.
    """

    pattern: str | None = None
    organs: list[str] = []
    rtstruct_rois: dict[str, list[str]] = {}
    tissues: bool = True

    @property
    def names(self) -> list[str]:
        """All organs, in the order in which they win."""
        return [*self.organs, *(name for name in self.rtstruct_rois if name not in self.organs)]

    @model_validator(mode="after")
    def _consistent(self) -> "MasksSettings":
        if self.organs and "{patient}" not in (self.pattern or ""):
            raise ValueError("organs need a pattern with {patient}")
        if len(self.organs) > 1 and "{organ}" not in (self.pattern or ""):
            raise ValueError("several organs need a pattern with {organ}")
        try:
            (self.pattern or "").format(patient="patient", organ="organ")
        except (IndexError, KeyError, ValueError):
            raise ValueError(f"pattern {self.pattern!r} may hold {{patient}} and {{organ}}, no other braces") from None
        taken = [name for name in self.names if name in TISSUES]
        if self.tissues and taken:
            raise ValueError(f"{', '.join(taken)}: names of tissues; rename the organs or set tissues to false")
        for name, patterns in self.rtstruct_rois.items():
            for pattern in patterns:
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise ValueError(f"{name}: {pattern!r} is no regular expression ({error})") from None
        return self


class OrgansSettings(Settings):
    """Backend of the organ masks.

    Later stages use its labels by name, in ``regions.ring_excludes`` and ``patches.organ_groups``.
    """

    backend: Literal["threshold", "masks"] = "threshold"
    threshold: ThresholdSettings = ThresholdSettings()
    masks: MasksSettings = MasksSettings()

    @model_validator(mode="after")
    def _has_masks(self) -> "OrgansSettings":
        if self.backend == "masks" and not self.masks.names:
            raise ValueError("backend masks needs masks.organs with masks.pattern, or masks.rtstruct_rois")
        return self
