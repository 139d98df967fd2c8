"""Flags of masks that look odd."""

import numpy as np
import pytest

from metaswin.core.problems import Findings
from metaswin.imaging.qc_image import flag, uneven_pairs

LABELS = {"outside": 5, "parotid_gland_left": 7, "parotid_gland_right": 8}


@pytest.fixture
def masks():
    """A tumour and two parotid glands of 27 voxels each, well inside."""
    tumor, organs = np.zeros((2, 12, 14, 16), dtype=np.uint8)
    tumor[5:7, 5:7, 5:7] = 1
    organs[4:7, 4:7, 10:13] = 7
    organs[4:7, 4:7, 2:5] = 8
    organs[:, :2] = 5
    return tumor, organs


def codes(tumor, organs, labels=LABELS):
    findings = Findings("P1", "pictures")
    flag(tumor, organs, labels, findings)
    return {warning.code: warning.found for warning in findings.warnings}


def test_flags_when_there_is_no_fault_then_none(masks):
    assert codes(*masks) == {}


@pytest.mark.parametrize("face", [(0, 5, 5), (-1, 5, 5), (5, 0, 5), (5, -1, 5), (5, 5, 0), (5, 5, -1)])
def test_flags_when_the_tumour_touches_any_face_then_it_is_reported(masks, face):
    tumor, organs = masks
    tumor[face] = 2
    assert "tumor-at-border" in codes(tumor, organs * (organs != 5))


def test_flags_when_half_of_the_tumour_is_outside_the_body_then_percentage_reported(masks):
    tumor, organs = masks
    organs[5] = 5
    assert codes(tumor, organs)["tumor-outside-body"] == "50% of the tumour outside the body"


def test_flags_when_an_organ_is_empty_then_it_is_named_and_tissues_are_not(masks):
    assert codes(*masks, {**LABELS, "brain": 30, "bone": 4}) == {"organ-empty": "no voxel of brain"}


def test_flags_when_an_organ_is_cut_off_then_its_side_is_not_compared(masks):
    tumor, organs = masks
    organs[4:12, 4:7, 10:13] = 7
    assert list(codes(tumor, organs)) == ["organ-at-border"]


def test_flags_when_one_side_is_three_times_the_other_then_both_are_named(masks):
    tumor, organs = masks
    organs[4:7, 4:5, 2:5], organs[4:7, 6:7, 2:5] = 0, 0
    assert codes(tumor, organs) == {"organ-sides-differ": "parotid_gland_left 3.0 × parotid_gland_right"}


def test_pairs_when_names_contain_left_or_right_then_only_whole_words_count():
    sizes = {"left_eye": 10, "right_eye": 25, "cleft": 1, "cright": 9, "lung_upper_lobe_left": 1, "lung_right": 90}
    assert uneven_pairs(sizes) == [("right_eye", "left_eye", 2.5)]
