"""Draw tumour and lymph nodes, which carry the latent variables of the risk.

- **Volume.** Primary and nodes together have `total_volume(volume)` mm³, log-linear in the latent variable. The nodes
  have a fraction of it that increases with the N stage. With an unknown primary, the nodes have all of it.
- **Texture.** Every lesion is `TUMOUR_HU` plus a smooth Gaussian field (3 mm) with a standard deviation of
  `heterogeneity(texture)` HU, log-linear in the latent variable. The variance within the tumour increases with it.
- **Peritumoral density.** Within 10 mm of any lesion, soft tissue is fat with strands. The fraction of strands
  increases with the latent variable (`stranding`), and so does the mean HU of the ring. The effect fades out at 14 mm.

Blur and resampling carry some of the ring's density into the lesion's edge, as in real images. Therefore features of
the tumour alone contain some information about the peritumoral latent variable.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from metaswin.simulate.phantom import FAT, Anatomy, Grid, random_field

TUMOUR_HU = 65.0
CONTRAST_GAIN = 25.0
STRAND_HU = 45.0
MEDIAN_VOLUME, LOG_VOLUME_SD, VOLUME_RANGE = 16_000.0, 0.65, (3_000.0, 90_000.0)
MEDIAN_HETEROGENEITY, LOG_HETEROGENEITY_SD = 16.0, 0.5
NODE_SHARE = (0.0, 0.15, 0.30, 0.45)
NODE_COUNT = (0, 1, 2, 3)
RING_MM, FADE_MM = 10.0, 14.0
SKIN_MM = 5.0
"""Distance (mm) that lesions keep from the surface of the skin."""

SITE_CENTRES = {
    "oropharynx": (17.0, 4.0, 10.0),
    "larynx": (7.0, -10.0, -26.0),
    "oral cavity": (10.0, -38.0, 12.0),
    "hypopharynx": (12.0, 8.0, -20.0),
    "nasopharynx": (9.0, 8.0, 26.0),
}
"""Centre of the primary (mm), on the left side."""

NODE_LEVELS = ((38.0, 4.0, -2.0), (40.0, 14.0, -20.0), (37.0, 8.0, -36.0))


@dataclass(frozen=True)
class LesionPlan:
    """Content of a patient's images: latents (standard normal), name of the site or 'unknown primary', N stage."""

    texture: float
    volume: float
    peritumoral: float
    site: str
    n_stage: int
    contrast: bool


@dataclass(frozen=True)
class Lesion:
    """One lesion with the `role` 'primary' or 'nodes': the voxels at which `level` (z, y, x) is below `threshold`."""

    role: str
    level: np.ndarray
    threshold: float

    @property
    def mask(self) -> np.ndarray:
        return self.level < self.threshold


def total_volume(latent: float) -> float:
    """Return the volume of all lesions together (mm³)."""
    return float(np.clip(MEDIAN_VOLUME * np.exp(LOG_VOLUME_SD * latent), *VOLUME_RANGE))


def heterogeneity(latent: float) -> float:
    """Return the standard deviation (HU) of the field within a lesion."""
    return float(MEDIAN_HETEROGENEITY * np.exp(LOG_HETEROGENEITY_SD * latent))


def stranding(latent: float) -> float:
    """Return the mean fraction (0…1) of soft tissue in the peritumoral fat."""
    return float(1 / (1 + np.exp(-0.9 * latent)))


def add_lesions(anatomy: Anatomy, grid: Grid, plan: LesionPlan, rng: np.random.Generator) -> list[Lesion]:
    """Draw the lesions of `plan` into ``anatomy.hu`` and return them, the primary first."""
    lesions = _place(anatomy, grid, plan, rng)
    mask = np.logical_or.reduce([lesion.mask for lesion in lesions])
    box = _box(mask, grid, FADE_MM + 2)
    hu, tissue = anatomy.hu[box], ~anatomy.solid[box] & (anatomy.depth[box] > 2.0)
    distance = ndimage.distance_transform_edt(~mask[box], sampling=grid.spacing[::-1])
    weight = np.clip((FADE_MM - distance) / (FADE_MM - RING_MM), 0, 1) * tissue
    strands = np.clip(stranding(plan.peritumoral) + 0.15 * random_field(rng, grid, 2.0)[box], 0, 1)
    hu += (weight * (FAT + (STRAND_HU - FAT) * strands - hu)).astype(np.float32)
    inside = TUMOUR_HU + CONTRAST_GAIN * plan.contrast + heterogeneity(plan.texture) * random_field(rng, grid, 3.0)[box]
    hu[mask[box]] = inside[mask[box]]
    return lesions


def _place(anatomy: Anatomy, grid: Grid, plan: LesionPlan, rng: np.random.Generator) -> list[Lesion]:
    total = total_volume(plan.volume)
    has_primary = plan.site in SITE_CENTRES
    in_nodes = total * (NODE_SHARE[plan.n_stage] if has_primary else 1.0)
    side = float(rng.choice([-1.0, 1.0]))
    lesions: list[Lesion] = []
    if has_primary:
        x, y, z = SITE_CENTRES[plan.site]
        centre = np.array([side * x, y, z]) + rng.uniform(-3, 3, size=3)
        lesions.append(_lesion("primary", centre, total - in_nodes, anatomy, grid, rng))
    parts = _shares(NODE_COUNT[plan.n_stage], rng)
    for part in parts:
        lesions.append(_lesion("nodes", _free_spot(lesions, side, grid, rng), part * in_nodes, anatomy, grid, rng))
    return lesions


def _shares(count: int, rng: np.random.Generator) -> np.ndarray:
    shares = rng.uniform(0.6, 1.4, size=count)
    return shares / shares.sum()


def _free_spot(lesions: list[Lesion], side: float, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """Return the node level that is farthest from existing lesions; distances above 25 mm count as equal.

    Of equal levels, those on the same side as the primary come first.
    """
    spots = np.array([(s * x, y, z) for s in (side, -side) for x, y, z in NODE_LEVELS]) + rng.uniform(-2, 2, (6, 3))
    if not lesions:
        return spots[0]
    taken = np.argwhere(np.logical_or.reduce([lesion.mask for lesion in lesions]))[:, ::-1]
    points = taken * np.array(grid.spacing) + np.array(grid.origin)
    gaps = [min(25.0, float(np.linalg.norm(points - spot, axis=1).min())) for spot in spots]
    return spots[int(np.argmax(gaps))]


def _lesion(
    role: str, centre: np.ndarray, volume: float, anatomy: Anatomy, grid: Grid, rng: np.random.Generator
) -> Lesion:
    """Return an irregular ellipsoid of `volume` mm³ (exact to one voxel), below the skin and completely in the scan."""
    radius = (0.75 * volume / np.pi) ** (1 / 3)
    low, high = grid.axis(2)[[0, -1]]
    reach = 1.3 * radius + 2 * grid.spacing[2]
    centre = np.array([*centre[:2], np.clip(centre[2], low + reach, high - reach)])
    axes = radius * rng.uniform(0.85, 1.18, size=3)
    bumps = 1 + 0.08 * random_field(rng, grid, 6.0)
    x, y, z = ((c - m) / a for c, m, a in zip(grid.coordinates(), centre, axes, strict=True))
    level = np.sqrt(x**2 + y**2 + z**2) * bumps + np.maximum(SKIN_MM - anatomy.depth, 0)
    count = max(8, round(volume / float(np.prod(grid.spacing))))
    lowest = np.partition(level.ravel(), [count - 1, count])
    return Lesion(role, level, float(0.5 * (lowest[count - 1] + lowest[count])))


def _box(mask: np.ndarray, grid: Grid, margin: float) -> tuple[slice, ...]:
    """Return the bounding box of `mask`, extended by `margin` mm."""
    widths = [int(np.ceil(margin / spacing)) for spacing in grid.spacing[::-1]]
    return tuple(
        slice(max(0, found.start - width), found.stop + width)
        for found, width in zip(ndimage.find_objects(mask.astype(np.uint8))[0], widths, strict=True)
    )
