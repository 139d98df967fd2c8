"""Even-odd rasterisation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path as Polygon

from metaswin.imaging.contours import area, rasterise

SHAPE = (3, 12, 15)


def square(low: float, high: float) -> np.ndarray:
    return np.array([[low, low], [high, low], [high, high], [low, high]])


def drawn(*polygons: np.ndarray, index: int = 1) -> np.ndarray:
    mask = rasterise([(index, polygon) for polygon in polygons], SHAPE)
    others = [i for i in range(SHAPE[0]) if i != index]
    assert not mask[others].any()
    return mask[index]


def test_rasterise_when_square_then_pixels_with_their_centre_inside():
    expected = np.zeros(SHAPE[1:], dtype=bool)
    expected[2:6, 2:6] = True
    np.testing.assert_array_equal(drawn(square(1.5, 5.5)), expected)
    np.testing.assert_array_equal(drawn(square(1.5, 5.5)[::-1]), expected)


def test_rasterise_when_edges_run_through_centres_then_neighbours_share_no_pixel():
    left = np.array([[2, 2], [5, 2], [5, 8], [2, 8]], dtype=float)
    right = np.array([[5, 2], [9, 2], [9, 8], [5, 8]], dtype=float)
    a, b = drawn(left), drawn(right)
    assert not (a & b).any()
    assert (a.sum(), b.sum()) == (18, 24)


def test_rasterise_when_contours_are_nested_then_the_inner_one_is_a_hole():
    mask = drawn(square(0.5, 9.5), square(3.5, 6.5))
    assert mask.sum() == 81 - 9
    assert not mask[4:7, 4:7].any()


def test_rasterise_when_keyhole_then_as_outer_and_hole():
    outer, inner = square(0.5, 9.5), square(3.5, 6.5)
    keyhole = np.vstack([outer, outer[:1], inner[:1], inner[::-1], outer[:1]])
    np.testing.assert_array_equal(drawn(keyhole), drawn(outer, inner))


def test_rasterise_when_island_in_a_hole_then_it_is_inside_again():
    mask = drawn(square(0.5, 9.5), square(2.5, 7.5), square(3.5, 5.5))
    assert mask[4, 4]
    assert not mask[3, 3]


@pytest.mark.parametrize(
    ("polygon", "count"),
    [
        (square(-5.0, 3.5), 16),
        (square(-9.0, -2.0), 0),
        (square(20.0, 30.0), 0),
        (square(-5.0, 50.0), 12 * 15),
        (square(10.5, 40.0), 4),
    ],
)
def test_rasterise_when_polygon_leaves_the_image_then_it_is_clipped(polygon, count):
    assert drawn(polygon).sum() == count


def test_rasterise_when_nothing_is_given_then_empty():
    assert not rasterise([], SHAPE).any()
    assert not rasterise([(0, np.array([[1.0, 1.0], [5.0, 1.0]]))], SHAPE).any()


def test_rasterise_when_300_polygons_cover_a_pixel_then_their_number_still_decides():
    assert not drawn(*[square(1.5, 5.5)] * 300).any()
    assert drawn(*[square(1.5, 5.5)] * 301).sum() == 16


@given(
    st.integers(3, 9),
    st.integers(0, 2**32 - 1),
    st.floats(-3, 15),
    st.floats(-3, 12),
)
def test_rasterise_when_star_polygon_then_as_matplotlib(corners, seed, x, y):
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = rng.uniform(1, 8, corners)
    polygon = np.column_stack([x + radius * np.cos(angle), y + radius * np.sin(angle)])
    rows, columns = np.mgrid[: SHAPE[1], : SHAPE[2]]
    centres = np.column_stack([columns.ravel(), rows.ravel()])
    expected = Polygon(np.vstack([polygon, polygon[:1]]), closed=True).contains_points(centres)
    if np.ptp(angle) > np.pi and np.diff(angle, append=angle[0] + 2 * np.pi).max() < np.pi:
        np.testing.assert_array_equal(drawn(polygon).ravel(), expected)


@given(st.floats(10, 40), st.floats(0, 1), st.floats(0, 1))
def test_rasterise_when_circle_then_area_is_kept(radius, dx, dy):
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    polygon = np.column_stack([50 + dx + radius * np.cos(angle), 50 + dy + radius * np.sin(angle)])
    mask = rasterise([(0, polygon)], (1, 100, 100))
    assert mask.sum() == pytest.approx(area(polygon), rel=0.05)


def test_area_when_triangle_then_half_the_rectangle():
    assert area(np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 3.0]])) == 6.0
