"""Segment tissues by HU and connected components, without weights or training."""

from collections.abc import Callable
from functools import partial

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from metaswin.config.imaging import TISSUES, ThresholdSettings
from metaswin.core.grid import Grid
from metaswin.imaging.organ_labels import Organs

LABELS = {name: index for index, name in enumerate(TISSUES, start=1)}
COARSE = 4.0  # mm: the body is searched on a grid of at most this spacing
TABLE = 4.0  # mm: tables and straps up to twice this thickness are removed from the body
SEAL = 9.0  # mm: openings of airways (nostrils, mouth) up to twice this width are closed
PAD = 8  # coarse voxels added around the volume, so that closing also works at its border
REACH = 6.0  # mm: skin within this distance of the coarse body belongs to the body


def segment_tissues(ct: np.ndarray, lesion: np.ndarray, grid: Grid, settings: ThresholdSettings) -> Organs:
    """Label air (within the body), fat, soft tissue, bone and outside (everything that is not body).

    The body is the largest connected component above ``air_below`` after structures as thin as a table are removed,
    and every other component that contains a lesion (a limb). Holes of its axial slices, and cavities with an opening
    as narrow as a nostril, belong to the body. The air in them is airway, sinus or lung.

    Parameters
    ----------
    ct : ndarray, shape (slices, rows, columns)
        HU.
    lesion : ndarray of bool, same shape
        The tumour.
    grid : Grid
        Grid of both arrays, in any orthogonal orientation.

    Returns
    -------
    Organs
        uint8 label map with every voxel labelled.
    """
    # Move the axial axis to the front, independent of the orientation of the series.
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
    """Return the body including its cavities.

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
    # Closing also fills creases of the skin. This filling is thin, so the erosion removes it. Cavities remain, and
    # the dilation restores their corners.
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
    """Erode a mask without eroding it at the border of the volume, where the field of view may cut off the body."""
    return _morph(sitk.BinaryErode, mask, distance, spacing, boundaryToForeground=True)


def _morph(
    operation: Callable[..., sitk.Image],
    mask: np.ndarray,
    distance: float,
    spacing: np.ndarray,
    boundaryToForeground: bool,
) -> np.ndarray:
    """Apply a morphological operation with a ball of radius `distance` (mm; at least one voxel)."""
    radius = [max(1, round(distance / s)) for s in spacing[::-1]]
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image = operation(image, radius, sitk.sitkBall, boundaryToForeground=boundaryToForeground)
    return sitk.GetArrayFromImage(image).astype(bool)


def _fine(mask: np.ndarray, step: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a coarse mask on the full grid from which it was subsampled."""
    for axis, n in enumerate(step):
        mask = np.repeat(mask, n, axis=axis)
    return mask[tuple(slice(n) for n in shape)]


def _parts_of_body(mask: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """Return the largest connected component and every component that contains a marked voxel."""
    parts, count = ndimage.label(mask)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    largest = 1 + int(np.argmax(sizes[1:])) if count else 0
    return _parts_with(mask, marked | (parts == largest))


def _parts_with(mask: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """Return the connected components that touch `seed`."""
    parts, count = ndimage.label(mask)
    keep = np.zeros(count + 1, dtype=bool)
    keep[np.unique(parts[seed])] = True
    return keep[parts] & mask


def _filled(mask: np.ndarray) -> np.ndarray:
    """Return the mask with the holes of each slice (first axis) filled."""
    in_plane = np.zeros((3, 3, 3), dtype=bool)
    in_plane[1] = ndimage.generate_binary_structure(2, 1)
    parts, count = ndimage.label(~mask, structure=in_plane)
    open_ = np.zeros(count + 1, dtype=bool)
    for border in (parts[:, 0], parts[:, -1], parts[:, :, 0], parts[:, :, -1]):
        open_[np.unique(border)] = True
    open_[0] = False
    return ~open_[parts]


def _large_parts(mask: np.ndarray, least: float) -> np.ndarray:
    """Return the connected components of at least `least` voxels."""
    parts, count = ndimage.label(mask)
    keep = np.bincount(parts.ravel(), minlength=count + 1) >= least
    keep[0] = False
    return keep[parts]
