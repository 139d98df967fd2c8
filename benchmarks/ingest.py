"""The quality control of a folder of DICOM files: time and memory of index, matching and page.

Without a folder it writes simulated ones first: CT slices with the header of a hospital archive (private elements and
nested sequences included) and an RTSTRUCT for each patient, in a temporary folder.

    python benchmarks/ingest.py --files 100000 --workers 2
    python benchmarks/ingest.py --folder /data/dicom --workers 2
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage

from metaswin.clinical.settings import ClinicalSettings, CohortSettings, EndpointSettings
from metaswin.files import read_table
from metaswin.images.settings import ImagesSettings
from metaswin.ingest.cohort import CohortPaths, build_cohort
from metaswin.ingest.index import index_dicom
from metaswin.ingest.settings import DataSettings, IngestSettings
from metaswin.qc.make import make_qc
from metaswin.qc.settings import QcSettings

SLICES = 100
ROIS, CONTOURS, POINTS = 4, 40, 60
# Fixed-width marks in the written bytes that each file gets its own numbers for.
PATIENT, SLICE, HEIGHT = b"P99999", b"88888", b"7777.0"


def write_archive(folder: Path, files: int, matrix: int = 16) -> None:
    """Write patients with a CT series of `SLICES` slices and one RTSTRUCT each."""
    image, structures = (_bytes(dataset, folder / "template") for dataset in (_slice(matrix), _structures()))
    (folder / "template").unlink()
    for number in range(files):
        patient, index = divmod(number, SLICES + 1)
        content = image if index < SLICES else structures
        content = content.replace(PATIENT, b"P%05d" % patient).replace(b"99999", b"%05d" % (10000 + patient))
        content = content.replace(SLICE, b"%05d" % (10000 + index)).replace(HEIGHT, b"%06.1f" % (2.5 * index))
        path = folder / f"{patient:05d}" / f"{index:04d}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


def _bytes(dataset: FileDataset, path: Path) -> bytes:
    dataset.save_as(path, enforce_file_format=True)
    return path.read_bytes()


def _new(sop_class: str, modality: str, number: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, f"1.{number}.99999.88888"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = sop_class, f"1.{number}.99999.88888", modality
    dataset.PatientID, dataset.PatientBirthDate, dataset.PatientSex = PATIENT.decode(), "19500101", "M"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.99999", f"1.{number}.99999"
    dataset.FrameOfReferenceUID = "1.5.99999"
    dataset.StudyDate = dataset.SeriesDate = "20200101"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "113100", "DCM", "Basic profile"
    dataset.ProcedureCodeSequence = Sequence([code] * 5)
    for block in range(4):
        private = dataset.private_block(0x0009 + 0x10 * block, f"VENDOR {block}", create=True)
        for element in range(20):
            private.add_new(element, "LO", f"value {element}")
    return dataset


def _slice(matrix: int) -> FileDataset:
    dataset = _new(CTImageStorage, "CT", "3")
    dataset.ImageType, dataset.AcquisitionDate = ["ORIGINAL", "PRIMARY", "AXIAL"], "20200101"
    dataset.Manufacturer, dataset.ManufacturerModelName, dataset.ConvolutionKernel = "SIEMENS", "Sensation 64", "B30f"
    dataset.KVP, dataset.SliceThickness, dataset.PixelSpacing = "120", "2.5", [0.97, 0.97]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = ["-8", "-8", HEIGHT.decode()]
    dataset.Rows = dataset.Columns = matrix
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    dataset.RescaleIntercept, dataset.RescaleSlope = "-1024", "1"
    dataset.PixelData = np.zeros((matrix, matrix), np.int16).tobytes()
    return dataset


def _structures() -> FileDataset:
    dataset = _new(RTStructureSetStorage, "RTSTRUCT", "4")
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = "1.3.99999"
    images = []
    for index in range(SLICES):
        image = Dataset()
        image.ReferencedSOPInstanceUID = f"1.3.99999.{10000 + index}"
        images.append(image)
    series.ContourImageSequence = Sequence(images)
    study.RTReferencedSeriesSequence = Sequence([series])
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = "1.5.99999", Sequence([study])
    dataset.ReferencedFrameOfReferenceSequence = Sequence([frame])
    names, drawn = [], []
    angles = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    for number in range(1, ROIS + 1):
        name, roi = Dataset(), Dataset()
        name.ROINumber, name.ROIName = number, "GTVp" if number == 1 else f"Organ {number}"
        contours = []
        for index in range(CONTOURS):
            points = np.column_stack([4 * np.cos(angles), 4 * np.sin(angles), np.full(POINTS, 2.5 * (index + 20))])
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", POINTS
            contour.ContourData = [f"{value:.3f}" for value in points.ravel()]
            contours.append(contour)
        roi.ReferencedROINumber, roi.ContourSequence = number, Sequence(contours)
        names.append(name)
        drawn.append(roi)
    dataset.StructureSetROISequence, dataset.ROIContourSequence = Sequence(names), Sequence(drawn)
    return dataset


def quality_control(folder: Path, out: Path, workers: int) -> list[tuple[str, Callable[[], None]]]:
    """The steps of the target ``qc`` in their order, and the index once more from its cache."""
    clinical = ClinicalSettings(table=str(out / "clinical.csv"), columns={"age": "baseline"})
    paths = CohortPaths(
        out / "patients.parquet", out / "problems.parquet", out / "choice.parquet", out / "sources", out / "details"
    )

    def index() -> None:
        index_dicom(
            folder, out / "series.parquet", out / "index.parquet", out / "index_problems.parquet", out / "details",
            cache=out / "cache.parquet", workers=workers,
        )  # fmt: skip

    def match() -> None:
        patients = read_table(out / "series.parquet", ["patient"])["patient"].unique()
        pd.DataFrame({"patient_id": patients, "age": 60, "dm": 0}).to_csv(clinical.table, index=False)
        build_cohort(
            DataSettings(source="dicom", dicom=str(folder)), clinical, CohortSettings(), IngestSettings(),
            ImagesSettings(), paths, out / "index.parquet", out / "index_problems.parquet",
        )  # fmt: skip

    def page() -> None:
        inputs = {"patients": paths.patients, "problems": paths.problems, "choice": paths.choice}
        make_qc(
            {**inputs, "clinical": clinical.table, "series": out / "series.parquet"},
            {"html": out / "qc.html", "table": out / "qc.parquet", "csv": out / "qc.csv"},
            clinical, {"dm": EndpointSettings(column="dm")}, QcSettings(), 0.95, out / "details",
        )  # fmt: skip

    return [("index, first run", index), ("match", match), ("page", page), ("index, from the cache", index)]


def _cpu() -> float:
    """CPU seconds of this process and its ended workers: on a busy machine they say more than the clock."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, out = arguments.folder, Path(scratch) / "out"
        if folder is None:
            folder = Path(scratch) / "dicom"
            folder.mkdir()
            write_archive(folder, arguments.files)
        out.mkdir()
        files = sum(1 for path in folder.rglob("*") if path.is_file())
        print(f"{files} files, {arguments.workers} workers")
        for title, step in quality_control(folder, out, arguments.workers):
            start, cpu = time.perf_counter(), _cpu()
            step()
            print(f"{title}: {time.perf_counter() - start:.1f} s by the clock, {_cpu() - cpu:.1f} s of CPU")
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        each = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        print(f"peak memory: {own / 1024:.0f} MiB in the main process, {each / 1024:.0f} MiB in the largest worker")


if __name__ == "__main__":
    main()
