"""The regions job: one grid, lesions, rings, what is missing and why."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from images_dicom import AXIAL, SAGITTAL, grid

from metaswin.config.imaging import RegionsSettings
from metaswin.core.grid import Grid
from metaswin.core.problems import BadData, Findings, Problem
from metaswin.core.status import Status, exclude, read_status, write_status
from metaswin.imaging.grids import isotropic, resample, sub_grid
from metaswin.imaging.regions import make_regions, regions_of_patient

ON = grid(size=(60, 60, 20), spacing=(1.0, 1.0, 3.0))
NAMES = {"air": 1, "bone": 4, "outside": 5}


def lesions(primary=np.s_[8:12, 25:35, 25:35], nodes=None, on=ON):
    labels = np.zeros(on.shape, dtype=np.uint8)
    if nodes is not None:
        labels[nodes] = 2
    if primary is not None:
        labels[primary] = 1
    return labels


def make(labels, organs=None, on=ON, names=NAMES, **settings):
    """Regions, codes of the warnings."""
    findings = Findings("P1", "regions")
    organs = np.zeros(on.shape, dtype=np.uint8) if organs is None else organs
    settings = RegionsSettings(**{"crop_margin": 5.0, **settings})
    made = make_regions(on.image(labels), on.image(organs), {"labels": names}, settings, findings)
    return made, [warning.code for warning in findings.warnings]


def test_make_when_primary_and_nodes_then_all_regions_on_one_isotropic_grid():
    made, warnings = make(lesions(nodes=np.s_[8:12, 40:46, 25:35]), rings=[(0, 5), (5, 8)])
    assert made.grid.spacing == (1.0, 1.0, 1.0)
    assert made.names == {
        "primary": [1],
        "nodes": [2],
        "tumor": [1, 2],
        "ring_0_5mm": [11],
        "ring_5_8mm": [12],
    }
    facts = made.facts()
    assert facts["voxels"]["primary"] == facts["volumes_mm3"]["primary"] == 12 * 100
    assert facts["voxels"]["tumor"] == 12 * 100 + 12 * 60
    assert made.missing == {}
    assert warnings == []
    assert set(np.unique(made.labels)) == {0, 1, 2, 11, 12}


def test_make_when_lesions_are_close_then_rings_overlap_neither():
    primary, nodes = np.s_[8:12, 25:30, 25:35], np.s_[8:12, 33:38, 25:35]
    made, _ = make(lesions(primary, nodes), rings=[(0, 10)])
    alone, _ = make(lesions(primary), rings=[(0, 10)])
    assert made.facts()["voxels"]["primary"] == alone.facts()["voxels"]["primary"]
    assert made.facts()["voxels"]["nodes"] == 12 * 50
    between = made.grid.indices(ON.points(np.array([[30.0, 31.0, 10.0]])))[0].round().astype(int)
    assert made.labels[tuple(between[::-1])] == 11


def test_make_when_cropped_then_margin_around_all_regions():
    made, _ = make(lesions(), rings=[(0, 5)], crop_margin=4.0)
    filled = np.argwhere(made.labels > 0)
    assert (filled.min(axis=0) == 4).all()
    assert (np.array(made.labels.shape) - filled.max(axis=0) == 5).all()


def test_make_when_other_rings_are_requested_then_the_lesion_has_the_same_points():
    on = grid(size=(60, 60, 20), spacing=(0.9, 0.9, 2.7))
    few, _ = make(lesions(on=on), on=on, rings=[])
    many, _ = make(lesions(on=on), on=on, rings=[(0, 7.3)])
    assert few.facts()["voxels"]["primary"] == many.facts()["voxels"]["primary"]
    offset = few.grid.indices(np.array([many.grid.origin]))
    np.testing.assert_allclose(offset, np.rint(offset), atol=1e-9)


def test_make_when_image_ends_near_the_tumour_then_crop_ends_there_with_warning():
    made, warnings = make(lesions(primary=np.s_[0:4, 0:10, 25:35]), rings=[(0, 5)])
    assert warnings == ["ring-at-border"]
    assert made.grid.size == (30, 20, 24 - 2)
    np.testing.assert_allclose(made.grid.origin, np.add(ON.origin, (25 - 10, 0, -1)))


def test_make_when_ring_meets_excluded_tissue_then_the_tissue_is_removed():
    organs = np.zeros(ON.shape, dtype=np.uint8)
    organs[:, 36:, :] = 7  # not named: stays
    organs[:, :, 36:] = 4
    made, warnings = make(lesions(), organs, rings=[(0, 5)])
    whole, _ = make(lesions(), rings=[(0, 5)])
    assert 0 < made.facts()["voxels"]["ring_0_5mm"] < whole.facts()["voxels"]["ring_0_5mm"]
    points = made.grid.points(np.argwhere(made.labels == 11)[:, ::-1])
    assert ON.indices(points)[:, 0].max() < 36
    assert ON.indices(points)[:, 1].max() > 36
    assert warnings == []


def test_make_when_excluded_label_is_unknown_then_one_warning():
    _, warnings = make(lesions(), names={"bone": 4})
    assert warnings == ["ring-exclude-unknown"]
    _, warnings = make(lesions(), names={}, rings=[])
    assert warnings == []


def test_make_when_ring_is_too_small_then_missing_and_removed_from_the_map():
    organs = np.full(ON.shape, 5, dtype=np.uint8)
    made, warnings = make(lesions(), organs, rings=[(0, 5)])
    assert made.missing == {"nodes": "absent", "ring_0_5mm": "ring-too-small"}
    assert list(made.names) == ["primary", "tumor"]
    assert warnings == ["ring-too-small"]
    organs[9, 35, 25:30] = 0
    made, _ = make(lesions(), organs, rings=[(0, 5)])
    assert set(np.unique(made.labels)) == {0, 1}


@pytest.mark.parametrize(("least", "there"), [(1496, True), (1497, False)])
def test_make_when_ring_has_the_least_voxels_then_it_counts(least, there):
    # Around 10 × 10 × 12 voxels: two layers on the faces, one row along the edges, one voxel at the corners.
    ring = 2 * 2 * (10 * 10 + 2 * 10 * 12) + 4 * (10 + 10 + 12) + 8
    made, _ = make(lesions(), rings=[(0, 2)], min_ring_voxels=1)
    assert made.facts()["voxels"]["ring_0_2mm"] == ring == 1496
    made, _ = make(lesions(), rings=[(0, 2)], min_ring_voxels=least)
    assert ("ring_0_2mm" in made.names) is there


def test_make_when_overlapping_ring_is_missing_then_shared_shells_stay():
    made, _ = make(lesions(), rings=[(0, 2), (0, 5)], min_ring_voxels=2000)
    assert made.missing["ring_0_2mm"] == "ring-too-small"
    assert made.names["ring_0_5mm"] == [11, 12]
    assert set(np.unique(made.labels)) == {0, 1, 11, 12}


def test_make_when_tumour_vanishes_then_excluded():
    with pytest.raises(BadData, match="tumor-too-small"):
        make(lesions(primary=np.s_[8, 25, 25:27]))


def test_make_when_one_role_is_too_small_then_it_is_missing_but_part_of_the_tumour():
    made, warnings = make(lesions(nodes=np.s_[8, 45, 25]))
    assert made.missing["nodes"] == "too-small"
    assert made.names["tumor"] == [1, 2]
    assert warnings == ["nodes-too-small"]
    assert made.facts()["voxels"]["tumor"] == made.facts()["voxels"]["primary"] + 3


def test_make_when_nodes_only_then_tumour_is_nodes():
    made, _ = make(lesions(primary=None, nodes=np.s_[8:12, 25:35, 25:35]))
    assert made.names["tumor"] == made.names["nodes"] == [2]
    assert made.missing == {"primary": "absent"}


@pytest.mark.parametrize("method", ["nearest", "linear"])
def test_make_when_spacing_differs_then_volume_is_kept(method):
    on = grid(size=(60, 60, 30), spacing=(0.8, 0.8, 2.5))
    made, _ = make(lesions(primary=np.s_[5:20, 10:50, 10:50], on=on), on=on, mask_interpolation=method)
    assert made.facts()["volumes_mm3"]["primary"] == pytest.approx(15 * 40 * 40 * 0.8 * 0.8 * 2.5, rel=0.06)


@pytest.mark.parametrize("direction", [AXIAL, SAGITTAL])
def test_isotropic_when_box_leaves_the_image_then_every_point_lies_within_its_faces(direction):
    on = grid(size=(50, 40, 30), spacing=(0.7, 1.3, 2.9), direction=direction)
    target = isotropic(on, np.full(3, -100.0), np.full(3, 100.0), 1.0)
    corners = on.indices(target.points(np.array([[0, 0, 0], np.array(target.size) - 1])))
    assert (corners[0] >= -0.5 - 1e-6).all()
    assert (corners[1] <= np.array(on.size) - 0.5 + 1e-6).all()
    beyond = on.indices(target.points(np.array([[-1, -1, -1], target.size])))
    assert (beyond[0] < -0.5).all()
    assert (beyond[1] > np.array(on.size) - 0.5).all()


def test_resample_when_spacing_is_equal_then_values_are_kept():
    on = grid(size=(40, 40, 40), spacing=(1.0, 1.0, 1.0))
    values = np.random.default_rng(0).integers(-500, 500, on.shape).astype(np.int16)
    target = isotropic(on, np.full(3, 10.0), np.full(3, 30.0), 1.0)
    box = resample(on.image(values), target, sitk.sitkBSpline)
    np.testing.assert_allclose(box, values[10:31, 10:31, 10:31], atol=1e-3)


@pytest.mark.parametrize("interpolator", [sitk.sitkBSpline, sitk.sitkLinear])
def test_resample_when_only_a_crop_is_read_then_as_from_the_whole_image(interpolator):
    on = grid(size=(70, 70, 40), spacing=(0.9, 0.9, 2.0))
    values = np.random.default_rng(0).normal(0, 300, on.shape).astype(np.float32)
    target = isotropic(on, np.array([30, 30, 18.0]), np.array([38, 38, 22.0]), 1.0)
    whole = sitk.Resample(on.image(values), target.image(np.zeros(target.shape)), sitk.Transform(), interpolator)
    np.testing.assert_allclose(
        resample(on.image(values), target, interpolator), sitk.GetArrayFromImage(whole), atol=0.05
    )


def test_sub_grid_when_cut_then_points_stay():
    part = sub_grid(ON, (slice(2, 5), slice(3, 9), slice(4, 10)))
    assert part.size == (6, 6, 3)
    np.testing.assert_allclose(part.points(np.zeros((1, 3))), ON.points(np.array([[4.0, 3.0, 2.0]])))


@pytest.fixture
def case(tmp_path):
    """Files of one patient as the organs job leaves them; the CT is a linear ramp."""
    z, y, x = np.indices(ON.shape)
    sitk.WriteImage(ON.image((x * 10 + y - z).astype(np.int16)), str(tmp_path / "ct.nii.gz"))
    sitk.WriteImage(ON.image(lesions()), str(tmp_path / "tumor.nii.gz"))
    sitk.WriteImage(ON.image(np.zeros(ON.shape, dtype=np.uint8)), str(tmp_path / "organs.nii.gz"))
    (tmp_path / "organs.json").write_text(json.dumps({"backend": "threshold", "labels": NAMES}))
    write_status(tmp_path / "organs-status.json", Status("P1", "organs"), tmp_path / "details")
    return tmp_path


def run(folder, **settings):
    inputs = ["ct.nii.gz", "tumor.nii.gz", "organs.nii.gz", "organs.json", "organs-status.json"]
    outputs = ["out/ct.nii.gz", "out/regions.nii.gz", "out/regions.json", "out/status.json"]
    paths = [folder / name for name in [*inputs, *outputs]]
    regions_of_patient(*paths, RegionsSettings(**settings), folder / "details")
    return paths[-4:]


@pytest.mark.parametrize("method", ["bspline", "linear"])
def test_regions_of_patient_when_run_then_image_and_map_share_a_grid(case, method):
    ct, regions, facts, status = run(case, image_interpolation=method)
    image, labels = sitk.ReadImage(str(ct)), sitk.ReadImage(str(regions))
    assert Grid.of(image).same_as(Grid.of(labels))
    assert image.GetPixelID() == sitk.sitkFloat32
    assert labels.GetPixelID() == sitk.sitkUInt8
    assert read_status(status).ok
    written = json.loads(facts.read_text())
    assert written["spacing"] == [1.0, 1.0, 1.0]
    assert written["labels"]["ring_0_10mm"] == [11]
    array = sitk.GetArrayFromImage(labels)
    assert written["voxels"]["ring_0_10mm"] == np.count_nonzero(array == 11)
    # A ramp is reproduced wherever the border does not show.
    inside = np.argwhere(array == 1)
    index = ON.indices(Grid.of(image).points(inside[:, ::-1]))
    expected = index[:, 0] * 10 + index[:, 1] - index[:, 2]
    np.testing.assert_allclose(sitk.GetArrayFromImage(image)[tuple(inside.T)], expected, atol=0.01)


def test_regions_of_patient_when_tumour_is_too_small_then_excluded_with_empty_files(case):
    *outputs, status = run(case, min_tumor_voxels=10**6)
    assert read_status(status).problem.code == "tumor-too-small"
    assert [path.stat().st_size for path in outputs] == [0, 0, 0]


def test_regions_of_patient_when_an_earlier_stage_excluded_then_passed_on(case):
    problem = Problem("P1", "images", "gantry-tilt", "tilt", "none", "resample")
    exclude(case / "organs-status.json", Status("P1", "organs", problem), [case / "organs.json"], case / "details")
    *outputs, status = run(case)
    assert read_status(status).problem == problem
    assert [path.stat().st_size for path in outputs] == [0, 0, 0]
