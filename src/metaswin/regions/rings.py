"""Peritumoral rings: shells of physical width around all lesions."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from metaswin.images.grid import Grid
from metaswin.organs.groups import labels_of
from metaswin.regions.grids import resample

FIRST_LABEL = 11
Rings = Sequence[tuple[float, float]]


def ring_labels(rings: Rings) -> dict[tuple[float, float], list[int]]:
    """Labels of each ring in one label map.

    Rings that do not overlap have one label each, 11, 12, … in their order. Rings that overlap are cut at all
    their distances into shells, and share the labels of the shells they have in common.
    """
    shells = _shells(rings)
    return {ring: [shells[shell] for shell in _shells_of(ring, rings)] for ring in rings}


def draw_rings(lesions: np.ndarray, barred: np.ndarray, spacing: Sequence[float], rings: Rings) -> np.ndarray:
    """Label map (uint8) of all rings: distance from the nearest lesion voxel by an exact Euclidean transform.

    A voxel belongs to the ring from a to b where a < distance ≤ b (mm, between voxel centres); never where a
    lesion is, however many there are, nor where `barred` is true.

    Parameters
    ----------
    lesions, barred : ndarray of bool, shape (slices, rows, columns)
        All lesions; tissue that no ring may hold.
    spacing : sequence of float
        Spacing along the array's axes (mm).
    rings : sequence of (float, float)
        Distances (mm).
    """
    drawn = np.zeros(lesions.shape, dtype=np.uint8)
    if not rings:
        return drawn
    distance = ndimage.distance_transform_edt(~lesions, sampling=spacing)
    free = ~(lesions | barred)
    for (low, high), label in _shells(rings).items():
        drawn[free & (distance > low) & (distance <= high)] = label
    return drawn


def barred_voxels(organs: sitk.Image, facts: Mapping, target: Grid, excludes: Sequence[str]) -> np.ndarray:
    """Where the organ masks allow no ring: array of bool (slices, rows, columns) on the grid `target`.

    Parameters
    ----------
    organs : SimpleITK.Image
        Label map of the organs, `facts` its ``organs.json``.
    target : Grid
    excludes : sequence of str
        Organs, tissues or groups; those that the masks do not have bar nothing.
    """
    excluded = [label for name in excludes for label in labels_of(name, facts) or []]
    return np.isin(resample(organs, target, sitk.sitkNearestNeighbor), excluded)


def _shells(rings: Rings) -> dict[tuple[float, float], int]:
    """Label of each shell that some ring is made of, in the order of the rings."""
    shells: dict[tuple[float, float], int] = {}
    for ring in rings:
        for shell in _shells_of(ring, rings):
            shells.setdefault(shell, FIRST_LABEL + len(shells))
    return shells


def _shells_of(ring: tuple[float, float], rings: Rings) -> list[tuple[float, float]]:
    """The pieces of a ring, cut at the distances of all rings."""
    return list(pairwise(sorted({edge for other in rings for edge in other if ring[0] <= edge <= ring[1]})))
