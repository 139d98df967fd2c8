"""Planes of a volume in the patient's axes, whatever the orientation of its slices."""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

# Axes of each plane in LPS: to the right, downwards. The axial plane is seen from the feet, as radiologists do.
AXES = {
    "axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    "sagittal": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
}
# Letters at the left, right, upper and lower edge.
LETTERS = {"axial": "RLAP", "coronal": "RLSI", "sagittal": "APSI"}


@dataclass(frozen=True)
class Plane:
    """A square of `pixels` × `pixels` around `centre` (LPS, mm).

    Attributes
    ----------
    name : str
        ``axial``, ``coronal`` or ``sagittal``.
    centre : tuple of float
    side : float
        Edge of the square (mm).
    pixels : int
    """

    name: str
    centre: tuple[float, float, float]
    side: float
    pixels: int

    def cut(self, image: sitk.Image, outside: float, linear: bool = False) -> np.ndarray:
        """Values of `image` in the plane (rows, columns), `outside` beyond the image.

        A pixel has the same size in mm along both axes, whatever the voxels. `linear` interpolates; otherwise the
        nearest voxel counts.
        """
        right, down = np.array(AXES[self.name])
        pixel = self.side / self.pixels
        origin = np.array(self.centre) - (right + down) * (self.pixels - 1) / 2 * pixel
        direction = np.stack([right, down, np.cross(right, down)], axis=1)
        plane = sitk.Resample(
            image,
            (self.pixels, self.pixels, 1),
            sitk.Transform(),
            sitk.sitkLinear if linear else sitk.sitkNearestNeighbor,
            origin.tolist(),
            (pixel, pixel, 1.0),
            direction.ravel().tolist(),
            outside,
        )
        return sitk.GetArrayFromImage(plane)[0]


def planes_through(centre: tuple[float, float, float], side: float, pixels: int) -> list[Plane]:
    """The three planes through a point."""
    return [Plane(name, centre, side, pixels) for name in AXES]
