"""Compute shape features with PyRadiomics' definitions: surface mesh, axes of the voxels' covariance, and diameters.

The corners of a cube are the centres of 2 × 2 × 2 voxels. Corner (z, y, x) is bit 4 z + 2 y + x of the cube's number.
The vertices of the surface are midway between a voxel inside and a voxel outside. There are several ways to join the
vertices of a cube (ambiguous faces, polygons that are not flat). This module uses the one whose areas and volumes
equal PyRadiomics' for each of the 256 cubes. A test checks them cube by cube.

PyRadiomics compares all pairs of vertices for the diameters. The two farthest vertices of a plane are corners of the
convex hull of its points, and the two farthest vertices in space are corners of the hulls of their planes. Therefore
only these corners are compared.
"""

from itertools import combinations

import numpy as np

from metaswin.radiomics.engine.compiled import kernel


def shape_features(mask: np.ndarray, spacing: np.ndarray) -> dict[str, float]:
    """Return the features of a region.

    Parameters
    ----------
    mask : array of bool, shape (z, y, x)
        The region within its bounding box.
    spacing : array, shape (3,)
        Distance of voxels (z, y, x) in mm.
    """
    padded = np.pad(mask, 1).view(np.uint8)
    area, volume = area_and_volume(padded, cube_tables(spacing))
    slices, columns, rows, space = diameters(padded, spacing)
    least, minor, major = _axes(padded, spacing)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {
            "Elongation": np.sqrt(minor / major),
            "Flatness": np.sqrt(least / major),
            "LeastAxisLength": np.sqrt(least) * 4,
            "MajorAxisLength": np.sqrt(major) * 4,
            "Maximum2DDiameterColumn": columns,
            "Maximum2DDiameterRow": rows,
            "Maximum2DDiameterSlice": slices,
            "Maximum3DDiameter": space,
            "MeshVolume": volume,
            "MinorAxisLength": np.sqrt(minor) * 4,
            "Sphericity": (36 * np.pi * volume**2) ** (1.0 / 3.0) / area,
            "SurfaceArea": area,
            "SurfaceVolumeRatio": np.divide(area, volume),
            "VoxelVolume": np.count_nonzero(mask) * np.prod(spacing),
        }
    return {name: float(value) for name, value in values.items()}


def _axes(padded: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Return the eigenvalues (mm²) of the covariance of the voxel positions, smallest first; NaN if clearly negative.

    The operations and their order are PyRadiomics'. For lines and planes an eigenvalue consists of rounding errors
    only, and the features contain its square root.
    """
    places = np.argwhere(padded) * spacing[None, :]
    places -= np.mean(places, axis=0)
    places /= np.sqrt(len(places))
    # Equal eigenvalues (a cube) can have imaginary parts because of rounding; PyRadiomics then returns complex
    # features.
    values = np.real(np.linalg.eigvals(np.dot(places.T.copy(), places)))
    values[(values < 0) & (values > -1e-10)] = 0
    values.sort()
    return np.where(values < 0, np.nan, values)


CORNERS = np.array([(bit >> 2 & 1, bit >> 1 & 1, bit & 1) for bit in range(8)])
# Pairs of corners that differ in one coordinate. `TRIANGLES` refers to them by the digits 0 to b.
EDGES = [(a, b) for a, b in combinations(range(8), 2) if (a ^ b) in (1, 2, 4)]
# Bit of corner (1, 1, 0). A cube with this corner is the complement of another cube and has its triangles in reverse.
OPEN = 64

# Triangles of each cube without corner (1, 1, 0), ordered by cube number. A triangle is three edges, as seen from
# outside.
TRIANGLES = """
    - 210 034 132.342 651 260.650 034.651 654.534.642 357 210.357 054.574 152.572.742 671.731
    267.270.730 014.164.674 672.742 289 890.910 034.289 139.349.489 651.289 895.965.850 034.651.289
    483.893.963.653 289.357 890.910.357 054.574.289 159.574.549.489 671.731.289 890.967.970.730
    014.164.674.289 486.896.467 a84 210.a84 038.3a8 13a.1a2.a82 651.a84 260.650.a84 038.3a8.651
    652.53a.5a2.a82 357.a84 210.357.a84 058.578.7a8 152.572.7a2.a82 671.731.a84 267.270.730.a84
    018.167.178.7a8 672.7a2.a82 249.4a9 4a0.a91.a10 032.3a9.392 139.3a9 651.249.4a9 4a0.a96.a60.650
    032.3a9.392.651 a93.963.653 249.4a9.357 4a0.a91.a10.357 052.572.7a2.a92 15a.57a.1a9 671.731.249.4a9
    4a0.a90.960.670.730 016.067.07a.0a9.092 679.7a9 7ba 210.7ba 034.7ba 132.342.7ba 651.7ba 260.650.7ba
    034.651.7ba 654.534.642.7ba 35a.5ba 210.35a.5ba 05b.0b4.ba4 152.5ba.5a2.a42 6b1.ba1.a31
    260.6b0.ba0.a30 014.164.6b4.ba4 6b4.ba4.642 289.7ba 890.910.7ba 034.289.7ba 139.349.489.7ba
    651.289.7ba 895.965.850.7ba 034.651.289.7ba 483.893.963.653.7ba 289.35a.5ba 890.910.35a.5ba
    05b.0b4.ba4.289 154.5b4.ba4.149.489 6b1.ba1.a31.289 896.860.6ba.6a3.630 014.164.6b4.ba4.289
    486.896.46a.6ba 7b4.b84 210.7b4.b84 03b.37b.0b8 132.372.7b2.b82 651.7b4.b84 260.650.7b4.b84
    03b.37b.0b8.651 653.632.37b.3b8.382 354.5b8.584 210.354.5b8.584 058.5b8 152.5b8.582 6b1.b84.b41.431
    263.6b3.b83.843.230 01b.16b.0b8 6b2.b82 247.279.7b9 470.7b0.b90.910 032.372.7b2.b92 139.379.7b9
    651.247.279.7b9 479.7b9.490.965.950 032.372.7b2.b92.651 7b3.b93.963.653 249.439.359.5b9
    435.45b.4b9.491.410 05b.0b2.b92 159.5b9 6b1.b92.b24.b43.b31 430.6b9 01b.16b.0b2.b92 6b9
""".split()  # noqa: SIM905 - a list would be three times as long


def cube_tables(spacing: np.ndarray) -> np.ndarray:
    """Return the contribution of each of the 256 cubes to area and volume.

    Parameters
    ----------
    spacing : array, shape (3,)
        Distance of voxels (z, y, x) in mm.

    Returns
    -------
    array of float64, shape (256, 5)
        Area (mm²), volume (mm³) of the cube at the origin, and the increase of the volume per step along z, y and x
        (mm³).
    """
    cubes, edges = _triangles()
    middle = np.array([(CORNERS[a] + CORNERS[b]) / 2 for a, b in EDGES]) * spacing
    a, b, c = middle[edges].transpose(1, 0, 2)
    normals = np.cross(b - a, c - a)
    parts = np.empty((len(cubes), 5))
    parts[:, 0] = np.linalg.norm(normals, axis=1) / 2
    parts[:, 1] = (np.cross(a, b) * c).sum(axis=1) / 6
    parts[:, 2:] = normals * spacing / 6
    tables = np.zeros((256, 5))
    np.add.at(tables, cubes, parts)
    np.add.at(tables, 255 - cubes, parts * [1, -1, -1, -1, -1])
    return tables


def _triangles() -> tuple[np.ndarray, np.ndarray]:
    """Return the cube and the three edges of every triangle."""
    numbers = (cube for cube in range(256) if not cube & OPEN)
    found = [
        (cube, [int(edge, 16) for edge in triangle])
        for cube, triangles in zip(numbers, TRIANGLES, strict=True)
        for triangle in triangles.split(".")
        if triangle != "-"
    ]
    return np.array([cube for cube, _ in found]), np.array([edges for _, edges in found])


@kernel
def area_and_volume(mask, tables):
    """Sum `tables` over the cubes of a mask (uint8, shape (z, y, x), with 0 on all sides)."""
    area = 0.0
    volume = 0.0
    for z in range(mask.shape[0] - 1):
        for y in range(mask.shape[1] - 1):
            cube = _side(mask, z, y, 0)
            for x in range(mask.shape[2] - 1):
                # The far side of the previous cube is the near side of this one.
                cube = (cube & 0xAA) >> 1 | _side(mask, z, y, x + 1)
                if cube != 0 and cube != 255:
                    area += tables[cube, 0]
                    volume += tables[cube, 1] + z * tables[cube, 2] + y * tables[cube, 3] + x * tables[cube, 4]
    return area, volume


@kernel
def _side(mask, z, y, x):
    """Return the bits of the four corners at x, which are the far side of a cube."""
    near = np.int64(mask[z, y, x]) << 1 | np.int64(mask[z, y + 1, x]) << 3
    return near | np.int64(mask[z + 1, y, x]) << 5 | np.int64(mask[z + 1, y + 1, x]) << 7


@kernel
def vertex_extremes(mask):
    """Return the first and last vertex on each line of the surface's vertices, in half voxels.

    Parameters
    ----------
    mask : array of uint8, shape (z, y, x)
        Padded mask, with 0 on all sides.

    Returns
    -------
    along_x : array of int32, shape (2 z, 2 y, 2)
        Smallest and largest x of the vertices of each line (z, y); -1 if there is no vertex.
    along_y : array of int32, shape (2 z, 2 x, 2)
        Smallest and largest y of the vertices of each line (z, x); -1 if there is no vertex.
    """
    nz, ny, nx = mask.shape
    along_x = np.full((2 * nz, 2 * ny, 2), -1, np.int32)
    along_y = np.full((2 * nz, 2 * nx, 2), -1, np.int32)
    for z in range(nz - 1):
        for y in range(ny - 1):
            for x in range(nx - 1):
                own = mask[z, y, x]
                if own != mask[z + 1, y, x]:
                    _stretch(along_x[2 * z + 1, 2 * y], 2 * x)
                    _stretch(along_y[2 * z + 1, 2 * x], 2 * y)
                if own != mask[z, y + 1, x]:
                    _stretch(along_x[2 * z, 2 * y + 1], 2 * x)
                    _stretch(along_y[2 * z, 2 * x], 2 * y + 1)
                if own != mask[z, y, x + 1]:
                    _stretch(along_x[2 * z, 2 * y], 2 * x + 1)
                    _stretch(along_y[2 * z, 2 * x + 1], 2 * y)
    return along_x, along_y


@kernel
def _stretch(ends, place):
    if ends[0] < 0:
        ends[0] = place
        ends[1] = place
    else:
        ends[0] = min(ends[0], place)
        ends[1] = max(ends[1], place)


def diameters(mask: np.ndarray, spacing: np.ndarray) -> tuple[float, float, float, float]:
    """Return the largest distance (mm) within planes of constant z, y and x, and in space.

    Parameters
    ----------
    mask : array of uint8, shape (z, y, x)
        Padded mask, with 0 on all sides.
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
    """Return the largest squared distance (mm²) within a plane, and the hull corners of all planes.

    `ends` contains the first and last point of each plane and line (-1: none). `across` and `along` are the lengths
    (mm) of a step across lines and along a line. The function also returns the corners (mm) and the index of the
    first corner of each plane.
    """
    planes, lines = ends.shape[0], ends.shape[1]
    places = np.empty((planes * lines * 2, 2), np.int64)
    first = np.zeros(planes + 1, np.int64)
    largest = 0.0
    count = 0
    for plane in range(planes):
        start = count
        for side in range(2):
            # One side of the hull (Andrew's monotone chain): the lines come in order, and each adds its outer point.
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
    """Return the largest squared distance (mm²) of corners in different planes, at least `largest`.

    Neighbouring planes are `step` (mm) apart.
    """
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
