"""Read the elements of a DICOM header that ingest needs; pixel data are never read."""

import contextlib
import hashlib
import io
import math
import os
import struct
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement

from metaswin.cohort.contour_sets import CONTOUR_CLASSES, contour_facts
from metaswin.cohort.walk import FoundFile

NOT_DICOM = "not-dicom"
DICOMDIR = "1.2.840.10008.1.3.10"
DEFLATED = "1.2.840.10008.1.2.1.99"
HEAD = 32768
UNDEFINED, ITEM = 0xFFFFFFFF, b"\xfe\xff\x00\xe0"
HU_TYPES = ("", "HU", "US")  # absent, Hounsfield, unspecified (PS3.3 C.11.1.1.2)

# fmt: off
KEYWORDS = [
    "ImageType", "SOPClassUID", "SOPInstanceUID",
    "StudyDate", "SeriesDate", "AcquisitionDate",
    "Modality", "Manufacturer", "ManufacturerModelName",
    "PatientID", "PatientBirthDate", "PatientSex",
    "ContrastBolusAgent", "SliceThickness", "KVP", "ConvolutionKernel",
    "StudyInstanceUID", "SeriesInstanceUID", "AcquisitionNumber",
    "ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID",
    "NumberOfFrames", "Rows", "Columns", "PixelSpacing", "SpacingBetweenSlices",
    "RescaleIntercept", "RescaleSlope", "RescaleType", "LossyImageCompression",
    "InstanceCreationDate", "InstanceCreationTime", "ContentDate", "ContentTime",
    "StructureSetDate", "StructureSetTime",
    "StructureSetROISequence", "ROIContourSequence", "ReferencedFrameOfReferenceSequence",
    "ReferencedSeriesSequence",
    "SegmentSequence", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
]
# fmt: on
TAGS: dict[str, int] = {keyword: int(tag_for_keyword(keyword) or 0) for keyword in KEYWORDS}


class Header(NamedTuple):
    """Store the facts of one file.

    `code` is empty for a readable DICOM file and ``not-dicom`` for other files. Otherwise it is a problem code with the
    reason in `note`. Dates are ``YYYYMMDD``. `across`, `down` and `position` (mm) are the coordinates of the first
    pixel along the rows, along the columns and along the normal of the slice. `spacing` (between rows),
    `column_spacing` and `thickness` are in mm. `no_hu` is the reason if the values cannot be HU, otherwise empty.
    `person` is a hash of birth date and sex. `contours` is JSON (see `metaswin.cohort.contour_sets`).
    """

    path: str
    size: int
    mtime_ns: int
    code: str = ""
    note: str = ""
    patient_id: str = ""
    person: str = ""
    modality: str = ""
    sop_class: str = ""
    sop: str = ""
    study: str = ""
    series: str = ""
    frame: str = ""
    date: str = ""
    acquisition: str = ""
    image_type: str = ""
    manufacturer: str = ""
    model: str = ""
    kernel: str = ""
    kvp: float = math.nan
    contrast: bool = False
    rows: int = 0
    columns: int = 0
    frames: int = 1
    spacing: float = math.nan
    column_spacing: float = math.nan
    slice_spacing: float = math.nan
    thickness: float = math.nan
    orientation: str = ""
    across: float = math.nan
    down: float = math.nan
    position: float = math.nan
    no_hu: str = ""
    lossy: bool = False
    contours: str = ""


def read_header(root: str | Path, file: FoundFile) -> Header:
    """Read the header of one file in `root`; a file that cannot be read gives a code and never an exception."""
    if file.size == 0:
        return Header(*_key(file), "empty-file", "the file has no bytes")
    try:
        return _read(os.path.join(root, file.path), file)
    except OSError as error:
        return Header(*_key(file), "unreadable-file", error.strerror or type(error).__name__)
    except Exception as error:  # pydicom raises many kinds of exceptions for damaged bytes
        return Header(*_key(file), "unreadable-file", f"{type(error).__name__}: {error}")


def _key(file: FoundFile) -> tuple[str, int, int]:
    return file.path, file.size, file.mtime_ns


def _read(path: str, file: FoundFile) -> Header:
    with open(path, "rb", buffering=0) as stream:
        head = stream.read(HEAD)
    has_preamble = head[128:132] == b"DICM"
    if not has_preamble and head[:2] not in (b"\x02\x00", b"\x08\x00"):
        return Header(*_key(file), NOT_DICOM)
    if len(head) < file.size:
        # Parsing from memory is a third faster. If the header is longer than the head, the result is discarded.
        memory = io.BytesIO(head)
        with contextlib.suppress(Exception):
            header = _parse(memory, path, file, has_preamble)
            if memory.tell() < len(head):
                return header
    with open(path, "rb") as stream:
        return _parse(stream, path, file, has_preamble)


def _parse(stream: BinaryIO, path: str, file: FoundFile, has_preamble: bool) -> Header:
    try:
        dataset = pydicom.dcmread(
            stream, stop_before_pixels=True, force=not has_preamble, specific_tags=list(TAGS.values())
        )
    except Exception:
        if has_preamble:
            raise
        return Header(*_key(file), NOT_DICOM)
    elements = _Elements(dataset)
    sop_class = elements.text("SOPClassUID") or str(dataset.file_meta.get("MediaStorageSOPClassUID", ""))
    if sop_class == DICOMDIR:
        return Header(*_key(file), NOT_DICOM)
    if not sop_class or not elements.text("SeriesInstanceUID") or not elements.text("SOPInstanceUID"):
        if not has_preamble:
            return Header(*_key(file), NOT_DICOM)
        return Header(*_key(file), "unreadable-file", "the header ends before the UIDs of class, series and instance")
    header = _header(elements, file, sop_class)
    deflated = dataset.file_meta.get("TransferSyntaxUID") == DEFLATED
    if elements.cut_short() or (header.rows and not deflated and _pixels_cut_short(stream, path, dataset, file.size)):
        return header._replace(code="truncated-file", note="the file ends before the end of its data")
    return header


def _header(elements: "_Elements", file: FoundFile, sop_class: str) -> Header:
    orientation = elements.numbers("ImageOrientationPatient")
    origin = elements.numbers("ImagePositionPatient")
    spacing = elements.numbers("PixelSpacing")
    thickness = elements.number("SliceThickness")
    slice_spacing = elements.number("SpacingBetweenSlices")
    frames = int(elements.number("NumberOfFrames", 1.0))
    is_contours = sop_class in CONTOUR_CLASSES
    described = "SharedFunctionalGroupsSequence" in elements.dataset
    if frames > 1 and not is_contours and not orientation:
        orientation, spacing, thickness, slice_spacing = _multiframe_geometry(elements.dataset)
    agent = elements.text("ContrastBolusAgent")
    across, down, position = _stack_coordinates(orientation, origin)
    return Header(
        *_key(file),
        patient_id=elements.text("PatientID"),
        person=_digest(elements.text("PatientBirthDate"), elements.text("PatientSex")),
        modality=elements.text("Modality").upper(),
        sop_class=sop_class,
        sop=elements.text("SOPInstanceUID"),
        study=elements.text("StudyInstanceUID"),
        series=elements.text("SeriesInstanceUID"),
        frame=elements.text("FrameOfReferenceUID"),
        date=_first_date(elements, "AcquisitionDate", "SeriesDate", "StudyDate"),
        acquisition=elements.text("AcquisitionNumber"),
        image_type=elements.text("ImageType").upper(),
        manufacturer=elements.text("Manufacturer"),
        model=elements.text("ManufacturerModelName"),
        kernel=elements.text("ConvolutionKernel").replace("\\", "/"),
        kvp=elements.number("KVP"),
        contrast=bool(agent) and agent.casefold() not in ("no", "none", "n"),
        rows=elements.whole("Rows"),
        columns=elements.whole("Columns"),
        frames=max(frames, 1),
        spacing=spacing[0] if spacing else math.nan,
        column_spacing=spacing[-1] if spacing else math.nan,
        slice_spacing=slice_spacing,
        thickness=thickness,
        orientation=" ".join(f"{value:.3f}" for value in orientation).replace("-0.000", "0.000"),
        across=across,
        down=down,
        position=position,
        no_hu="" if is_contours or described else _no_hu(elements),
        lossy=elements.text("LossyImageCompression") == "01",
        contours=contour_facts(elements.dataset, sop_class) if is_contours else "",
    )


class _Elements:
    """Read values of a dataset from their bytes, because building pydicom's objects takes as long as reading."""

    def __init__(self, dataset: pydicom.Dataset):
        self.dataset = dataset
        self.raw: dict[int, Any] = dict(dataset.items())

    def text(self, keyword: str) -> str:
        element = self.raw.get(TAGS[keyword])
        if element is None or element.value is None:
            return ""
        value = element.value
        if isinstance(value, bytes):
            if value.isascii():
                return value.decode("ascii").strip(" \0\t\r\n")
            value = self.dataset[TAGS[keyword]].value  # decoded with the character set of the file
        return str(value).strip()

    def numbers(self, keyword: str) -> list[float]:
        text = self.text(keyword)
        try:
            values = [float(part) for part in text.split("\\")] if text else []
        except ValueError:
            return []
        return values if all(map(math.isfinite, values)) else []

    def number(self, keyword: str, default: float = math.nan) -> float:
        values = self.numbers(keyword)
        return values[0] if values else default

    def whole(self, keyword: str) -> int:
        """Return an unsigned short."""
        element = self.raw.get(TAGS[keyword])
        if element is None or not element.value:
            return 0
        if isinstance(element.value, bytes):
            return int.from_bytes(element.value[:2], "little" if element.is_little_endian else "big")
        return int(element.value)

    def cut_short(self) -> bool:
        """Return whether the file ended within one of the values."""
        return any(
            isinstance(element, RawDataElement)
            and isinstance(element.value, bytes)
            and element.length not in (UNDEFINED, len(element.value))
            for element in self.raw.values()
        )


def _pixels_cut_short(stream: BinaryIO, path: str, dataset: pydicom.Dataset, size: int) -> bool:
    """Return whether the pixel data at the position of the stream are absent or incomplete."""
    implicit, little = dataset.original_encoding
    order = "<" if little else ">"
    start = stream.read(12)
    if len(start) < 8:
        return True
    if implicit:
        header, length = 8, struct.unpack(f"{order}L", start[4:8])[0]
    elif len(start) < 12:
        return True
    else:
        header, length = 12, struct.unpack(f"{order}L", start[8:12])[0]
    end = stream.tell() - len(start) + header
    return _fragments_cut_short(path, end, size) if length == UNDEFINED else end + length > size


def _fragments_cut_short(path: str, start: int, size: int) -> bool:
    """Return whether compressed pixel data end before their last item; only item lengths are read (PS3.5 A.4)."""
    with open(path, "rb", buffering=0) as file:
        while start + 8 <= size:
            file.seek(start)
            item = file.read(8)
            if item[:4] != ITEM:
                return False
            start += 8 + struct.unpack("<L", item[4:])[0]
    return True


def _multiframe_geometry(dataset: pydicom.Dataset) -> tuple[list[float], list[float], float, float]:
    """Return orientation, pixel spacing, slice thickness and slice distance (mm) of an enhanced multi-frame image."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()]
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or [pydicom.Dataset()]

    def group(name: str, frame: pydicom.Dataset) -> pydicom.Dataset:
        return (shared[0].get(name) or frame.get(name) or [pydicom.Dataset()])[0]

    def numbers(values: Any) -> list[float]:
        return [float(value) for value in values or []]

    orientation = numbers(group("PlaneOrientationSequence", frames[0]).get("ImageOrientationPatient"))
    measures = group("PixelMeasuresSequence", frames[0])
    thickness = measures.get("SliceThickness")
    along = sorted(
        _along_normal(orientation, numbers(group("PlanePositionSequence", frame).get("ImagePositionPatient")))
        for frame in frames[:2]
    )
    distance = along[1] - along[0] if len(along) == 2 else math.nan
    return (
        orientation,
        numbers(measures.get("PixelSpacing")),
        math.nan if thickness is None else float(thickness),
        distance,
    )


def _along_normal(orientation: list[float], origin: list[float]) -> float:
    return _stack_coordinates(orientation, origin)[2]


def _stack_coordinates(orientation: list[float], origin: list[float]) -> tuple[float, float, float]:
    """Return `origin` (mm) along rows, columns and normal; NaN if orientation or origin is incomplete."""
    if len(orientation) != 6 or len(origin) != 3:
        return math.nan, math.nan, math.nan
    rx, ry, rz, cx, cy, cz = orientation
    x, y, z = origin
    along = (ry * cz - rz * cy) * x + (rz * cx - rx * cz) * y + (rx * cy - ry * cx) * z
    return rx * x + ry * y + rz * z, cx * x + cy * y + cz * z, along


def _no_hu(elements: "_Elements") -> str:
    """Return the reason if the values of a single-frame slice cannot be HU (public text)."""
    if elements.text("RescaleType") not in HU_TYPES:
        return "a rescale type other than HU"
    slope = elements.number("RescaleSlope")
    if math.isnan(slope) or math.isnan(elements.number("RescaleIntercept")):
        return "no rescale slope or intercept"
    return "" if slope else "a rescale slope of 0"


def _first_date(elements: _Elements, *keywords: str) -> str:
    for keyword in keywords:
        text = elements.text(keyword).replace(".", "")[:8]
        if len(text) == 8 and text.isdecimal():
            return text
    return ""


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10] if all(parts) else ""
