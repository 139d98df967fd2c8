"""One patient's patch from the files of the stages before."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from metaswin.config.imaging import PatchesSettings
from metaswin.core.errors import UserError
from metaswin.core.files import read_json, read_volume, write_json, write_volume
from metaswin.core.problems import Problem
from metaswin.core.status import Status, read_status, write_status
from metaswin.imaging.patch_file import channel_names
from metaswin.imaging.patches import PatchGrid, PatientFiles, make_patch, occupancy

SETTINGS = PatchesSettings(
    size=32, spacing=2.0, window=(-160.0, 240.0), organ_groups={"hard": ["bone"], "air": ["air"]}
)
SPACING = (1.0, 1.0, 2.0)


def volume(array, dtype):
    image = sitk.GetImageFromArray(array.astype(dtype))
    image.SetSpacing(SPACING)
    image.SetOrigin((-50.0, -50.0, 10.0))
    return image


@pytest.fixture
def patient(tmp_path):
    """A CT of 100 HU with a tumour of 40 HU, bone of 1000 HU to its left and a ring; files of the earlier stages."""
    shape = (50, 100, 100)
    ct, tumor, organs, regions = (np.zeros(shape) for _ in range(4))
    ct[:] = 100
    tumor[20:30, 40:60, 40:60] = 1
    ct[tumor > 0] = 40
    organs[:, :, 70:] = 4
    ct[organs > 0] = 1000
    regions[20:30, 36:40, 40:60] = 11
    regions[20:30, 60:62, 40:60] = 12
    regions[tumor > 0] = 1
    files = {key: tmp_path / f"{key}.nii.gz" for key in ("ct", "tumor", "organs", "regions")}
    for key, array, kind in [("ct", ct, "int16"), ("tumor", tumor, "uint8"), ("organs", organs, "uint8")]:
        write_volume(files[key], volume(array, kind))
    write_volume(files["regions"], volume(regions, "uint8"))
    write_json(tmp_path / "organs.json", {"backend": "threshold", "labels": {"air": 1, "fat": 2, "bone": 4}})
    labels = {"primary": [1], "tumor": [1], "ring_0_4mm": [11], "ring_4_6mm": [12]}
    write_json(tmp_path / "regions.json", {"labels": labels, "missing": {"nodes": "absent"}})
    write_status(tmp_path / "regions.status.json", Status("P1", "regions"), tmp_path / "details")
    return tmp_path, PatientFiles(
        **{key: str(path) for key, path in files.items()},
        organ_facts=str(tmp_path / "organs.json"),
        region_facts=str(tmp_path / "regions.json"),
        status=str(tmp_path / "regions.status.json"),
    )


def cut(patient, settings=SETTINGS):
    folder, files = patient
    outputs = {"patch": str(folder / "P1.nii.gz"), "status": str(folder / "P1.status.json")}
    make_patch(files, **outputs, settings=settings, details=folder / "details")
    return outputs


def channels(outputs):
    image = read_volume(outputs["patch"])
    return image, dict(zip(channel_names(SETTINGS), sitk.GetArrayFromImage(image), strict=True))


def test_make_patch_when_all_inputs_exist_then_channels_contain_window_and_fractions(patient):
    outputs = cut(patient)
    image, values = channels(outputs)
    assert image.GetSize() == (32, 32, 32, 5)
    assert image.GetPixelID() == sitk.sitkFloat32
    assert image.GetSpacing()[:3] == (2.0, 2.0, 2.0)
    # The tumour's box runs from -10.5 to 9.5 mm in x and y, from 49 to 69 mm in z: the patch centres on it.
    assert np.array(image.GetOrigin()[:3]) + 31 == pytest.approx([-0.5, -0.5, 59.0])
    assert values["ct"][16, 16, 16] == pytest.approx((40 + 160) / 400, abs=1e-3)
    assert values["ct"][16, 16, 2] == pytest.approx((100 + 160) / 400, abs=1e-3)
    assert values["ct"][16, 16, 30] == 1.0
    assert values["tumor"].sum() * 8 == pytest.approx(20 * 20 * 20, rel=0.02)
    assert values["ring"].sum() * 8 == pytest.approx(6 * 20 * 20, rel=0.05)
    assert values["hard"][16, 16, 30] == 1.0
    assert not values["air"].any()
    assert read_status(outputs["status"]).ok
    assert read_status(outputs["status"]).warnings == ()


def test_make_patch_when_ct_ends_within_the_patch_then_the_rest_is_air(patient):
    _, files = patient
    ct = read_volume(files.ct)
    write_volume(files.ct, sitk.RegionOfInterest(ct, (100, 100, 30), (0, 0, 0)))
    _, values = channels(cut(patient))
    assert (values["ct"][28:] == 0).all()
    assert (values["ct"][:20, 16, :10] > 0.4).all()


def test_make_patch_when_run_twice_then_the_same_bytes(patient):
    first = cut(patient)
    before = Path(first["patch"]).read_bytes()
    assert Path(cut(patient)["patch"]).read_bytes() == before


def test_make_patch_when_lesion_is_larger_than_patch_then_warns_with_the_fraction(patient):
    outputs = cut(patient, PatchesSettings(size=32, spacing=0.5, organ_groups={}))
    (warning,) = read_status(outputs["status"]).warnings
    assert warning.code == "lesion-larger-than-patch"
    # 16 of 20 mm along each axis; voxel centres of 1 mm and 2 mm: 16 · 16 of 20 · 20, 8 of 10.
    assert warning.found.startswith(f"{(16 * 16 * 8) / (20 * 20 * 10):.0%} of the primary")
    assert not warning.excludes


def test_make_patch_when_a_node_is_far_then_stays_on_the_primary_and_warns(patient):
    _, files = patient
    tumor = read_volume(files.tumor)
    tumor[2:6, 2:6, 2:6] = 2
    write_volume(files.tumor, tumor)
    outputs = cut(patient, SETTINGS.model_copy(update={"spacing": 1.5}))
    image, _ = channels(outputs)
    assert np.array(image.GetOrigin()[:3]) + 31 * 0.75 == pytest.approx([-0.5, -0.5, 59.0])
    (warning,) = read_status(outputs["status"]).warnings
    assert warning.code == "nodes-outside-patch"
    assert warning.found.startswith(f"{4000 / 4064:.0%}")


def test_make_patch_when_nodes_only_then_centred_on_the_largest(patient):
    _, files = patient
    labels = np.zeros((50, 100, 100))
    labels[20:30, 40:60, 40:60] = 2
    labels[2:4, 2:4, 2:4] = 2
    write_volume(files.tumor, volume(labels, "uint8"))
    image, _ = channels(cut(patient, SETTINGS.model_copy(update={"spacing": 1.5})))
    assert np.array(image.GetOrigin()[:3]) + 31 * 0.75 == pytest.approx([-0.5, -0.5, 59.0])


def test_make_patch_when_mask_is_empty_then_excluded_with_an_empty_file(patient):
    folder, files = patient
    write_volume(files.tumor, volume(np.zeros((50, 100, 100)), "uint8"))
    outputs = cut(patient)
    assert (folder / "P1.nii.gz").stat().st_size == 0
    assert read_json(outputs["status"])["problem"]["code"] == "empty-mask"


def test_make_patch_when_excluded_earlier_then_passes_it_on_without_reading_images(patient):
    folder, files = patient
    problem = Problem("P1", "images", "empty-mask", "nothing", "something", "look")
    write_status(files.status, Status("P1", "regions", problem), folder / "details")
    for path in (files.ct, files.tumor, files.organs, files.regions, files.organ_facts):
        Path(path).write_bytes(b"")
    outputs = cut(patient)
    assert (folder / "P1.nii.gz").stat().st_size == 0
    assert read_status(outputs["status"]).problem == problem


def test_make_patch_when_group_names_an_unknown_organ_then_says_which_are_known(patient):
    with pytest.raises(UserError, match=r"organ_groups names bones.*air, bone, fat"):
        cut(patient, PatchesSettings(size=32, organ_groups={"hard": ["bones"]}))


def test_make_patch_when_own_masks_lack_an_organ_then_warning_and_empty_channel(patient):
    _, files = patient
    write_json(files.organ_facts, {"backend": "masks", "labels": {"air": 1}})
    outputs = cut(patient)
    _, values = channels(outputs)
    assert not values["hard"].any()
    assert [w.code for w in read_status(outputs["status"]).warnings] == ["organ-missing"]


def test_occupancy_when_a_sheet_is_thinner_than_a_voxel_then_keeps_its_volume():
    labels = np.zeros((64, 64, 64), dtype=np.uint8)
    labels[:, :, 30] = 3
    image = sitk.GetImageFromArray(labels)
    got = occupancy(image, [3], PatchGrid((31.5, 31.5, 31.5), 16, 4.0))
    assert got.max() < 0.5
    assert got[8].sum() * 4 == pytest.approx(16, rel=0.05)


@pytest.mark.parametrize("bad", [{"window": (10, 10)}, {"size": 40}, {"organ_groups": {"ct": ["bone"]}}])
def test_settings_when_invalid_then_refused(bad):
    with pytest.raises(ValueError, match=r"window|size|organ_groups"):
        PatchesSettings(**bad)
