"""One patient from the source record to NIfTI."""

import json
from pathlib import Path
from types import SimpleNamespace

import highdicom
import numpy as np
import pytest
import SimpleITK as sitk
from highdicom.seg import SegmentationTypeValues, SegmentDescription
from images_dicom import (
    SAGITTAL,
    SETTINGS,
    contour,
    ct_slices,
    grid,
    noise,
    rectangle,
    rtstruct_source,
    save,
    save_all,
    structure_set,
    write_source,
)
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from metaswin.core.grid import Grid
from metaswin.core.status import read_status
from metaswin.imaging.convert import convert_patient


def convert(folder: Path, source: Path, settings=SETTINGS) -> SimpleNamespace:
    """Run the job and read back what it wrote."""
    out = {name: folder / "out" / name for name in ("ct.nii.gz", "tumor.nii.gz", "image.json", "status.json")}
    convert_patient(source, *out.values(), settings, folder / "details")
    status = read_status(out["status.json"])
    if not status.ok:
        assert all(path.stat().st_size == 0 for name, path in out.items() if name != "status.json")
        return SimpleNamespace(status=status, problem=status.problem, warnings=codes_of(status))
    return SimpleNamespace(
        ct=sitk.ReadImage(str(out["ct.nii.gz"])),
        tumor=sitk.ReadImage(str(out["tumor.nii.gz"])),
        facts=json.loads(out["image.json"].read_text()),
        status=status,
        warnings=codes_of(status),
    )


def codes_of(status):
    return [warning.code for warning in status.warnings]


def box(on, index, columns=(2, 5), rows=(3, 7)):
    return contour(rectangle(on, index, columns, rows))


def dicom_case(folder, on, rois, primary=(1,), nodes=(2,), frame=None):
    hu = noise(on)
    paths = save_all(ct_slices(hu, on), folder / "ct")
    structures = structure_set(rois, frame) if frame else structure_set(rois)
    tumor = rtstruct_source(save(structures, folder / "rs.dcm"), list(primary), list(nodes))
    return hu, write_source(folder / "source.json", paths, tumor)


@pytest.mark.parametrize("on", [grid(), grid(direction=SAGITTAL)], ids=["axial", "sagittal"])
def test_convert_when_rtstruct_then_image_and_labels_on_one_grid(tmp_path, on):
    rois = {"GTVp": [box(on, 1), box(on, 2)], "GTVn": [box(on, 2, columns=(4, 8)), box(on, 3, columns=(4, 8))]}
    hu, source = dicom_case(tmp_path, on, rois)
    made = convert(tmp_path, source)
    assert Grid.of(made.ct).same_as(on)
    assert Grid.of(made.tumor).same_as(on)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(made.ct), hu)
    assert made.ct.GetPixelID() == sitk.sitkInt16
    expected = np.zeros(on.shape, dtype=np.uint8)
    expected[2:4, 3:8, 4:9] = 2
    expected[1:3, 3:8, 2:6] = 1  # primary wins
    np.testing.assert_array_equal(sitk.GetArrayFromImage(made.tumor), expected)
    voxel = 2.0 * 2.5 * 3.0
    assert made.facts["volumes_mm3"] == {"primary": 40 * voxel, "nodes": 40 * voxel}
    assert made.facts["size"] == [12, 10, 6]
    assert made.facts["spacing"] == [2.0, 2.5, 3.0]
    assert (made.facts["tumor_source"], made.facts["automatic"]) == ("rtstruct", False)
    assert made.warnings == []


def test_convert_when_done_then_public_files_contain_no_name_path_or_uid(tmp_path):
    on = grid()
    _, source = dicom_case(tmp_path, on, {"GTV Smith": [box(on, 1), contour(rectangle(on, 1, (2, 5), (3, 7))[:2])]})
    record = json.loads(source.read_text())
    record["tumor"]["rois"]["nodes"] = []
    source.write_text(json.dumps(record))
    made = convert(tmp_path, source)
    assert made.warnings == ["contours-without-area"]
    text = "".join((tmp_path / "out" / name).read_text() for name in ("image.json", "status.json"))
    for secret in ("Secret", "Smith", "1950", str(tmp_path), "free text", "1.2.826", "1.2.3"):
        assert secret not in text
    assert "Smith" in (tmp_path / "details/images/P1.json").read_text()
    allowed = {"size", "spacing", "direction", "manufacturer", "model", "kernel", "kvp", "slice_thickness"}
    assert made.facts.keys() == allowed | {"tumor_source", "automatic", "volumes_mm3"}


def test_convert_when_run_twice_then_bytes_are_equal(tmp_path):
    on = grid()
    _, source = dicom_case(tmp_path, on, {"GTV": [box(on, 1)]}, nodes=())
    convert(tmp_path, source)
    first = (tmp_path / "out/image.json").read_bytes(), (tmp_path / "out/status.json").read_bytes()
    values = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out/tumor.nii.gz")))
    convert(tmp_path, source)
    assert first == ((tmp_path / "out/image.json").read_bytes(), (tmp_path / "out/status.json").read_bytes())
    np.testing.assert_array_equal(values, sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out/tumor.nii.gz"))))


def test_convert_when_several_rois_of_a_role_then_joined(tmp_path):
    on = grid()
    rois = {"A": [box(on, 1)], "B": [box(on, 1, columns=(4, 9))]}
    _, source = dicom_case(tmp_path, on, rois, primary=(1, 2), nodes=())
    assert np.count_nonzero(sitk.GetArrayFromImage(convert(tmp_path, source).tumor) == 1) == 8 * 5


def test_convert_when_nodes_only_then_no_primary(tmp_path):
    on = grid()
    _, source = dicom_case(tmp_path, on, {"A": [], "GTVn": [box(on, 1)]}, primary=(), nodes=(2,))
    made = convert(tmp_path, source)
    assert made.facts["volumes_mm3"]["primary"] == 0
    assert made.warnings == []


def test_convert_when_one_role_is_empty_then_warning_and_the_other_is_kept(tmp_path):
    on = grid()
    _, source = dicom_case(tmp_path, on, {"GTVp": [box(on, 1)], "GTVn": []})
    assert convert(tmp_path, source).warnings == ["empty-role"]


@pytest.mark.parametrize(
    ("contours", "code"),
    [
        (lambda on: [], "empty-mask"),
        (lambda on: [contour(rectangle(on, 1, (2, 5), (3, 7)), "OPEN_PLANAR")], "empty-mask"),
        (lambda on: [box(on, 40)], "contour-outside-image"),
        (lambda on: [box(on, 1, columns=(50, 60))], "contour-outside-image"),
    ],
)
def test_convert_when_nothing_is_drawn_then_excluded_with_reason(tmp_path, contours, code):
    on = grid()
    _, source = dicom_case(tmp_path, on, {"GTV": contours(on)}, nodes=())
    assert convert(tmp_path, source).problem.code == code


def test_convert_when_roi_or_file_is_missing_then_excluded(tmp_path):
    on = grid()
    _, source = dicom_case(tmp_path, on, {"GTV": [box(on, 1)]}, primary=(7,), nodes=())
    assert convert(tmp_path, source).problem.code == "roi-missing"
    (tmp_path / "rs.dcm").unlink()
    assert convert(tmp_path, source).problem.code == "file-missing"


def test_convert_when_frame_of_reference_differs_then_warning(tmp_path):
    on = grid()
    _, source = dicom_case(tmp_path, on, {"GTV": [box(on, 1)]}, nodes=(), frame="9.9.9")
    made = convert(tmp_path, source)
    assert made.warnings == ["other-frame-of-reference"]
    assert "9.9.9" not in (tmp_path / "out/status.json").read_text()


def test_convert_when_tumour_is_not_tissue_then_warning(tmp_path):
    on = grid()
    hu = noise(on) - 700
    paths = save_all(ct_slices(hu, on), tmp_path / "ct")
    tumor = rtstruct_source(save(structure_set({"GTV": [box(on, 1)]}), tmp_path / "rs.dcm"), [1])
    assert convert(tmp_path, write_source(tmp_path / "source.json", paths, tumor)).warnings == ["implausible-hu"]


def segmentation(slices, mask, on, path, kind=SegmentationTypeValues.BINARY):
    """DICOM SEG of masks (slices, rows, columns, segments) on `on`, written by highdicom."""
    for image in slices:
        image.StudyInstanceUID, image.StudyID, image.AccessionNumber = "1.7.7", "1", ""
        image.PatientSex, image.StudyDate, image.StudyTime, image.ReferringPhysicianName = "O", "", "", ""
    descriptions = [
        SegmentDescription(n, f"s{n}", codes.SCT.Tissue, codes.SCT.Neoplasm, "MANUAL")
        for n in range(1, mask.shape[-1] + 1)
    ]
    volume = highdicom.Volume.from_components(
        direction=on.axes[:, ::-1],
        spacing=on.spacing[::-1],
        coordinate_system="PATIENT",
        position=on.origin,
        array=mask if kind == SegmentationTypeValues.FRACTIONAL else mask.astype(np.uint8),
        channels={"SegmentNumber": list(range(1, mask.shape[-1] + 1))},
    )
    result = highdicom.seg.Segmentation(
        slices,
        volume,
        kind,
        descriptions,
        generate_uid(),
        1,
        generate_uid(),
        1,
        "m",
        "m",
        "1",
        "1",
    )
    result.save_as(path)
    return {"kind": "seg", "path": str(path), "rois": {"primary": [{"number": 1}], "nodes": [{"number": 2}]}}


def test_convert_when_seg_on_the_cts_grid_then_as_it_is(tmp_path):
    on = grid()
    slices = ct_slices(noise(on), on)
    mask = np.zeros((*on.shape, 2), dtype=bool)
    mask[1:3, 2:5, 3:9, 0] = True
    mask[4, 6:8, 1:4, 1] = True
    paths = save_all(slices, tmp_path / "ct")
    tumor = segmentation(slices, mask, on, tmp_path / "seg.dcm")
    made = convert(tmp_path, write_source(tmp_path / "source.json", paths, tumor))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(made.tumor), mask[..., 0] + 2 * mask[..., 1])
    assert made.warnings == []
    assert made.facts["tumor_source"] == "seg"


def test_convert_when_seg_is_on_another_grid_then_resampled_with_warning(tmp_path):
    on, fine = grid(), grid(size=(24, 20, 12), spacing=(1.0, 1.25, 1.5), origin=(-30.5, 39.375, 6.25))
    slices = ct_slices(noise(on), on)
    mask = np.zeros((*on.shape, 2), dtype=bool)
    mask[1:3, 2:5, 3:9, 0] = True
    mask[4, 6:8, 1:4, 1] = True
    paths = save_all(slices, tmp_path / "ct")
    upsampled = mask.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
    tumor = segmentation(slices, upsampled, fine, tmp_path / "seg.dcm")
    made = convert(tmp_path, write_source(tmp_path / "source.json", paths, tumor))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(made.tumor), mask[..., 0] + 2 * mask[..., 1])
    assert made.warnings == ["seg-resampled"]


def test_convert_when_seg_lacks_a_segment_or_is_broken_then_excluded(tmp_path):
    on = grid()
    slices = ct_slices(noise(on), on)
    paths = save_all(slices, tmp_path / "ct")
    tumor = segmentation(slices, np.ones((*on.shape, 1), dtype=bool), on, tmp_path / "seg.dcm")
    source = write_source(tmp_path / "source.json", paths, tumor)
    assert convert(tmp_path, source).problem.code == "roi-missing"
    (tmp_path / "seg.dcm").write_bytes(b"no DICOM")
    assert convert(tmp_path, source).problem.code == "file-unreadable"


@pytest.mark.parametrize(("threshold", "share"), [(0.25, 2), (0.5, 1)])
def test_convert_when_the_threshold_of_a_fractional_seg_is_set_then_it_counts(tmp_path, threshold, share):
    on = grid()
    slices = ct_slices(noise(on), on)
    mask = np.zeros((*on.shape, 1))
    mask[1:3, 2:5, 3:9] = 1.0
    mask[3:5, 2:5, 3:9] = 0.4
    paths = save_all(slices, tmp_path / "ct")
    tumor = segmentation(slices, mask, on, tmp_path / "seg.dcm", kind=SegmentationTypeValues.FRACTIONAL)
    tumor["rois"]["nodes"] = []
    source = write_source(tmp_path / "source.json", paths, tumor)
    made = convert(tmp_path, source, SETTINGS.model_copy(update={"seg_threshold": threshold}))
    assert sitk.GetArrayFromImage(made.tumor).sum() == share * 36


def nifti_case(folder, on, hu, masks):
    sitk.WriteImage(on.image(hu), str(folder / "ct.nii.gz"))
    tumor = {"kind": "nifti", "primary": None, "nodes": None}
    for role, image in masks.items():
        tumor[role] = str(folder / f"{role}.nii.gz")
        sitk.WriteImage(image, tumor[role])
    return write_source(folder / "source.json", str(folder / "ct.nii.gz"), tumor, kind="nifti")


def test_convert_when_nifti_then_as_it_is_and_acquisition_unknown(tmp_path):
    on = grid(direction=SAGITTAL)
    mask = np.zeros(on.shape, dtype=np.uint8)
    mask[1:3, 2:5, 3:9] = 1
    hu = noise(on).astype(np.float64)
    made = convert(tmp_path, nifti_case(tmp_path, on, hu, {"nodes": on.image(mask)}))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(made.tumor), 2 * mask)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(made.ct), hu)
    assert made.ct.GetPixelID() == sitk.sitkInt16
    assert made.facts["manufacturer"] is None
    assert made.warnings == []


def test_convert_when_mask_is_on_another_grid_then_both_are_named(tmp_path):
    on, other = grid(), grid(origin=(-30.0, 40.0, 8.0))
    source = nifti_case(tmp_path, on, noise(on), {"primary": other.image(np.ones(on.shape, dtype=np.uint8))})
    problem = convert(tmp_path, source).problem
    assert problem.code == "geometry-mismatch"
    assert "-30, 40, 8" in problem.found
    assert "-30, 40, 7" in problem.expected
    assert "Resample" in problem.action


def test_convert_when_mask_has_several_labels_then_all_count_with_warning(tmp_path):
    on = grid()
    mask = np.zeros(on.shape, dtype=np.float32)
    mask[1, 1, 1:4] = (1, 2, 0.4)
    made = convert(tmp_path, nifti_case(tmp_path, on, noise(on), {"primary": on.image(mask)}))
    assert np.count_nonzero(sitk.GetArrayFromImage(made.tumor)) == 2
    assert made.warnings == ["mask-not-binary"]


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (lambda on: on.image(noise(on) + 1000), "not-hu"),
        (lambda on: sitk.JoinSeries([on.image(noise(on))] * 2), "not-3d"),
        (lambda on: grid(size=(12, 10, 2)).image(noise(grid(size=(12, 10, 2)))), "too-few-slices"),
        (lambda on: grid(spacing=(1.0, 1.0, 9.0)).image(noise(on)), "slice-spacing-too-large"),
    ],
)
def test_convert_when_nifti_image_is_bad_then_excluded(tmp_path, image, code):
    on = grid()
    source = nifti_case(tmp_path, on, noise(on), {"primary": on.image(np.ones(on.shape, dtype=np.uint8))})
    sitk.WriteImage(image(on), str(tmp_path / "ct.nii.gz"))
    assert convert(tmp_path, source).problem.code == code


def test_convert_when_nifti_is_missing_or_broken_then_excluded(tmp_path):
    on = grid()
    source = nifti_case(tmp_path, on, noise(on), {"primary": on.image(np.ones(on.shape, dtype=np.uint8))})
    (tmp_path / "primary.nii.gz").write_bytes(b"broken")
    assert convert(tmp_path, source).problem.code == "file-unreadable"
    (tmp_path / "primary.nii.gz").unlink()
    assert convert(tmp_path, source).problem.code == "file-missing"
