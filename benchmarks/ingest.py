"""The quality control of a folder of DICOM files: time and memory of the whole workflow up to its page.

Without a folder it writes simulated ones first: CT slices with the header of a hospital archive (private elements and
nested sequences included) and an RTSTRUCT for each patient, in a temporary folder.

Time is by the clock, Snakemake's start included. Memory is the greatest proportional set size (PSS) of all processes
together, Snakemake, jobs and workers, looked at five times a second: a page that several of them share counts once.

    python benchmarks/ingest.py --files 100000 --workers 2
    python benchmarks/ingest.py --folder /data/dicom --workers 2
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import yaml
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage

METASWIN = [sys.executable, "-c", "import sys; from metaswin.cli import main; sys.exit(main())"]
SERIES = "results/ingest/series.parquet"

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


@dataclass
class Cost:
    """What a command took: seconds by the clock, CPU seconds, MiB (PSS) of all its processes and of the largest one."""

    clock: float
    cpu: float
    together: float
    largest: float

    def __str__(self) -> str:
        return (
            f"{self.clock:.1f} s by the clock, {self.cpu:.1f} s of CPU; peak memory {self.together:.0f} MiB together, "
            f"{self.largest:.0f} MiB in the largest process"
        )


def measured(command: list[str]) -> Cost:
    """Run a command and look at its processes meanwhile."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    together = largest = 0.0
    status = 0
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        sizes = [_size(member) for member in _tree(process.pid)]
        together, largest = max(together, sum(sizes)), max(largest, *sizes, 0.0)
        time.sleep(0.2)
    if status:
        raise SystemExit(f"ended with {os.waitstatus_to_exitcode(status)}: {' '.join(command)}")
    return Cost(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, together, largest)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _size(process: psutil.Process) -> float:
    try:
        return process.memory_full_info().pss / 2**20
    except psutil.Error:
        return 0.0


def quality_control(folder: Path, out: Path, workers: int) -> None:
    """Index, then match and page with a clinical row for each patient found, then the index from its cache."""
    config = {
        "data": {"source": "dicom", "dicom": str(folder)},
        "clinical": {"table": "clinical.csv", "columns": {"age": "baseline", "dm": "outcome"}},
        "endpoints": {"dm": {"column": "dm"}},
        "organs": {"backend": "threshold"},  # no weights are needed
    }
    (out / "metaswin.yaml").write_text(yaml.safe_dump(config))
    run = [*METASWIN, "run", "--directory", str(out), "--cores", str(workers), "--quiet"]

    def write_clinical(patients: list[str]) -> None:
        table = pd.DataFrame({"patient_id": patients, "age": 60, "dm": [place % 2 for place in range(len(patients))]})
        table.to_csv(out / "clinical.csv", index=False)

    write_clinical(["nobody"])
    print("index, first run:", measured([*run, "--", SERIES]))
    write_clinical(sorted(pd.read_parquet(out / SERIES)["patient"].unique()))
    print("match and page:", measured([*run, "--", "qc"]))
    print("index, from its cache:", measured([*run, "--forcerun", "index_dicom", "--", SERIES]))


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
        print(f"{files} files, {arguments.workers} workers", flush=True)
        quality_control(folder.resolve(), out, arguments.workers)


if __name__ == "__main__":
    main()
