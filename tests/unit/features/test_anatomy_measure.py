"""Measures of organs with hand-computed values."""

import numpy as np
import pytest

from metaswin.features.anatomy import MEASURES, contact, measure, surface

SPACING = (1.0, 2.0, 3.0)  # x, y, z


@pytest.fixture
def volumes():
    """A tumour of 2 x 2 x 2 voxels; label 1 touches it in x, label 2 lies apart in z, label 3 overlaps it."""
    hu = np.zeros((8, 8, 8))
    tumor = np.zeros(hu.shape, dtype=bool)
    tumor[2:4, 2:4, 2:4] = True
    organs = np.zeros(hu.shape, dtype=np.uint16)
    organs[2:4, 2:4, 4:6] = 1
    organs[6:8, 2:4, 2:4] = 2
    organs[2:4, 0:3, 2:4] = 3
    hu[organs == 1] = 40
    hu[organs == 3] = np.where(tumor[organs == 3], 100, 10)
    return hu, tumor, organs


def test_measure_of_touching_separate_and_overlapping_structures_equals_values_by_hand(volumes):
    found = measure(*volumes, {"near": [1], "far": [2], "shared": [3], "none": [9], "absent": []}, SPACING)
    assert found["near__volume_mm3"] == 8 * 6
    assert found["near__mean_hu"] == 40
    assert found["near__distance_mm"] == 1.0  # one voxel in x
    assert found["near__contact_mm2"] == 4 * 2 * 3  # four faces of y × z
    assert found["far__distance_mm"] == 3 * 3.0
    assert found["far__contact_mm2"] == 0
    assert found["shared__distance_mm"] == 0
    assert found["shared__mean_hu"] == 10  # outside the tumour
    assert found["shared__contact_mm2"] == 4 * 1 * 3  # faces of x × z
    assert found["none__volume_mm3"] == 0
    assert np.isnan(found["none__distance_mm"])
    assert all(np.isnan(found[f"absent__{measure}"]) for measure in MEASURES)


def test_surface_when_a_cube_then_all_voxels_but_the_inner_ones():
    mask = np.zeros((7, 7, 7), dtype=bool)
    mask[1:6, 1:6, 1:6] = True
    found = surface(mask)
    assert len(found) == 5**3 - 3**3
    assert len(surface(np.ones((3, 3, 3), dtype=bool))) == 26  # the border of the image is a surface too


def test_contact_when_swapped_then_the_same(volumes):
    _, tumor, organs = volumes
    steps = np.array(SPACING[::-1])
    assert contact(tumor, organs == 1, steps) == contact(organs == 1, tumor, steps) == 24


def test_distance_when_random_masks_then_that_of_all_pairs():
    rng = np.random.default_rng(3)
    tumor, organs = rng.random((6, 7, 8)) > 0.95, (rng.random((6, 7, 8)) > 0.97).astype(np.uint16)
    organs[tumor] = 0
    steps = np.array(SPACING[::-1])
    pairs = np.argwhere(tumor)[:, None] * steps - np.argwhere(organs)[None] * steps
    found = measure(np.zeros(tumor.shape), tumor, organs, {"o": [1]}, SPACING)
    assert found["o__distance_mm"] == pytest.approx(np.sqrt((pairs**2).sum(axis=2)).min())
