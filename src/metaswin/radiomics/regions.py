"""Define one region of a patient: its mask, its computed features and its failures."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk

from metaswin.radiomics.settings import RadiomicsSettings


@dataclass
class Region:
    """One region on the patient's grid with its features.

    Attributes
    ----------
    mask : Image
        uint8, 1 inside, cropped to the region.
    box : tuple of slice
        Position of `mask` on the grid, as slices (x, y, z).
    voxels : int
        Number of voxels inside.
    values : dict
        Feature name → value; a feature that could not be computed is missing.
    failures : list of str
        Features that could not be computed, and the reasons.
    """

    mask: sitk.Image
    box: tuple[slice, ...]
    voxels: int
    values: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, image: str, feature_class: str, values: Mapping[str, float]) -> None:
        """Store the values of a class on an image, and record undefined ones as failures."""
        undefined = [feature for feature, value in values.items() if not np.isfinite(value)]
        if undefined:
            self.failures.append(f"{image} {feature_class}: {', '.join(undefined)} undefined")
        self.values |= {
            f"{image}_{feature_class}_{feature}": value for feature, value in values.items() if np.isfinite(value)
        }


def cut_region(image: sitk.Image, labels: np.ndarray, wanted: list[int], settings: RadiomicsSettings) -> Region:
    """Return the region of the union of some labels, with a mask cropped to its bounding box.

    Parameters
    ----------
    image : Image
        The patient's CT (HU) on the isotropic grid.
    labels : array, shape (z, y, x)
        Label map on the same grid.
    wanted : list of int
        Labels of the region.
    settings
        Only `min_voxels` is used.

    Raises
    ------
    ValueError
        If the region is empty, too small or a single line of voxels.
    """
    inside = np.isin(labels, wanted)
    voxels = int(np.count_nonzero(inside))
    if voxels < settings.min_voxels:
        raise ValueError(f"{voxels} voxels, fewer than radiomics.min_voxels = {settings.min_voxels}")
    found = bounding_box(inside)
    assert found is not None  # the region has voxels
    if sum(part.stop - part.start > 1 for part in found) < 2:
        raise ValueError(f"{voxels} voxels in a single line; features need a region of at least two dimensions")
    mask = sitk.GetImageFromArray(inside[found].astype(np.uint8))
    box = found[::-1]
    mask.CopyInformation(image[box])
    return Region(mask, box, voxels)


def levels_fit(name: str, inside: np.ndarray, region: Region, settings: RadiomicsSettings) -> bool:
    """Return whether texture matrices of a region's grey values fit into memory; record a failure if they do not."""
    if not np.isfinite(inside).all():
        region.failures.append(f"{name}: voxels without a finite value")
        return False
    if settings.bin_count is not None:
        return True
    levels = int((np.float64(inside.max()) - np.float64(inside.min())) / settings.bin_width) + 1
    if levels > settings.max_grey_levels:
        region.failures.append(f"{name}: {levels} grey levels, radiomics.max_grey_levels = {settings.max_grey_levels}")
        return False
    return True


def bounding_box(mask: np.ndarray) -> tuple[slice, ...] | None:
    """Return the smallest box that contains all voxels of a mask; None if the mask is empty."""
    box = []
    for axis in range(mask.ndim):
        inside = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        if inside.size == 0:
            return None
        box.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return tuple(box)
