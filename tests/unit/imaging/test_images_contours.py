"""Contours on the CT's grid."""

import numpy as np
import pytest
from images_dicom import AXIAL, SAGITTAL, contour, grid, rectangle, save, structure_set

from metaswin.core.problems import BadData, Findings
from metaswin.imaging.contours import WARNINGS, Drawing
from metaswin.imaging.rtstruct import read_rtstruct

OBLIQUE = tuple(np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0].ravel())
FLIPPED = (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0)


def draw(tmp_path, on, items, instances=frozenset()):
    """Mask of one ROI that went through a file, and the warnings."""
    path = save(structure_set({"GTV of Smith": items}), tmp_path / "rs.dcm")
    drawing = Drawing(on, instances)
    mask = drawing.draw(read_rtstruct(path).rois[1])
    findings = Findings("P1", "images")
    drawing.report(findings)
    return mask, {warning.code: warning for warning in findings.warnings}


def boxes(on, slices, columns=(2, 5), rows=(3, 7)):
    return [contour(rectangle(on, index, columns, rows)) for index in slices]


@pytest.mark.parametrize("direction", [AXIAL, SAGITTAL, FLIPPED, OBLIQUE])
def test_draw_when_series_has_any_orientation_then_mask_is_where_it_was_drawn(tmp_path, direction):
    on = grid(direction=direction)
    mask, warnings = draw(tmp_path, on, boxes(on, [1, 2, 3]))
    expected = np.zeros(on.shape, dtype=bool)
    expected[1:4, 3:8, 2:6] = True
    np.testing.assert_array_equal(mask, expected)
    assert warnings == {}


def test_draw_when_references_match_no_slice_then_placed_by_position_with_warning(tmp_path):
    on = grid()
    items = [contour(rectangle(on, index, (2, 5), (3, 7)), image="1.9.9") for index in (1, 2)]
    mask, warnings = draw(tmp_path, on, items, frozenset({"1.2.3"}))
    assert mask.sum() == 2 * 20
    assert warnings["contours-by-position"].found.startswith("2 contours")
    assert "Smith" not in str(warnings["contours-by-position"])
    assert "Smith" in warnings["contours-by-position"].private


def test_draw_when_references_match_then_no_warning(tmp_path):
    on = grid()
    _, warnings = draw(tmp_path, on, [contour(rectangle(on, 1, (2, 5), (3, 7)), image="1.2.3")], frozenset({"1.2.3"}))
    assert warnings == {}


def test_draw_when_planes_are_between_slices_then_on_the_nearest_with_count(tmp_path):
    on = grid()
    mask, warnings = draw(tmp_path, on, boxes(on, [1.3, 2.3]))
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [1, 2]
    assert warnings["contours-off-slices"].found.startswith("2 contours")


def test_draw_when_several_planes_fall_on_a_slice_then_nearest_only(tmp_path):
    on = grid()
    items = boxes(on, [2.0]) + boxes(on, [1.7, 2.3], columns=(2, 9))
    mask, warnings = draw(tmp_path, on, items)
    assert mask.sum() == 20
    assert warnings["contours-between-slices"].found.startswith("2 contours")


def test_draw_when_every_second_slice_has_no_contour_then_filled_from_the_nearest(tmp_path):
    on = grid(size=(12, 10, 9))
    mask, warnings = draw(tmp_path, on, boxes(on, [1, 3, 5]))
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [1, 2, 3, 4, 5]
    assert warnings["contours-skip-slices"].found.startswith("2 slices")


def test_draw_when_two_lesions_are_separate_then_the_gap_stays(tmp_path):
    on = grid(size=(12, 10, 9))
    mask, warnings = draw(tmp_path, on, boxes(on, [1, 2, 6, 7]))
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [1, 2, 6, 7]
    assert warnings == {}


def test_draw_when_a_contour_occurs_twice_then_it_does_not_cancel(tmp_path):
    on = grid()
    mask, warnings = draw(tmp_path, on, boxes(on, [1, 1]))
    assert mask.sum() == 20
    assert "contours-twice" in warnings


def test_draw_when_contours_are_outside_then_dropped_and_counted(tmp_path):
    on = grid()
    items = boxes(on, [-4, 1, 9]) + boxes(on, [2], columns=(40, 45)) + boxes(on, [3], columns=(10, 20))
    mask, warnings = draw(tmp_path, on, items)
    assert mask.sum() == 20 + 2 * 5
    assert warnings["contour-outside-image"].found.startswith("4 contours")


def test_draw_when_a_contour_surrounds_the_image_then_all_of_the_slice(tmp_path):
    on = grid()
    mask, _ = draw(tmp_path, on, boxes(on, [1], columns=(-10, 30), rows=(-10, 30)))
    assert mask[1].all()


def test_draw_when_contours_are_unusable_then_skipped_by_reason(tmp_path):
    on = grid()
    box = rectangle(on, 1, (2, 5), (3, 7))
    sagittal = on.points(np.array([[4, 2, 1], [4, 7, 1], [4, 7, 4], [4, 2, 4]], dtype=float))
    slanted = on.points(np.array([[2, 2, 1], [7, 2, 1], [7, 7, 4], [2, 7, 4]], dtype=float))
    broken = contour(box)
    broken.ContourData = list(broken.ContourData)[:-1]
    items = [
        contour(box, "OPEN_PLANAR"),
        contour(box[:1], "POINT"),
        broken,
        contour(box[:2]),
        contour(np.repeat(box[:1], 4, axis=0)),
        contour(sagittal),
        contour(slanted),
        contour(rectangle(on, 2, (2, 5), (3, 7))),
    ]
    mask, warnings = draw(tmp_path, on, items)
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [2]
    counts = {code: int(warning.found.split()[0]) for code, warning in warnings.items()}
    assert counts == {"contours-not-closed": 3, "contours-without-area": 3, "contours-not-parallel": 1}
    assert counts.keys() <= WARNINGS.keys()


def test_read_rtstruct_when_file_is_not_an_rtstruct_then_unreadable(tmp_path):
    (tmp_path / "broken").write_bytes(b"not DICOM")
    with pytest.raises(BadData, match="file-unreadable") as caught:
        read_rtstruct(tmp_path / "broken")
    assert str(tmp_path) not in str(caught.value)
    assert str(tmp_path) in caught.value.facts["private"]
    with pytest.raises(BadData, match="file-missing"):
        read_rtstruct(tmp_path / "gone")


def test_read_rtstruct_when_roi_has_no_contours_then_it_is_there_and_empty(tmp_path):
    path = save(structure_set({"A": [], "B": []}), tmp_path / "rs.dcm")
    rois = read_rtstruct(path).rois
    assert [roi.contours for roi in rois.values()] == [[], []]
    assert list(read_rtstruct(path, {2}).rois) == [2]
