"""Write simulated CT series and contours as DICOM, in the style of each scanner."""

import hashlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RTStructureSetStorage

from metaswin.simulate.contours import Roi
from metaswin.simulate.phantom import Grid
from metaswin.simulate.scanners import Scanner

DETACHED_STUDY = UID("1.2.840.10008.3.1.2.3.1")
"""SOP class with which RTSTRUCTs reference the study."""

COLOURS = ((255, 0, 0), (255, 160, 0), (0, 160, 255), (0, 200, 90), (160, 90, 220), (120, 120, 120))


@dataclass(frozen=True)
class Subject:
    """The scanned person: `key` = (seed, index) determines the UIDs; `born` and `scanned` are dates."""

    patient: str
    key: tuple[int, int]
    male: bool
    born: date
    scanned: date

    def uid(self, *role: str | int) -> UID:
        """Return a UID under the root 2.25 that depends on the seed, the index and the role only."""
        text = "|".join(map(str, ("metaswin", *self.key, *role)))
        return UID(f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16])}")

    def token(self, *role: str | int) -> str:
        """Return a meaningless name of ten hex digits for files and folders."""
        return hashlib.sha256("|".join(map(str, ("name", *self.key, *role))).encode()).hexdigest()[:10]


@dataclass(frozen=True)
class Series:
    """A written CT series: its number, its UID and the SOPInstanceUIDs in slice order (feet first)."""

    number: int
    uid: UID
    instances: tuple[UID, ...]


def write_ct(
    root: Path, subject: Subject, scanner: Scanner, grid: Grid, hu: np.ndarray, number: int, contrast: bool
) -> Series:
    """Write one CT series below `root`.

    Parameters
    ----------
    root : Path
        Folder of the whole cohort; the style of the scanner determines the folders and files below it.
    subject, scanner : Subject, Scanner
        The scanned person and the scanner.
    grid : Grid
        Voxel grid in the phantom's coordinates.
    hu : ndarray of int, shape (z, y, x)
        HU; the slices run from the feet to the head.
    number : int
        SeriesNumber.
    contrast : bool
        Whether contrast agent was given.
    """
    slices = len(hu)
    series = Series(
        number, subject.uid("series", number), tuple(subject.uid("ct", number, index) for index in range(slices))
    )
    folder = root / scanner.folder_style.format(token=subject.token("folder"), series=number, modality=f"CT{number}")
    folder.mkdir(parents=True, exist_ok=True)
    stored = _stored_values(hu, grid, scanner)
    common = _series_header(subject, scanner, grid, series, contrast)
    for index, uid in enumerate(series.instances):
        instance = slices - index if scanner.top_first else index + 1
        header = _new_file(uid, CTImageStorage, scanner)
        header.update(common)
        header.SOPInstanceUID = uid
        header.InstanceNumber = instance
        header.ImagePositionPatient = _decimals(position(grid, scanner, index))
        header.SliceLocation = f"{position(grid, scanner, index)[2]:.3f}"
        header.PixelData = stored[index].tobytes()
        name = scanner.file_style.format(instance=instance, uid=uid, token=subject.token("file", number, index))
        header.save_as(folder / name, enforce_file_format=True)
    return series


def write_rtstruct(root: Path, subject: Subject, scanner: Scanner, grid: Grid, series: Series, rois: list[Roi]) -> None:
    """Write the contours `rois`, drawn on `series`, into a folder beside it."""
    uid = subject.uid("rtstruct")
    data = _new_file(uid, RTStructureSetStorage, scanner)
    _patient_and_study(data, subject)
    data.SOPClassUID, data.SOPInstanceUID = RTStructureSetStorage, uid
    data.Modality = "RTSTRUCT"
    data.SeriesInstanceUID = subject.uid("rtstruct-series")
    data.SeriesNumber = series.number + 100
    data.InstanceNumber = 1
    data.FrameOfReferenceUID = subject.uid("frame")
    data.PositionReferenceIndicator = ""
    data.Manufacturer = "metaswin"
    data.ManufacturerModelName = "phantom"
    data.OperatorsName = ""
    data.StructureSetLabel = "PLAN"
    data.StructureSetName = "PLAN"
    data.StructureSetDate = data.StudyDate
    data.StructureSetTime = "120000"
    data.ApprovalStatus = "UNAPPROVED"
    data.ReferencedFrameOfReferenceSequence = Sequence([_frame_reference(subject, series)])
    numbered = list(enumerate(rois, start=1))
    data.StructureSetROISequence = Sequence([_roi_header(subject, number, roi) for number, roi in numbered])
    data.ROIContourSequence = Sequence([_roi_contours(grid, scanner, series, number, roi) for number, roi in numbered])
    data.RTROIObservationsSequence = Sequence([_observation(number, roi) for number, roi in numbered])
    folder = root / scanner.folder_style.format(
        token=subject.token("folder"), series=series.number + 100, modality="RTSTRUCT"
    )
    folder.mkdir(parents=True, exist_ok=True)
    name = scanner.file_style.format(instance=1, uid=uid, token=subject.token("file", "rtstruct"))
    data.save_as(folder / name, enforce_file_format=True)


def position(grid: Grid, scanner: Scanner, index: int) -> tuple[float, float, float]:
    """Return the centre of the first voxel of slice `index` in the scanner's coordinates (mm)."""
    x, y, z = grid.origin
    return scanner.corner[0] + x, scanner.corner[1] + y, scanner.corner[2] + z + index * grid.spacing[2]


def _new_file(uid: UID, sop_class: UID, scanner: Scanner) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if scanner.implicit_vr else ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID("2.25.331117264213518093466317128934028133257")
    meta.ImplementationVersionName = "METASWIN_SIM"
    # pydicom's annotation lacks None, which means a data set without a file.
    return FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)  # type: ignore[arg-type]


def _patient_and_study(data: Dataset, subject: Subject) -> None:
    data.SpecificCharacterSet = "ISO_IR 100"
    data.PatientName = f"Phantom^{subject.patient}"
    data.PatientID = subject.patient
    data.PatientBirthDate = subject.born.strftime("%Y%m%d")
    data.PatientSex = "M" if subject.male else "F"
    data.StudyInstanceUID = subject.uid("study")
    data.StudyID = "1"
    data.StudyDate = subject.scanned.strftime("%Y%m%d")
    data.StudyTime = "101500"
    data.AccessionNumber = ""
    data.ReferringPhysicianName = ""
    data.StudyDescription = "CT NECK"


def _series_header(subject: Subject, scanner: Scanner, grid: Grid, series: Series, contrast: bool) -> Dataset:
    data = Dataset()
    _patient_and_study(data, subject)
    data.SOPClassUID = CTImageStorage
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.Modality = "CT"
    data.SeriesInstanceUID = series.uid
    data.SeriesNumber = series.number
    data.SeriesDescription = f"NECK {scanner.slice_thickness:g} {scanner.kernel}"
    data.SeriesDate = data.AcquisitionDate = data.ContentDate = data.StudyDate
    data.SeriesTime = data.AcquisitionTime = data.ContentTime = "101700"
    data.AcquisitionNumber = 1
    data.FrameOfReferenceUID = subject.uid("frame")
    data.PositionReferenceIndicator = ""
    data.BodyPartExamined = "HEADNECK"
    data.PatientPosition = "HFS"
    data.Manufacturer = scanner.manufacturer
    data.ManufacturerModelName = scanner.model
    data.ConvolutionKernel = scanner.kernel
    data.KVP = scanner.kvp
    if contrast:
        data.ContrastBolusAgent = scanner.contrast_agent
    data.SliceThickness = f"{scanner.slice_thickness:g}"
    data.SpacingBetweenSlices = f"{grid.spacing[2]:g}"
    data.PixelSpacing = [f"{grid.spacing[1]:.6f}", f"{grid.spacing[0]:.6f}"]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.Columns, data.Rows = grid.size[:2]
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated = 16
    data.BitsStored = 16 if scanner.signed else 12
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(scanner.signed)
    if scanner.padding is not None:
        data.add_new("PixelPaddingValue", "SS" if scanner.signed else "US", scanner.padding)
    data.RescaleIntercept = scanner.intercept
    data.RescaleSlope = 1
    data.RescaleType = "HU"
    data.WindowCenter, data.WindowWidth = 40, 400
    return data


def _stored_values(hu: np.ndarray, grid: Grid, scanner: Scanner) -> np.ndarray:
    """Return the pixel values as the scanner stores them, little endian, shape (z, y, x)."""
    values = hu.astype(np.int32) - scanner.intercept
    if scanner.padding is not None:
        x, y, _ = grid.coordinates()
        outside = x[0] ** 2 + y[0] ** 2 > (0.5 * grid.size[0] * grid.spacing[0]) ** 2
        values[:, outside] = scanner.padding
    return values.astype("<i2" if scanner.signed else "<u2")


def _frame_reference(subject: Subject, series: Series) -> Dataset:
    of_series = Dataset()
    of_series.SeriesInstanceUID = series.uid
    of_series.ContourImageSequence = Sequence([_image_reference(uid) for uid in series.instances])
    of_study = Dataset()
    of_study.ReferencedSOPClassUID = DETACHED_STUDY
    of_study.ReferencedSOPInstanceUID = subject.uid("study")
    of_study.RTReferencedSeriesSequence = Sequence([of_series])
    frame = Dataset()
    frame.FrameOfReferenceUID = subject.uid("frame")
    frame.RTReferencedStudySequence = Sequence([of_study])
    return frame


def _image_reference(uid: UID) -> Dataset:
    image = Dataset()
    image.ReferencedSOPClassUID = CTImageStorage
    image.ReferencedSOPInstanceUID = uid
    return image


def _roi_header(subject: Subject, number: int, roi: Roi) -> Dataset:
    item = Dataset()
    item.ROINumber = number
    item.ReferencedFrameOfReferenceUID = subject.uid("frame")
    item.ROIName = roi.name
    item.ROIGenerationAlgorithm = "MANUAL"
    return item


def _roi_contours(grid: Grid, scanner: Scanner, series: Series, number: int, roi: Roi) -> Dataset:
    item = Dataset()
    item.ROIDisplayColor = list(COLOURS[(number - 1) % len(COLOURS)])
    item.ReferencedROINumber = number
    polygons = []
    for contour in roi.contours:
        z = position(grid, scanner, contour.slice_index)[2]
        points = np.column_stack([contour.points + scanner.corner[:2], np.full(len(contour.points), z)])
        polygon = Dataset()
        polygon.ContourImageSequence = Sequence([_image_reference(series.instances[contour.slice_index])])
        polygon.ContourGeometricType = "CLOSED_PLANAR"
        polygon.NumberOfContourPoints = len(points)
        polygon.ContourData = _decimals(points.ravel())
        polygons.append(polygon)
    item.ContourSequence = Sequence(polygons)
    return item


def _observation(number: int, roi: Roi) -> Dataset:
    item = Dataset()
    item.ObservationNumber = number
    item.ReferencedROINumber = number
    item.RTROIInterpretedType = roi.interpreted_type
    item.ROIInterpreter = ""
    return item


def _decimals(values) -> list[str]:
    return [f"{value:.3f}" for value in values]
