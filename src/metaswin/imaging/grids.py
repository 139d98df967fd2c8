"""The isotropic grid of a patient and volumes on it."""

import numpy as np
import SimpleITK as sitk

from metaswin.core.grid import Grid

PAD = 10  # voxels of the CT around the crop: the B-spline's prefilter has decayed to 1e-5 after that
INTERPOLATORS = {"bspline": sitk.sitkBSpline, "linear": sitk.sitkLinear}


def isotropic(grid: Grid, low: np.ndarray, high: np.ndarray, spacing: float) -> Grid:
    """Isotropic grid over a box of voxels of `grid`, within `grid`.

    Its lattice goes through the first voxel centre of `grid` whatever the box, so that one patient's regions lie
    on the same points whichever rings are asked for, and an image that already has this spacing is not interpolated.

    Parameters
    ----------
    low, high : ndarray, shape (3,)
        Corners of the box as continuous voxel indices (x, y, z); clipped to the outer faces of `grid`.
    spacing : float
        Spacing of the result (mm).
    """
    scale = np.array(grid.spacing) / spacing
    # The tolerance keeps a point that rounding puts a hair outside the face.
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
    """The part of a grid that array slices (slices, rows, columns) cut out."""
    first = [s.start for s in box[::-1]]
    return Grid(
        size=tuple(s.stop - s.start for s in box[::-1]),
        spacing=grid.spacing,
        origin=tuple(grid.points(np.array([first], dtype=float))[0].tolist()),
        direction=grid.direction,
    )


def resample(image: sitk.Image, target: Grid, interpolator: int) -> np.ndarray:
    """Array (slices, rows, columns) of an image on another grid; only the part of the image that it needs is read.

    Labels keep their type; anything interpolated is float32.
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
