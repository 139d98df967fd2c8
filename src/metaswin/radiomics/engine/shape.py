"""Shape features of a region, PyRadiomics' definitions: surface by marching cubes, axes of the voxels' covariance."""

import numpy as np

from metaswin.radiomics.engine.diameters import diameters
from metaswin.radiomics.engine.mesh import area_and_volume, cube_tables


def shape_features(mask: np.ndarray, spacing: np.ndarray) -> dict[str, float]:
    """Features of a region.

    Parameters
    ----------
    mask : array of bool, shape (z, y, x)
        The region in its bounding box.
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
    """Eigenvalues (mm²), smallest first, of the covariance of the voxels' places; NaN where clearly negative.

    The steps and their order are PyRadiomics': of lines and planes an eigenvalue is rounding only, and its root counts.
    """
    places = np.argwhere(padded) * spacing[None, :]
    places -= np.mean(places, axis=0)
    places /= np.sqrt(len(places))
    # Equal eigenvalues (a cube) can come with imaginary parts of rounding; PyRadiomics gives complex features then.
    values = np.real(np.linalg.eigvals(np.dot(places.T.copy(), places)))
    values[(values < 0) & (values > -1e-10)] = 0
    values.sort()
    return np.where(values < 0, np.nan, values)
