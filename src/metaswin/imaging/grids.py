"""Compute the isotropic grid of a patient and resample volumes onto it."""

import numpy as np
import SimpleITK as sitk

from metaswin.core.grid import Grid

PAD = 10  # voxels of the CT kept around the crop: the B-spline's prefilter decays to 1e-5 over this distance
INTERPOLATORS = {"bspline": sitk.sitkBSpline, "linear": sitk.sitkLinear}


def isotropic(grid: Grid, low: np.ndarray, high: np.ndarray, spacing: float) -> Grid:
    """Return an isotropic grid that covers a box of voxels of `grid` and stays within `grid`.

    The lattice always passes through the first voxel centre of `grid`, independent of the box. Therefore the regions
    of one patient have the same voxel positions for every choice of rings. An image that already has this spacing is
    not interpolated.

    Parameters
    ----------
    low, high : ndarray, shape (3,)
        Corners of the box as continuous voxel indices (x, y, z); they are clipped to the outer faces of `grid`.
    spacing : float
        Spacing of the returned grid (mm).
    """
    scale = np.array(grid.spacing) / spacing
    # The tolerance keeps a point that rounding errors move slightly outside the face.
    first_inside = np.ceil(-0.5 * scale - 1e-6)
    last_inside = np.floor((np.array(grid.size) - 0.5) * scale + 1e-6)
    first = np.clip(np.floor(low * scale), first_inside, last_inside)
    last = np.clip(np.ceil(high * scale), first, last_inside)
    return Grid(
        size=tuple((last - first + 1).astype(int).tolist()),
        spacing=(spacing, spacing, spacing),
        origin=tuple(grid.points((first / scale)[None])[0].tolist()),
        direction=grid.direction,
    )


def sub_grid(grid: Grid, box: tuple[slice, ...]) -> Grid:
    """Return the part of a grid that array slices (slices, rows, columns) select."""
    first = [s.start for s in box[::-1]]
    return Grid(
        size=tuple(s.stop - s.start for s in box[::-1]),
        spacing=grid.spacing,
        origin=tuple(grid.points(np.array([first], dtype=float))[0].tolist()),
        direction=grid.direction,
    )


def resample(image: sitk.Image, target: Grid, interpolator: int) -> np.ndarray:
    """Return an image on another grid as an array (slices, rows, columns).

    Only the necessary part of the image is read. With nearest-neighbour interpolation (labels) the type is kept;
    otherwise the result is float32.
    """
    grid = Grid.of(image)
    corners = np.array([[0, 0, 0], np.array(target.size) - 1], dtype=float)
    near = grid.indices(target.points(corners))
    first = np.clip(np.floor(near.min(axis=0)) - PAD, 0, None).astype(int)
    stop = np.minimum(np.ceil(near.max(axis=0)) + PAD + 1, grid.size).astype(int)
    crop = image[tuple(slice(int(a), int(b)) for a, b in zip(first, stop, strict=True))]
    if interpolator != sitk.sitkNearestNeighbor:
        crop = sitk.Cast(crop, sitk.sitkFloat32)
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(target.size)
    resampler.SetOutputSpacing(target.spacing)
    resampler.SetOutputOrigin(target.origin)
    resampler.SetOutputDirection(target.direction)
    resampler.SetInterpolator(interpolator)
    resampler.UseNearestNeighborExtrapolatorOn()
    return sitk.GetArrayFromImage(resampler.Execute(crop))
