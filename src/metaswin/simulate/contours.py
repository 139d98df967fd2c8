"""Trace the contours of the simulated structures, plane by plane, in millimetres."""

from dataclasses import dataclass

import numpy as np
from skimage.measure import approximate_polygon, find_contours

from metaswin.simulate.phantom import Grid


@dataclass(frozen=True)
class Contour:
    """A closed planar polygon: index of its slice, and its points (k, 2) as x, y in mm of the phantom."""

    slice_index: int
    points: np.ndarray


@dataclass(frozen=True)
class Roi:
    """A named region of interest."""

    name: str
    interpreted_type: str
    contours: tuple[Contour, ...]


def trace(level: np.ndarray, threshold: float, grid: Grid, tolerance: float = 0.0) -> tuple[Contour, ...]:
    """Return polygons around the voxels with ``level < threshold``.

    The polygons are linear iso-lines between voxel centres. Therefore their even-odd rasterisation at the voxel
    centres gives exactly these voxels. With a `tolerance` (pixels) they are simplified, and this is no longer true.

    Parameters
    ----------
    level : ndarray, shape (z, y, x)
        Scalar field with finite values.
    threshold : float
        Iso-value.
    grid : Grid
        Grid of `level`.
    tolerance : float
        Largest distance (pixels) by which a point may be off after simplification; 0 keeps all points.
    """
    contours = []
    for index in np.flatnonzero((level < threshold).any(axis=(1, 2))):
        plane = np.pad(level[index], 1, constant_values=max(float(level[index].max()), threshold) + 1.0)
        for line in find_contours(plane, threshold):
            line = approximate_polygon(line, tolerance) if tolerance else line
            points = (line[:-1, ::-1] - 1.0) * grid.spacing[:2] + grid.origin[:2]
            if len(points) >= 3:
                contours.append(Contour(int(index), points))
    return tuple(contours)
