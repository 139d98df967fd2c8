"""Describe the voxel grid of a volume: size, spacing, origin, direction and the map from mm to voxel indices."""

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import SimpleITK as sitk

# Corners of two equal grids may differ by this fraction of a voxel, because NIfTI stores its affine in float32.
CORNER_TOLERANCE = 0.01


@dataclass(frozen=True)
class Grid:
    """A rectangular voxel grid in DICOM patient coordinates (LPS, mm).

    Attributes
    ----------
    size : tuple of int
        Number of voxels along x, y, z (columns, rows, slices). Arrays on the grid have the shape ``size[::-1]``.
    spacing : tuple of float
        Distance between voxel centres along x, y, z (mm).
    origin : tuple of float
        Centre of voxel (0, 0, 0) (mm).
    direction : tuple of float
        3 × 3 matrix in row-major order; its columns are the unit vectors of the x, y and z axes.
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]

    @classmethod
    def of(cls, image: "sitk.Image") -> "Grid":
        """Return the grid of a SimpleITK image."""
        return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an array on the grid: slices, rows, columns."""
        return self.size[2], self.size[1], self.size[0]

    @property
    def axes(self) -> np.ndarray:
        """3 × 3 matrix with the unit vectors of the x, y and z axes as columns."""
        return np.reshape(self.direction, (3, 3))

    @property
    def voxel_volume(self) -> float:
        """Volume of a voxel (mm³)."""
        return float(np.prod(self.spacing))

    def points(self, indices: np.ndarray) -> np.ndarray:
        """Return the points (mm, shape (n, 3)) of continuous voxel indices (x, y, z; shape (n, 3))."""
        return np.asarray(indices) * self.spacing @ self.axes.T + self.origin

    def indices(self, points: np.ndarray) -> np.ndarray:
        """Return the continuous voxel indices (x, y, z; shape (n, 3)) of points (mm, shape (n, 3))."""
        return (np.asarray(points, dtype=float) - self.origin) @ np.linalg.inv(self.axes).T / self.spacing

    def same_as(self, other: "Grid") -> bool:
        """Return whether both grids have the same size and the same corners (tolerance: 1 % of a voxel)."""
        if self.size != other.size:
            return False
        corners = np.array(list(product(*((0, n - 1) for n in self.size))), dtype=float)
        return bool(np.abs(self.indices(other.points(corners)) - corners).max() <= CORNER_TOLERANCE)

    def image(self, array: np.ndarray) -> "sitk.Image":
        """Return a SimpleITK image of an array (slices, rows, columns) on this grid."""
        import SimpleITK as sitk

        image = sitk.GetImageFromArray(array)
        image.SetSpacing(self.spacing)
        image.SetOrigin(self.origin)
        image.SetDirection(self.direction)
        return image

    def __str__(self) -> str:
        size = "×".join(str(n) for n in self.size)
        spacing = "×".join(f"{s:.4g}" for s in self.spacing)
        origin = ", ".join(f"{o:.5g}" for o in self.origin)
        direction = ", ".join(f"{d:.3g}" for d in self.direction)
        return f"{size} voxels of {spacing} mm, origin ({origin}) mm, direction ({direction})"
