"""The DICOM files: read back by GDCM and pydicom exactly as written, references that resolve."""

import re
from datetime import date
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom import config

from metaswin.config.cohort import RoiSettings
from metaswin.simulate.dicom import Subject, position, write_ct
from metaswin.simulate.lesions import LesionPlan
from metaswin.simulate.patient import ImagePlan, write_patient
from metaswin.simulate.scanners import HU_RANGE, SCANNERS, scan_grid

SUBJECT = Subject("SIM-0007", (1, 6), True, date(1950, 5, 1), date(2010, 1, 3))
MATRIX, COVERAGE = 48, 90.0


@pytest.fixture(params=range(len(SCANNERS)), ids=[scanner.manufacturer for scanner in SCANNERS])
def scanner_number(request):
    return request.param


def written(tmp_path, scanner_number, **changes):
    lesions = LesionPlan(0.0, 0.0, 0.0, changes.pop("site", "oropharynx"), 2, True)
    plan = ImagePlan(SUBJECT, lesions, scanner_number, MATRIX, COVERAGE, 0.5, changes.pop("extra_series", 0.0))
    write_patient(tmp_path / "dicom", plan)
    files = sorted(path for path in (tmp_path / "dicom").rglob("*") if path.is_file())
    return [(path, pydicom.dcmread(path)) for path in files]


def test_ct_reads_back_with_exact_hu_and_geometry(tmp_path, scanner_number):
    scanner = SCANNERS[scanner_number]
    grid = scan_grid(scanner, MATRIX, COVERAGE)
    hu = np.random.default_rng(0).integers(-1000, HU_RANGE[1] + 1, grid.shape).astype(np.int16)
    series = write_ct(tmp_path, SUBJECT, scanner, grid, hu, 2, contrast=True)
    (folder,) = {path.parent for path in tmp_path.rglob("*") if path.is_file()}
    reader = sitk.ImageSeriesReader()
    assert reader.GetGDCMSeriesIDs(str(folder)) == (str(series.uid),)
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), str(series.uid)))
    image = reader.Execute()
    found, expected = sitk.GetArrayFromImage(image), hu.copy()
    if scanner.padding is not None:
        corner = np.hypot(*np.meshgrid(grid.axis(0), grid.axis(1))) > 0.5 * scanner.field_of_view
        assert (found[:, corner] == scanner.padding + scanner.intercept).all()
        found, expected = found[:, ~corner], expected[:, ~corner]
    assert np.array_equal(found, expected)
    assert image.GetSpacing() == pytest.approx(grid.spacing)
    assert image.GetOrigin() == pytest.approx(position(grid, scanner, 0), abs=1e-3)
    assert image.GetDirection() == pytest.approx(np.eye(3).ravel())


def test_every_element_is_valid(tmp_path, scanner_number, monkeypatch):
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.RAISE)
    for _, data in written(tmp_path, scanner_number):
        assert [element.value for element in data.iterall()]
        assert data.file_meta.MediaStorageSOPInstanceUID == data.SOPInstanceUID
        assert all(uid.is_valid for uid in (data.SOPInstanceUID, data.SeriesInstanceUID, data.StudyInstanceUID))


def test_contours_lie_on_the_slices_they_refer_to(tmp_path, scanner_number):
    files = written(tmp_path, scanner_number)
    slices = {data.SOPInstanceUID: data for _, data in files if data.Modality == "CT"}
    (structures,) = [data for _, data in files if data.Modality == "RTSTRUCT"]
    frame = structures.ReferencedFrameOfReferenceSequence[0]
    series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert {str(item.ReferencedSOPInstanceUID) for item in series.ContourImageSequence} == set(slices)
    assert {data.SeriesInstanceUID for data in slices.values()} == {series.SeriesInstanceUID}
    assert {data.FrameOfReferenceUID for data in slices.values()} == {frame.FrameOfReferenceUID}
    contours = [contour for roi in structures.ROIContourSequence for contour in roi.ContourSequence]
    assert len(contours) > 20
    for contour in contours:
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        image = slices[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
        assert len(points) == contour.NumberOfContourPoints >= 3
        assert np.all(points[:, 2] == float(image.ImagePositionPatient[2]))
        low = np.array(image.ImagePositionPatient[:2], float)
        high = low + np.array(image.PixelSpacing[::-1], float) * MATRIX
        assert (points[:, :2] >= low - 3).all()
        assert (points[:, :2] <= high + 3).all()


def roles(name):
    settings = RoiSettings()
    found = {role for role in ("primary", "nodes") for p in getattr(settings, role) if re.fullmatch(p, name, re.I)}
    excluded = any(re.fullmatch(pattern, name, re.I) for pattern in settings.exclude)
    return set() if excluded else found


def test_roi_names_match_the_default_patterns_of_their_role_only():
    for scanner in SCANNERS:
        assert all(roles(name) == {"primary"} for name in scanner.primary_names)
        assert all(roles(name) == roles(f"{name}1") == {"nodes"} for name in scanner.node_names)
        assert all(roles(name) == set() for name in scanner.distractors)


def test_unknown_primary_has_node_contours_only(tmp_path, scanner_number):
    (structures,) = [d for _, d in written(tmp_path, scanner_number, site="unknown primary") if d.Modality != "CT"]
    found = [roles(roi.ROIName) for roi in structures.StructureSetROISequence]
    assert {"nodes"} in found
    assert {"primary"} not in found


def test_rtstruct_lies_in_a_folder_beside_the_series(tmp_path, scanner_number):
    folders = {data.Modality: path.parent for path, data in written(tmp_path, scanner_number)}
    assert folders["CT"] != folders["RTSTRUCT"]
    assert folders["CT"].parent == folders["RTSTRUCT"].parent


def test_extra_series_has_a_sharp_kernel_and_no_contours(tmp_path):
    files = written(tmp_path, 0, extra_series=1.0)
    kernels = {data.SeriesInstanceUID: data.ConvolutionKernel for _, data in files if data.Modality == "CT"}
    assert sorted(kernels.values()) == ["B30f", "B60f"]
    (structures,) = [data for _, data in files if data.Modality == "RTSTRUCT"]
    series = structures.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert kernels[series.SeriesInstanceUID] == "B30f"


def test_headers_name_the_study_id_and_no_file_is_incomplete(tmp_path):
    files = written(tmp_path, 1)
    assert {data.PatientID for _, data in files} == {"SIM-0007"}
    assert {str(data.StudyDate) for _, data in files} == {"20100103"}
    assert not [path for path in Path(tmp_path / "dicom").iterdir() if path.name.startswith(".")]
