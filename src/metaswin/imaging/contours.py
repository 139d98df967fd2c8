"""Draw contours on the grid of a CT by even-odd rasterisation."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from metaswin.core.grid import Grid
from metaswin.core.problems import Findings
from metaswin.imaging.rtstruct import Roi

# Voxel indices are rounded to this many decimals. Otherwise rounding errors of the coordinate transform would decide
# on which side of a pixel centre a contour lies that runs exactly through it.
DECIMALS = 8


def rasterise(polygons: Sequence[tuple[int, np.ndarray]], shape: tuple[int, int, int]) -> np.ndarray:
    """Return the voxels whose centre is inside an odd number of the polygons of its slice.

    The even-odd rule over all polygons of a slice turns nested contours into holes. It also cancels the channel of a
    keyhole contour, which is drawn twice. A scan line runs through the pixel centres of each row. Every edge that it
    crosses flips all pixels behind the crossing. Rows and columns are half-open, so that two polygons that share an
    edge never share a pixel.

    Parameters
    ----------
    polygons : sequence of (slice index, ndarray of shape (n, 2))
        Corners as continuous (column, row) indices; pixel centres are whole numbers. Polygons are closed
        automatically. Parts outside the slice are clipped.
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
    # One spare column: crossings to the right of the last pixel flip nothing.
    flips = np.zeros([s.stop - s.start for s in box], dtype=np.uint8)
    np.add.at(flips, tuple(v - s.start for v, s in zip((plane, row, column), box, strict=True)), 1)
    odd = np.bitwise_and(np.add.accumulate(flips, axis=2, dtype=np.uint8), 1).astype(bool)
    width = min(box[2].stop, columns) - box[2].start
    mask[box[0], box[1], box[2].start : box[2].start + width] = odd[:, :, :width]
    return mask


def area(points: np.ndarray) -> float:
    """Return the area of a polygon (shape (n, 2)) by the shoelace formula, in squared units of its coordinates."""
    x, y = points[:, 0], points[:, 1]
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def _edges(index: int, points: np.ndarray) -> np.ndarray:
    """Return the edges that cross rows, upper end first: slice, x0, y0, x1, y1; shape (5, n)."""
    start, end = points, np.roll(points, -1, axis=0)
    up = start[:, 1] > end[:, 1]
    start, end = np.where(up[:, None], end, start), np.where(up[:, None], start, end)
    crossing = start[:, 1] < end[:, 1]
    start, end = start[crossing], end[crossing]
    return np.stack([np.full(len(start), index, dtype=float), start[:, 0], start[:, 1], end[:, 0], end[:, 1]])


OFF_SLICE = 0.05  # slices: a contour plane farther than this from its slice is counted
SAME_PLANE = 0.1  # slices: contours within this distance belong to the same plane
MAX_SLOPE = 0.5  # slices: a contour that spans more than this is not parallel to the slices
MIN_AREA = 1e-6  # pixels

# Anomalies that are counted in the contours of a patient: code → found (with the count), expected, action.
WARNINGS = {
    "contours-by-position": (
        "{n} contours that reference images outside this series",
        "references to the slices of this series",
        "check one case by eye: they are placed by their position",
    ),
    "contours-off-slices": (
        "{n} contours whose plane lies between slice positions",
        "contours on the slices",
        "check one case by eye: each is drawn on the nearest slice",
    ),
    "contour-outside-image": (
        "{n} contours completely or partly outside the image",
        "contours within the image",
        "check that contours and CT belong together: the part outside is ignored",
    ),
    "contours-not-parallel": (
        "{n} contours that are not parallel to the slices",
        "contours drawn on the slices of the CT",
        "export the contours on the CT's own slices: these are ignored",
    ),
    "contours-not-closed": (
        "{n} open, point or unreadable contours",
        "closed planar contours",
        "no action needed if they are markers: they are ignored",
    ),
    "contours-without-area": (
        "{n} contours without area",
        "closed contours of three points or more",
        "no action needed: they are ignored",
    ),
    "contours-twice": (
        "{n} contours drawn twice",
        "each contour once",
        "no action needed: the copies are ignored (the even-odd rule would make them cancel)",
    ),
    "contours-between-slices": (
        "{n} contours on planes closer than the slices",
        "one contour plane per slice",
        "no action needed: for each slice the nearest plane is drawn",
    ),
    "contours-skip-slices": (
        "{n} slices between contours were skipped regularly",
        "a contour on every slice of the lesion",
        "no action needed: each gets the contour of the nearest slice",
    ),
}


@dataclass(frozen=True)
class Drawing:
    """Draw the ROIs of one patient and count their anomalies.

    Attributes
    ----------
    grid : Grid
        The CT's grid.
    instances : frozenset of str
        SOP instance UIDs of the slices; if empty (unknown), the references of the contours are not checked.
    counts : Counter
        Number of anomalies of each code of `WARNINGS`.
    names : Counter
        The same numbers by code and ROI name (private).
    """

    grid: Grid
    instances: frozenset[str] = frozenset()
    counts: Counter = field(default_factory=Counter)
    names: Counter = field(default_factory=Counter)

    def draw(self, roi: Roi) -> np.ndarray:
        """Return the mask of one ROI, drawn slice by slice with the even-odd rule.

        Returns
        -------
        ndarray of bool, shape (slices, rows, columns)
        """
        self._count("contours-not-closed", roi, roi.skipped)
        if self.instances:
            self._count("contours-by-position", roi, sum(bool(i) and i not in self.instances for i in roi.images))
        planes: dict[int, list[tuple[float, np.ndarray]]] = {}
        seen: set[bytes] = set()
        for points in roi.contours:
            indices = self.grid.indices(points)
            height = float(indices[:, 2].mean())
            corners = indices[:, :2]
            if len(points) < 3 or area(corners) < MIN_AREA:
                self._count("contours-without-area", roi)
            elif np.ptp(indices[:, 2]) > MAX_SLOPE:
                self._count("contours-not-parallel", roi)
            elif indices.tobytes() in seen:
                self._count("contours-twice", roi)
            else:
                seen.add(indices.tobytes())
                touches, within = self._overlap(height, corners)
                self._count("contour-outside-image", roi, not within)
                if touches:
                    planes.setdefault(int(np.floor(height + 0.5)), []).append((height, corners))
        return rasterise(self._polygons(planes, roi), self.grid.shape)

    def report(self, findings: Findings) -> None:
        """Add one warning per code with its count; the ROI names go into the private part."""
        for code, (found, expected, action) in WARNINGS.items():
            if self.counts[code]:
                names = "; ".join(f"{name}: {n}" for (other, name), n in sorted(self.names.items()) if other == code)
                findings.warn(code, found.format(n=self.counts[code]), expected, action, names)

    def _overlap(self, height: float, corners: np.ndarray) -> tuple[bool, bool]:
        """Return whether a contour's bounding box touches the image, and whether it is completely inside it.

        The border of the image is half a voxel outside the outermost voxel centres.
        """
        last = np.array(self.grid.size) - 0.5
        low, high = np.append(corners.min(axis=0), height), np.append(corners.max(axis=0), height)
        touches = bool((low < last).all() and (high >= -0.5).all())
        return touches, bool((high <= last).all() and (low >= -0.5).all() and touches)

    def _polygons(self, planes: dict[int, list[tuple[float, np.ndarray]]], roi: Roi) -> list[tuple[int, np.ndarray]]:
        drawn: dict[int, list[np.ndarray]] = {}
        for index, contours in sorted(planes.items()):
            nearest = min((height for height, _ in contours), key=lambda height: (abs(height - index), height))
            chosen = [corners for height, corners in contours if abs(height - nearest) <= SAME_PLANE]
            self._count("contours-between-slices", roi, len(contours) - len(chosen))
            self._count("contours-off-slices", roi, len(chosen) if abs(nearest - index) > OFF_SLICE else 0)
            drawn[index] = chosen
        for index, source in _skipped(sorted(drawn)).items():
            self._count("contours-skip-slices", roi)
            drawn[index] = drawn[source]
        return [(index, corners) for index, polygons in sorted(drawn.items()) for corners in polygons]

    def _count(self, code: str, roi: Roi, times: int = 1) -> None:
        if times:
            self.counts[code] += int(times)
            self.names[code, roi.name] += int(times)


def _skipped(drawn: list[int]) -> dict[int, int]:
    """Return the slices skipped by an ROI that has contours on every second (third, …) slice only.

    Each skipped slice is mapped to its nearest drawn slice. The result is empty unless the whole ROI follows this
    rule: no contours on neighbouring slices, and most steps are equal. A gap between two lesions therefore stays a
    gap.
    """
    steps = np.diff(drawn)
    if len(steps) < 2 or steps.min() < 2 or np.mean(steps == steps.min()) <= 0.5:
        return {}
    pairs = [(low, high) for low, high in pairwise(drawn) if high - low == steps.min()]
    return {i: low if i - low <= high - i else high for low, high in pairs for i in range(low + 1, high)}


def frame_mismatch(frames: Iterable[str], frame: str | None, findings: Findings) -> None:
    """Warn if contours are drawn in another frame of reference than that of the CT."""
    known = sorted({other for other in frames if other})
    if frame and known and frame not in known:
        findings.warn(
            "other-frame-of-reference",
            "contours drawn in another frame of reference than the CT's",
            "the same frame of reference",
            "check one case by eye: the contours are placed by position as they are",
            f"CT {frame}, contours {', '.join(known)}",
        )
