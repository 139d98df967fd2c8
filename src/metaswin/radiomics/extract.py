"""Extract the features of every region of a patient from one set of filtered images.

A bare ``execute()`` of PyRadiomics crops to each mask before it filters. Therefore the borders of LoG and the scaling
of Square … Exponential depend on the region. In metaswin every filter runs once on the patient's whole crop, unless
the setting `crop` is ``per-region``. Without a filter (image type Original) both ways give the same values.
"""

import logging
import time
from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk

from metaswin.radiomics.engine import filters
from metaswin.radiomics.engine.region import Discretisation, Place, region_features
from metaswin.radiomics.engine.shape import shape_features
from metaswin.radiomics.names import FEATURES, IMAGE_TYPES, enabled_features, images_of, ordered
from metaswin.radiomics.regions import Region, levels_fit
from metaswin.radiomics.settings import RadiomicsSettings

logger = logging.getLogger("metaswin.radiomics")

Box = tuple[slice, ...]


def run(image: sitk.Image, regions: list[Region], settings: RadiomicsSettings) -> Iterator[str]:
    """Add the features of all regions image by image, and yield the name of each filtered image when it is done."""
    if not regions:
        return
    voxels = sitk.GetArrayFromImage(image)
    spacing = np.array(image.GetSpacing()[::-1])
    boxes = [region.box[::-1] for region in regions]
    masks = [sitk.GetArrayViewFromImage(region.mask) == 1 for region in regions]
    classes = [kind for kind in ordered(settings.feature_classes, tuple(FEATURES)) if enabled_features(kind, settings)]
    if "shape" in classes:
        shape = enabled_features("shape", settings)
        for region, mask in zip(regions, masks, strict=True):
            values = shape_features(mask, spacing)
            region.add("original", "shape", {name: values[name] for name in shape})
    classes = [kind for kind in classes if kind != "shape"]
    if not classes:
        return
    wanted = {kind: enabled_features(kind, settings) for kind in classes}
    how = Discretisation(settings.bin_width, settings.bin_count, settings.voxel_array_shift)
    mcc = "MCC" in wanted.get("glcm", ())
    places = [Place(mask, spacing) for mask in masks]
    whole = _around(boxes)
    for name, filtered in filtered_images(voxels, spacing, settings, whole):
        for region, box, place in zip(regions, boxes, places, strict=True):
            values = filtered[_within(box, whole)][place.mask]
            if not levels_fit(name, values, region, settings):
                continue
            try:
                found = region_features(values, place, classes, how, mcc)
            except ValueError as error:
                region.failures.append(f"{name}: {error}")
                continue
            for kind in classes:
                region.add(name, kind, {feature: found[kind][feature] for feature in wanted[kind]})
        yield name


def filtered_images(
    voxels: np.ndarray, spacing: np.ndarray, settings: RadiomicsSettings, box: Box
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and image of each filter, one at a time; a filter runs on the whole crop, and its box is returned."""
    for kind in ordered(settings.image_types, IMAGE_TYPES):
        if kind == "Original":
            yield "original", voxels[box]
        elif kind == "LoG":
            yield from filters.laplacians(voxels, spacing, settings.log_sigma, box)
        elif kind == "Wavelet":
            yield from filters.wavelets(voxels, settings.wavelet, box)
        elif kind == "Gradient":
            yield "gradient", filters.gradient(voxels, spacing, box)
        else:
            yield kind.lower(), filters.pointwise(kind, voxels, box)


def _around(boxes: list[Box]) -> Box:
    """Return the smallest box that contains all boxes."""
    return tuple(
        slice(min(box[axis].start for box in boxes), max(box[axis].stop for box in boxes)) for axis in range(3)
    )


def _within(box: Box, whole: Box) -> Box:
    return tuple(
        slice(part.start - outer.start, part.stop - outer.start) for part, outer in zip(box, whole, strict=True)
    )


MARGIN = 5  # voxels around a region's box with crop: per-region (PyRadiomics' padDistance)


def extract(image: sitk.Image, regions: list[Region], settings: RadiomicsSettings) -> list[str]:
    """Compute the features of all regions and add them to each region's `values`.

    Parameters
    ----------
    image : Image
        The patient's CT (HU) on the isotropic grid; it contains all regions and the margin that the filters need.
    regions : list of Region
        See `cut_region`.
    settings
        Engine, image types, classes and bins.

    Returns
    -------
    list of str
        Names of the filtered images that could not be made because the crop is too small for the filter.
    """
    expected = [name for kind in ordered(settings.image_types, IMAGE_TYPES) for name in images_of(kind, settings)]
    if settings.crop == "patient":
        made = _run(image, regions, settings, expected)
        return [name for name in expected if name not in made]
    unmade = set()
    for region in regions:
        crop = tuple(
            slice(max(part.start - MARGIN, 0), min(part.stop + MARGIN, size))
            for part, size in zip(region.box, image.GetSize(), strict=True)
        )
        box = tuple(
            slice(part.start - outer.start, part.stop - outer.start)
            for part, outer in zip(region.box, crop, strict=True)
        )
        # This region has the same dictionary of values, but a smaller grid.
        alone = Region(region.mask, box, region.voxels, region.values, region.failures)
        made = _run(image[crop], [alone], settings, expected)
        unmade |= {name for name in expected if name not in made}
        region.values = alone.values
    return [name for name in expected if name in unmade]


def _run(image: sitk.Image, regions: list[Region], settings: RadiomicsSettings, expected: list[str]) -> list[str]:
    """Run the engine and return the names of the images that were made."""
    if settings.engine == "metaswin":
        from metaswin.radiomics.kernels import load_kernels

        load_kernels()
        images = run(image, regions, settings)
    else:
        from metaswin.radiomics import with_pyradiomics

        images = with_pyradiomics.run(image, regions, settings)

    made = []
    start = time.perf_counter()
    for name in images:
        made.append(name)
        now = time.perf_counter()
        logger.info("%d of %d: %s: %d regions in %.1f s", len(made), len(expected), name, len(regions), now - start)
        start = now
    return made
