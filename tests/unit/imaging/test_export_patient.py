"""SEG and RTSTRUCT over the original CT, read back without the code that wrote them."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from images_dicom import AXIAL, SAGITTAL, ct_slices, grid, noise, rtstruct_source, save_all, write_source
from skimage.draw import polygon2mask

from metaswin.core.errors import UserError
from metaswin.core.files import write_json, write_volume
from metaswin.core.grid import Grid
from metaswin.core.problems import Problem
from metaswin.core.status import Status, exclude, write_status
from metaswin.imaging.export import export_patient, ordered_slices
from metaswin.imaging.export_rtstruct import outlines
from metaswin.imaging.patches import PatientFiles

TILTED = (1.0, 0, 0, 0, 0.966, -0.259, 0, 0.259, 0.966)


def prepare(folder, direction=AXIAL):
    """Arguments of the job, and the masks that should come back."""
    axes = np.reshape(direction, (3, 3))
    on = grid(size=(20, 16, 6), direction=tuple((axes / np.linalg.norm(axes, axis=0)).ravel()))
    slices = ct_slices(noise(on), on)
    for image in slices:
        image.PatientName, image.StudyInstanceUID = "Doe^Jane", "1.2.3.4"
        image.PatientBirthDate = image.PatientSex = image.StudyID = image.AccessionNumber = ""
        image.StudyDate, image.StudyTime = "20200101", "101500"
    paths = save_all(slices, folder / "dicom")
    tumor = np.zeros(on.shape, dtype=np.uint8)
    tumor[2:4, 4:9, 5:11] = 1
    tumor[2, 6, 7] = 0  # a hole
    tumor[4, 10, 12] = 2  # a single voxel
    organs = np.zeros(on.shape, dtype=np.uint16)
    organs[1:5, 3:12, 3:14] = 9
    organs[0] = 5
    regions = np.where(tumor > 0, tumor, 0).astype(np.uint8)
    regions[3, 9:12, 5:11] = 11
    volumes = {"ct": noise(on), "tumor": tumor, "organs": organs, "regions": regions}
    for name, array in volumes.items():
        write_volume(folder / f"{name}.nii.gz", on.image(array))
    files = PatientFiles(
        **{name: str(folder / f"{name}.nii.gz") for name in volumes},
        **{name: str(folder / f"{name}.json") for name in ("organ_facts", "region_facts", "status")},
    )
    write_source(folder / "source.json", paths, rtstruct_source("unused", [1]))
    write_json(files.organ_facts, {"backend": "masks", "labels": {"skull": 9, "outside": 5, "brain": 7}})
    write_json(files.region_facts, {"labels": {"primary": [1], "ring_0_10mm": [11]}, "missing": {}})
    write_status(files.status, Status("P1", "regions"), folder / "details")
    job = {"source": str(folder / "source.json"), "files": files}
    job |= {"seg": str(folder / "seg.dcm"), "rtstruct": str(folder / "rtstruct.dcm")}
    masks = {"primary": tumor == 1, "nodes": tumor == 2, "ring_0_10mm": regions == 11, "skull": organs == 9}
    return job, masks, slices, on


@pytest.mark.parametrize("direction", [AXIAL, SAGITTAL, TILTED])
def test_export_when_seg_is_read_by_frame_then_the_same_voxels_on_the_same_slices(tmp_path, direction):
    job, masks, slices, _ = prepare(tmp_path, direction)
    export_patient(**job)
    data = pydicom.dcmread(job["seg"])
    where = {image.SOPInstanceUID: index for index, image in enumerate(slices)}
    names = {item.SegmentNumber: item.SegmentLabel for item in data.SegmentSequence}
    found = {name: np.zeros(masks[name].shape, dtype=bool) for name in names.values()}
    for plane, frame in zip(data.pixel_array, data.PerFrameFunctionalGroupsSequence, strict=True):
        name = names[frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber]
        source = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        index = where[source]
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(position, slices[index].ImagePositionPatient, atol=1e-4)
        found[name][index] = plane.astype(bool)
    assert set(found) == set(masks)
    for name, mask in masks.items():
        np.testing.assert_array_equal(found[name], mask)
    assert (data.PatientName, data.StudyInstanceUID) == ("Doe^Jane", "1.2.3.4")
    assert data.FrameOfReferenceUID == slices[0].FrameOfReferenceUID


@pytest.mark.parametrize("direction", [AXIAL, SAGITTAL, TILTED])
def test_export_when_rtstruct_is_filled_by_another_library_then_the_same_voxels(tmp_path, direction):
    job, masks, slices, on = prepare(tmp_path, direction)
    export_patient(**job)
    data = pydicom.dcmread(job["rtstruct"])
    where = {image.SOPInstanceUID: index for index, image in enumerate(slices)}
    names = {item.ROINumber: item.ROIName for item in data.StructureSetROISequence}
    assert set(names.values()) == set(masks)
    for item in data.ROIContourSequence:
        found = np.zeros(on.shape, dtype=bool)
        for contour in item.ContourSequence:
            index = where[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
            points = on.indices(np.reshape(np.array(contour.ContourData, dtype=float), (-1, 3)))
            np.testing.assert_allclose(points[:, 2], index, atol=1e-3)
            found[index] ^= polygon2mask(on.shape[1:], points[:, 1::-1])
        np.testing.assert_array_equal(found, masks[names[item.ReferencedROINumber]])
    assert (data.PatientName, data.StudyInstanceUID) == ("Doe^Jane", "1.2.3.4")
    kinds = [item.RTROIInterpretedType for item in data.RTROIObservationsSequence]
    assert kinds == ["GTV", "GTV", "CONTROL", "ORGAN"]


def test_export_when_the_patient_was_excluded_then_empty_files(tmp_path):
    job, *_ = prepare(tmp_path)
    problem = Problem("P1", "regions", "tumor-too-small", "a", "b", "c")
    exclude(job["files"].status, Status("P1", "regions", problem), [], tmp_path / "details")
    export_patient(**job)
    assert [Path(path).stat().st_size for path in (job["seg"], job["rtstruct"])] == [0, 0]


def test_ordered_slices_when_one_is_gone_then_what_to_do(tmp_path):
    job, _, slices, on = prepare(tmp_path)
    paths = save_all(slices[:-1], tmp_path / "fewer")
    with pytest.raises(UserError, match=r"5 of 6 slices .* run the stage images again"):
        ordered_slices(paths, Grid.of(sitk.ReadImage(job["files"].ct)))
    assert len(ordered_slices(save_all(slices, tmp_path / "all"), on)) == 6


def test_outlines_when_a_hole_then_a_polygon_of_its_own():
    plane = np.zeros((8, 8), dtype=bool)
    plane[1:7, 1:7] = True
    plane[3:5, 3:5] = False
    assert len(outlines(plane)) == 2
