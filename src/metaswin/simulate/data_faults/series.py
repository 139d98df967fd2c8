"""Define faults of image series and files."""

import copy
import os

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
)

from metaswin.simulate.data_faults.case import Case, DataFault


def missing_slice(case: Case) -> None:
    del case.slices[4]


def copied_file(case: Case) -> None:
    case.save(case.slices[3], "copy/003")


def same_slice_other_uid(case: Case) -> None:
    case.slices.append(_again(case, case.slices[3], "again"))


def other_slice_same_position(case: Case) -> None:
    other = _again(case, case.slices[3], "again")
    other.PixelData = case.slices[0].PixelData
    case.slices.append(other)


def two_kernels_in_one_series(case: Case) -> None:
    sharp = [_again(case, image, "sharp") for image in case.slices]
    for image in sharp:
        image.ConvolutionKernel = "A00"
    case.slices += sharp


def two_series_in_one_folder(case: Case) -> None:
    sharp = [_again(case, image, "sharp") for image in case.slices]
    for image in sharp:
        image.SeriesInstanceUID, image.ConvolutionKernel = case.subject.uid("sharp"), "A00"
    case.slices += sharp


def localizer(case: Case) -> None:
    scout = _again(case, case.slices[0], "scout")
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    case.slices.append(scout)


def reversed_order(case: Case) -> None:
    case.slices.reverse()
    for number, image in enumerate(case.slices, start=1):
        image.InstanceNumber = number


def variable_spacing(case: Case) -> None:
    _move(case.slices[-1], 2, 1.0)


def gantry_tilt(case: Case) -> None:
    for index, image in enumerate(case.slices):
        _move(image, 1, 1.0 * index)


def few_slices(case: Case) -> None:
    del case.slices[3:]


def oblique(case: Case) -> None:
    turn, tilt = np.deg2rad(25), np.deg2rad(10)
    about_x = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    about_y = np.array([[np.cos(tilt), 0, np.sin(tilt)], [0, 1, 0], [-np.sin(tilt), 0, np.cos(tilt)]])
    _rotate(case, about_x @ about_y)


def sagittal(case: Case) -> None:
    _rotate(case, np.array([[0.0, 0, -1], [1, 0, 0], [0, -1, 0]]))


def decubitus(case: Case) -> None:
    _rotate(case, np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]))
    for image in case.slices:
        image.PatientPosition = "HFDL"


def deflated(case: Case) -> None:
    _set_syntax(case, DeflatedExplicitVRLittleEndian)


def big_endian(case: Case) -> None:
    for index, image in enumerate(case.slices):
        image.PixelData = np.frombuffer(image.PixelData, "<u2").astype(">u2").tobytes()
        swapped = Dataset()  # a new data set, because pydicom remembers the encoding of one that was read from a file
        swapped.update(image)
        swapped.file_meta = image.file_meta
        case.slices[index] = swapped
    _set_syntax(case, ExplicitVRBigEndian)


def compressed(syntax: str):
    """Return a fault that writes every slice in the transfer syntax with this name in GDCM."""

    def compress(case: Case) -> None:
        import gdcm

        for index, image in enumerate(case.slices):
            path = case.save(image, f"CT/{index:03d}")
            reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
            reader.SetFileName(str(path))
            reader.Read()
            change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
            change.SetInput(reader.GetImage())
            change.Change()
            writer.SetFileName(str(path))
            writer.SetFile(reader.GetFile())
            writer.SetImage(change.GetOutput())
            writer.Write()
        case.slices = []  # they are already written

    return compress


def lossy(case: Case) -> None:
    for image in case.slices:
        image.LossyImageCompression = "01"


def multiframe(case: Case) -> None:
    case.slices = [enhanced(case)]


def multiframe_undescribed(case: Case) -> None:
    image = enhanced(case)
    del image.PerFrameFunctionalGroupsSequence, image.SharedFunctionalGroupsSequence
    image.RescaleSlope, image.RescaleIntercept = 1, -1024
    case.slices = [image]


def enhanced(case: Case) -> Dataset:
    """Return the slices as one enhanced CT; frames are head first.

    Position and intercept are stored per frame, all other values are shared.
    """
    first = case.slices[0]
    image = copy.deepcopy(first)
    moved = ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleIntercept",
             "RescaleSlope", "RescaleType", "ConvolutionKernel", "SliceLocation"]  # fmt: skip
    for name in moved:
        delattr(image, name)
    image.SOPClassUID, image.SOPInstanceUID = EnhancedCTImageStorage, case.subject.uid("enhanced")
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=first.ImageOrientationPatient)]
    shared.PixelMeasuresSequence = [_item(PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness)]
    shared.CTReconstructionSequence = [_item(ConvolutionKernel=first.ConvolutionKernel)]
    frames, planes = [], []
    for number, part in enumerate(reversed(case.slices)):
        frame = Dataset()
        frame.PlanePositionSequence = [_item(ImagePositionPatient=part.ImagePositionPatient)]
        frame.PixelValueTransformationSequence = [
            _item(RescaleIntercept=part.RescaleIntercept - number, RescaleSlope=1, RescaleType="HU")
        ]
        frames.append(frame)
        planes.append(np.frombuffer(part.PixelData, "<u2") + np.uint16(number))
    image.SharedFunctionalGroupsSequence = [shared]
    image.PerFrameFunctionalGroupsSequence = Sequence(frames)
    for item in case.image_references():
        item.ReferencedSOPInstanceUID = image.SOPInstanceUID
    image.NumberOfFrames, image.PixelData = len(frames), np.concatenate(planes).tobytes()
    return image


def rescale_per_slice(case: Case) -> None:
    for index, image in enumerate(case.slices):
        image.RescaleIntercept = -1024 - 10 * index
        image.PixelData = (np.frombuffer(image.PixelData, "<u2") + np.uint16(10 * index)).tobytes()


def signed(case: Case) -> None:
    for image in case.slices:
        values = np.frombuffer(image.PixelData, "<u2").astype(np.int16) - 1024
        image.PixelRepresentation, image.RescaleIntercept, image.PixelData = 1, 0, values.tobytes()


def padding(case: Case) -> None:
    """Replace air outside the circle by the padding value 63000; without padding it would be read as 61976 HU."""
    for image in case.slices:
        values = np.frombuffer(image.PixelData, "<u2").copy()
        values[values < 200] = 63000
        image.BitsStored, image.HighBit, image.PixelData = 16, 15, values.tobytes()
        image.add_new("PixelPaddingValue", "US", 63000)


def other_units(case: Case) -> None:
    for image in case.slices:
        image.RescaleType = "OD"


def grey_values(case: Case) -> None:
    for image in case.slices:
        image.RescaleIntercept = 0


def truncated_file(case: Case) -> None:
    path = case.save(case.slices.pop(4), "CT/cut")
    path.write_bytes(path.read_bytes()[:-100])


def empty_file(case: Case) -> None:
    (case.folder / "CT").mkdir(exist_ok=True)
    (case.folder / "CT/empty").touch()


def broken_file(case: Case) -> None:
    (case.folder / "CT").mkdir(exist_ok=True)
    (case.folder / "CT/broken").write_bytes(bytes(128) + b"DICM" + b"\2\0\0\0UL\4\0" + b"\xff" * 40)


def clutter(case: Case) -> None:
    (case.folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0" + bytes(600))
    (case.folder / "report.txt").write_text("not DICOM")
    (case.folder / "archive.zip").write_bytes(b"PK\3\4" + bytes(200))


def link_loop(case: Case) -> None:
    os.symlink("..", case.folder / "loop")


def same_series_two_ids(case: Case) -> None:
    for index, image in enumerate(case.slices):
        other = copy.deepcopy(image)
        other.PatientID = f"{case.patient}-twin"
        case.save(other, f"twin/{index:03d}")


def same_exam_two_ids(case: Case) -> None:
    for index, image in enumerate(case.slices):
        other = _again(case, image, "exam")
        other.PatientID, other.SeriesInstanceUID = f"{case.patient}-twin", case.subject.uid("exam")
        case.save(other, f"twin/{index:03d}")


def two_people_one_id(case: Case) -> None:
    for index, image in enumerate(case.slices):
        other = _again(case, image, "person")
        other.SeriesInstanceUID, other.PatientBirthDate = case.subject.uid("person"), "19010203"
        case.save(other, f"other/{index:03d}")


def wrong_modality(case: Case) -> None:
    for image in case.slices:
        image.Modality, image.SOPClassUID = "MR", MRImageStorage


def drawn_on_pet(case: Case) -> None:
    pet = [_again(case, image, "pet") for image in case.slices]
    for index, image in enumerate(pet):
        image.Modality, image.SOPClassUID = "PT", PositronEmissionTomographyImageStorage
        image.SeriesInstanceUID = case.subject.uid("pet-series")
        case.save(image, f"PET/{index:03d}")
    reference = case.rtstruct.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    series = reference.RTReferencedSeriesSequence[0]
    series.SeriesInstanceUID = case.subject.uid("pet-series")
    for item, image in zip(series.ContourImageSequence, pet, strict=True):
        item.ReferencedSOPInstanceUID = image.SOPInstanceUID
    for contour in case.contours():
        del contour.ContourImageSequence


def ct_after_treatment(case: Case) -> None:
    case.rows[0]["treatment_start"] = "2020-01-09"


def _again(case: Case, image: Dataset, role: str) -> Dataset:
    """Return a copy with its own instance UID."""
    other = copy.deepcopy(image)
    other.SOPInstanceUID = UID(case.subject.uid(role, int(image.InstanceNumber)))
    return other


def _item(**values: object) -> Dataset:
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return item


def _move(image: Dataset, axis: int, distance: float) -> None:
    position = list(image.ImagePositionPatient)
    position[axis] = f"{float(position[axis]) + distance:.3f}"
    image.ImagePositionPatient = position


def _set_syntax(case: Case, syntax: UID) -> None:
    for image in case.slices:
        image.file_meta.TransferSyntaxUID = syntax


def _rotate(case: Case, turn: np.ndarray) -> None:
    """Rotate the patient: positions, orientations and contours."""
    for image in case.slices:
        cosines = np.array(image.ImageOrientationPatient, dtype=float).reshape(2, 3) @ turn.T
        position = turn @ np.array(image.ImagePositionPatient, dtype=float)
        image.ImageOrientationPatient = [f"{value:.10f}" for value in cosines.ravel()]
        image.ImagePositionPatient = [f"{value:.6f}" for value in position]
    for contour in case.contours():
        points = np.array(contour.ContourData, dtype=float).reshape(-1, 3) @ turn.T
        contour.ContourData = [f"{value:.6f}" for value in points.ravel()]


SERIES = [
    DataFault("none", lambda case: None),
    DataFault("missing-slice", missing_slice, {"missing-slices": True, "contour-images-unmatched": False}),
    DataFault("copied-file", copied_file, {"duplicate-file": False}),
    DataFault("same-slice-twice", same_slice_other_uid, {"repeated-positions": False, "duplicate-slices": False}),
    DataFault(
        "two-slices-one-place", other_slice_same_position, {"repeated-positions": False, "duplicate-slices": True}
    ),
    DataFault("two-kernels-one-series", two_kernels_in_one_series, {"mixed-series": False}),
    DataFault("two-series-one-folder", two_series_in_one_folder),
    DataFault("localizer", localizer),
    DataFault("reversed-order", reversed_order),
    DataFault("variable-spacing", variable_spacing, {"variable-spacing": True}),
    DataFault("gantry-tilt", gantry_tilt, {"gantry-tilt": True}),
    DataFault("few-slices", few_slices, {"too-few-slices": True, "contour-images-unmatched": False}),
    DataFault("oblique", oblique),
    DataFault("sagittal", sagittal),
    DataFault("decubitus", decubitus),
    DataFault("jpeg-ls", compressed("JPEGLSLossless")),
    DataFault("jpeg-2000", compressed("JPEG2000Lossless")),
    DataFault("jpeg-lossless", compressed("JPEGLosslessProcess14_1")),
    DataFault("rle", compressed("RLELossless")),
    DataFault("deflated", deflated),
    DataFault("big-endian", big_endian),
    DataFault("lossy", lossy, {"lossy-compression": False}),
    DataFault("multi-frame", multiframe),
    DataFault("multi-frame-undescribed", multiframe_undescribed, {"multiframe-ct": True}),
    DataFault("rescale-per-slice", rescale_per_slice),
    DataFault("signed", signed),
    DataFault("padding", padding),
    DataFault("other-units", other_units, {"not-hu": True}),
    DataFault("grey-values", grey_values, {"not-hu": True}),
    DataFault(
        "truncated-file",
        truncated_file,
        {"truncated-file": False, "missing-slices": True, "contour-images-unmatched": False},
    ),
    DataFault("empty-file", empty_file, {"empty-file": False}),
    DataFault("broken-file", broken_file, {"unreadable-file": False}),
    DataFault("clutter", clutter),
    DataFault("link-loop", link_loop),
    DataFault("same-series-two-ids", same_series_two_ids, {"same-series-two-patients": True}),
    DataFault("same-exam-two-ids", same_exam_two_ids, {"same-frame-two-patients": False}),
    DataFault("two-people-one-id", two_people_one_id, {"two-people-one-id": True}),
    DataFault("wrong-modality", wrong_modality, {"no-ct": True}),
    DataFault("drawn-on-pet", drawn_on_pet, {"contours-of-other-modality": False}),
    DataFault("ct-after-treatment", ct_after_treatment, {"ct-after-treatment": True}),
]
