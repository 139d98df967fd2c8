"""Compute the features of one image and one mask without the workflow."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from metaswin.core.errors import UserError
from metaswin.radiomics import prepare
from metaswin.radiomics.engine import filters
from metaswin.radiomics.engine.deprecated import with_deprecated
from metaswin.radiomics.engine.region import Discretisation, Place, region_features
from metaswin.radiomics.engine.shape import shape_features
from metaswin.radiomics.engine.spheres import spherical_patterns
from metaswin.radiomics.kernels import load_kernels
from metaswin.radiomics.parameters import Parameters, read_parameters
from metaswin.radiomics.regions import bounding_box

Box = tuple[slice, ...]


def extract_features(
    image: prepare.Source, mask: prepare.Source, parameters: str | Path | Mapping | None = None, **settings: Any
) -> dict[str, float]:
    """Return the features of one label of a mask, with the values of PyRadiomics' ``execute()``.

    Parameters
    ----------
    image, mask : path or SimpleITK image
        Volumes; the grey values may be HU or have any other unit.
    parameters : path or mapping, optional
        PyRadiomics parameter file or its content. The default is PyRadiomics' default (Original, all features).
    **settings
        Settings that take precedence, for example ``label=2`` or ``binWidth=10``.

    Returns
    -------
    dict
        Feature name → value; NaN where PyRadiomics has no value either.

    Raises
    ------
    UserError
        If image, mask or settings cannot be used. The message names the file and says what to do.
    """
    load_kernels()
    wanted = read_parameters(parameters, settings)
    how = wanted.settings
    image, image_name = prepare.read_image(image, "image")
    mask, mask_name = prepare.read_image(mask, "mask")
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise UserError(f"{image_name} has several values per voxel; features need one grey value per voxel")
    mask = prepare.pick_label(mask, mask_name, how["label"], how["label_channel"])
    if how["normalize"]:
        image = prepare.normalise(image, how)
    if how["resampledPixelSpacing"] is not None and how["interpolator"] is not None:
        image, mask = prepare.resample(image, mask, (image_name, mask_name), how)
    mask = prepare.same_grid(image, mask, (image_name, mask_name), how)
    voxels = sitk.GetArrayFromImage(image)
    inside = sitk.GetArrayViewFromImage(mask) == how["label"]
    if not np.isfinite(voxels).all():
        raise UserError(
            f"{image_name} has {np.count_nonzero(~np.isfinite(voxels))} voxels that are NaN or infinite; "
            "replace them, for example by the value of air, because filters spread them"
        )
    if how["preCrop"] and how["resampledPixelSpacing"] is None:
        wide = _widened(_box(inside, how, mask_name), how["padDistance"], inside.shape)
        voxels, inside = voxels[wide], inside[wide]
    box = _box(inside, how, mask_name)
    whole = inside
    if how["resegmentRange"] is not None:
        inside = prepare.resegment(voxels, inside, how, mask_name)
        box = _box(inside, how, mask_name)
    spacing = np.array(image.GetSpacing()[::-1])
    source = f"{image_name} with {mask_name}"
    return dict(_features(np.ascontiguousarray(voxels), inside, whole, box, spacing, wanted, source))


def _features(
    voxels: np.ndarray,
    inside: np.ndarray,
    whole: np.ndarray,
    box: Box,
    spacing: np.ndarray,
    wanted: Parameters,
    source: str,
) -> Iterator[tuple[str, float]]:
    """Yield all features, shape first; `whole` is the mask before re-segmentation.

    Raises
    ------
    UserError
        If an image has no features. The message names the `source`, the image and the reason.
    """
    how = wanted.settings
    if "shape" in wanted.features:
        # As in PyRadiomics: the whole mask, but within the bounding box of the voxels that re-segmentation kept.
        values = with_deprecated("shape", shape_features((inside if how["resegmentShape"] else whole)[box], spacing))
        for feature in wanted.features["shape"]:
            yield f"original_shape_{feature}", values[feature]
    classes = [name for name in wanted.features if name != "shape"]
    if not classes:
        return
    place = Place(inside[box], spacing)
    mcc = "MCC" in wanted.features.get("glcm", ())
    for image_type, own in wanted.image_types.items():
        settings = {**how, **own}
        discretisation = Discretisation(
            bin_width=float(settings["binWidth"]),
            bin_count=settings["binCount"],
            voxel_array_shift=settings["voxelArrayShift"],
            distances=tuple(settings["distances"]),
            flat=settings["force2Ddimension"] if settings["force2D"] else None,
            symmetric=settings["symmetricalGLCM"],
            weighting=settings["weightingNorm"],
            tolerance=settings["gldm_a"],
        )
        for name, filtered in _filtered(image_type, voxels, inside, spacing, settings, box):
            values = filtered[place.mask]
            if not np.isfinite(values).all():
                lost = np.count_nonzero(~np.isfinite(values))
                raise UserError(
                    f"{source}: {name} has {lost} of {len(values)} voxels without a finite value; "
                    "remove this image type"
                )
            try:
                found = region_features(values, place, classes, discretisation, mcc)
            except ValueError as error:
                raise UserError(f"{source}: {name}: {error}") from error
            for kind in classes:
                features = with_deprecated(kind, found[kind])
                for feature in wanted.features[kind]:
                    yield f"{name}_{kind}_{feature}", features[feature]


def _filtered(
    image_type: str,
    voxels: np.ndarray,
    inside: np.ndarray,
    spacing: np.ndarray,
    settings: Mapping[str, Any],
    box: Box,
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and image of each filter within the box; LBP3D is computed for the voxels inside the mask only."""
    flat = settings["force2Ddimension"] if settings["force2D"] else None
    if image_type == "Original":
        yield "original", voxels[box]
    elif image_type == "LoG":
        yield from filters.laplacians(voxels, spacing, settings["sigma"], box)
    elif image_type == "Wavelet":
        level, start = settings["level"], settings["start_level"]
        yield from filters.wavelets(voxels, settings["wavelet"], box, level, start, flat)
    elif image_type == "Gradient":
        yield "gradient", filters.gradient(voxels, spacing, box, settings["gradientUseSpacing"])
    elif image_type == "LBP2D":
        radius, samples, method = settings["lbp2DRadius"], settings["lbp2DSamples"], settings["lbp2DMethod"]
        axis = settings["force2Ddimension"]
        yield "lbp-2D", filters.local_binary_pattern(voxels, box, radius, samples, method, axis)
    elif image_type == "LBP3D":
        names = ("lbp3DLevels", "lbp3DIcosphereRadius", "lbp3DIcosphereSubdivision")
        for name, values in spherical_patterns(voxels, inside, *(settings[setting] for setting in names)):
            pattern = np.zeros(inside[box].shape)
            pattern[inside[box]] = values
            yield name, pattern
    else:
        yield image_type.lower(), filters.pointwise(image_type, voxels, box)


def _box(inside: np.ndarray, how: Mapping[str, Any], name: str) -> Box:
    """Return the bounding box of the mask.

    Raises
    ------
    UserError
        If the region is empty, has at most `minimumROISize` voxels or extends along too few axes
        (`minimumROIDimensions`).
    """
    box = bounding_box(inside)
    if box is None:
        raise UserError(f"{name}: no voxel of label {how['label']} is left on the image's grid")
    dimensions = sum(part.stop - part.start > 1 for part in box)
    if dimensions < max(how["minimumROIDimensions"], 1):
        raise UserError(
            f"{name}: label {how['label']} extends along {dimensions} axes, setting minimumROIDimensions requires "
            f"{max(how['minimumROIDimensions'], 1)}"
        )
    smallest = how["minimumROISize"]
    if smallest is not None and np.count_nonzero(inside) <= smallest:
        raise UserError(
            f"{name}: label {how['label']} has {np.count_nonzero(inside)} voxels, setting minimumROISize requires "
            f"more than {smallest}"
        )
    return box


def _widened(box: Box, pad: int, shape: tuple[int, ...]) -> Box:
    return tuple(slice(max(part.start - pad, 0), min(part.stop + pad, n)) for part, n in zip(box, shape, strict=True))
