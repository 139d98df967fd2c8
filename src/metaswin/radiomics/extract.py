"""PyRadiomics' features of every region, on one set of filtered images a patient.

A bare ``execute()`` of PyRadiomics crops to each mask before it filters, so that the borders of LoG and the
scaling of Square … Exponential depend on the region. Here every filter runs once on the patient's whole crop,
and PyRadiomics' own feature classes run on the filtered images with each region's mask. Without filter
(image type Original) both ways give the same values.
"""

import logging
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import radiomics
import SimpleITK as sitk
from radiomics import imageoperations
from scipy import ndimage

from metaswin.radiomics.names import FEATURES, IMAGE_TYPES, enabled_features, images_of, ordered
from metaswin.radiomics.settings import RadiomicsSettings

logger = logging.getLogger("metaswin.radiomics")

# What PyRadiomics raises on masks and values it cannot work with; anything else is a bug and ends the job.
DATA_ERRORS = (ValueError, IndexError, ZeroDivisionError, RuntimeError)


@dataclass
class Region:
    """One region on the patient's grid and what was computed of it.

    Attributes
    ----------
    mask : Image
        uint8, 1 inside, cropped to the region.
    box : tuple of slice
        Where `mask` lies on the grid, as slices (x, y, z).
    voxels : int
        Voxels inside.
    values : dict
        Feature name → value; a feature that could not be computed is missing.
    failures : list of str
        What could not be computed, and why.
    """

    mask: sitk.Image
    box: tuple[slice, slice, slice]
    voxels: int
    values: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def cut_region(image: sitk.Image, labels: np.ndarray, wanted: list[int], settings: RadiomicsSettings) -> Region:
    """Mask of the union of some labels, cropped to its bounding box.

    Parameters
    ----------
    image : Image
        The patient's CT (HU) on the isotropic grid.
    labels : array, shape (z, y, x)
        Label map on the same grid.
    wanted : list of int
        Labels of the region.
    settings
        `min_voxels` is asked for.

    Raises
    ------
    ValueError
        With PyRadiomics' reason, if the region is empty, too small, or a single line of voxels.
    """
    inside = np.isin(labels, wanted)
    voxels = int(np.count_nonzero(inside))
    if voxels < settings.min_voxels:
        raise ValueError(f"{voxels} voxels, fewer than radiomics.min_voxels = {settings.min_voxels}")
    found = ndimage.find_objects(inside.view(np.uint8))[0]
    mask = sitk.GetImageFromArray(inside[found].astype(np.uint8))
    box = found[::-1]
    mask.CopyInformation(image[box])
    imageoperations.checkMask(image[box], mask, minimumROIDimensions=2)
    return Region(mask, box, voxels)


def extract(image: sitk.Image, regions: list[Region], settings: RadiomicsSettings) -> list[str]:
    """Compute the features of all regions and add them to each region's `values`.

    Parameters
    ----------
    image : Image
        The patient's CT (HU) on the isotropic grid: all regions and the margin that the filters need.
    regions : list of Region
        See `cut_region`.
    settings
        Image types, classes, bins.

    Returns
    -------
    list of str
        Names of the filtered images that could not be made: the crop is too small for the filter.
    """
    _quiet()
    classes = ordered(settings.feature_classes, tuple(FEATURES))
    if "shape" in classes:
        for region in regions:
            _run_class("shape", "original", image[region.box], region, settings)
    unmade = [name for kind in ordered(settings.image_types, IMAGE_TYPES) for name in images_of(kind, settings)]
    for name, filtered in filtered_images(image, settings):
        start = time.perf_counter()
        unmade.remove(name)
        for region in regions:
            part = filtered[region.box]
            if _levels_fit(name, part, region, settings):
                for feature_class in classes:
                    if feature_class != "shape":
                        _run_class(feature_class, name, part, region, settings)
        logger.info("%s: %d regions in %.1f s", name, len(regions), time.perf_counter() - start)
    return unmade


def filtered_images(image: sitk.Image, settings: RadiomicsSettings) -> Iterator[tuple[str, sitk.Image]]:
    """Name and image of each filter, one at a time, as PyRadiomics makes them on the whole crop."""
    for image_type in ordered(settings.image_types, IMAGE_TYPES):
        # None of the offered filters reads the mask; where they run is the crop alone.
        make = getattr(imageoperations, f"get{image_type}Image")
        for filtered, name, _ in make(image, None, sigma=settings.log_sigma, wavelet=settings.wavelet):
            yield name, filtered


def _levels_fit(name: str, part: sitk.Image, region: Region, settings: RadiomicsSettings) -> bool:
    """Whether texture matrices of a region's grey levels fit into memory; else the failure is noted."""
    inside = sitk.GetArrayViewFromImage(part)[sitk.GetArrayViewFromImage(region.mask) == 1]
    if not np.isfinite(inside).all():
        region.failures.append(f"{name}: voxels without a finite value")
        return False
    levels = int(np.ptp(inside.astype(float)) / settings.bin_width) + 1
    if levels > settings.max_grey_levels:
        region.failures.append(f"{name}: {levels} grey levels, radiomics.max_grey_levels = {settings.max_grey_levels}")
        return False
    return True


def _run_class(feature_class: str, name: str, part: sitk.Image, region: Region, settings: RadiomicsSettings) -> None:
    """Add the features of one class on one filtered image to the region."""
    wanted = enabled_features(feature_class, settings)
    if not wanted:
        return
    try:
        with warnings.catch_warnings():
            # A flat region divides by zero; what is then no number is noted as undefined below.
            warnings.simplefilter("ignore", RuntimeWarning)
            calculator = radiomics.getFeatureClasses()[feature_class](
                part, region.mask, label=1, binWidth=settings.bin_width, voxelArrayShift=settings.voxel_array_shift
            )
            for feature in wanted:
                calculator.enableFeatureByName(feature)
            values = calculator.execute()
    except DATA_ERRORS as error:
        region.failures.append(f"{name} {feature_class}: {error}")
        return
    values = {feature: float(values[feature]) for feature in wanted}
    undefined = [feature for feature, value in values.items() if not np.isfinite(value)]
    if undefined:
        region.failures.append(f"{name} {feature_class}: {', '.join(undefined)} undefined")
    region.values |= {
        f"{name}_{feature_class}_{feature}": value for feature, value in values.items() if np.isfinite(value)
    }


def _quiet() -> None:
    """Let PyRadiomics' warnings into the job's log and nothing onto the screen."""
    pyradiomics = logging.getLogger("radiomics")
    pyradiomics.setLevel(logging.WARNING)
    for handler in list(pyradiomics.handlers):
        pyradiomics.removeHandler(handler)
