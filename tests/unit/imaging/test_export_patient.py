"""SEG, RTSTRUCT and structured report over the original CT, read back without the code that wrote them."""

import shutil
import subprocess
from dataclasses import replace

import highdicom
import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk
from images_dicom import AXIAL, SAGITTAL, ct_slices, grid, noise, rtstruct_source, save_all, write_source
from skimage.draw import polygon2mask

from metaswin.config.imaging import ExportSettings
from metaswin.core.errors import UserError
from metaswin.core.files import write_json, write_table, write_volume
from metaswin.core.formatting import RESEARCH_USE
from metaswin.core.grid import Grid
from metaswin.core.problems import Problem
from metaswin.core.status import Status, exclude, write_status
from metaswin.imaging.export import ExportInputs, ExportOutputs, export_patient, ordered_slices
from metaswin.imaging.export_rtstruct import outlines
from metaswin.imaging.patches import PatientFiles
from metaswin.prediction.patients import not_predicted, prediction_table

FEATURES = ["original_firstorder_Mean", "original_firstorder_Kurtosis", "log-sigma-3-0-mm-3D_glcm_Idm"]
FEATURES += ["original_shape_Sphericity"]
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
    features = pd.DataFrame(
        [["P1", "tumor", 40, 12.5, 1.25, 3.0, np.nan], ["P1", "ring_0_10mm", 18, -3.125, 0.5, 4.0, 7.0]],
        columns=["patient", "region", "voxels", *FEATURES],
    )
    made = {"engine": "metaswin", "version": "0.2", "settings_hash": "0123456789abcdef"}
    write_table(folder / "radiomics.parquet", features, made)
    inputs = ExportInputs(str(folder / "source.json"), files, str(folder / "radiomics.parquet"))
    outputs = ExportOutputs(*(str(folder / f"{name}.dcm") for name in ("seg", "rtstruct", "report")))
    job = {"inputs": inputs, "outputs": outputs, "patient": "P1", "settings": ExportSettings()}
    masks = {"primary": tumor == 1, "nodes": tumor == 2, "ring_0_10mm": regions == 11, "skull": organs == 9}
    return job, masks, slices, on


@pytest.mark.parametrize("direction", [AXIAL, SAGITTAL, TILTED])
def test_export_when_seg_is_read_by_frame_then_the_same_voxels_on_the_same_slices(tmp_path, direction):
    job, masks, slices, _ = prepare(tmp_path, direction)
    export_patient(**job)
    masks["tumor"] = masks["primary"] | masks["nodes"]
    data = pydicom.dcmread(job["outputs"].seg)
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


def predictions(folder):
    """Files of a prediction: one endpoint predicted, one not; another patient."""
    row = {**not_predicted("dm_2y", "P1", ""), "risk": 0.3125, "range_low": 0.25, "range_high": 0.5, "members": 3}
    row |= {"group": "high", "percentile": 87.5, "feature_set": "clinical+radiomics", "warnings": ["a", "b"]}
    write_table(
        folder / "predictions.parquet",
        prediction_table([row, not_predicted("dm_5y", "P1", "no CT"), {**row, "patient": "P2", "risk": 0.9}]),
    )
    write_json(folder / "facts.json", {"bundle": "f" * 64, "made_by": "0.2.0", "metaswin": "0.2.1", "member": None})
    return {"predictions": str(folder / "predictions.parquet"), "prediction_facts": str(folder / "facts.json")}


def items(container) -> list[tuple[str, str, object]]:
    """Name (scheme:code) and value of the items of a container, read with pydicom alone."""
    found = []
    for item in container.ContentSequence:
        name = item.ConceptNameCodeSequence[0]
        code = f"{name.CodingSchemeDesignator}:{name.get('CodeValue') or name.LongCodeValue}"
        if item.ValueType == "NUM":
            measured = item.MeasuredValueSequence[0]
            unit = measured.MeasurementUnitsCodeSequence[0].CodeValue
            found.append((code, unit, float(measured.NumericValue)))
        elif item.ValueType == "CODE":
            found.append((code, "", item.ConceptCodeSequence[0].CodeMeaning))
        elif item.ValueType == "IMAGE":
            found.append((code, "", item.ReferencedSOPSequence[0]))
        elif item.ValueType in ("TEXT", "UIDREF"):
            found.append((code, "", item.get("TextValue") or item.get("UID")))
    return found


def groups_of(path) -> dict[str, list[tuple[str, str, object]]]:
    """Tracking identifier → items of each measurement group of a report."""
    (measurements,) = [
        item for item in pydicom.dcmread(path).ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Imaging Measurements"
    ]  # fmt: skip
    groups = [items(group) for group in measurements.ContentSequence]
    return {next(value for code, _, value in group if code == "DCM:112039"): group for group in groups}


def test_report_when_read_back_then_volumes_features_and_risk_with_its_model(tmp_path):
    job, masks, _, on = prepare(tmp_path)
    export_patient(**{**job, "inputs": replace(job["inputs"], **predictions(tmp_path))})
    path = job["outputs"].report
    groups = groups_of(path)
    assert set(groups) == {"primary", "nodes", "tumor", "ring_0_10mm", "Predicted risk: dm_2y"}
    voxel = float(np.prod(on.spacing))
    seg = pydicom.dcmread(job["outputs"].seg)
    numbers = {item.SegmentLabel: item.SegmentNumber for item in seg.SegmentSequence}
    masks["tumor"] = masks["primary"] | masks["nodes"]
    for name in ("primary", "nodes", "tumor", "ring_0_10mm"):
        found = {code: (unit, value) for code, unit, value in groups[name]}
        assert found["SCT:118565006"] == ("mm3", pytest.approx(masks[name].sum() * voxel))
        reference = found["DCM:121191"][1]
        assert reference.ReferencedSOPInstanceUID == seg.SOPInstanceUID
        assert reference.ReferencedSegmentNumber == numbers[name]
    numbers = {code: (unit, value) for code, unit, value in groups["tumor"] if unit and code[:3] != "SCT"}
    assert numbers == {"IBSI:Q4LE": ("[hnsf'U]", 12.5)}  # neither kurtosis (IBSI + 3), nor a filter, nor a missing one
    ring = {code: value for code, unit, value in groups["ring_0_10mm"] if unit and code[:3] != "SCT"}
    assert ring == {"IBSI:Q4LE": -3.125, "IBSI:QCFX": 7.0}
    assert ("DCM:111002", "", "settings 0123456789abcdef") in groups["tumor"]

    risk = groups["Predicted risk: dm_2y"]
    values = {code: value for code, _, value in risk}
    assert values["99METASWIN:risk"] == 0.3125
    assert (values["99METASWIN:risk-lowest"], values["99METASWIN:risk-highest"]) == (0.25, 0.5)
    assert (values["99METASWIN:risk-percentile"], values["99METASWIN:risk-group"]) == (87.5, "high")
    assert values["DCM:111001"] == "metaswin bundle: dm_2y, clinical+radiomics"
    assert values["DCM:111003"] == "0.2.0"
    assert values["DCM:111002"] == f"fingerprint {'f' * 64}"
    assert [value for code, _, value in risk if code == "DCM:121106"] == [RESEARCH_USE, "a", "b"]

    data = pydicom.dcmread(path)
    assert (data.PatientName, data.StudyInstanceUID, data.Modality) == ("Doe^Jane", "1.2.3.4", "SR")
    assert data.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert (data.VerificationFlag, data.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    report = highdicom.sr.srread(path)
    assert len(report.content.get_volumetric_roi_measurement_groups()) == 4
    (group,) = report.content.get_image_measurement_groups()
    assert next(item.value for item in group.get_measurements()) == 0.3125


def test_report_when_features_are_named_then_these_with_our_own_codes_where_ibsi_has_none(tmp_path):
    job, *_ = prepare(tmp_path)
    export_patient(**{**job, "settings": ExportSettings(features=FEATURES[1:3])})
    numbers = {code: (unit, value) for code, unit, value in groups_of(job["outputs"].report)["tumor"] if unit}
    del numbers["SCT:118565006"]
    assert numbers == {
        f"99METASWIN:{name}": ("1", value) for name, value in zip(FEATURES[1:3], (1.25, 3.0), strict=True)
    }


def test_report_when_there_is_one_lesion_then_it_has_the_features_of_the_tumour(tmp_path):
    job, *_ = prepare(tmp_path)
    image = sitk.ReadImage(job["inputs"].files.tumor)
    write_volume(job["inputs"].files.tumor, sitk.Cast(image == 1, sitk.sitkUInt8))
    export_patient(**job)
    groups = groups_of(job["outputs"].report)
    assert set(groups) == {"primary", "ring_0_10mm"}
    assert ("IBSI:Q4LE", "[hnsf'U]", 12.5) in groups["primary"]


@pytest.mark.parametrize("tool", ["dciodvfy", "dsrdump"])
def test_report_when_checked_by_an_independent_validator_then_no_error(tmp_path, tool):
    """dciodvfy (dicom3tools) checks IOD, value types and relationships; dsrdump (DCMTK) reads the tree."""
    if shutil.which(tool) is None:
        pytest.skip(f"no {tool}: install the Debian packages dicom3tools and dcmtk")
    job, *_ = prepare(tmp_path)
    settings = ExportSettings(features=FEATURES)
    export_patient(**{**job, "inputs": replace(job["inputs"], **predictions(tmp_path)), "settings": settings})
    done = subprocess.run([tool, job["outputs"].report], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    assert done.returncode == 0, done.stderr
    assert [line for line in lines if line.startswith(("Error", "E:", "W:"))] == []
    if tool == "dsrdump":
        assert any("Predicted risk" in line for line in lines)


@pytest.mark.parametrize("direction", [AXIAL, SAGITTAL, TILTED])
def test_export_when_rtstruct_is_filled_by_another_library_then_the_same_voxels(tmp_path, direction):
    job, masks, slices, on = prepare(tmp_path, direction)
    export_patient(**job)
    data = pydicom.dcmread(job["outputs"].rtstruct)
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
    exclude(job["inputs"].files.status, Status("P1", "regions", problem), [], tmp_path / "details")
    export_patient(**job)
    assert [path.stat().st_size for path in sorted(tmp_path.glob("*.dcm"))] == [0, 0, 0]


def test_ordered_slices_when_one_is_missing_then_the_message_says_what_to_do(tmp_path):
    job, _, slices, on = prepare(tmp_path)
    paths = save_all(slices[:-1], tmp_path / "fewer")
    with pytest.raises(UserError, match=r"5 of 6 slices .* run the stage images again"):
        ordered_slices(paths, Grid.of(sitk.ReadImage(job["inputs"].files.ct)))
    assert len(ordered_slices(save_all(slices, tmp_path / "all"), on)) == 6


def test_outlines_when_a_hole_then_a_polygon_of_its_own():
    plane = np.zeros((8, 8), dtype=bool)
    plane[1:7, 1:7] = True
    plane[3:5, 3:5] = False
    assert len(outlines(plane)) == 2
