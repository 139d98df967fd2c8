"""Planes, outlines and the QC image file, on shapes whose place is known."""

from io import BytesIO

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from metaswin.config.imaging import QcImagesSettings
from metaswin.core.files import read_json, write_json, write_volume
from metaswin.core.problems import Problem
from metaswin.core.status import Status, read_status, write_status
from metaswin.imaging.canvas import (
    PIXELS,
    WIDTH,
    Canvas,
    Line,
    legend_rows,
    outline,
    panel_box,
    planes_through,
    scale_length,
    windowed,
)
from metaswin.imaging.patches import PatientFiles
from metaswin.imaging.qc_image import PRIMARY, draw, draw_qc_image

SPACING = (1.0, 1.0, 5.0)
ORIGIN = (-60.0, -60.0, -60.0)
SHAPE = (25, 120, 120)


def volume(array, dtype="uint8"):
    image = sitk.GetImageFromArray(array.astype(dtype))
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    return image


def box(x, y, z):
    """A mask of whole voxels within limits in mm."""
    index = np.indices(SHAPE)[::-1]
    inside = np.ones(SHAPE, dtype=bool)
    for axis, (low, high) in enumerate((x, y, z)):
        place = ORIGIN[axis] + index[axis] * SPACING[axis]
        inside &= (place > low) & (place < high)
    return inside


def test_plane_when_voxels_are_anisotropic_then_a_cube_is_a_square_of_the_right_size():
    cube = volume(box((-20.5, 19.5), (-20.5, 19.5), (-22.5, 17.5)))
    for plane in planes_through((0.0, 0.0, 0.0), 100.0, 200):
        cut = plane.cut(cube, 0)
        rows, columns = np.nonzero(cut)
        assert np.ptp(rows) + 1 == pytest.approx(80, abs=1)
        assert np.ptp(columns) + 1 == pytest.approx(80, abs=1)


def test_plane_when_a_mark_is_left_anterior_superior_then_drawn_at_the_expected_side():
    mark = volume(box((20, 40), (-40, -20), (20, 40)))
    axial, coronal, sagittal = (plane.cut(mark, 0) for plane in planes_through((30.0, -30.0, 30.0), 200.0, 100))
    assert axial[50, 50]
    assert coronal[50, 50]
    far = {plane.name: plane for plane in planes_through((0.0, -30.0, 30.0), 200.0, 100)}
    assert np.nonzero(far["axial"].cut(mark, 0))[1].min() > 55  # the patient's left is on the viewer's right
    front = {plane.name: plane for plane in planes_through((30.0, 0.0, 0.0), 200.0, 100)}
    rows, columns = np.nonzero(front["sagittal"].cut(mark, 0))
    assert columns.max() < 45  # in front is on the left
    assert rows.max() < 45  # above is up
    assert sagittal[50, 50]


def test_plane_when_the_series_is_stored_in_sagittal_slices_then_planes_are_the_same():
    rng = np.random.default_rng(1)
    image = volume(rng.integers(0, 9, SHAPE))
    stored = sitk.PermuteAxes(image, [1, 2, 0])
    assert stored.GetSize() != image.GetSize()
    for plane in planes_through((1.2, 3.4, 5.6), 90.0, 64):
        np.testing.assert_array_equal(plane.cut(image, 0), plane.cut(stored, 0))


def test_outline_when_a_square_of_five_then_its_rim():
    mask = np.zeros((9, 9), dtype=bool)
    mask[2:7, 2:7] = True
    assert outline(mask, Line(1)).sum() == 16
    assert outline(mask, Line(1, width=2)).sum() == 24
    dotted = outline(mask, Line(1, dotted=True))
    assert 0 < dotted.sum() < 16


def test_outline_when_the_mask_leaves_the_panel_then_no_line_along_the_border():
    mask = np.zeros((6, 6), dtype=bool)
    mask[:, :3] = True
    np.testing.assert_array_equal(np.nonzero(outline(mask, Line(1)))[1], [2] * 6)


@pytest.mark.parametrize(("side", "length"), [(140, 20), (150, 50), (300, 100), (20, 5), (9, 5)])
def test_scale_when_the_field_is_known_then_the_longest_within_a_third(side, length):
    assert scale_length(side) == length


def test_window_when_values_are_at_its_limits_then_black_and_white():
    np.testing.assert_array_equal(windowed(np.array([-900.0, -160, 40, 240, 3000]), (-160, 240)), [0, 0, 128, 255, 255])


def test_legend_when_words_fill_the_width_then_they_continue_in_another_row():
    assert legend_rows([]) == 0
    assert legend_rows(["primary"]) == 1
    assert legend_rows(["a rather long name of an organ"] * 6) > 1


def noisy(seed=0):
    canvas = Canvas(WIDTH, 300, [PRIMARY, (1, 2, 3)], [(255, 0, 0)], [0.5])
    canvas.grey[:] = np.random.default_rng(seed).integers(0, 256, canvas.grey.shape)
    canvas.line[10:20, 10:20] = 1
    canvas.tint[40:50, 40:50] = 1
    canvas.grey[40:50, 40:50] = 0
    return canvas


def test_canvas_when_the_ct_is_noise_then_file_is_small_and_lines_keep_their_colour(tmp_path):
    noisy().save(tmp_path / "a.png", most=60_000)
    assert (tmp_path / "a.png").stat().st_size <= 60_000
    pixels = np.array(Image.open(tmp_path / "a.png").convert("RGB"))
    assert (pixels[10:20, 10:20] == PRIMARY).all()
    noisy().save(tmp_path / "b.png", most=60_000)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_canvas_when_a_tint_covers_half_then_black_becomes_half_of_it():
    pixels = np.array(Image.open(BytesIO(noisy().png(64))).convert("RGB"))
    assert (pixels[40:50, 40:50] == (128, 0, 0)).all()


def test_canvas_when_there_is_room_then_greys_are_within_half_a_step():
    canvas = noisy()
    canvas.tint[:], canvas.line[:] = 0, 0
    pixels = np.array(Image.open(BytesIO(canvas.png(64))).convert("L")).astype(int)
    assert np.abs(pixels - canvas.grey).max() <= 255 / 63 / 2 + 1


def test_words_when_written_over_a_line_then_they_stay_readable():
    canvas = Canvas(100, 20, [PRIMARY])
    canvas.grey[:], canvas.line[:] = 255, 1
    canvas.write_words(5, 10, "axial")
    assert (canvas.grey == 0).any()
    assert (canvas.line[canvas.grey < 255] == 0).all()


def files(tmp_path, tumor, organs=None, problem=None):
    arrays = {
        "ct": (np.full(SHAPE, 40), "int16"),
        "tumor": (tumor, "uint8"),
        "organs": (np.zeros(SHAPE) if organs is None else organs, "uint8"),
        "regions": (tumor, "uint8"),
    }
    for name, (array, kind) in arrays.items():
        write_volume(tmp_path / f"{name}.nii.gz", volume(array, kind))
    write_json(tmp_path / "organs.json", {"labels": {"fat": 2, "bone": 4, "mandible": 9}})
    write_json(tmp_path / "regions.json", {"labels": {"tumor": [1], "ring_0_10mm": [11]}})
    write_status(tmp_path / "in.json", Status("P1", "regions", problem), tmp_path / "details")
    given = PatientFiles(
        **{name: str(tmp_path / f"{name}.nii.gz") for name in arrays},
        organ_facts=str(tmp_path / "organs.json"),
        region_facts=str(tmp_path / "regions.json"),
        status=str(tmp_path / "in.json"),
    )
    return given, str(tmp_path / "P1.png"), str(tmp_path / "P1.status.json")


def test_image_when_drawn_then_the_primary_is_at_its_place_and_the_file_is_small(tmp_path):
    given, qc_image, status = files(tmp_path, box((-10.5, 9.5), (-10.5, 9.5), (-12.5, 7.5)))
    draw_qc_image(given, qc_image, status, QcImagesSettings(margin=60.0), tmp_path / "details")
    drawn = Image.open(qc_image)
    assert drawn.size[0] == WIDTH
    assert (tmp_path / "P1.png").stat().st_size <= 60_000
    pixels = np.array(drawn.convert("RGB"))
    rows, columns = panel_box(1)
    found = np.argwhere((pixels[rows, columns] == PRIMARY).all(axis=2))
    # 20 mm of a field of 20 + 2 × 60 mm, give or take half a voxel along z.
    assert (np.ptp(found, axis=0) + 1) * 140 / PIXELS == pytest.approx([20, 20], abs=1.5)
    assert read_status(status).ok


def test_image_when_the_patient_is_excluded_before_then_it_is_empty_and_says_why(tmp_path):
    problem = Problem("P1", "regions", "tumor-too-small", "3 voxels", "8", "draw it")
    given, qc_image, status = files(tmp_path, np.ones(SHAPE), problem=problem)
    draw_qc_image(given, qc_image, status, QcImagesSettings(), tmp_path / "details")
    assert (tmp_path / "P1.png").stat().st_size == 0
    assert read_json(status)["problem"]["code"] == "tumor-too-small"


def test_image_when_there_is_no_primary_then_planes_go_through_the_largest_node():
    tumor = np.zeros(SHAPE)
    tumor[box((-50, -40), (-50, -40), (-50, -30))] = 2
    tumor[box((10, 40), (10, 40), (10, 40))] = 2
    volumes = {"ct": volume(np.zeros(SHAPE), "int16"), "tumor": volume(tumor), "organs": volume(np.zeros(SHAPE))}
    volumes["regions"] = volumes["tumor"]
    canvas = draw("P1", volumes, {}, {}, QcImagesSettings())
    rows, columns = panel_box(0)
    drawn = np.argwhere(canvas.line[rows, columns] == 2)
    assert np.abs(drawn.mean(axis=0) - PIXELS / 2).max() < 5


def test_image_when_the_lesion_is_hollow_then_the_planes_still_cross_it():
    hollow = box((-40, 40), (-40, 40), (-40, 40)) & ~box((-30, 30), (-30, 30), (-60, 60))
    volumes = {"ct": volume(np.zeros(SHAPE), "int16"), "tumor": volume(hollow), "organs": volume(np.zeros(SHAPE))}
    volumes["regions"] = volumes["tumor"]
    canvas = draw("P1", volumes, {}, {}, QcImagesSettings())
    for position in range(3):
        assert (canvas.line[panel_box(position)] == 1).any()


def test_image_when_there_are_many_organs_then_largest_coloured_and_the_rest_counted():
    organs = np.zeros(SHAPE)
    for label in range(1, 10):
        organs[:, :, label * 10 : label * 10 + 4 + (label == 5)] = label
    volumes = {"ct": volume(np.zeros(SHAPE), "int16"), "organs": volume(organs)}
    volumes["tumor"] = volumes["regions"] = volume(box((-5, 5), (-5, 5), (-8, 8)))
    canvas = draw("P1", volumes, {}, {f"organ_{label}": label for label in range(1, 10)}, QcImagesSettings())
    seen = set(np.unique(canvas.line))
    assert {5, 6, 7, 8, 9, 10, 11} <= seen
