"""Tissues by thresholds on phantoms with known parts."""

import numpy as np
import pytest
from images_dicom import AXIAL, SAGITTAL, grid
from pydantic import ValidationError

from metaswin.config.imaging import ThresholdSettings
from metaswin.imaging.tissues import LABELS, segment_tissues

SIZE = (96, 96, 24)
SPACING = (2.0, 2.0, 3.0)
BODY, AIRWAY, BONE, NOSE, TABLE, LIMB = (100, 92, 40), (100, 80), (100, 120), 8.0, 170.0, (30, 92)


def phantom() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Axial CT (HU; slices, rows, columns) of a neck with a fat rim, airway, spine, table and an arm, and its parts."""
    z, y, x = np.indices(SIZE[::-1])
    y, x = y * SPACING[1], x * SPACING[0]

    def disc(centre, radius):
        return np.hypot(x - centre[0], y - centre[1]) <= radius

    parts = {
        "body": disc(BODY[:2], BODY[2]),
        "fat": disc(BODY[:2], BODY[2]) & ~disc(BODY[:2], BODY[2] - 8),
        "airway": disc(AIRWAY, 10),
        "bone": disc(BONE, 8),
        "table": (np.abs(y - TABLE) <= 2) & (x > 20),
        "limb": disc(LIMB, 14),
        # An open mouth: in two slices the airway reaches the skin.
        "mouth": (np.abs(x - AIRWAY[0]) <= 2) & (y < AIRWAY[1]) & (y > 40) & (z >= 10) & (z <= 11),
    }
    hu = np.full(SIZE[::-1], -1000.0)
    hu[parts["body"] | parts["table"] | parts["limb"]] = 40
    hu[parts["fat"]] = -100
    hu[parts["bone"]] = 700
    hu[parts["airway"] | parts["mouth"]] = -1000
    return hu + np.random.default_rng(0).normal(0, 10, hu.shape), parts


def segment(hu, lesion=None, on=None, **settings):
    on = on or grid(SIZE, SPACING)
    lesion = np.zeros(hu.shape, dtype=bool) if lesion is None else lesion
    return segment_tissues(hu, lesion, on, ThresholdSettings(**settings)).array


def test_segment_when_phantom_then_each_part_has_its_label():
    hu, parts = phantom()
    labels = segment(hu)
    inside = parts["body"] & ~parts["mouth"]
    assert (labels[parts["airway"]] == LABELS["air"]).all()
    assert (labels[parts["bone"]] == LABELS["bone"]).all()
    assert (labels[parts["fat"] & inside & ~parts["bone"]] == LABELS["fat"]).all()
    muscle = inside & ~parts["fat"] & ~parts["bone"] & ~parts["airway"]
    assert (labels[muscle] == LABELS["soft_tissue"]).mean() > 0.999
    assert (labels[parts["table"]] == LABELS["outside"]).all()
    assert (labels[parts["limb"]] == LABELS["outside"]).all()
    around = ~parts["body"]
    assert (labels[around] == LABELS["outside"]).mean() > 0.999


def test_segment_when_called_then_every_voxel_has_a_label():
    hu, _ = phantom()
    assert set(np.unique(segment(hu))) == set(LABELS.values())


def test_segment_when_a_limb_contains_the_lesion_then_it_is_body():
    hu, parts = phantom()
    lesion = np.zeros(hu.shape, dtype=bool)
    lesion[5:8, 44:48, 13:17] = True
    labels = segment(hu, lesion)
    assert (labels[parts["limb"]] == LABELS["soft_tissue"]).mean() > 0.999
    assert (labels[parts["table"]] == LABELS["outside"]).all()


def test_segment_when_series_is_sagittal_then_as_axial():
    hu, _ = phantom()
    # Index axes x, y, z run along patient y, z, x: the same body in another order of axes.
    turned = np.moveaxis(hu, (0, 1, 2), (1, 2, 0))
    on = grid((SIZE[1], SIZE[2], SIZE[0]), (SPACING[1], SPACING[2], SPACING[0]), direction=SAGITTAL)
    labels = segment(np.ascontiguousarray(turned), on=on)
    np.testing.assert_array_equal(np.moveaxis(labels, (1, 2, 0), (0, 1, 2)), segment(hu))
    np.testing.assert_allclose(grid(direction=AXIAL).axes, np.eye(3))


def test_segment_when_parts_are_small_then_noise_unless_the_setting_says_so():
    hu, _ = phantom()
    hu[12, 50, 50], hu[12, 50, 46] = 900, -900
    labels = segment(hu)
    assert labels[12, 50, 50] == labels[12, 50, 46] == LABELS["soft_tissue"]
    labels = segment(hu, min_component_mm3=0)
    assert labels[12, 50, 50] == LABELS["bone"]
    assert labels[12, 50, 46] == LABELS["air"]


@pytest.mark.parametrize("hu", [-1000.0, 40.0])
def test_segment_when_there_is_nothing_to_tell_apart_then_one_label(hu):
    labels = segment(np.full(SIZE[::-1], hu))
    assert np.unique(labels).tolist() == [LABELS["outside" if hu < 0 else "soft_tissue"]]


def test_settings_when_limits_do_not_ascend_then_refused():
    with pytest.raises(ValidationError, match="must ascend"):
        ThresholdSettings(fat=(-30.0, -190.0))
