"""Peritumoral rings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from metaswin.config.imaging import RegionsSettings, ring_name
from metaswin.imaging.regions import draw_rings, ring_labels

SHAPE = (21, 21, 21)
NOTHING = np.zeros(SHAPE, dtype=bool)


def point(*index: int) -> np.ndarray:
    mask = NOTHING.copy()
    mask[index] = True
    return mask


def test_draw_rings_when_one_voxel_then_a_shell_of_that_distance():
    drawn = draw_rings(point(10, 10, 10), NOTHING, (1.0, 1.0, 1.0), [(0, 3), (3, 6)])
    z, y, x = np.indices(SHAPE) - 10
    distance = np.sqrt(z**2 + y**2 + x**2)
    np.testing.assert_array_equal(drawn == 11, (distance > 0) & (distance <= 3))
    np.testing.assert_array_equal(drawn == 12, (distance > 3) & (distance <= 6))


def test_draw_rings_when_voxels_are_not_cubes_then_width_is_physical():
    drawn = draw_rings(point(10, 10, 10), NOTHING, (3.0, 1.0, 2.0), [(0, 6)]) > 0
    assert np.flatnonzero(drawn[:, 10, 10]).tolist() == [8, 9, 11, 12]
    assert np.flatnonzero(drawn[10, :, 10]).tolist() == [*range(4, 10), *range(11, 17)]
    assert np.flatnonzero(drawn[10, 10, :]).tolist() == [7, 8, 9, 11, 12, 13]


def test_draw_rings_when_a_gap_is_asked_for_then_it_stays_free():
    drawn = draw_rings(point(10, 10, 10), NOTHING, (1.0, 1.0, 1.0), [(2, 4)])
    assert np.flatnonzero(drawn[10, 10, :]).tolist() == [6, 7, 13, 14]


def test_ring_labels_when_rings_overlap_then_shells_are_shared():
    rings = [(0.0, 5.0), (0.0, 10.0), (3.0, 10.0)]
    labels = ring_labels(rings)
    assert labels == {rings[0]: [11, 12], rings[1]: [11, 12, 13], rings[2]: [12, 13]}
    assert ring_labels([(5.0, 10.0), (0.0, 5.0)]) == {(5.0, 10.0): [11], (0.0, 5.0): [12]}
    assert ring_labels([]) == {}


distances = st.integers(0, 8).map(float)
ring_lists = st.lists(st.tuples(distances, distances).filter(lambda r: r[0] < r[1]), max_size=4, unique=True)


@given(st.integers(0, 2**32 - 1), ring_lists, st.tuples(*[st.floats(0.5, 3)] * 3))
def test_draw_rings_when_anything_then_each_ring_is_its_distances_and_never_a_lesion(seed, rings, spacing):
    rng = np.random.default_rng(seed)
    lesions = rng.random((8, 9, 10)) < 0.01
    lesions[tuple(rng.integers(0, 8, 3))] = True
    barred = rng.random(lesions.shape) < 0.1
    drawn = draw_rings(lesions, barred, spacing, rings)
    assert not (drawn[lesions | barred]).any()
    voxels = np.argwhere(np.ones_like(lesions)) * spacing
    distance = np.min(np.linalg.norm(voxels[:, None] - np.argwhere(lesions) * spacing, axis=2), axis=1)
    distance = distance.reshape(lesions.shape)
    clear = (
        np.abs(distance[..., None] - np.array([edge for ring in rings for edge in ring] or [-1])).min(axis=-1) > 1e-6
    )
    for ring, labels in ring_labels(rings).items():
        expected = (distance > ring[0]) & (distance <= ring[1]) & ~lesions & ~barred
        np.testing.assert_array_equal(np.isin(drawn, labels)[clear], expected[clear])


def test_ring_name_when_distances_are_fractions_then_short():
    assert ring_name((0.0, 10.0)) == "ring_0_10mm"
    assert ring_name((2.5, 7.5)) == "ring_2.5_7.5mm"


@pytest.mark.parametrize("rings", [[(5, 5)], [(-1, 5)], [(10, 0)], [(0, 5), (0, 5)]])
def test_settings_when_rings_are_invalid_then_refused(rings):
    with pytest.raises(ValidationError, match="ring"):
        RegionsSettings(rings=rings)


def test_settings_when_rings_are_given_then_reach_is_the_widest():
    assert RegionsSettings(rings=[(0, 5), (5, 15)]).reach == 15
    assert RegionsSettings(rings=[]).reach == 0
