"""Even-odd rasterisation of polygons, one plane or many at once."""

from collections.abc import Sequence

import numpy as np

# Voxel indices are rounded to this many decimals, so that a contour exactly on a pixel centre does not
# fall on either side by the noise of the coordinate transform.
DECIMALS = 8


def rasterise(polygons: Sequence[tuple[int, np.ndarray]], shape: tuple[int, int, int]) -> np.ndarray:
    """Voxels whose centre lies inside an odd number of the polygons of its slice.

    Even-odd over all polygons of a slice makes nested contours holes and lets the twice-drawn channel of a
    keyhole contour cancel. A scan line runs through the pixel centres of each row; every edge that it crosses
    flips all pixels from the crossing on. Rows and columns are half-open, so that two polygons that share an
    edge never share a pixel.

    Parameters
    ----------
    polygons : sequence of (slice index, ndarray of shape (n, 2))
        Corners as continuous (column, row) indices; pixel centres are whole numbers. Closed by themselves.
        Parts outside the slice are clipped.
    shape : tuple of int
        Slices, rows, columns.

    Returns
    -------
    ndarray of bool, shape `shape`
    """
    mask = np.zeros(shape, dtype=bool)
    _, rows, columns = shape
    parts = [_edges(index, np.round(points, DECIMALS)) for index, points in polygons]
    if not parts:
        return mask
    planes, x0, y0, x1, y1 = np.concatenate(parts, axis=1)
    first = np.clip(np.ceil(y0), 0, rows).astype(int)
    count = np.clip(np.ceil(y1), 0, rows).astype(int) - first
    edge = np.repeat(np.arange(count.size), count)
    if not edge.size:
        return mask
    row = np.arange(edge.size) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    x = x0[edge] + (row - y0[edge]) * (x1 - x0)[edge] / (y1 - y0)[edge]
    column = np.clip(np.ceil(np.round(x, DECIMALS)), 0, columns).astype(int)
    plane = planes[edge].astype(int)
    box = tuple(slice(int(v.min()), int(v.max()) + 1) for v in (plane, row, column))
    # One column to spare: crossings right of the last pixel flip nothing.
    flips = np.zeros([s.stop - s.start for s in box], dtype=np.uint8)
    np.add.at(flips, tuple(v - s.start for v, s in zip((plane, row, column), box, strict=True)), 1)
    odd = np.bitwise_and(np.add.accumulate(flips, axis=2, dtype=np.uint8), 1).astype(bool)
    width = min(box[2].stop, columns) - box[2].start
    mask[box[0], box[1], box[2].start : box[2].start + width] = odd[:, :, :width]
    return mask


def area(points: np.ndarray) -> float:
    """Area enclosed by a polygon (shape (n, 2)) after the shoelace formula, in units of its coordinates squared."""
    x, y = points[:, 0], points[:, 1]
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def _edges(index: int, points: np.ndarray) -> np.ndarray:
    """Edges that cross rows, upper end first: slice, x0, y0, x1, y1; shape (5, n)."""
    start, end = points, np.roll(points, -1, axis=0)
    up = start[:, 1] > end[:, 1]
    start, end = np.where(up[:, None], end, start), np.where(up[:, None], start, end)
    crossing = start[:, 1] < end[:, 1]
    start, end = start[crossing], end[crossing]
    return np.stack([np.full(len(start), index, dtype=float), start[:, 0], start[:, 1], end[:, 0], end[:, 1]])
