"""Small CT series, RTSTRUCTs and source records for the tests of images, organs and regions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from metaswin.config.imaging import ImagesSettings
from metaswin.core.grid import Grid

AXIAL = (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)
SAGITTAL = (0, 0, 1.0, 1.0, 0, 0, 0, 1.0, 0)  # columns: x index → y, y index → z, slices → x
SETTINGS = ImagesSettings(min_slices=3)
FRAME = "1.2.3.4"


def grid(size=(12, 10, 6), spacing=(2.0, 2.5, 3.0), origin=(-30.0, 40.0, 7.0), direction=AXIAL) -> Grid:
    return Grid(size, spacing, origin, direction)


def noise(on: Grid, seed: int = 0) -> np.ndarray:
    """Whole HU between -200 and 200."""
    return np.random.default_rng(seed).integers(-200, 200, on.shape).astype(np.int16)


def ct_slices(hu: np.ndarray, on: Grid, slope: float = 1.0, intercept: float = -1000.0) -> list[Dataset]:
    """DICOM slices of an array of HU (slices, rows, columns)."""
    series = generate_uid()
    return [ct_slice(plane, on, index, series, slope, intercept) for index, plane in enumerate(hu)]


def ct_slice(plane: np.ndarray, on: Grid, index: int, series: str, slope: float, intercept: float) -> Dataset:
    image = new(CTImageStorage, "CT")
    image.PatientName, image.PatientBirthDate, image.StudyDescription = "Secret^Person", "19500101", "free text"
    image.SeriesInstanceUID, image.FrameOfReferenceUID = series, FRAME
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.ImagePositionPatient = on.points(np.array([[0, 0, index]]))[0].tolist()
    image.ImageOrientationPatient = [*on.axes[:, 0].tolist(), *on.axes[:, 1].tolist()]
    image.PixelSpacing, image.SliceThickness = [on.spacing[1], on.spacing[0]], on.spacing[2]
    image.Rows, image.Columns = plane.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    image.RescaleSlope, image.RescaleIntercept, image.RescaleType = slope, intercept, "HU"
    image.KVP, image.ConvolutionKernel = 120, "B30f"
    image.Manufacturer, image.ManufacturerModelName = "SIEMENS", "Biograph 40"
    image.PixelData = np.rint((plane - intercept) / slope).astype(np.uint16).tobytes()
    return image


def contour(points: np.ndarray, kind: str = "CLOSED_PLANAR", image: str = "") -> Dataset:
    """A contour item of points in mm, shape (n, 3)."""
    item = Dataset()
    item.ContourGeometricType, item.NumberOfContourPoints = kind, len(points)
    item.ContourData = [f"{value:.6f}"[:16] for value in np.ravel(points)]
    if image:
        reference = Dataset()
        reference.ReferencedSOPInstanceUID = image
        item.ContourImageSequence = Sequence([reference])
    return item


def rectangle(on: Grid, index: float, columns: tuple[float, float], rows: tuple[float, float]) -> np.ndarray:
    """Corners (mm) of a rectangle on slice `index` that covers the pixels of these index ranges, ends included."""
    (a, b), (c, d) = (columns[0] - 0.5, columns[1] + 0.5), (rows[0] - 0.5, rows[1] + 0.5)
    return on.points(np.array([[a, c, index], [b, c, index], [b, d, index], [a, d, index]]))


def structure_set(rois: dict[str, list[Dataset]], frame: str = FRAME) -> Dataset:
    """RTSTRUCT of contour items by ROI name, numbered from 1."""
    structures = new(RTStructureSetStorage, "RTSTRUCT")
    structures.PatientName = "Secret^Person"
    reference = Dataset()
    reference.FrameOfReferenceUID = frame
    structures.ReferencedFrameOfReferenceSequence = Sequence([reference])
    names, drawn = [], []
    for number, (name, contours) in enumerate(rois.items(), start=1):
        roi, item = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName = number, name
        item.ReferencedROINumber, item.ContourSequence = number, Sequence(contours)
        names.append(roi)
        drawn.append(item)
    structures.StructureSetROISequence, structures.ROIContourSequence = Sequence(names), Sequence(drawn)
    return structures


def new(storage: str, modality: str) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = storage, generate_uid()
    dataset.PatientID, dataset.Modality = "P1", modality
    return dataset


def save(dataset: Dataset, path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path, enforce_file_format=True)
    return str(path)


def save_all(slices: list[Dataset], folder: Path) -> list[str]:
    """Save slices under names that do not sort by position."""
    return [save(image, folder / f"{(7 * i) % 101:03d}") for i, image in enumerate(slices)]


def write_source(path: Path, ct: Any, tumor: dict[str, Any], kind: str = "dicom") -> Path:
    path.write_text(json.dumps({"patient": "P1", "kind": kind, "ct": ct, "tumor": tumor}))
    return path


def rtstruct_source(path: str, primary: list[int], nodes: list[int] | None = None) -> dict[str, Any]:
    rois = {"primary": [{"number": n, "name": f"roi {n}"} for n in primary]}
    rois["nodes"] = [{"number": n, "name": f"roi {n}"} for n in nodes or []]
    return {"kind": "rtstruct", "path": path, "rois": rois}
