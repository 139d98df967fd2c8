"""Headers of single files."""

import json
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest_dicom import ct_slice, new, rtstruct, segmentation, write
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    RLELossless,
)

from metaswin.cohort.headers import Header, read_header
from metaswin.cohort.walk import FoundFile


def read(path: Path) -> Header:
    status = path.stat()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_header(path.parent, FoundFile(path.name, status.st_size, status.st_mtime_ns))


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
)
def test_read_header_when_file_is_a_ct_slice_then_its_facts_are_read(tmp_path, syntax):
    dataset = ct_slice(7, patient=" P1 ", AcquisitionNumber="4", ContrastBolusAgent="agent", SeriesDate="20200111")
    header = read(write(dataset, tmp_path / "a", syntax=syntax))
    assert header.code == ""
    assert header.patient_id == "P1"
    assert (header.rows, header.columns, header.frames) == (4, 6, 1)
    assert (header.spacing, header.thickness, header.kvp, header.position) == (0.9, 3.0, 120.0, 21.0)
    assert (header.manufacturer, header.model, header.kernel) == ("Maker", "Model 1", "B30f")
    assert (header.date, header.acquisition, header.contrast) == ("20200111", "4", True)
    assert (header.series, header.sop, header.frame) == ("1.1", "1.1.7", "9.1")


def test_read_header_when_slices_are_sagittal_then_position_runs_along_their_normal(tmp_path):
    dataset = ct_slice(1, ImageOrientationPatient=[0, 1, 0, 0, 0, -1], ImagePositionPatient=[5.0, 1.0, 2.0])
    assert read(write(dataset, tmp_path / "a")).position == -5.0


def test_read_header_when_kernel_has_several_values_then_they_are_joined(tmp_path):
    assert read(write(ct_slice(1, kernel=["I31f", "3"]), tmp_path / "a")).kernel == "I31f/3"


def test_read_header_when_id_is_not_ascii_then_the_files_character_set_decodes_it(tmp_path):
    assert read(write(ct_slice(1, patient="Müller"), tmp_path / "a")).patient_id == "Müller"


def test_read_header_when_preamble_is_absent_then_the_file_still_reads(tmp_path):
    header = read(write(ct_slice(1), tmp_path / "a", preamble=False))
    assert (header.code, header.patient_id, header.rows) == ("", "P1", 4)


@pytest.mark.parametrize(
    "content", [b"text", b"\x08\x00 starts like a tag but is none", b"PK\x03\x04" + bytes(500), b"\0" * 140]
)
def test_read_header_when_file_is_not_dicom_then_it_is_ignored(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert read(tmp_path / "a").code == "not-dicom"


def test_read_header_when_file_is_a_dicomdir_then_it_is_ignored(tmp_path):
    directory = new(MediaStorageDirectoryStorage, "1", "", "", "", "")
    assert read(write(directory, tmp_path / "DICOMDIR")).code == "not-dicom"


def test_read_header_when_file_has_no_bytes_then_it_is_reported(tmp_path):
    (tmp_path / "a").touch()
    assert read(tmp_path / "a").code == "empty-file"


def test_read_header_when_file_is_missing_then_it_is_reported(tmp_path):
    assert read_header(tmp_path, FoundFile("a", 10, 0)).code == "unreadable-file"


@pytest.mark.parametrize("lost", [1, 40])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_read_header_when_pixels_are_cut_short_then_truncated_and_its_series_is_kept(tmp_path, lost, syntax):
    path = write(ct_slice(1), tmp_path / "a", syntax=syntax)
    path.write_bytes(path.read_bytes()[:-lost])
    header = read(path)
    assert (header.code, header.series, header.patient_id) == ("truncated-file", "1.1", "P1")


@pytest.mark.parametrize("lost", [1, 9, 60])
def test_read_header_when_compressed_pixels_are_cut_short_then_it_is_truncated(tmp_path, lost):
    dataset = ct_slice(1, PixelData=np.arange(24, dtype=np.int16).tobytes())
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.compress(RLELossless, generate_instance_uid=False)
    path = write(dataset, tmp_path / "a", syntax=RLELossless)
    assert read(path).code == ""
    path.write_bytes(path.read_bytes()[:-lost])
    assert (read(path).code, read(path).series) == ("truncated-file", "1.1")


def test_read_header_when_rescale_is_unusual_or_compression_lossy_then_noted(tmp_path):
    def of(**values):
        return read(write(ct_slice(1, **values), tmp_path / "a"))

    assert of().no_hu == ""
    assert of(RescaleType="OD").no_hu == "a rescale type other than HU"
    assert of(RescaleSlope=None).no_hu == "no rescale slope or intercept"
    assert of(RescaleSlope="0").no_hu == "a rescale slope of 0"
    assert not of().lossy
    assert of(LossyImageCompression="01").lossy


def test_contours_when_open_or_short_then_not_counted_and_the_box_spans_the_others(tmp_path):
    dataset = rtstruct({"GTVp": 1})
    square, marker, line = Dataset(), Dataset(), Dataset()
    square.ContourGeometricType, square.ContourData = "CLOSED_PLANAR", [0, 0, 9, 8, 0, 9, 8, 6, 9, 0, 6, 9]
    marker.ContourGeometricType, marker.ContourData = "POINT", [99, 99, 99]
    line.ContourGeometricType, line.ContourData = "CLOSED_PLANAR", [99, 99, 99, 98, 98, 98]
    dataset.ROIContourSequence[0].ContourSequence = [square, marker, line]
    [roi] = json.loads(read(write(dataset, tmp_path / "a")).contours)["rois"]
    assert (roi["contours"], roi["box"]) == (1, [0.0, 0.0, 9.0, 8.0, 6.0, 9.0])


def test_read_header_when_contours_are_cut_short_then_it_is_not_readable(tmp_path):
    path = write(rtstruct({"GTVp": 3}), tmp_path / "a", syntax=ImplicitVRLittleEndian)
    path.write_bytes(path.read_bytes()[:-30])
    assert read(path).code in ("truncated-file", "unreadable-file")


def test_read_header_when_pixel_data_are_huge_then_they_are_not_read(tmp_path):
    path = write(ct_slice(1), tmp_path / "a", syntax=ImplicitVRLittleEndian)
    size = 1 << 30
    content = path.read_bytes()
    start = content.rindex(b"\xe0\x7f\x10\x00")
    path.write_bytes(content[: start + 4] + size.to_bytes(4, "little"))
    with open(path, "r+b") as file:
        file.truncate(start + 8 + size)
    tracemalloc.start()
    header = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert header.code == ""
    assert peak < 5_000_000


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0.0, 1.0), flips=st.lists(st.tuples(st.floats(0.0, 1.0), st.integers(0, 255)), max_size=5))
def test_read_header_when_bytes_are_damaged_then_it_never_raises(tmp_path, cut, flips):
    content = bytearray(write(rtstruct({"GTVp": 2}), tmp_path / "whole").read_bytes())
    for place, value in flips:
        content[int(place * (len(content) - 1))] = value
    (tmp_path / "a").write_bytes(content[: int(cut * len(content))])
    header = read(tmp_path / "a")
    assert header.code in ("", "not-dicom", "empty-file", "unreadable-file", "truncated-file")
    assert header.code == "" or cut < 1.0 or flips


def test_read_header_when_ct_is_multiframe_then_geometry_comes_from_its_groups(tmp_path):
    dataset = new(EnhancedCTImageStorage, "4.1", "P1", "5.1", "4.0", "CT")
    orientation, measures = Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [0.7, 0.7], 2.0
    shared = Dataset()
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence([orientation]), Sequence([measures])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for z in (10.0, 7.5, 5.0):
        position, frame = Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, z]
        frame.PlanePositionSequence = Sequence([position])
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = 4, 6, 3
    dataset.BitsAllocated, dataset.SamplesPerPixel, dataset.PixelData = 16, 1, bytes(144)
    header = read(write(dataset, tmp_path / "a"))
    assert (header.code, header.frames, header.spacing, header.thickness) == ("", 3, 0.7, 2.0)
    assert header.slice_spacing == pytest.approx(2.5)


def test_contours_when_object_is_an_rtstruct_then_rois_and_references_are_read(tmp_path):
    facts = json.loads(read(write(rtstruct({"GTVp": 3, "Ghost": 0}), tmp_path / "a")).contours)
    assert facts["rois"] == [
        {"number": 1, "name": "GTVp", "contours": 3, "box": [-9.0, -19.0, 3.0, -8.0, -18.0, 3.0]},
        {"number": 2, "name": "Ghost", "contours": 0, "box": None},
    ]
    assert (facts["series"], facts["frames"], facts["sops"]) == (["1.1"], ["9.1"], ["1.1.1"])
    assert facts["time"] == "20200112101500"


def test_contours_when_object_is_a_seg_then_segments_frames_and_references_are_read(tmp_path):
    dataset = segmentation(["GTVp", "GTVn", "empty"], [1, 1, 2], "1.1", ("1.1.1", "1.1.2"))
    header = read(write(dataset, tmp_path / "a"))
    facts = json.loads(header.contours)
    assert header.code == ""
    assert [(roi["name"], roi["contours"]) for roi in facts["rois"]] == [("GTVp", 2), ("GTVn", 1), ("empty", 0)]
    assert (facts["series"], facts["sops"]) == (["1.1"], ["1.1.1", "1.1.2"])
