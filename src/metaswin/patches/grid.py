"""Where the patch lies: its centre, what of the lesion it holds, and resampling onto it."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK as sitk

# FWHM of a Gaussian in units of its standard deviation, 2 √(2 ln 2).
FWHM = 2.354820045


@dataclass(frozen=True)
class PatchGrid:
    """A cube of `size` voxels of `spacing` mm around `centre` (LPS, mm), its axes those of the patient.

    Whatever the direction of the CT, x runs from right to left, y from front to back, z upwards.
    """

    centre: tuple[float, float, float]
    size: int
    spacing: float

    @property
    def side(self) -> float:
        """Length of an edge in mm."""
        return self.size * self.spacing

    def image(self) -> sitk.Image:
        """An empty image on the grid."""
        image = sitk.Image([self.size] * 3, sitk.sitkUInt8)
        image.SetSpacing([self.spacing] * 3)
        image.SetOrigin([value - (self.size - 1) / 2 * self.spacing for value in self.centre])
        return image

    def fraction_inside(self, points: np.ndarray) -> float:
        """Fraction of `points` (n × 3, LPS mm) within the cube."""
        return float((np.abs(points - np.asarray(self.centre)) <= self.side / 2).all(axis=1).mean())


def voxel_points(image: sitk.Image, mask: np.ndarray) -> np.ndarray:
    """Centres (n × 3, LPS mm) of the voxels set in `mask` (z, y, x) on the grid of `image`."""
    indices = np.argwhere(mask)[:, ::-1]
    direction = np.array(image.GetDirection()).reshape(3, 3)
    return np.array(image.GetOrigin()) + (indices * np.array(image.GetSpacing())) @ direction.T


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The largest face-connected part of `mask`; the first one where several are as large."""
    from scipy import ndimage

    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return parts == sizes.argmax()


def choose_centre(main: np.ndarray, lesions: np.ndarray, voxel: np.ndarray, side: float) -> tuple[float, float, float]:
    """Centre of the patch (LPS, mm).

    The middle of all lesions' bounding box where that box fits in the patch; otherwise the middle of the main
    lesion's box where this one fits; otherwise the main lesion's centroid.

    Parameters
    ----------
    main, lesions : ndarray, shape (n, 3)
        Voxel centres of the main lesion and of all lesions (LPS, mm).
    voxel : ndarray, shape (3,)
        Extent of one voxel along the patient's axes (mm).
    side : float
        Edge of the patch (mm).
    """
    for points in (lesions, main):
        low, high = points.min(axis=0) - voxel / 2, points.max(axis=0) + voxel / 2
        if (high - low <= side).all():
            return tuple(((low + high) / 2).tolist())
    return tuple(main.mean(axis=0).tolist())


def voxel_extent(image: sitk.Image) -> np.ndarray:
    """Extent of one voxel along the patient's axes (mm); larger than the spacing where the grid is oblique."""
    direction = np.array(image.GetDirection()).reshape(3, 3)
    return np.abs(direction) @ np.array(image.GetSpacing())


def resample(image: sitk.Image, grid: PatchGrid, outside: float) -> np.ndarray:
    """Values of `image` on `grid`, float32 (z, y, x): one linear interpolation, `outside` beyond the image.

    Along axes finer than the patch the image is smoothed first, with a variance of ((t/s)² - 1) / (8 ln 2)
    voxels² for spacings s (image) and t (patch), so that nothing aliases (Cardoso et al., "Scale factor point
    spread function matching", MICCAI 2015, eq. 6).
    """
    from scipy import ndimage

    ratio = grid.spacing / np.array(image.GetSpacing())
    sigma = np.sqrt(np.maximum(ratio**2 - 1, 0)) / FWHM
    box = _crop(image, grid, margin=np.ceil(4 * sigma).astype(int) + 2)
    if box is None:
        return np.full([grid.size] * 3, outside, dtype=np.float32)
    values = sitk.GetArrayFromImage(box).astype(np.float32)
    smooth = sitk.GetImageFromArray(ndimage.gaussian_filter(values, sigma[::-1], mode="nearest"))
    smooth.CopyInformation(box)
    moved = sitk.Resample(smooth, grid.image(), sitk.Transform(), sitk.sitkLinear, outside, sitk.sitkFloat32)
    return sitk.GetArrayFromImage(moved)


def _crop(image: sitk.Image, grid: PatchGrid, margin: np.ndarray) -> sitk.Image | None:
    """The part of `image` the patch can see and `margin` voxels (x, y, z) more; None where they do not meet."""
    reach = grid.side / 2
    corners = np.array(
        [
            image.TransformPhysicalPointToContinuousIndex(
                [c + sign * reach for c, sign in zip(grid.centre, signs, strict=True)]
            )
            for signs in product((-1, 1), repeat=3)
        ]
    )
    start = np.maximum(np.floor(corners.min(axis=0)).astype(int) - margin, 0)
    stop = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + margin + 1, image.GetSize())
    if (start >= stop).any():
        return None
    return sitk.RegionOfInterest(image, (stop - start).tolist(), start.tolist())
