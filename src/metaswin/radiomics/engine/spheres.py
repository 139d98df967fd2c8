"""Compute local binary patterns in 3D from samples on a sphere around each voxel, with PyRadiomics' values.

A pattern states which samples are at least as large as the voxel's value (Banerjee et al. 2013). Its
rotation-invariant description consists of the norms of its parts in spherical harmonics, one per degree. The values
of symmetric patterns differ by rounding only, and a bin edge may lie between them. Therefore the sums run in
PyRadiomics' order, the points of the sphere have trimesh's order, and the harmonics are rounded as
``scipy.special.sph_harm`` did.
"""

import warnings
from collections.abc import Iterator

import numpy as np

BLOCK = 4096  # voxels described together: their samples and products fit into the processor's cache


def spherical_patterns(
    image: np.ndarray, inside: np.ndarray, levels: int = 2, radius: float = 1, subdivision: int = 1
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and values of each map: a norm for each degree of the harmonics, then the kurtosis of the samples.

    Parameters
    ----------
    image : array, shape (z, y, x)
        The whole image. Samples between voxels are interpolated by cubic splines; they are 0 beyond the image.
    inside : array of bool, shape (z, y, x)
        The region. Only its voxels are described.
    levels : int
        Number of degrees of the harmonics, from 0; at least 2.
    radius : float
        Radius of the sphere in voxels.
    subdivision : int
        How often each triangle of the icosahedron is divided into four; this gives 12, 42, 162 … samples.

    Yields
    ------
    str, array of float64, shape (voxels,)
        Values of the region's voxels in memory order. The kurtosis is NaN if all samples are equal.
    """
    from scipy import ndimage

    points = icosphere(subdivision, radius)
    basis, degrees = harmonics(points, radius, levels)
    places = np.argwhere(inside)
    own = image[inside]
    spline = ndimage.spline_filter(image, order=3, output=np.float64)
    norms = np.empty((levels, len(places)))
    kurtosis = np.empty(len(places))
    for start in range(0, len(places), BLOCK):
        block = slice(start, start + BLOCK)
        where = places[block].T[:, :, None] + points.T[:, None, :]
        samples = ndimage.map_coordinates(spline, where, output=image.dtype, order=3, prefilter=False)
        norms[:, block] = _norms(samples >= own[block, None], basis, degrees)
        kurtosis[block] = _kurtosis(samples)
    for degree, values in enumerate(norms):
        yield f"lbp-3D-m{degree + 1}", values
    yield "lbp-3D-k", kurtosis


def icosphere(subdivision: int, radius: float) -> np.ndarray:
    """Return the points of an icosahedron whose triangles are divided into four `subdivision` times, shape (points, 3).

    Their order is trimesh's: first the existing points, then the middle of each edge. The edges are sorted by their
    second point, then by their first.
    """
    golden = (1 + 5**0.5) / 2
    corners = [(-1, golden, 0), (1, golden, 0), (-1, -golden, 0), (1, -golden, 0)]
    points = np.array([*corners, *(c[-1:] + c[:-1] for c in corners), *(c[1:] + c[:1] for c in corners)])
    points /= np.sqrt((points**2).sum(axis=1))[:, None]
    # The 20 triangles are the triples of adjacent points. They are oriented so that their edges come in order.
    near = np.linalg.norm(points[:, None] - points, axis=2) < 1.1
    triangles = np.array(
        [
            (a, b, c)
            for a in range(12)
            for b in range(a + 1, 12)
            for c in range(b + 1, 12)
            if near[a, b] and near[a, c] and near[b, c]
        ]
    )
    if not subdivision:
        return _stretched(points, radius)
    for _ in range(subdivision):
        edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [0, 2]]])
        unique, number = np.unique(np.sort(edges, axis=1)[:, ::-1], axis=0, return_inverse=True)
        ab, bc, ac = number.reshape(3, -1) + len(points)
        a, b, c = triangles.T
        triangles = np.concatenate(
            [np.stack(new, axis=1) for new in ((a, ab, ac), (ab, b, bc), (ac, bc, c), (ab, bc, ac))]
        )
        points = _stretched(np.concatenate([points, points[unique[:, ::-1]].mean(axis=1)]), radius)
    return points


def _stretched(points: np.ndarray, radius: float) -> np.ndarray:
    """Move points onto the sphere."""
    length = np.sqrt(np.dot(points**2, [1, 1, 1]))[:, None]
    return points + points / length * (radius - length)


def harmonics(points: np.ndarray, radius: float, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the spherical harmonics at some points, complex, shape (points, functions), and the degree of each.

    As in PyRadiomics, the two angles are swapped: the angle from the pole is used as azimuth, and the other as polar
    angle.
    """
    from scipy.special import lpmv, poch

    azimuth = np.arccos(points[:, 2] / radius)
    polar = np.arctan2(points[:, 1], points[:, 0])
    functions, degrees = [], []
    for n in range(levels):
        for m in range(-n, n + 1):
            legendre = lpmv(abs(m), n, np.cos(polar))
            if m < 0:
                legendre = legendre * (-1) ** m * poch(n - m + 1, 2 * m)
            scale = np.sqrt((2 * n + 1) * poch(n + m + 1, -2 * m) / (4 * np.pi))
            functions.append(legendre * scale * np.exp(1j * m * azimuth))
            degrees.append(n)
    return np.stack(functions, axis=1), np.array(degrees)


def _norms(pattern: np.ndarray, basis: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Project patterns (voxels, points) on the harmonics; return the norm for each degree, shape (degrees, voxels)."""
    coefficients = (pattern[:, :, None] * basis).sum(axis=1)
    # The degrees are the last axis. Then numpy adds the points one by one, as in PyRadiomics, and not pairwise.
    surfaces = np.zeros((*pattern.shape, degrees[-1] + 1), complex)
    for k, degree in enumerate(degrees):
        surfaces[:, :, degree] += coefficients[:, None, k] * basis[None, :, k]
    return np.sqrt((surfaces**2).sum(axis=1)).real.T


def _kurtosis(samples: np.ndarray) -> np.ndarray:
    """Return the excess kurtosis of each row; NaN, without scipy's warning, if all samples are equal."""
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return stats.kurtosis(samples, axis=1)
