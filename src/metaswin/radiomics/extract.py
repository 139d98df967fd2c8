"""Features of every region, on one set of filtered images a patient, by the engine that the settings name.

A bare ``execute()`` of PyRadiomics crops to each mask before it filters, so that the borders of LoG and the
scaling of Square … Exponential depend on the region. Here every filter runs once on the patient's whole crop,
unless `crop` says ``per-region``. Without filter (image type Original) both ways give the same values.
"""

import logging
import time

import SimpleITK as sitk

from metaswin.radiomics.names import IMAGE_TYPES, images_of, ordered
from metaswin.radiomics.region import Region
from metaswin.radiomics.settings import RadiomicsSettings

logger = logging.getLogger("metaswin.radiomics")

MARGIN = 5  # voxels around a region's box in crop: per-region, PyRadiomics' padDistance


def extract(image: sitk.Image, regions: list[Region], settings: RadiomicsSettings) -> list[str]:
    """Compute the features of all regions and add them to each region's `values`.

    Parameters
    ----------
    image : Image
        The patient's CT (HU) on the isotropic grid: all regions and the margin that the filters need.
    regions : list of Region
        See `cut_region`.
    settings
        Engine, image types, classes, bins.

    Returns
    -------
    list of str
        Names of the filtered images that could not be made: the crop is too small for the filter.
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
        # The same dictionary of values, on a smaller grid.
        alone = Region(region.mask, box, region.voxels, region.values, region.failures)
        made = _run(image[crop], [alone], settings, expected)
        unmade |= {name for name in expected if name not in made}
        region.values = alone.values
    return [name for name in expected if name in unmade]


def _run(image: sitk.Image, regions: list[Region], settings: RadiomicsSettings, expected: list[str]) -> list[str]:
    """Run the engine; the names of the images made."""
    if settings.engine == "metaswin":
        from metaswin.radiomics.kernels import load_kernels
        from metaswin.radiomics.with_engine import run

        load_kernels()
    else:
        from metaswin.radiomics.with_pyradiomics import run

    made = []
    start = time.perf_counter()
    for name in run(image, regions, settings):
        made.append(name)
        now = time.perf_counter()
        logger.info("%d of %d: %s: %d regions in %.1f s", len(made), len(expected), name, len(regions), now - start)
        start = now
    return made
