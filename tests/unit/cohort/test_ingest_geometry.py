"""Geometry of a series and of contours, as headers have them."""

import math

import pandas as pd
import pytest
from ingest_series import ct

from metaswin.cohort.choice import Series
from metaswin.cohort.contour_sets import Roi
from metaswin.cohort.series import check_contours, check_series, stack
from metaswin.config.imaging import ImagesSettings

SETTINGS = ImagesSettings()


def series(**facts: object) -> Series:
    paths = [f"ct/{number}" for number in range(50)]
    return Series.of(pd.DataFrame([ct(**{"paths": paths, **facts})]).to_dict("records")[0])


def codes(**facts: object) -> list[tuple[str, bool]]:
    return [(item.code, item.excludes) for item in check_series("P1", series(**facts), SETTINGS)]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, []),
        ({"along": [1000.0 + 3 * z for z in range(9)]}, []),
        ({"along": [0.0, 3, 6, 12, 15, 18]}, [("missing-slices", True)]),
        ({"along": [0.0, 3, 6, 9, 13, 16]}, [("variable-spacing", True)]),
        ({"along": [9.0 * z for z in range(9)]}, [("slice-spacing-too-large", True)]),
        ({"along": [0.0, 1, 2]}, [("too-few-slices", True)]),
        ({"drift": 0.6}, [("gantry-tilt", True)]),
        ({"drift": 0.4}, []),
        ({"unplaced": 2}, [("incomplete-header", True)]),
        ({"pixel_spacing": math.nan}, [("incomplete-header", True)]),
        ({"no_hu": "a rescale slope of 0"}, [("not-hu", True)]),
        ({"lossy": True}, [("lossy-compression", False)]),
        ({"repeated": 1}, [("repeated-positions", False)]),
        ({"frames": 80, "along": []}, []),
    ],
)
def test_check_series_when_headers_are_invalid_then_the_code_says_why(facts, expected):
    assert codes(**facts) == expected


def test_stack_when_slices_drift_repeat_or_lack_a_position_then_counted():
    part = {
        "position": [6.0, 0.0, math.nan, 3.0, 3.001],
        "across": [-5.0, -5.0, math.nan, -5.0, -5.0],
        "down": [2.0, 5.0, math.nan, 2.0, 2.0],
        "orientation": ["1 0 0 0 1 0"] * 5,
        "column_spacing": [0.9] * 5,
    }
    found = stack(part)
    assert found["along"] == [0.0, 3.0, 6.0]
    assert (found["unplaced"], found["repeated"], found["drift"]) == (1, 1, 3.0)
    assert (found["across"], found["down"], found["column_spacing"]) == (-5.0, 5.0, 0.9)


#    64 × 64 pixels of 1 mm from (0, 0), 50 slices from 0 to 49 mm
@pytest.mark.parametrize(
    ("boxes", "outside"),
    [
        ([[10, 10, 10, 20, 20, 20]], False),
        ([[60, 10, 10, 90, 20, 20]], False),
        ([[66, 10, 10, 90, 20, 20]], False),  # within half its length: its other points may reach in
        ([[90, 10, 10, 100, 20, 20]], True),
        ([[10, 10, -90, 20, 20, -80]], True),
        ([[90, 10, 10, 100, 20, 20], [10, 10, 10, 20, 20, 20]], False),
        ([None], False),
    ],
)
def test_check_contours_when_boxes_lie_beyond_the_ct_then_only_all_of_them_exclude(boxes, outside):
    rois = {"primary": [Roi(number, "GTV", 3, box) for number, box in enumerate(boxes)]}
    found = [item.code for item in check_contours("P1", series(), rois)]
    assert found == (["contour-outside-image"] if outside else [])
