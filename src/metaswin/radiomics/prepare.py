"""Prepare an image and a mask for the computation of features: PyRadiomics' steps before its filters."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from metaswin.core.errors import UserError

Source = str | Path | sitk.Image


def read_image(source: Source, what: str) -> tuple[sitk.Image, str]:
    """Read a volume, and return it with its name for messages.

    Raises
    ------
    UserError
        If the file does not exist or is not a volume.
    """
    if isinstance(source, sitk.Image):
        image, name = source, f"the {what}"
    else:
        name = f"{what} {source}"
        if not Path(source).exists():
            raise UserError(f"There is no {name}")
        try:
            image = sitk.ReadImage(str(source))
        except RuntimeError as error:
            raise UserError(f"{name} cannot be read as an image: {str(error).splitlines()[-1]}") from error
    if image.GetDimension() != 3:
        raise UserError(f"{name} has {image.GetDimension()} dimensions; features need a volume (3 dimensions)")
    return image, name


def pick_label(mask: sitk.Image, name: str, label: int, channel: int) -> sitk.Image:
    """Return one channel of the mask as uint32.

    Raises
    ------
    UserError
        If the label or the channel is absent.
    """
    channels = mask.GetNumberOfComponentsPerPixel()
    if channels > 1:
        if channel >= channels:
            raise UserError(
                f"{name} has {channels} channels; setting label_channel: {channel} is not one of 0 … {channels - 1}"
            )
        mask = sitk.VectorIndexSelectionCast(mask, channel)
    mask = sitk.Cast(mask, sitk.sitkUInt32)
    present = np.unique(sitk.GetArrayViewFromImage(mask))
    if label not in present:
        others = ", ".join(str(value) for value in present[present != 0]) or "none: the mask is empty"
        raise UserError(f"{name} has no label {label}; its labels: {others}")
    return mask


def normalise(image: sitk.Image, settings: Mapping[str, Any]) -> sitk.Image:
    """Scale the image to mean 0 and standard deviation 1 over all voxels, clip outliers and multiply by a factor."""
    image = sitk.Normalize(image)
    limit = settings["removeOutliers"]
    if limit is not None:
        clipped = sitk.GetImageFromArray(np.clip(sitk.GetArrayFromImage(image), -limit, limit))
        clipped.CopyInformation(image)
        image = clipped
    return image * settings["normalizeScale"]


def resample(
    image: sitk.Image, mask: sitk.Image, names: tuple[str, str], settings: Mapping[str, Any]
) -> tuple[sitk.Image, sitk.Image]:
    """Resample the bounding box of the label and `padDistance` voxels around it to the wanted spacing.

    The grid begins at the corner of the mask's first voxel. Axes with one slice, or with the wanted spacing 0, keep
    their spacing.

    Raises
    ------
    UserError
        If the label extends beyond the image, or if SimpleITK does not have the interpolator.
    """
    own = np.array(mask.GetSpacing())
    spacing = np.array(settings["resampledPixelSpacing"], float)
    if len(spacing) != 3:
        raise UserError(f"setting resampledPixelSpacing: {spacing.tolist()}; a volume needs three numbers (mm)")
    pad = settings["padDistance"]
    first, size = _box(mask, names[1], settings["label"])
    _check_reach(image, mask, names, first, size)
    spacing = np.where((spacing == 0) | (size == 1), own, spacing)
    if np.allclose(image.GetSpacing(), spacing):
        mask = sitk.Resample(mask, image, sitk.Transform(), sitk.sitkNearestNeighbor)
        first, size = _box(mask, names[1], settings["label"])
        return crop(image, mask, first, size, pad)
    ratio = own / spacing
    lowest = np.maximum(np.floor((first - 0.5) * ratio - pad), 0)
    highest = np.minimum(np.ceil((first + size - 0.5) * ratio + pad), np.ceil(np.array(mask.GetSize()) * ratio) - 1)
    start = 0.5 * (spacing - own) / own + lowest / ratio
    interpolator = getattr(sitk, str(settings["interpolator"]), None)
    if interpolator is None:
        raise UserError(
            f"setting interpolator: {settings['interpolator']!r} is not a SimpleITK interpolator, such as sitkBSpline"
        )
    grid = sitk.ResampleImageFilter()
    grid.SetOutputSpacing(spacing.tolist())
    grid.SetOutputDirection(mask.GetDirection())
    grid.SetOutputOrigin(mask.TransformContinuousIndexToPhysicalPoint(start.tolist()))
    grid.SetSize([int(n) for n in highest - lowest + 1])
    grid.SetInterpolator(interpolator)
    grid.SetOutputPixelType(image.GetPixelID())
    resampled = grid.Execute(image)
    grid.SetInterpolator(sitk.sitkNearestNeighbor)
    grid.SetOutputPixelType(mask.GetPixelID())
    return resampled, grid.Execute(mask)


def crop(
    image: sitk.Image, mask: sitk.Image, first: np.ndarray, size: np.ndarray, pad: int
) -> tuple[sitk.Image, sitk.Image]:
    """Crop image and mask to a box and `pad` voxels around it."""
    begin = np.maximum(first - pad, 0)
    end = np.minimum(first + size + pad, mask.GetSize())
    part = tuple(slice(int(a), int(b)) for a, b in zip(begin, end, strict=True))
    return image[part], mask[part]


def same_grid(image: sitk.Image, mask: sitk.Image, names: tuple[str, str], settings: Mapping[str, Any]) -> sitk.Image:
    """Return the mask on the image's grid: check it, or resample it if `correctMask` is set.

    Raises
    ------
    UserError
        If the grids differ. The message describes both geometries.
    """
    tolerance = settings["geometryTolerance"] or sitk.ProcessObject.GetGlobalDefaultCoordinateTolerance()
    step = tolerance * image.GetSpacing()[0]
    same = (
        image.GetSize() == mask.GetSize()
        and np.allclose(image.GetOrigin(), mask.GetOrigin(), rtol=0, atol=step)
        and np.allclose(image.GetSpacing(), mask.GetSpacing(), rtol=0, atol=step)
        and np.allclose(image.GetDirection(), mask.GetDirection(), rtol=0, atol=tolerance)
    )
    if same:
        return mask
    if not settings["correctMask"]:
        raise UserError(
            "image and mask have different grids:\n"
            f"  - {names[0]}: {_geometry(image)}\n"
            f"  - {names[1]}: {_geometry(mask)}\n"
            "Set correctMask: true to resample the mask onto the image, resampledPixelSpacing to resample both, or "
            "geometryTolerance if the difference is due to rounding"
        )
    _check_reach(image, mask, names, *_box(mask, names[1], settings["label"]))
    return sitk.Resample(mask, image, sitk.Transform(), sitk.sitkNearestNeighbor)


def resegment(voxels: np.ndarray, mask: np.ndarray, settings: Mapping[str, Any], name: str) -> np.ndarray:
    """Return the voxels of the mask whose values are within `resegmentRange`, both ends included.

    Raises
    ------
    UserError
        If fewer than two voxels remain, or if the range or the mode is invalid.
    """
    limits = sorted(settings["resegmentRange"])
    inside = voxels[mask]
    mode = settings["resegmentMode"]
    if mode == "relative":
        limits = [inside.max() * limit for limit in limits]
    elif mode == "sigma":
        limits = [inside.mean() + inside.std() * limit for limit in limits]
    elif mode != "absolute":
        raise UserError(f"setting resegmentMode: {mode!r} is not one of absolute, relative, sigma")
    if len(limits) not in (1, 2):
        raise UserError(f"setting resegmentRange: {limits} has {len(limits)} numbers; it takes one (lowest) or two")
    kept = inside >= limits[0]
    if len(limits) == 2:
        kept &= inside <= limits[1]
    if kept.sum() <= 1:
        raise UserError(
            f"{name}: {kept.sum()} of {len(kept)} voxels within resegmentRange {limits} (values "
            f"{inside.min():g} … {inside.max():g}); features need two voxels, widen the range"
        )
    new = mask.copy()
    new[mask] = kept
    return new


def _box(mask: sitk.Image, name: str, label: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first voxel and the size of a label's bounding box, (x, y, z)."""
    places = np.nonzero(sitk.GetArrayViewFromImage(mask) == label)[::-1]
    if not len(places[0]):
        raise UserError(f"{name}: no voxel of label {label} is on the image's grid")
    first = np.array([axis.min() for axis in places])
    return first, np.array([axis.max() for axis in places]) - first + 1


def _check_reach(
    image: sitk.Image, mask: sitk.Image, names: tuple[str, str], first: np.ndarray, size: np.ndarray
) -> None:
    corners = [
        mask.TransformContinuousIndexToPhysicalPoint((first + shift - 0.5).tolist()) for shift in (0 * size, size)
    ]
    ends = np.array([image.TransformPhysicalPointToContinuousIndex(corner) for corner in corners])
    outer = np.array(image.GetSize()) - 0.5
    if (ends.min(axis=0) < -0.5 - 1e-3).any() or (ends.max(axis=0) > outer + 1e-3).any():
        raise UserError(
            "the label extends beyond the image:\n"
            f"  - {names[0]}: {_geometry(image)}\n  - {names[1]}: {_geometry(mask)}\n"
            f"Its box is {np.round(ends, 2).tolist()} in voxels of the image; crop the mask or use the whole image"
        )


def _geometry(image: sitk.Image) -> str:
    parts = {"size": image.GetSize(), "spacing": image.GetSpacing(), "origin": image.GetOrigin()}
    described = [f"{name} {' × '.join(f'{value:g}' for value in values)}" for name, values in parts.items()]
    return ", ".join([*described, f"direction {' '.join(f'{value:g}' for value in image.GetDirection())}"])
