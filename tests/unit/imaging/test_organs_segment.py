"""The organs job: backends, the user's masks, what is passed on."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from images_dicom import contour, grid, rectangle, rtstruct_source, save, structure_set, write_source
from pydantic import ValidationError

from metaswin.config.imaging import TISSUES, OrgansSettings
from metaswin.core.grid import Grid
from metaswin.core.problems import Problem
from metaswin.core.status import Status, exclude, read_status, write_status
from metaswin.imaging.organs import BACKENDS, segment_patient

ON = grid(size=(20, 20, 8), spacing=(3.0, 3.0, 3.0))


@pytest.fixture
def case(tmp_path):
    """CT of one block of muscle in air, its tumour and an ok status."""
    hu = np.full(ON.shape, -1000, dtype=np.int16)
    hu[:, 4:16, 4:16] = 50
    tumor = np.zeros(ON.shape, dtype=np.uint8)
    tumor[3:5, 8:11, 8:11] = 1
    sitk.WriteImage(ON.image(hu), str(tmp_path / "ct.nii.gz"))
    sitk.WriteImage(ON.image(tumor), str(tmp_path / "tumor.nii.gz"))
    write_status(tmp_path / "images.json", Status("P1", "images"), tmp_path / "details")
    return tmp_path


def segment(folder, settings, source=None):
    """Run the job; label map, names and codes of the warnings, or the problem."""
    out = [folder / name for name in ("organs.nii.gz", "organs.json", "organs-status.json")]
    inputs = [folder / name for name in ("ct.nii.gz", "tumor.nii.gz", "images.json")]
    segment_patient(*inputs, *out, settings, folder / "details", source)
    status = read_status(out[2])
    if not status.ok:
        assert [path.stat().st_size for path in out[:2]] == [0, 0]
        return status.problem
    image = sitk.ReadImage(str(out[0]))
    assert Grid.of(image).same_as(ON)
    names = json.loads(out[1].read_text())
    assert names["backend"] == settings.backend
    return sitk.GetArrayFromImage(image), names["labels"], [warning.code for warning in status.warnings]


def masks(folder, **settings):
    return OrgansSettings(backend="masks", masks={"pattern": f"{folder}/{{patient}}-{{organ}}.nii.gz", **settings})


def organ(folder, name, box, on=ON):
    mask = np.zeros(on.shape, dtype=np.uint8)
    mask[box] = 1
    sitk.WriteImage(on.image(mask), str(folder / f"P1-{name}.nii.gz"))
    return mask.astype(bool)


def test_backends_when_listed_then_those_of_the_settings():
    assert set(BACKENDS) == set(OrgansSettings.model_fields["backend"].annotation.__args__)


def test_segment_when_threshold_then_tissues(case):
    labels, names, warnings = segment(case, OrgansSettings(backend="threshold"))
    assert set(names) == set(TISSUES)
    assert (labels[:, 5:15, 5:15] == names["soft_tissue"]).all()
    assert (labels[:, :3] == names["outside"]).all()
    assert warnings == []


def test_segment_when_masks_then_organs_over_tissues_and_the_first_named_wins(case):
    first = organ(case, "parotid", np.s_[2:5, 6:9, 6:9])
    second = organ(case, "mandible", np.s_[2:5, 8:12, 6:9])
    labels, names, warnings = segment(case, masks(case, organs=["parotid", "mandible"]))
    np.testing.assert_array_equal(labels == names["parotid"], first)
    np.testing.assert_array_equal(labels == names["mandible"], second & ~first)
    assert (labels[7, 5:15, 5:15] == names["soft_tissue"]).all()
    assert len(set(names.values())) == len(names) == 7
    assert warnings == []


def test_segment_when_tissues_are_off_then_organs_only(case):
    mask = organ(case, "parotid", np.s_[2:5, 6:9, 6:9])
    labels, names, _ = segment(case, masks(case, organs=["parotid"], tissues=False))
    assert list(names) == ["parotid"]
    np.testing.assert_array_equal(labels == names["parotid"], mask)
    assert np.count_nonzero(labels) == mask.sum()


def test_segment_when_an_organ_is_missing_then_warning(case):
    organ(case, "parotid", np.s_[2:5, 6:9, 6:9])
    labels, names, warnings = segment(case, masks(case, organs=["parotid", "mandible"]))
    assert warnings == ["organ-missing"]
    assert (labels == names["parotid"]).any()
    assert not (labels == names["mandible"]).any()


def test_segment_when_organ_mask_is_on_another_grid_then_excluded(case):
    organ(case, "parotid", np.s_[:, :, :], on=grid(size=(20, 20, 8), spacing=(3.0, 3.0, 3.1)))
    assert segment(case, masks(case, organs=["parotid"])).code == "geometry-mismatch"


def test_segment_when_organs_are_rois_then_drawn_by_name(case):
    box = [contour(rectangle(ON, index, (6, 8), (6, 8))) for index in (2, 3, 4)]
    rois = {"GTV": box, " Parotid_L ": box, "Parotid_R": [], "Cord": box}
    tumor = rtstruct_source(save(structure_set(rois), case / "rs.dcm"), [1])
    source = write_source(case / "source.json", [], tumor)
    settings = masks(case, rtstruct_rois={"parotid": ["parotid_.*"], "brainstem": ["brainstem"]})
    labels, names, warnings = segment(case, settings, source)
    expected = np.zeros(ON.shape, dtype=bool)
    expected[2:5, 6:9, 6:9] = True
    np.testing.assert_array_equal(labels == names["parotid"], expected)
    assert warnings == ["organ-missing"]


def test_segment_when_300_organs_then_labels_fit(case):
    organs = [f"o{n}" for n in range(300)]
    mask = organ(case, "o299", np.s_[2:5, 6:9, 6:9])
    labels, names, _ = segment(case, masks(case, organs=organs))
    np.testing.assert_array_equal(labels == names["o299"], mask)
    assert labels.dtype == np.uint16


def test_segment_when_images_excluded_the_patient_then_passed_on(case):
    problem = Problem("P1", "images", "empty-mask", "0 voxels", "1 or more", "draw it")
    exclude(case / "images.json", Status("P1", "images", problem), [case / "ct.nii.gz"], case / "details")
    assert segment(case, OrgansSettings(backend="threshold")) == problem


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backend": "masks"}, "masks.organs"),
        ({"masks": {"organs": ["a"]}}, "{patient}"),
        ({"masks": {"organs": ["a", "b"], "pattern": "x/{patient}.nii"}}, "{organ}"),
        ({"masks": {"organs": ["a"], "pattern": "x/{patient}-{series}.nii"}}, "no other braces"),
        ({"masks": {"organs": ["bone"], "pattern": "x/{patient}.nii"}}, "names of tissues"),
        ({"masks": {"rtstruct_rois": {"a": ["("]}}}, "regular expression"),
    ],
)
def test_settings_when_they_cannot_work_then_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        OrgansSettings(**settings)
