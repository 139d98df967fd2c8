"""Discretise grey values as PyRadiomics does: bins of fixed width from zero, or a fixed number of bins."""

from dataclasses import dataclass

import numpy as np

from metaswin.radiomics.engine.compiled import kernel


@dataclass(frozen=True)
class Levels:
    """Grey levels of one region in one image.

    Attributes
    ----------
    volume : array of uint16, shape (z + 2, y + 2, x + 2)
        In the region: 1 + position of the voxel's level in `grey`. Outside: 0. One layer of 0 on each side.
    grey : array of int64, shape (n,)
        Grey levels that occur; the level of the region's minimum is 1.
    counts : array of int64, shape (n,)
        Number of voxels of each level.
    """

    volume: np.ndarray
    grey: np.ndarray
    counts: np.ndarray


def bin_edges(values: np.ndarray, width: float, count: int | None = None) -> np.ndarray:
    """Return the edges of the bins; the lower edge is inclusive.

    Parameters
    ----------
    values : array, shape (voxels,)
        Grey values of the region (HU, or the unit of a filter). Their type determines the rounding, as in PyRadiomics.
    width : float
        Width of a bin. The edges are multiples of it.
    count : int, optional
        Number of bins between minimum and maximum, used instead of the width.

    Returns
    -------
    array of float64, shape (bins + 1,)
    """
    low, high = values.min(), values.max()
    if count is not None:
        edges = np.histogram_bin_edges(np.array([low, high]), count)
        edges[-1] += 1
        return edges.astype(np.float64)
    edges = np.arange(low - low % width, high + 2 * width, width)
    if len(edges) == 1:
        edges = np.array([edges[0] - 0.5, edges[0] + 0.5])
    return edges.astype(np.float64)


def discretise(
    values: np.ndarray, inside: np.ndarray, shape: tuple[int, int, int], width: float, count: int | None = None
) -> Levels:
    """Return the grey levels of a region.

    Parameters
    ----------
    values : array, shape (voxels,)
        Grey values of the region.
    inside : array of int64, shape (voxels,)
        Positions of these voxels in the padded, flattened box.
    shape : tuple
        Shape of the padded box.
    width, count
        See `bin_edges`.

    Raises
    ------
    ValueError
        If a value is below the lowest edge because of rounding, which PyRadiomics refuses too, or if there are too
        many grey levels.
    """
    edges = bin_edges(values, width, count)
    step = (edges[-1] - edges[0]) / (len(edges) - 1) if count is not None else width
    levels, histogram = _levels(values, edges, float(step))
    if histogram[0]:
        raise ValueError("grey values below the lowest bin edge: the bin width is too small for the values' precision")
    grey = np.flatnonzero(histogram)
    if len(grey) >= 2**16:
        raise ValueError(f"{len(grey)} grey levels; at most {2**16 - 1} can be counted, widen the bins")
    position = np.zeros(len(histogram), np.uint16)
    position[grey] = np.arange(1, len(grey) + 1)
    volume = np.zeros(shape, np.uint16)
    _place(levels, inside, position, volume.reshape(-1))
    return Levels(volume, grey, histogram[grey])


@kernel
def _levels(values, edges, step):
    """Return the level of each value (as np.digitize does) and the number of values of each level."""
    last = len(edges) - 1
    levels = np.empty(len(values), np.int32)
    histogram = np.zeros(last + 2, np.int64)
    low = edges[0]
    for i in range(len(values)):
        value = np.float64(values[i])
        k = min(max(int((value - low) / step), 0), last)
        # Rounding can shift the result of the division by one bin, so the edges decide.
        while k >= 0 and value < edges[k]:
            k -= 1
        while k < last and value >= edges[k + 1]:
            k += 1
        levels[i] = k + 1
        histogram[k + 1] += 1
    return levels, histogram


@kernel
def _place(levels, inside, position, volume):
    for i in range(len(levels)):
        volume[inside[i]] = position[levels[i]]
