"""Tissues by HU and connected components: no weights, no training."""

from collections.abc import Callable
from functools import partial

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from metaswin.config.imaging import TISSUES, ThresholdSettings
from metaswin.core.grid import Grid
from metaswin.imaging.organ_labels import Organs

LABELS = {name: index for index, name in enumerate(TISSUES, start=1)}
COARSE = 4.0  # mm: the body is found on a grid of at most this spacing
TABLE = 4.0  # mm: half the thickness up to which tables and straps are taken off the body
SEAL = 9.0  # mm: half the width up to which openings of airways (nostrils, mouth) are sealed
PAD = 8  # coarse voxels around the volume, so that sealing has room at its border
REACH = 6.0  # mm: skin this far from the coarse body still belongs to it


def segment_tissues(ct: np.ndarray, lesion: np.ndarray, grid: Grid, settings: ThresholdSettings) -> Organs:
    """Label air (within the body), fat, soft tissue, bone and outside (not body).

    The body is the largest connected part above ``air_below`` once what is as thin as a table is taken off, and
    every other part that holds a lesion (a limb). Holes of its axial slices, and cavities whose opening is as
    narrow as a nostril, belong to it: the air in them is airway, sinus or lung.

    Parameters
    ----------
    ct : ndarray, shape (slices, rows, columns)
        HU.
    lesion : ndarray of bool, same shape
        The tumour.
    grid : Grid
        Grid of both, in any orthogonal orientation.

    Returns
    -------
    Organs
        uint8 label map with every voxel labelled.
    """
    # Axial slices first, whatever the series' orientation.
    axial = 2 - int(np.argmax(np.abs(grid.axes[2])))
    ct, lesion = np.moveaxis(ct, axial, 0), np.moveaxis(lesion, axial, 0)
    spacing = np.array([grid.spacing[2 - axial], *(grid.spacing[2 - a] for a in range(3) if a != axial)])
    labels = np.full(ct.shape, LABELS["outside"], dtype=np.uint8)
    solid = ct > settings.air_below
    body = find_body(solid, lesion, spacing)
    box = next(iter(ndimage.find_objects(body.view(np.uint8))), None)
    if box is not None:
        ct, solid, body = ct[box], solid[box], body[box]
        least = settings.min_component_mm3 / grid.voxel_volume
        inner = np.full(ct.shape, LABELS["soft_tissue"], dtype=np.uint8)
        inner[(ct >= settings.fat[0]) & (ct <= settings.fat[1])] = LABELS["fat"]
        inner[_large_parts(body & (ct > settings.bone_above), least)] = LABELS["bone"]
        inner[_large_parts(body & ~solid, least)] = LABELS["air"]
        labels[box] = np.where(body, inner, LABELS["outside"])
    return Organs(np.ascontiguousarray(np.moveaxis(labels, 0, axial)), dict(LABELS))


def find_body(solid: np.ndarray, lesion: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """The body, its cavities included.

    Parameters
    ----------
    solid, lesion : ndarray of bool, shape (axial slices, ., .)
        Voxels denser than air; voxels of the tumour.
    spacing : ndarray, shape (3,)
        Spacing along the array's axes (mm).

    Returns
    -------
    ndarray of bool, same shape
    """
    step = np.maximum(1, (COARSE / spacing).astype(int))
    coarse = solid[tuple(slice(None, None, s) for s in step)]
    marked = np.zeros(coarse.shape, dtype=bool)
    marked[tuple(i // s for i, s in zip(np.nonzero(lesion), step, strict=True))] = True
    marked &= coarse
    grow, shrink = partial(_dilate, spacing=spacing * step), partial(_erode, spacing=spacing * step)
    core = _parts_of_body(grow(shrink(coarse, TABLE), TABLE) | marked, marked)
    near = grow(core, REACH)
    trunk = np.pad(coarse & near, PAD)
    sealed = _filled(shrink(grow(trunk, SEAL), SEAL)[PAD:-PAD, PAD:-PAD, PAD:-PAD])
    # What sealing adds along creases of the skin is thin and goes; a cavity is not, and gets its corners back.
    cavity = grow(shrink(sealed & ~coarse, COARSE), 2 * COARSE) & sealed
    box = next(iter(ndimage.find_objects((near | cavity).view(np.uint8))), None)
    body = np.zeros_like(solid)
    if box is not None:
        fine = tuple(slice(s.start * n, s.stop * n) for s, n in zip(box, step, strict=True))
        solid = solid[fine]
        near, core, cavity = (_fine(mask[box], step, solid.shape) for mask in (near, core, cavity))
        body[fine] = _filled(_parts_with(solid & near, core)) | (cavity & ~solid)
    return body


def _dilate(mask: np.ndarray, distance: float, spacing: np.ndarray) -> np.ndarray:
    return _morph(sitk.BinaryDilate, mask, distance, spacing, boundaryToForeground=False)


def _erode(mask: np.ndarray, distance: float, spacing: np.ndarray) -> np.ndarray:
    """Erosion that leaves the border of the volume alone: a body cut off by the field of view is whole there."""
    return _morph(sitk.BinaryErode, mask, distance, spacing, boundaryToForeground=True)


def _morph(
    operation: Callable[..., sitk.Image],
    mask: np.ndarray,
    distance: float,
    spacing: np.ndarray,
    boundaryToForeground: bool,
) -> np.ndarray:
    """A morphological operation by a ball of `distance` (mm), one voxel at least."""
    radius = [max(1, round(distance / s)) for s in spacing[::-1]]
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image = operation(image, radius, sitk.sitkBall, boundaryToForeground=boundaryToForeground)
    return sitk.GetArrayFromImage(image).astype(bool)


def _fine(mask: np.ndarray, step: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A coarse mask on the full grid it was thinned out from."""
    for axis, n in enumerate(step):
        mask = np.repeat(mask, n, axis=axis)
    return mask[tuple(slice(n) for n in shape)]


def _parts_of_body(mask: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """The largest connected part, and every part that holds a marked voxel."""
    parts, count = ndimage.label(mask)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    largest = 1 + int(np.argmax(sizes[1:])) if count else 0
    return _parts_with(mask, marked | (parts == largest))


def _parts_with(mask: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """The connected parts that touch `seed`."""
    parts, count = ndimage.label(mask)
    keep = np.zeros(count + 1, dtype=bool)
    keep[np.unique(parts[seed])] = True
    return keep[parts] & mask


def _filled(mask: np.ndarray) -> np.ndarray:
    """The mask with the holes of each slice (first axis) filled."""
    in_plane = np.zeros((3, 3, 3), dtype=bool)
    in_plane[1] = ndimage.generate_binary_structure(2, 1)
    parts, count = ndimage.label(~mask, structure=in_plane)
    open_ = np.zeros(count + 1, dtype=bool)
    for border in (parts[:, 0], parts[:, -1], parts[:, :, 0], parts[:, :, -1]):
        open_[np.unique(border)] = True
    open_[0] = False
    return ~open_[parts]


def _large_parts(mask: np.ndarray, least: float) -> np.ndarray:
    """Connected parts of at least `least` voxels."""
    parts, count = ndimage.label(mask)
    keep = np.bincount(parts.ravel(), minlength=count + 1) >= least
    keep[0] = False
    return keep[parts]
