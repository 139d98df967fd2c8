"""Settings of regions."""

from typing import Literal

from pydantic import Field, field_validator

from metaswin.settings import Settings


class RegionsSettings(Settings):
    """One grid a patient and the regions on it.

    `spacing` (mm) is the isotropic grid all radiomics is computed on; `crop_margin` (mm) surrounds the union of
    all regions. Each ring is a pair of distances (mm) from any lesion: voxels farther than the first and at most as
    far as the second; rings may overlap. `ring_excludes` are labels of the organ masks that no ring may hold. A
    ring under `min_ring_voxels` is missing; a tumour under `min_tumor_voxels` excludes the patient.
    """

    spacing: float = Field(default=1.0, gt=0)
    image_interpolation: Literal["bspline", "linear"] = "bspline"
    mask_interpolation: Literal["nearest", "linear"] = "nearest"
    crop_margin: float = Field(default=25.0, ge=0)
    rings: list[tuple[float, float]] = [(0.0, 10.0)]
    ring_excludes: list[str] = ["air", "bone", "outside"]
    min_ring_voxels: int = Field(default=100, ge=1)
    min_tumor_voxels: int = Field(default=8, ge=1)

    @field_validator("rings")
    @classmethod
    def _ascending(cls, rings: list[tuple[float, float]]) -> list[tuple[float, float]]:
        for low, high in rings:
            if not 0 <= low < high:
                raise ValueError(
                    f"a ring goes from a smaller to a larger distance, 0 or more; found [{low:g}, {high:g}]"
                )
        if len(set(rings)) < len(rings):
            raise ValueError("the same ring is named twice")
        return rings

    @property
    def reach(self) -> float:
        """Outer distance of the widest ring (mm)."""
        return max((high for _, high in self.rings), default=0.0)


def ring_name(ring: tuple[float, float]) -> str:
    """Name of a ring, such as ``ring_0_10mm``."""
    return f"ring_{ring[0]:g}_{ring[1]:g}mm"
