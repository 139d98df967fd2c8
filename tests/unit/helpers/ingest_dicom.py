"""Small DICOM files for the tests of ingest."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    PositronEmissionTomographyImageStorage,
    RTStructureSetStorage,
    SegmentationStorage,
)

SHAPE = (4, 6)


def write(dataset: FileDataset, path: Path, preamble: bool = True, syntax: str = ExplicitVRLittleEndian) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = Dataset()  # without the encoding that pydicom remembers of a file, so that any syntax can be written
    plain.update(dataset)
    if preamble:
        plain.file_meta = dataset.file_meta
        plain.file_meta.TransferSyntaxUID = syntax
        plain.save_as(path, enforce_file_format=True)
    else:
        plain.save_as(path, implicit_vr=True, little_endian=True)
    return path


def new(sop_class: str, sop: str, patient: str, study: str, series: str, modality: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = sop
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, sop
    dataset.PatientID, dataset.PatientName = patient, "Secret^Person"
    dataset.PatientBirthDate, dataset.PatientSex = "19500101", "M"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.StudyDate, dataset.Modality = "20200110", modality
    dataset.Manufacturer, dataset.ManufacturerModelName = "Maker", "Model 1"
    return dataset


def ct_slice(
    number: int,
    patient: str = "P1",
    series: str = "1.1",
    frame: str = "9.1",
    modality: str = "CT",
    study: str = "5.1",
    kernel: str = "B30f",
    **others: object,
) -> FileDataset:
    sop_class = CTImageStorage if modality == "CT" else PositronEmissionTomographyImageStorage
    dataset = new(sop_class, f"{series}.{number}", patient, study, series, modality)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.FrameOfReferenceUID = frame
    dataset.ConvolutionKernel, dataset.KVP, dataset.SliceThickness = kernel, "120", "3"
    dataset.ImagePositionPatient = [-10.0, -20.0, 3.0 * number]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [0.9, 0.8]
    dataset.Rows, dataset.Columns = SHAPE
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    dataset.RescaleIntercept, dataset.RescaleSlope = "0", "1"
    dataset.PixelData = np.zeros(SHAPE, np.int16).tobytes()
    for name, value in others.items():
        setattr(dataset, name, value)
    return dataset


def write_ct(folder: Path, slices: int = 3, **facts: object) -> list[Path]:
    return [write(ct_slice(number, **facts), folder / f"{number}") for number in range(1, slices + 1)]


def rtstruct(
    names: dict[str, int],
    patient: str = "P1",
    series: str = "2.1",
    refers: str | None = "1.1",
    frame: str | None = "9.1",
    sops: tuple[str, ...] = ("1.1.1",),
    time: str = "20200112",
    study: str = "5.1",
) -> FileDataset:
    """A structure set; `names` maps ROI names to their number of contours."""
    dataset = new(RTStructureSetStorage, f"{series}.0", patient, study, series, "RTSTRUCT")
    dataset.StructureSetDate, dataset.StructureSetTime = time, "101500"
    if frame is not None:
        reference = Dataset()
        reference.FrameOfReferenceUID = frame
        if refers is not None:
            referenced = Dataset()
            referenced.SeriesInstanceUID = refers
            referenced.ContourImageSequence = Sequence([_reference(sop) for sop in sops])
            study = Dataset()
            study.RTReferencedSeriesSequence = Sequence([referenced])
            reference.RTReferencedStudySequence = Sequence([study])
        dataset.ReferencedFrameOfReferenceSequence = Sequence([reference])
    headers, contours = [], []
    for number, (name, many) in enumerate(names.items(), start=1):
        header = Dataset()
        header.ROINumber, header.ROIName = number, name
        headers.append(header)
        contour = Dataset()
        contour.ContourData = [-9, -19, 3, -8, -19, 3, -8, -18, 3]
        roi = Dataset()
        roi.ReferencedROINumber = number
        roi.ContourSequence = Sequence([contour] * many)
        contours.append(roi)
    dataset.StructureSetROISequence, dataset.ROIContourSequence = Sequence(headers), Sequence(contours)
    return dataset


def segmentation(labels: list[str], frames: list[int], refers: str | None, sops: tuple[str, ...]) -> FileDataset:
    """A segmentation object; `frames` names the segment of each frame."""
    dataset = new(SegmentationStorage, "3.1.0", "P1", "5.1", "3.1", "SEG")
    dataset.FrameOfReferenceUID = "9.1"
    segments = []
    for number, label in enumerate(labels, start=1):
        segment = Dataset()
        segment.SegmentNumber, segment.SegmentLabel = number, label
        segments.append(segment)
    dataset.SegmentSequence = Sequence(segments)
    if refers is not None:
        referenced = Dataset()
        referenced.SeriesInstanceUID = refers
        referenced.ReferencedInstanceSequence = Sequence([_reference(sop) for sop in sops])
        dataset.ReferencedSeriesSequence = Sequence([referenced])
    groups = []
    for number in frames:
        identification = Dataset()
        identification.ReferencedSegmentNumber = number
        source = Dataset()
        source.SourceImageSequence = Sequence([_reference(sop) for sop in sops])
        group = Dataset()
        group.SegmentIdentificationSequence = Sequence([identification])
        group.DerivationImageSequence = Sequence([source])
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = *SHAPE, len(frames)
    dataset.BitsAllocated, dataset.SamplesPerPixel = 8, 1
    dataset.PixelData = bytes(SHAPE[0] * SHAPE[1] * len(frames))
    return dataset


def _reference(sop: str) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPInstanceUID = sop
    return reference
