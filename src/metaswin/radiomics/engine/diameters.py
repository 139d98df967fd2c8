"""Largest distances between vertices of a region's surface, in space and within planes.

PyRadiomics compares all pairs. The farthest pair of a plane are corners of the convex hull of its points, and the
farthest pair in space are corners of the hulls of their planes, so that only those are compared.
"""

import numpy as np

from metaswin.radiomics.engine.compiled import kernel
from metaswin.radiomics.engine.mesh import vertex_extremes


def diameters(mask: np.ndarray, spacing: np.ndarray) -> tuple[float, float, float, float]:
    """Largest distance (mm) within planes of constant z, y and x, and in space.

    Parameters
    ----------
    mask : array of uint8, shape (z, y, x)
        Padded, 0 all around.
    spacing : array, shape (3,)
        Distance of voxels (z, y, x) in mm.
    """
    along_x, along_y = vertex_extremes(mask)
    half = np.asarray(spacing, np.float64) / 2
    by_z, corners, first = _planes(along_x, half[1], half[2])
    by_y, _, _ = _planes(np.ascontiguousarray(along_x.transpose(1, 0, 2)), half[0], half[2])
    by_x, _, _ = _planes(np.ascontiguousarray(along_y.transpose(1, 0, 2)), half[0], half[1])
    space = _across(corners, first, half[0], by_z)
    return float(np.sqrt(by_z)), float(np.sqrt(by_y)), float(np.sqrt(by_x)), float(np.sqrt(space))


@kernel
def _planes(ends, across, along):
    """Largest squared distance within a plane, and the hull corners of all planes.

    `ends` holds, per plane and line, the first and last point of the line (-1: none); `across` and `along` are the
    lengths (mm) of its two last steps. Returns also the corners (mm), and where those of each plane begin.
    """
    planes, lines = ends.shape[0], ends.shape[1]
    places = np.empty((planes * lines * 2, 2), np.int64)
    first = np.zeros(planes + 1, np.int64)
    largest = 0.0
    count = 0
    for plane in range(planes):
        start = count
        for side in range(2):
            # One side of the hull (Andrew's monotone chain): lines come in order, each adds its outer point.
            chain = count
            sign = 1 if side else -1
            for line in range(lines):
                place = ends[plane, line, side]
                if place < 0:
                    continue
                while count - chain >= 2:
                    du, dv = places[count - 1, 0] - places[count - 2, 0], places[count - 1, 1] - places[count - 2, 1]
                    turn = du * (place - places[count - 2, 1]) - dv * (line - places[count - 2, 0])
                    if sign * turn < 0:
                        break
                    count -= 1
                places[count, 0] = line
                places[count, 1] = place
                count += 1
        first[plane + 1] = count
        for i in range(start, count):
            for j in range(i + 1, count):
                du = (places[i, 0] - places[j, 0]) * across
                dv = (places[i, 1] - places[j, 1]) * along
                largest = max(largest, du * du + dv * dv)
    corners = np.empty((count, 2))
    for i in range(count):
        corners[i, 0] = places[i, 0] * across
        corners[i, 1] = places[i, 1] * along
    return largest, corners, first


@kernel
def _across(corners, first, step, largest):
    """Largest squared distance of corners in different planes `step` (mm) apart, or `largest` if that is more."""
    planes = len(first) - 1
    low = np.empty((planes, 2))
    high = np.empty((planes, 2))
    for plane in range(planes):
        for d in range(2):
            if first[plane] < first[plane + 1]:
                low[plane, d] = corners[first[plane] : first[plane + 1], d].min()
                high[plane, d] = corners[first[plane] : first[plane + 1], d].max()
    for gap in range(planes - 1, 0, -1):
        apart = (gap * step) ** 2
        for p in range(planes - gap):
            q = p + gap
            if first[p] == first[p + 1] or first[q] == first[q + 1]:
                continue
            u = max(high[p, 0] - low[q, 0], high[q, 0] - low[p, 0])
            v = max(high[p, 1] - low[q, 1], high[q, 1] - low[p, 1])
            if apart + u * u + v * v <= largest:
                continue
            for i in range(first[p], first[p + 1]):
                for j in range(first[q], first[q + 1]):
                    du, dv = corners[i, 0] - corners[j, 0], corners[i, 1] - corners[j, 1]
                    largest = max(largest, apart + du * du + dv * dv)
    return largest
