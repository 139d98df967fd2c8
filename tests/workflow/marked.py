"""Plant a marker wherever a hospital's files may name somebody, and look for it in what a run writes."""

import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

MARKER = "Zqxmark"
TEXT = ("LO", "SH", "PN", "ST", "LT", "UT", "UC", "AE")
KEPT = ("RescaleType",)  # another unit than HU excludes
# Elements that a scanner or a clinic fills in by hand, absent from the simulator's headers.
ADDED = (
    "PatientName", "PatientAddress", "PatientComments", "OtherPatientNames", "AdditionalPatientHistory", "Occupation",
    "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName", "ReferringPhysicianName",
    "PerformingPhysicianName", "OperatorsName", "PhysiciansOfRecord", "StudyDescription", "SeriesDescription",
    "StudyID", "ProtocolName", "RequestedProcedureDescription", "ImageComments", "AccessionNumber",
    "DeviceSerialNumber", "ContrastBolusAgent", "Manufacturer", "ManufacturerModelName", "ConvolutionKernel",
    "SoftwareVersions",
)  # fmt: skip


def plant(folder: Path, rename_ids: bool = False) -> None:
    """Put the marker into every DICOM file below `folder` and into the names of its folders and files.

    ROI names keep their beginning, by which they are matched. With `rename_ids` PatientID bears the marker too.
    """
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        data = pydicom.dcmread(path)
        roi_names = [str(roi.ROIName) for roi in data.get("StructureSetROISequence", [])]
        patient = str(data.PatientID)
        for keyword in ADDED:
            if keyword not in data:
                setattr(data, keyword, "")
        _mark(data)
        _mark_deeply(data)
        data.PatientID = f"{MARKER} {patient}" if rename_ids else patient
        for roi, name in zip(data.get("StructureSetROISequence", []), roi_names, strict=True):
            roi.ROIName = f"{name} {MARKER}"
        data.save_as(path)
    for path in sorted(folder.rglob("*"), key=lambda found: -len(found.parts)):
        path.rename(path.with_name(f"{MARKER}^{path.name}"))


def _mark(data: Dataset) -> None:
    """Every text element, in nested sequences too; with a sign that no pattern of product names lets through."""
    for element in data:
        if element.VR == "SQ":
            for item in element.value:
                _mark(item)
        elif element.VR in TEXT and element.keyword not in KEPT:
            element.value = (
                f"{MARKER}^x" if element.VR in ("SH", "AE", "PN") else f"{MARKER}^Smith {element.keyword}"[:60]
            )


def _mark_deeply(data: Dataset) -> None:
    """Private elements, alone and in sequences, and two levels of a public sequence."""
    for group in (0x0009, 0x0029):
        block = data.private_block(group, f"{MARKER} HEADER", create=True)
        block.add_new(0x01, "LO", f"{MARKER}^private")
        block.add_new(0x02, "PN", f"{MARKER}^Doctor")
        block.add_new(0x03, "UT", f"{MARKER} letter " * 20)
        inner = Dataset()
        inner.PatientName = f"{MARKER}^Inner"
        inner.private_block(group, f"{MARKER} INNER", create=True).add_new(0x01, "ST", f"{MARKER} deep")
        block.add_new(0x04, "SQ", Sequence([inner]))
        block.add_new(0x05, "OB", f"{MARKER} csa header".encode() + b"\0\0")
    request = Dataset()
    request.ScheduledProcedureStepDescription = f"{MARKER} step"
    request.RequestingPhysician = f"{MARKER}^Requester"
    code = Dataset()
    code.CodeMeaning = f"{MARKER} meaning"
    request.ScheduledProtocolCodeSequence = Sequence([code])
    data.RequestAttributesSequence = Sequence([request])
    if "StructureSetROISequence" in data:
        data.StructureSetLabel = f"{MARKER}^x"
        data.StructureSetDescription = f"{MARKER} description"
        data.ReviewerName = f"{MARKER}^Reviewer"
        for roi in data.StructureSetROISequence:
            roi.ROIDescription = f"{MARKER} drawn by"
        for observation in data.get("RTROIObservationsSequence", []):
            observation.ROIObservationLabel = f"{MARKER}^x"
            observation.ROIInterpreter = f"{MARKER}^Interpreter"


def leaks(folder: Path, words: list[str], apart: tuple[str, ...] = ("private", ".snakemake")) -> list[str]:
    """Files outside the folders `apart` in whose name or content one of `words` stands, whatever its case."""
    wanted = re.compile("|".join(map(re.escape, words)).encode(), flags=re.IGNORECASE)
    found = []
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        place = path.relative_to(folder)
        if place.parts[0] in apart:
            continue
        if wanted.search(str(place).encode()) or any(wanted.search(text) for text in readings(path)):
            found.append(str(place))
    return found


def readings(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and what they hold when unpacked."""
    raw = path.read_bytes()
    yield raw
    if path.suffix == ".parquet" and raw:
        table = pq.read_table(io.BytesIO(raw))
        yield str(table.schema.metadata).encode()
        for name in table.column_names:
            yield f"{name} {table.column(name).to_pylist()}".encode()
    elif path.suffix == ".gz" and raw:
        yield gzip.decompress(raw)
    elif zipfile.is_zipfile(io.BytesIO(raw)):
        with zipfile.ZipFile(io.BytesIO(raw)) as packed:
            for name in packed.namelist():
                yield name.encode() + packed.read(name)
    elif path.suffix in (".pdf", ".png"):
        for start in re.finditer(rb"stream\r?\n|IDAT|zTXt|iTXt", raw):
            try:
                yield zlib.decompressobj().decompress(raw[start.end() :])
            except zlib.error:
                continue
