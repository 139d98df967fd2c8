"""The phantom carries the latent variables, and the contours describe the lesions exactly."""

import numpy as np
import pytest
from matplotlib.path import Path as Polygon
from scipy import ndimage

from metaswin.simulate.contours import trace
from metaswin.simulate.lesions import LesionPlan, add_lesions, total_volume
from metaswin.simulate.phantom import Grid, build_anatomy, random_field
from metaswin.simulate.scanners import HU_RANGE, SCANNERS, acquire, scan_grid

SITES = ["oropharynx", "larynx", "oral cavity", "hypopharynx", "nasopharynx", "unknown primary"]


def plan(**changes):
    usual = {
        "texture": 0.0,
        "volume": 0.0,
        "peritumoral": 0.0,
        "site": "oropharynx",
        "n_stage": 2,
        "contrast": False,
    }
    return LesionPlan(**{**usual, **changes})


def phantom(lesions, seed=0, scanner=0, matrix=64, coverage=96.0):
    rng = np.random.default_rng(seed)
    grid = scan_grid(SCANNERS[scanner], matrix, coverage)
    anatomy = build_anatomy(grid, rng, lesions.contrast)
    return anatomy, grid, add_lesions(anatomy, grid, lesions, rng), rng


def union(lesions):
    return np.logical_or.reduce([lesion.mask for lesion in lesions])


def even_odd(contours, grid):
    """Voxels with an odd number of polygons around their centre; an independent rasteriser."""
    mask = np.zeros(grid.shape, bool)
    y, x = np.meshgrid(grid.axis(1), grid.axis(0), indexing="ij")
    centres = np.column_stack([x.ravel(), y.ravel()]).astype(float)
    for contour in contours:
        closed = np.vstack([contour.points, contour.points[:1]])
        mask[contour.slice_index] ^= Polygon(closed, closed=True).contains_points(centres).reshape(x.shape)
    return mask


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("volume", [-2.0, 2.0])
def test_lesions_have_the_planned_volume_and_lie_within_scan_and_skin(site, volume):
    anatomy, grid, lesions, _ = phantom(plan(site=site, volume=volume, n_stage=3))
    mask, voxel = union(lesions), np.prod(grid.spacing)
    measured = sum(lesion.mask.sum() for lesion in lesions) * voxel
    assert measured == pytest.approx(total_volume(volume), abs=2 * voxel * len(lesions))
    assert mask.sum() * voxel > 0.8 * total_volume(volume)
    assert not mask[[0, -1]].any()
    assert anatomy.depth[mask].min() > 2.0
    roles = [lesion.role for lesion in lesions]
    assert roles == (["nodes"] * 3 if site == "unknown primary" else ["primary", *["nodes"] * 3])


def test_measured_texture_and_ring_density_follow_their_latents():
    rng = np.random.default_rng(3)
    rows = []
    for seed in range(40):
        texture, volume, peritumoral = rng.standard_normal(3)
        lesions = plan(texture=texture, volume=volume, peritumoral=peritumoral, site=SITES[seed % 5], n_stage=seed % 4)
        anatomy, grid, drawn, noise = phantom(lesions, seed=seed, scanner=seed % 4)
        hu = acquire(anatomy.hu, grid, SCANNERS[seed % 4], 0.3, noise)
        mask = union(drawn)
        distance = ndimage.distance_transform_edt(~mask, sampling=grid.spacing[::-1])
        ring = (distance > 0) & (distance <= 10) & (hu > -400) & (hu < 250)
        rows.append([texture, hu[mask].std(), peritumoral, hu[ring].mean()])
    correlation = np.corrcoef(np.transpose(rows))
    assert correlation[0, 1] > 0.5
    assert correlation[2, 3] > 0.5
    assert abs(correlation[0, 3]) < 0.4
    assert abs(correlation[2, 1]) < 0.4


def test_contours_rasterise_to_exactly_the_lesion():
    _, grid, lesions, _ = phantom(plan(volume=1.0), scanner=2)
    for lesion in lesions:
        contours = trace(lesion.level, lesion.threshold, grid)
        assert np.array_equal(even_odd(contours, grid), lesion.mask)


def test_contours_of_a_structure_with_a_hole_and_at_the_border_rasterise_back():
    grid = Grid((12, 10, 3), (2.0, 1.0, 3.0), (-5.0, 7.0, 0.0))
    inside = np.zeros(grid.shape, bool)
    inside[1, 0:8, 2:9] = True
    inside[1, 3:5, 4:6] = False
    inside[2, 9, 11] = True
    assert np.array_equal(even_odd(trace(-inside.astype(float), -0.5, grid), grid), inside)


def test_organ_contours_stay_close_after_simplification():
    anatomy, grid, _, _ = phantom(plan())
    for coverage in anatomy.structures.values():
        drawn, wanted = even_odd(trace(-coverage, -0.5, grid, 0.25), grid), coverage > 0.5
        assert (drawn & wanted).sum() > 0.9 * wanted.sum()


def test_phantom_has_the_tissues_of_a_head_and_neck():
    anatomy, grid, lesions, _ = phantom(plan(), matrix=96, coverage=120.0)
    body, hu = anatomy.depth > 2, anatomy.hu
    inside = hu[body]
    for low, high, least in ((-1100, -900, 0.005), (-130, -70, 0.1), (30, 80, 0.3), (700, 1600, 0.02)):
        assert np.mean((inside > low) & (inside < high)) > least
    assert (hu[anatomy.depth < -3] < -140).all()
    voxel = np.prod(grid.spacing) / 1000
    # An ellipsoid of 9 × 14 × 18 mm measures 9.5 cm³, times the cube of this person's scale (0.95–1.03).
    assert 7.5 < (anatomy.structures["PAROTID_L"] > 0.5).sum() * voxel < 11
    assert union(lesions).any()


@pytest.mark.parametrize("sigma", [1.0, 3.0, 8.0])
def test_random_field_is_standardised_and_correlated_over_sigma(sigma):
    grid = Grid((60, 60, 40), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    field = random_field(np.random.default_rng(0), grid, sigma)
    assert field.shape == grid.shape
    assert field.mean() == pytest.approx(0, abs=0.15)
    assert 0.75 < field.std() < 1.1
    # White noise under a Gaussian of sigma is correlated by exp(-d²/4σ²) at distance d.
    lag = max(1, round(sigma))
    measured = np.corrcoef(field[:, :, lag:].ravel(), field[:, :, :-lag].ravel())[0, 1]
    assert measured == pytest.approx(np.exp(-((2 * lag) ** 2) / (4 * sigma**2)), abs=0.25)


def test_scanner_shift_zero_makes_scanners_alike_and_one_sets_them_apart():
    noise_of = {}
    for shift in (0.0, 1.0):
        for number, scanner in enumerate(SCANNERS):
            grid = Grid((40, 40, 20), (2.0, 2.0, 2.5), (0.0, 0.0, 0.0))
            flat = np.full(grid.shape, 50.0, np.float32)
            scan = acquire(flat, grid, scanner, shift, np.random.default_rng(1))
            noise_of[shift, number] = scan.std()
    assert np.ptp([noise_of[0.0, number] for number in range(4)]) < 0.2
    assert noise_of[1.0, 2] > 2 * noise_of[1.0, 3]


@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda scanner: scanner.manufacturer)
def test_acquired_values_can_be_stored(scanner):
    grid = Grid((20, 20, 10), (2.0, 2.0, 2.5), (0.0, 0.0, 0.0))
    hu = np.linspace(-3000, 6000, 4000, dtype=np.float32).reshape(grid.shape)
    scan = acquire(hu, grid, scanner, 1.0, np.random.default_rng(0))
    assert HU_RANGE[0] <= scan.min()
    assert scan.max() == HU_RANGE[1]
    if not scanner.signed:
        assert scan.min() - scanner.intercept >= 0
        assert scan.max() - scanner.intercept <= 4095
