"""Area and volume of a region's surface by marching cubes (Lorensen and Cline 1987), and the surface's vertices.

A cube has its corners at the centres of 2 × 2 × 2 voxels; corner (z, y, x) is bit 4 z + 2 y + x of its number. The
vertices lie midway between a voxel inside and one outside. How the vertices of a cube are joined is a choice (ambiguous
faces, polygons that are not flat); ours is the one whose areas and volumes equal PyRadiomics' for each of the 256
cubes, which a test checks cube by cube.
"""

from itertools import combinations

import numpy as np

from metaswin.radiomics.engine.compiled import kernel

CORNERS = np.array([(bit >> 2 & 1, bit >> 1 & 1, bit & 1) for bit in range(8)])
# Pairs of corners that differ in one coordinate, numbered 0 to b in `TRIANGLES`.
EDGES = [(a, b) for a, b in combinations(range(8), 2) if (a ^ b) in (1, 2, 4)]
OPEN = 64  # bit of corner (1, 1, 0): cubes that hold it are the complements of others, with the same triangles reversed

# Triangles of each cube without corner (1, 1, 0), in the order of their numbers: three edges each, seen from outside.
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
    """Contribution of each of the 256 cubes to area and volume.

    Parameters
    ----------
    spacing : array, shape (3,)
        Distance of voxels (z, y, x) in mm.

    Returns
    -------
    array of float64, shape (256, 5)
        Area (mm²); volume (mm³) of the cube at the origin; and by how much it grows a step along z, y and x (mm³).
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
    """Cube and three edges of every triangle."""
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
    """Sum `tables` over the cubes of a mask: array of uint8, shape (z, y, x), with 0 all around."""
    area = 0.0
    volume = 0.0
    for z in range(mask.shape[0] - 1):
        for y in range(mask.shape[1] - 1):
            cube = _side(mask, z, y, 0)
            for x in range(mask.shape[2] - 1):
                # The far side of the cube before is the near side of this one.
                cube = (cube & 0xAA) >> 1 | _side(mask, z, y, x + 1)
                if cube != 0 and cube != 255:
                    area += tables[cube, 0]
                    volume += tables[cube, 1] + z * tables[cube, 2] + y * tables[cube, 3] + x * tables[cube, 4]
    return area, volume


@kernel
def _side(mask, z, y, x):
    """Bits of the four corners at x as the far side of a cube."""
    near = np.int64(mask[z, y, x]) << 1 | np.int64(mask[z, y + 1, x]) << 3
    return near | np.int64(mask[z + 1, y, x]) << 5 | np.int64(mask[z + 1, y + 1, x]) << 7


@kernel
def vertex_extremes(mask):
    """First and last vertex of each line of the surface's vertices, in half voxels.

    Parameters
    ----------
    mask : array of uint8, shape (z, y, x)
        Padded, 0 all around.

    Returns
    -------
    along_x : array of int32, shape (2 z, 2 y, 2)
        Smallest and largest x of the vertices of each line (z, y); -1 where there is none.
    along_y : array of int32, shape (2 z, 2 x, 2)
        The same along y of each line (z, x).
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
