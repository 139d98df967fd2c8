"""Perturbed masks: moved, with a noisy contour, shrunk and grown.

Zwanenburg et al. 2019, Sci Rep 9:614, perturb masks by translation, by growth and shrinkage, and by randomised
contours; Teng et al. 2022, Sci Rep 12:10035, move the contour by a smooth random field. Here all of them act on the
signed distance to the contour, so that they are in mm whatever the grid.
"""

import zlib
from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from metaswin.stability.settings import StabilitySettings

TRANSLATION, CONTOUR = 1, 2
"""Axes of perturbation: each has seeds of its own, so that a change of one leaves the other's draws alone."""

RANDOM, MARGIN = "random", "margin"

OFFSETS = (1, 0, -1)
"""Of kind ``margin``, in margins: the distance grows where the mask shrinks."""


def perturbed_masks(
    mask: np.ndarray, spacing: float, settings: StabilitySettings, patient: str, seed: int
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Kind, number and mask of every perturbation.

    Kind ``random`` has the numbers 0 … perturbations - 1; kind ``margin`` has 0 (shrunk), 1 (as drawn), 2 (grown).

    Parameters
    ----------
    mask : ndarray of bool, shape (slices, rows, columns)
        The tumour on an isotropic grid that has room for its perturbations (`StabilitySettings.reach`).
    spacing : float
        mm.
    settings
    patient, seed
        What the random numbers derive from, besides kind and number.
    """
    distance = signed_distance(mask, spacing)
    for number in range(settings.perturbations):
        keys = [seed, zlib.crc32(patient.encode()), number]
        moves, noises = (np.random.default_rng([axis, *keys]) for axis in (TRANSLATION, CONTOUR))
        move = moves.uniform(-settings.shift, settings.shift, 3)
        moved = ndimage.shift(distance, move / spacing, order=1, mode="nearest")
        yield RANDOM, number, moved + contour_noise(mask.shape, spacing, settings, noises) < 0
    for number, offset in enumerate(OFFSETS):
        yield MARGIN, number, distance + offset * settings.margin < 0


def signed_distance(mask: np.ndarray, spacing: float) -> np.ndarray:
    """Distance (mm) of each voxel centre from the contour, negative inside; the contour lies between voxels."""
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
    inside = ndimage.distance_transform_edt(mask, sampling=spacing)
    return np.where(mask, 0.5 * spacing - inside, outside - 0.5 * spacing)


def contour_noise(
    shape: tuple[int, ...], spacing: float, settings: StabilitySettings, rng: np.random.Generator
) -> np.ndarray:
    """Smooth normal field of standard deviation `noise` (mm)."""
    if settings.noise == 0:
        return np.zeros(shape)
    sigma = settings.smoothness / spacing
    # The wrapped edges of a small crop would be alike: it is padded by what the filter sees.
    pad = int(np.ceil(2 * sigma))
    field = ndimage.gaussian_filter(rng.standard_normal([size + 2 * pad for size in shape]), sigma, truncate=2)
    weights = ndimage.gaussian_filter1d(np.eye(1, 4 * pad + 1, 2 * pad)[0], sigma, truncate=2)
    # Standard deviation of white noise after the filter, in three dimensions; not that of this one field.
    field *= settings.noise / np.sum(weights**2) ** 1.5
    return field[tuple(slice(pad, pad + size) for size in shape)]
