"""From files to an image and a mask that features can be computed of: PyRadiomics' steps before its filters."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from metaswin.core.errors import UserError

Source = str | Path | sitk.Image


def read_image(source: Source, what: str) -> tuple[sitk.Image, str]:
    """Read a volume; returns it and its name for messages.

    Raises
    ------
    UserError
        If there is none, or it is no volume.
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
        raise UserError(f"{name} has {image.GetDimension()} dimensions; features are computed of volumes (3)")
    return image, name


def pick_label(mask: sitk.Image, name: str, label: int, channel: int) -> sitk.Image:
    """The mask as uint32, of one channel.

    Raises
    ------
    UserError
        If the label or the channel is absent.
    """
    channels = mask.GetNumberOfComponentsPerPixel()
    if channels > 1:
        if channel >= channels:
            raise UserError(
                f"{name} has {channels} channels; setting label_channel: {channel} is none of 0 … {channels - 1}"
            )
        mask = sitk.VectorIndexSelectionCast(mask, channel)
    mask = sitk.Cast(mask, sitk.sitkUInt32)
    present = np.unique(sitk.GetArrayViewFromImage(mask))
    if label not in present:
        others = ", ".join(str(value) for value in present[present != 0]) or "none: the mask is empty"
        raise UserError(f"{name} has no label {label}; labels there: {others}")
    return mask


def normalise(image: sitk.Image, settings: Mapping[str, Any]) -> sitk.Image:
    """Mean 0 and standard deviation 1 over all voxels, outliers clipped, times a scale."""
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
    """Resample the label's box and `padDistance` voxels around it onto the wanted spacing.

    The grid begins at the corner of the mask's first voxel; axes of one slice, or with spacing 0, keep their spacing.

    Raises
    ------
    UserError
        If the label reaches out of the image, or the interpolator is none of SimpleITK's.
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
            f"setting interpolator: {settings['interpolator']!r} is none of SimpleITK's, such as sitkBSpline"
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
    """Both cut to a box and `pad` voxels around it."""
    begin = np.maximum(first - pad, 0)
    end = np.minimum(first + size + pad, mask.GetSize())
    part = tuple(slice(int(a), int(b)) for a, b in zip(begin, end, strict=True))
    return image[part], mask[part]


def same_grid(image: sitk.Image, mask: sitk.Image, names: tuple[str, str], settings: Mapping[str, Any]) -> sitk.Image:
    """The mask, on the image's grid: checked, or resampled there if `correctMask` asks for it.

    Raises
    ------
    UserError
        If the grids differ, with both geometries.
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
            "image and mask lie on different grids:\n"
            f"  - {names[0]}: {_geometry(image)}\n"
            f"  - {names[1]}: {_geometry(mask)}\n"
            "Set correctMask: true to resample the mask onto the image, resampledPixelSpacing to resample both, or "
            "geometryTolerance if the difference is rounding"
        )
    _check_reach(image, mask, names, *_box(mask, names[1], settings["label"]))
    return sitk.Resample(mask, image, sitk.Transform(), sitk.sitkNearestNeighbor)


def resegment(voxels: np.ndarray, mask: np.ndarray, settings: Mapping[str, Any], name: str) -> np.ndarray:
    """The mask's voxels within `resegmentRange`, both ends included.

    Raises
    ------
    UserError
        If one voxel or none is left, or the range or mode is none.
    """
    limits = sorted(settings["resegmentRange"])
    inside = voxels[mask]
    mode = settings["resegmentMode"]
    if mode == "relative":
        limits = [inside.max() * limit for limit in limits]
    elif mode == "sigma":
        limits = [inside.mean() + inside.std() * limit for limit in limits]
    elif mode != "absolute":
        raise UserError(f"setting resegmentMode: {mode!r} is none of absolute, relative, sigma")
    if len(limits) not in (1, 2):
        raise UserError(f"setting resegmentRange: {limits} has {len(limits)} numbers; it takes one (lowest) or two")
    kept = inside >= limits[0]
    if len(limits) == 2:
        kept &= inside <= limits[1]
    if kept.sum() <= 1:
        raise UserError(
            f"{name}: {kept.sum()} of {len(kept)} voxels within resegmentRange {limits} (values "
            f"{inside.min():g} … {inside.max():g}); features need two, widen the range"
        )
    new = mask.copy()
    new[mask] = kept
    return new


def _box(mask: sitk.Image, name: str, label: int) -> tuple[np.ndarray, np.ndarray]:
    """First voxel and size of a label's box, (x, y, z)."""
    places = np.nonzero(sitk.GetArrayViewFromImage(mask) == label)[::-1]
    if not len(places[0]):
        raise UserError(f"{name}: no voxel of label {label} lies on the image's grid")
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
            "the label reaches out of the image:\n"
            f"  - {names[0]}: {_geometry(image)}\n  - {names[1]}: {_geometry(mask)}\n"
            f"Its box is {np.round(ends, 2).tolist()} in voxels of the image; cut the mask or take the whole image"
        )


def _geometry(image: sitk.Image) -> str:
    parts = {"size": image.GetSize(), "spacing": image.GetSpacing(), "origin": image.GetOrigin()}
    described = [f"{name} {' × '.join(f'{value:g}' for value in values)}" for name, values in parts.items()]
    return ", ".join([*described, f"direction {' '.join(f'{value:g}' for value in image.GetDirection())}"])
