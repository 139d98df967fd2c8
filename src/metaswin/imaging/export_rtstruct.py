"""Write structures as an RT structure set."""

from dataclasses import dataclass

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from metaswin import __version__
from metaswin.core.grid import Grid

DETACHED_STUDY = "1.2.840.10008.3.1.2.3.1"
# These elements are copied from the CT, so that a viewer shows the contours on it.
IDENTITY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID", "StudyDate",
    "StudyTime", "AccessionNumber", "ReferringPhysicianName", "FrameOfReferenceUID", "PositionReferenceIndicator",
)  # fmt: skip
# Colours that colour-blind readers can distinguish (Okabe & Ito 2008).
COLOURS = [(213, 94, 0), (0, 114, 178), (0, 158, 115), (230, 159, 0), (86, 180, 233), (204, 121, 167), (240, 228, 66)]
TYPES = {"tumor": "GTV", "ring": "CONTROL", "organ": "ORGAN"}


@dataclass(frozen=True)
class Structure:
    """A named mask on the CT's grid (bool; slices, rows, columns); `kind` is tumor, ring or organ."""

    name: str
    kind: str
    mask: np.ndarray


def structure_set(slices: list[Dataset], structures: list[Structure], grid: Grid) -> Dataset:
    """Return an RTSTRUCT that references the CT's slices and has the same patient and study.

    Contours run half way between the voxel centres inside and outside the mask. Holes are separate contours. If the
    contours are filled by the even-odd rule, the result is exactly the voxels of the mask.

    Parameters
    ----------
    slices : list of Dataset
        The slices of the CT, in the order of the first axis of the masks.
    structures : list of Structure
    grid : Grid
        The grid of the CT.
    """
    first = slices[0]
    data = Dataset()
    for name in IDENTITY:
        data[name] = pydicom.DataElement(name, pydicom.datadict.dictionary_VR(name), first.get(name, ""))
    data.SOPClassUID, data.SOPInstanceUID = RTStructureSetStorage, generate_uid()
    data.Modality = "RTSTRUCT"
    data.SeriesInstanceUID, data.SeriesNumber, data.InstanceNumber = generate_uid(), 9002, 1
    data.SeriesDescription = "metaswin: tumour, rings and organs"
    data.Manufacturer = data.ManufacturerModelName = "metaswin"
    data.SoftwareVersions = __version__
    data.StructureSetLabel = "metaswin"
    data.StructureSetDate, data.StructureSetTime = first.get("StudyDate", ""), first.get("StudyTime", "")
    data.OperatorsName, data.ApprovalStatus = "", "UNAPPROVED"
    data.ReferencedFrameOfReferenceSequence = Sequence([_frame(slices)])
    numbered = list(enumerate(structures, start=1))
    data.StructureSetROISequence = Sequence([_roi(number, structure, first) for number, structure in numbered])
    data.ROIContourSequence = Sequence([_contours(number, structure, slices, grid) for number, structure in numbered])
    data.RTROIObservationsSequence = Sequence([_observation(number, structure) for number, structure in numbered])
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = (
        data.SOPClassUID,
        data.SOPInstanceUID,
    )
    return data


def _frame(slices: list[Dataset]) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = slices[0].SeriesInstanceUID
    series.ContourImageSequence = Sequence([_image(image) for image in slices])
    study = Dataset()
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = DETACHED_STUDY, slices[0].StudyInstanceUID
    study.RTReferencedSeriesSequence = Sequence([series])
    frame = Dataset()
    frame.FrameOfReferenceUID = slices[0].FrameOfReferenceUID
    frame.RTReferencedStudySequence = Sequence([study])
    return frame


def _image(image: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    return item


def _roi(number: int, structure: Structure, first: Dataset) -> Dataset:
    item = Dataset()
    item.ROINumber, item.ROIName = number, structure.name
    item.ReferencedFrameOfReferenceUID = first.FrameOfReferenceUID
    item.ROIGenerationAlgorithm = "" if structure.kind == "tumor" else "AUTOMATIC"
    return item


def _observation(number: int, structure: Structure) -> Dataset:
    item = Dataset()
    item.ObservationNumber = item.ReferencedROINumber = number
    item.RTROIInterpretedType, item.ROIInterpreter = TYPES[structure.kind], ""
    return item


def _contours(number: int, structure: Structure, slices: list[Dataset], grid: Grid) -> Dataset:
    item = Dataset()
    item.ReferencedROINumber = number
    item.ROIDisplayColor = list(COLOURS[(number - 1) % len(COLOURS)])
    polygons = []
    for index in np.flatnonzero(structure.mask.any(axis=(1, 2))):
        for line in outlines(structure.mask[index]):
            points = grid.points(np.column_stack([line, np.full(len(line), index)]))
            polygon = Dataset()
            polygon.ContourImageSequence = Sequence([_image(slices[index])])
            polygon.ContourGeometricType = "CLOSED_PLANAR"
            polygon.NumberOfContourPoints = len(points)
            polygon.ContourData = [f"{value:.4f}" for value in points.ravel()]
            polygons.append(polygon)
    item.ContourSequence = Sequence(polygons)
    return item


def outlines(plane: np.ndarray) -> list[np.ndarray]:
    """Return polygons (column, row; shape (points, 2)) around the true pixels of a plane.

    The polygons run half way between true and false pixels.
    """
    from skimage.measure import find_contours

    lines = find_contours(np.pad(plane, 1).astype(float), 0.5)
    return [line[:-1, ::-1] - 1 for line in lines]
