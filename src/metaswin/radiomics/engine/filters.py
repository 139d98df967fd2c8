"""Compute the filtered images of a patient once, only where regions are located, with PyRadiomics' values."""

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from metaswin.radiomics.engine.laplacian import laplacian_of_gaussian
from metaswin.radiomics.engine.wavelet import wavelet_bands

if TYPE_CHECKING:
    import pywt

logger = logging.getLogger("metaswin.radiomics")

Box = tuple[slice, ...]


def pointwise(kind: str, image: np.ndarray, box: Box) -> np.ndarray:
    """Apply Square, SquareRoot, Logarithm or Exponential, scaled by the largest absolute value of the whole image.

    Parameters
    ----------
    kind : str
        Image type.
    image : array, shape (z, y, x)
        The whole image.
    box : tuple of slice
        Part of the result to return.

    Returns
    -------
    array of float64, shape of the box
    """
    largest = max(abs(np.float64(image.max())), abs(np.float64(image.min())))
    part = image[box].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if kind == "Square":
            return (1 / np.sqrt(largest) * part) ** 2
        if kind == "SquareRoot":
            return np.copysign(np.sqrt(np.abs(part) * largest), part)
        if kind == "Logarithm":
            return np.copysign(np.log(np.abs(part) + 1), part) * (largest / np.log(np.array([largest + 1]))[0])
        return np.exp(np.log(largest) / largest * part)


def laplacians(
    image: np.ndarray, spacing: np.ndarray, sigmas: Sequence[float], box: Box
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and image of each sigma for which the image is large enough; log a warning for the others."""
    size = np.array(image.shape)
    for sigma in sigmas:
        if size.min() < 4 or not np.all(size >= np.ceil(sigma / spacing) + 1):
            logger.warning("LoG of sigma %g mm: an image of %s voxels is too small", sigma, size[::-1].tolist())
            continue
        name = f"log-sigma-{str(sigma).replace('.', '-')}-mm-3D"
        yield name, laplacian_of_gaussian(image, spacing, sigma, box)


def wavelets(
    image: np.ndarray, wavelet: str, box: Box, level: int = 1, start_level: int = 0, flat: int | None = None
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and image of each wavelet band in PyRadiomics' order; the approximation is last."""
    import pywt

    if image.dtype != np.float32:
        image = image.astype(np.float64)
    bank = pywt.Wavelet(wavelet)
    if level == 1 and start_level == 0 and flat is None and min(image.shape) >= bank.dec_len:
        bands = wavelet_bands(image, *_taps(bank, image.dtype), box)
        approximation = bands.pop("LLL")
        for name in sorted(bands, reverse=True):
            yield f"wavelet-{name}", bands.pop(name)
        yield "wavelet-LLL", approximation
        return
    axes = tuple(axis for axis in (2, 1, 0) if axis != flat)
    lowest = "a" * len(axes)
    box = tuple(slice(*part.indices(size)) for part, size in zip(box, image.shape, strict=True))
    data = np.pad(image, [(0, size % 2) for size in image.shape], "wrap")
    for _ in range(start_level):
        data = pywt.swtn(data, bank, level=1, start_level=0, axes=axes)[0][lowest]
    prefix = "wavelet"
    for number in range(1, level + 1):
        bands = pywt.swtn(data, bank, level=1, start_level=0, axes=axes)[0]
        data = bands.pop(lowest)
        prefix = "wavelet" if number == 1 else f"wavelet{number}"
        for name, band in bands.items():
            yield f"{prefix}-{name.replace('a', 'L').replace('d', 'H')}", band[box]
    yield f"{prefix}-{'L' * len(axes)}", data[box]


def _taps(bank: "pywt.Wavelet", kind: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return PyWavelets' filters in the image's precision; they are rounded differently from its float64 values."""
    import pywt

    impulse = np.zeros(4 * bank.dec_len, kind)
    impulse[2 * bank.dec_len] = 1
    first = 2 * bank.dec_len - bank.dec_len // 2
    low, high = pywt.swt(impulse, bank, level=1)[0]
    return low[first : first + bank.dec_len], high[first : first + bank.dec_len]


def gradient(image: np.ndarray, spacing: np.ndarray, box: Box, use_spacing: bool = True) -> np.ndarray:
    """Return the gradient magnitude by central differences, computed with ITK."""
    import SimpleITK as sitk

    wide = tuple(
        slice(max(part.indices(size)[0] - 2, 0), min(part.indices(size)[1] + 2, size))
        for part, size in zip(box, image.shape, strict=True)
    )
    part = sitk.GetImageFromArray(image[wide])
    part.SetSpacing([float(step) for step in spacing[::-1]])
    found = sitk.GetArrayFromImage(sitk.GradientMagnitude(part, use_spacing))
    return found[
        tuple(
            slice(inner.indices(size)[0] - outer.start, inner.indices(size)[1] - outer.start)
            for inner, outer, size in zip(box, wide, image.shape, strict=True)
        )
    ]


def local_binary_pattern(
    image: np.ndarray, box: Box, radius: float = 1, samples: int = 8, method: str = "uniform", axis: int = 0
) -> np.ndarray:
    """Return the local binary patterns of each plane (Ojala et al. 1996), computed with scikit-image."""
    from skimage.feature import local_binary_pattern as of_plane

    planes = image.copy().swapaxes(0, axis)
    first, last, _ = box[axis].indices(image.shape[axis])
    for k in range(first, last):
        planes[k] = of_plane(planes[k], P=samples, R=radius, method=method)
    return planes.swapaxes(0, axis)[box]
