"""Settings of regions."""

from typing import Literal

from pydantic import Field

from metaswin.settings import Settings


class RegionsSettings(Settings):
    """One grid a patient and the regions on it.

    `spacing` (mm) is the isotropic grid all radiomics is computed on; `crop_margin` (mm) surrounds the union of
    all regions. Each ring is a pair of distances (mm) from the surface of any lesion.
    """

    spacing: float = Field(default=1.0, gt=0)
    image_interpolation: Literal["bspline", "linear"] = "bspline"
    mask_interpolation: Literal["nearest", "linear"] = "nearest"
    crop_margin: float = Field(default=25.0, ge=0)
    rings: list[tuple[float, float]] = [(0.0, 10.0)]
    ring_excludes: list[str] = ["air", "bone", "outside"]
    min_ring_voxels: int = Field(default=100, ge=1)
    min_tumor_voxels: int = Field(default=8, ge=1)
