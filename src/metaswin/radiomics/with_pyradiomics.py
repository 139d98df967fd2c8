"""Compute features with PyRadiomics: its filters on a crop, its feature classes on the filtered images and masks."""

import logging
import warnings
from collections.abc import Iterator

import numpy as np
import radiomics
import SimpleITK as sitk
from radiomics import imageoperations

from metaswin.radiomics.names import FEATURES, IMAGE_TYPES, enabled_features, ordered
from metaswin.radiomics.regions import Region, levels_fit
from metaswin.radiomics.settings import RadiomicsSettings

# Exceptions that PyRadiomics raises for masks and values that it cannot process. Any other one is a bug and ends the
# job.
DATA_ERRORS = (ValueError, IndexError, ZeroDivisionError, RuntimeError)


def run(image: sitk.Image, regions: list[Region], settings: RadiomicsSettings) -> Iterator[str]:
    """Add the features of all regions image by image, and yield the name of each filtered image when it is done."""
    _quiet()
    classes = ordered(settings.feature_classes, tuple(FEATURES))
    if "shape" in classes:
        for region in regions:
            _run_class("shape", "original", image[region.box], region, settings)
    for name, filtered in filtered_images(image, settings):
        for region in regions:
            part = filtered[region.box]
            inside = sitk.GetArrayViewFromImage(part)[sitk.GetArrayViewFromImage(region.mask) == 1]
            if levels_fit(name, inside, region, settings):
                for feature_class in classes:
                    if feature_class != "shape":
                        _run_class(feature_class, name, part, region, settings)
        yield name


def filtered_images(image: sitk.Image, settings: RadiomicsSettings) -> Iterator[tuple[str, sitk.Image]]:
    """Yield name and image of each filter, one at a time, as PyRadiomics makes them on the whole crop."""
    for image_type in ordered(settings.image_types, IMAGE_TYPES):
        # None of the offered filters reads the mask, so they run on the whole crop.
        make = getattr(imageoperations, f"get{image_type}Image")
        for filtered, name, _ in make(image, None, sigma=settings.log_sigma, wavelet=settings.wavelet):
            yield name, filtered


def _run_class(feature_class: str, name: str, part: sitk.Image, region: Region, settings: RadiomicsSettings) -> None:
    """Add the features of one class on one filtered image to the region."""
    wanted = enabled_features(feature_class, settings)
    if not wanted:
        return
    how = {"binWidth": settings.bin_width, "voxelArrayShift": settings.voxel_array_shift}
    if settings.bin_count is not None:
        how["binCount"] = settings.bin_count
    try:
        with warnings.catch_warnings():
            # A region with one grey level causes divisions by zero; `Region.add` records the resulting NaN as
            # undefined.
            warnings.simplefilter("ignore", RuntimeWarning)
            calculator = radiomics.getFeatureClasses()[feature_class](part, region.mask, label=1, **how)
            for feature in wanted:
                calculator.enableFeatureByName(feature)
            values = calculator.execute()
    except DATA_ERRORS as error:
        region.failures.append(f"{name} {feature_class}: {error}")
        return
    region.add(name, feature_class, {feature: float(np.asarray(values[feature]).squeeze()) for feature in wanted})


def _quiet() -> None:
    """Send PyRadiomics' warnings to the job's log and print nothing on the screen."""
    pyradiomics = logging.getLogger("radiomics")
    pyradiomics.setLevel(logging.WARNING)
    for handler in list(pyradiomics.handlers):
        pyradiomics.removeHandler(handler)
