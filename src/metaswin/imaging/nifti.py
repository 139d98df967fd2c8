"""Read the image and the masks of a NIfTI sheet (or any format SimpleITK reads)."""

from pathlib import Path

import numpy as np

from metaswin.config.imaging import ImagesSettings
from metaswin.core.grid import Grid
from metaswin.core.problems import BadData, Findings
from metaswin.core.slices import check_spacing
from metaswin.imaging.ct import Ct, check_hu, whole_numbers
from metaswin.imaging.dicom import missing, unreadable


def read_image(path: str | Path, settings: ImagesSettings) -> Ct:
    """Read a CT in HU.

    Raises
    ------
    BadData
        ``file-missing``, ``file-unreadable``, ``not-3d``, ``not-hu``, ``too-few-slices`` or
        ``slice-spacing-too-large``.
    """
    array, grid = read_array(path)
    if min(grid.size) < settings.min_slices:
        raise BadData(
            "too-few-slices",
            f"{'×'.join(str(n) for n in grid.size)} voxels",
            f"at least {settings.min_slices} along each axis (images.min_slices)",
            "choose another image, or lower images.min_slices",
        )
    check_spacing(max(grid.spacing), settings)
    array = whole_numbers(array)
    check_hu(array)
    return Ct(array, grid)


def read_mask(path: str | Path, grid: Grid, findings: Findings) -> np.ndarray:
    """Read a mask on the CT's grid; values of 0.5 and more belong to the mask.

    Returns
    -------
    ndarray of bool, shape (slices, rows, columns)

    Raises
    ------
    BadData
        ``file-missing``, ``file-unreadable``, ``not-3d`` or ``geometry-mismatch``.
    """
    array, own = read_array(path)
    if not own.same_as(grid):
        raise BadData(
            "geometry-mismatch",
            f"a mask of {own}",
            f"the image's grid of {grid}",
            "resample the mask onto the image with nearest-neighbour interpolation, for example "
            "SimpleITK.Resample(mask, image, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor)",
            str(path),
        )
    mask = array >= 0.5
    values = np.unique(array[mask])
    if len(values) > 1:
        findings.warn(
            "mask-not-binary",
            f"a mask with {len(values)} different values above 0",
            "0 and one value",
            "all values above 0 are treated as lesion; if they have different meanings, give each role its own mask",
            str(path),
        )
    return mask


def read_array(path: str | Path) -> tuple[np.ndarray, Grid]:
    """Return the array (slices, rows, columns) and the grid of a three-dimensional image file.

    Raises
    ------
    BadData
        ``file-missing``, ``file-unreadable`` or ``not-3d``.
    """
    import SimpleITK as sitk

    if not Path(path).is_file():
        raise missing(path)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise unreadable(path, error) from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise BadData(
            "not-3d",
            f"an image of {image.GetDimension()} dimensions and {image.GetNumberOfComponentsPerPixel()} channels",
            "one three-dimensional volume",
            "split the file",
            str(path),
        )
    return sitk.GetArrayFromImage(image), Grid.of(image)
