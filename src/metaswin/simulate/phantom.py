"""Draw a head-and-neck-like phantom in HU with just enough anatomy to test a pipeline.

The shapes are ellipsoids and tubes arranged by hand. They are not taken from any person or atlas. Therefore
measurements on them say nothing about patients.

Coordinates are millimetres with x to the patient's left, y to the back, z to the head; arrays are (z, y, x). The
origin is in the midline at the level of the chin.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

AIR, FAT, SKIN, MUSCLE, BRAIN, BONE, MARROW, TEETH = -1000, -100, 35, 55, 35, 950, 350, 1500


@dataclass(frozen=True)
class Grid:
    """Voxel grid: `size`, `spacing` (mm) and `origin` (mm, centre of the first voxel), each as (x, y, z)."""

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an array on this grid, (z, y, x)."""
        return self.size[::-1]

    def axis(self, number: int) -> np.ndarray:
        """Return the voxel centres (mm) along axis 0 (x), 1 (y) or 2 (z)."""
        return (self.origin[number] + self.spacing[number] * np.arange(self.size[number])).astype(np.float32)

    def coordinates(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return x, y, z of the voxel centres, shaped to broadcast over (z, y, x)."""
        return self.axis(0)[None, None, :], self.axis(1)[None, :, None], self.axis(2)[:, None, None]


@dataclass
class Anatomy:
    """The healthy phantom on a grid; arrays of shape (z, y, x).

    `hu` is float32. `depth` is the distance below the surface of the skin (mm), negative outside. `solid` is bone,
    teeth and air, where no lesions and no stranding of fat are drawn. `structures` is the coverage (0…1) of the
    structures that planners draw.
    """

    hu: np.ndarray
    depth: np.ndarray
    solid: np.ndarray
    structures: dict[str, np.ndarray]


def random_field(rng: np.random.Generator, grid: Grid, sigma: float) -> np.ndarray:
    """Return a smooth Gaussian field with mean 0 and standard deviation 1, shape (z, y, x), float32.

    White noise is smoothed with a Gaussian of `sigma` mm. It is filtered on a lattice of step max(spacing, sigma / 2)
    and interpolated linearly.
    """
    spacing = np.array(grid.spacing[::-1])
    step = np.maximum(spacing, sigma / 2)
    lattice = np.ceil(np.array(grid.shape) * spacing / step).astype(int) + 1
    coarse = rng.standard_normal(tuple(lattice), dtype=np.float32)
    coarse = ndimage.gaussian_filter(coarse, sigma / step, mode="wrap")
    coarse = (coarse - coarse.mean()) / coarse.std()
    return ndimage.affine_transform(coarse, spacing / step, output_shape=grid.shape, order=1, mode="nearest")


def build_anatomy(grid: Grid, rng: np.random.Generator, contrast: bool) -> Anatomy:
    """Return the phantom without lesions; `rng` varies its size and the pattern of fat and muscle."""
    painter = _Painter(grid, scale=float(rng.uniform(0.95, 1.03)))
    depth = _depth(painter)
    fat_layer = 2.0 + float(rng.uniform(3.0, 7.0))
    fatty = random_field(rng, grid, 3.5)
    deep = np.where(fatty > 0.7, FAT, MUSCLE + 4 * fatty)
    hu = np.where(depth < 2.0, SKIN, np.where(depth < fat_layer, FAT, deep)).astype(np.float32)
    painter.hu = np.where(depth < 0, AIR, hu).astype(np.float32)
    vessel = 190 if contrast else 42
    structures = {"External": np.clip(depth / grid.spacing[0] + 0.5, 0, 1)}
    structures |= _soft_organs(painter, 130 if contrast else 95)
    _vessels(painter, vessel)
    structures |= _bones(painter)
    _airways(painter)
    painter.hu[depth < 0] = AIR
    _couch(painter, depth)
    solid = (painter.hu > 220) | (painter.hu < -400)
    return Anatomy(painter.hu, depth, solid, structures)


class _Painter:
    """Paint shapes with soft edges into `hu`; `scale` is the size of this person, 1 is the average."""

    def __init__(self, grid: Grid, scale: float):
        self.grid = grid
        self.hu = np.zeros(grid.shape, np.float32)
        self.x, self.y, self.z = (axis / np.float32(scale) for axis in grid.coordinates())
        self.scale = scale

    def ellipsoid(self, centre, axes, value: float, squash_z: bool = True) -> np.ndarray:
        """Fill an ellipsoid (without `squash_z`: an elliptical cylinder of height ±axes[2]) and return its coverage."""
        box = tuple(
            slice(*np.searchsorted(axis.ravel(), (c - a - 6, c + a + 6)))
            for axis, c, a in zip((self.z, self.y, self.x), centre[::-1], axes[::-1], strict=True)
        )
        z, y, x = self.z[box[0]], self.y[:, box[1]], self.x[:, :, box[2]]
        flat = ((x - centre[0]) / axes[0]) ** 2 + ((y - centre[1]) / axes[1]) ** 2
        if squash_z:
            inside = (1 - np.sqrt(flat + ((z - centre[2]) / axes[2]) ** 2)) * min(axes)
        else:
            inside = np.minimum((1 - np.sqrt(flat)) * min(axes[:2]), axes[2] - np.abs(z - centre[2]))
        return self._blend(box, inside, value)

    def distance(self, inside: np.ndarray, value: float) -> np.ndarray:
        """Fill where the signed distance `inside` (mm) is positive, and return the coverage."""
        return self._blend((slice(None),) * 3, inside, value)

    def _blend(self, box, inside: np.ndarray, value: float) -> np.ndarray:
        coverage = np.zeros(self.grid.shape, np.float32)
        coverage[box] = np.clip(inside * self.scale / self.grid.spacing[0] + 0.5, 0, 1)
        self.hu[box] += coverage[box] * (value - self.hu[box])
        return coverage


def _depth(p: _Painter) -> np.ndarray:
    """Return the distance below the skin (mm): a neck that widens to a head above and to shoulders below."""
    head = 1 / (1 + np.exp(-(p.z + 6) / 6))
    shoulders = 1 / (1 + np.exp((p.z + 58) / 5))
    half_width = 58 + 13 * head + 14 * shoulders
    half_depth = 57 + 29 * head + 4 * shoulders
    middle = 14 - 10 * head
    radius = np.sqrt((p.x / half_width) ** 2 + ((p.y - middle) / half_depth) ** 2)
    return ((1 - radius) * np.minimum(half_width, half_depth) * p.scale).astype(np.float32)


def _soft_organs(p: _Painter, thyroid: float) -> dict[str, np.ndarray]:
    p.ellipsoid((0, -32, 10), (24, 30, 15), 62)
    for side in (-1, 1):
        p.ellipsoid((side * 40, 2, 26), (7, 10, 18), FAT)
        p.ellipsoid((side * 30, -24, -5), (8, 12, 9), 45)
        p.ellipsoid((side * 17, -14, -48), (8, 9, 15), thyroid)
        p.ellipsoid((side * 44, 22, -25), (7, 13, 40), 60)
    return {
        "PAROTID_L": p.ellipsoid((54, 6, 22), (9, 14, 18), 8),
        "PAROTID_R": p.ellipsoid((-54, 6, 22), (9, 14, 18), 8),
    }


def _vessels(p: _Painter, value: float) -> None:
    for side in (-1, 1):
        p.ellipsoid((side * 26, 12, 0), (3.4, 3.4, 90), value, squash_z=False)
        p.ellipsoid((side * 34, 17, 0), (5.0, 4.5, 90), value, squash_z=False)


def _bones(p: _Painter) -> dict[str, np.ndarray]:
    p.ellipsoid((0, 18, 88), (66, 64, 56), BONE)
    p.ellipsoid((0, 18, 88), (60, 58, 50), BRAIN)
    p.ellipsoid((0, -50, 42), (40, 26, 20), 600)
    p.ellipsoid((0, 36, -38), (13, 11, 64), BONE, squash_z=False)
    p.ellipsoid((0, 36, -38), (11, 9, 64), MARROW, squash_z=False)
    for level in range(-72, 28, 18):
        p.ellipsoid((0, 36, level), (13, 11, 2.5), 90, squash_z=False)
    p.ellipsoid((0, 54, -33), (11, 9, 65), BONE, squash_z=False)
    p.ellipsoid((0, 66, -28), (3.5, 12, 50), BONE, squash_z=False)
    cord = p.ellipsoid((0, 54, -33), (7.5, 6.5, 70), 35, squash_z=False)
    arch = 4.5 - np.abs(np.sqrt((p.x / 44) ** 2 + ((p.y + 16) / 40) ** 2) - 1) * 40
    front = -14 - p.y
    jaw = p.distance(np.minimum(np.minimum(arch, front), 9 - np.abs(p.z - 5)), BONE)
    p.distance(np.minimum(np.minimum(arch - 1.5, front - 12), 4 - np.abs(p.z - 18)), TEETH)
    rami = [p.ellipsoid((side * 45, -12, 22), (4.5, 13, 24), BONE) for side in (-1, 1)]
    return {"Mandible": np.maximum.reduce([jaw, *rami]), "SpinalCord": cord}


def _airways(p: _Painter) -> None:
    p.ellipsoid((0, -48, 44), (7, 26, 13), AIR)
    for side in (-1, 1):
        p.ellipsoid((side * 22, -48, 42), (11, 14, 12), AIR)
    p.ellipsoid((0, -34, 27), (17, 22, 2.5), AIR)
    p.ellipsoid((0, 5, 18), (13, 7, 14), AIR)
    p.ellipsoid((0, 2, -5), (10, 6, 26), AIR)
    p.ellipsoid((0, -12, -28), (14, 14, 12), 180, squash_z=False)
    p.ellipsoid((0, -10, -58), (11.5, 11.5, 40), 110, squash_z=False)
    p.ellipsoid((0, -10, -58), (9, 9, 45), AIR, squash_z=False)


def _couch(p: _Painter, depth: np.ndarray) -> None:
    """Draw a thin table top behind the patient, separate from the body."""
    behind = 94.0 * p.scale + 3.0
    plate = (np.abs(p.grid.coordinates()[1] - behind - 1.5) <= 2.0) & (np.abs(p.x) < 80)
    p.hu[np.broadcast_to(plate, depth.shape) & (depth < -2)] = -150
