"""Compute the stationary wavelet transform of one level for a part of the image, exactly as PyWavelets does.

Sums run in PyWavelets' order and precision (float32 for float32 images), because the last digit can decide in which
bin a value falls.
"""

import numpy as np

from metaswin.radiomics.engine.compiled import kernel

Box = tuple[slice, ...]


def wavelet_bands(image: np.ndarray, low: np.ndarray, high: np.ndarray, box: Box) -> dict[str, np.ndarray]:
    """Return all eight bands of an image.

    Parameters
    ----------
    image : array of float32 or float64, shape (z, y, x)
        The image; each side must be at least as long as the filter.
    low, high : array, shape (taps,)
        Decomposition filters.
    box : tuple of slice
        Part of the bands to return.

    Returns
    -------
    dict
        Band → array of the box. The letters of a band (L low pass, H high pass) refer to x, y and z in this order.
    """
    filters = np.array([low, high]).astype(image.dtype)
    taps = len(low)
    firsts, counts = [], []
    for axis, part in enumerate(box):
        first, last, _ = part.indices(image.shape[axis])
        begin, end = first - taps, last + taps
        if begin >= 0 and end <= image.shape[axis]:
            image = image[tuple(slice(begin, end) if a == axis else slice(None) for a in range(3))]
        else:
            # At the border the filter takes values from the opposite side. An odd size is first made even in the same
            # way.
            begin = 0
            if image.shape[axis] % 2:
                image = np.pad(image, [(0, 1) if a == axis else (0, 0) for a in range(3)], "wrap")
        firsts.append(first - begin)
        counts.append(last - first)
    bands = {"": np.ascontiguousarray(image)}
    for axis in (2, 1, 0):
        bands = {
            name + letter: part
            for name, whole in bands.items()
            for letter, part in zip("LH", _split(whole, axis, filters, firsts[axis], counts[axis]), strict=True)
        }
    return bands


def _split(image: np.ndarray, axis: int, filters: np.ndarray, first: int, count: int) -> np.ndarray:
    """Return the low and high pass along an axis, shape (2, …): `count` values, beginning at `first`."""
    z, y, x = image.shape
    if axis == 2:
        return _rows(image.reshape(z * y, x), filters, first, count).reshape(2, z, y, count)
    if axis == 1:
        return _columns(image, filters, first, count)
    return _columns(image.reshape(1, z, y * x), filters, first, count).reshape(2, count, y, x)


@kernel
def _terms(place, length, taps):
    """Return filter tap and position of each term of a sum, in the order in which PyWavelets adds them."""
    order = np.empty((taps, 2), np.int64)
    i = place + taps // 2
    beyond = i - length
    for j in range(taps):
        tap = beyond - j if 0 <= j <= beyond else j
        order[j, 0] = tap
        order[j, 1] = (i - tap) % length
    return order


@kernel
def _rows(image, filters, first, count):
    rows, length = image.shape
    taps = filters.shape[1]
    out = np.zeros((2, rows, count), image.dtype)
    for row in range(rows):
        line = image[row]
        for kind in range(2):
            total = out[kind, row]
            # Away from the ends all terms come in the same order, so neighbouring values are summed together.
            inner = max(first, taps - taps // 2 - 1)
            last = min(first + count, length - taps // 2)
            for j in range(taps):
                part = line[inner + taps // 2 - j : last + taps // 2 - j]
                weight = filters[kind, j]
                target = total[inner - first : last - first]
                for k in range(len(target)):
                    target[k] += weight * part[k]
            for place in range(first, first + count):
                if inner <= place < last:
                    continue
                order = _terms(place, length, taps)
                for j in range(taps):
                    total[place - first] += filters[kind, order[j, 0]] * line[order[j, 1]]
    return out


@kernel
def _columns(image, filters, first, count):
    """Filter along the second axis."""
    planes, length, width = image.shape
    taps = filters.shape[1]
    out = np.zeros((2, planes, count, width), image.dtype)
    for plane in range(planes):
        for place in range(count):
            order = _terms(first + place, length, taps)
            for kind in range(2):
                total = out[kind, plane, place]
                for j in range(taps):
                    weight = filters[kind, order[j, 0]]
                    line = image[plane, order[j, 1]]
                    for k in range(width):
                        total[k] += weight * line[k]
    return out
