"""Files a second of the header index, first and from the cache.

Without a folder it writes simulated ones first: CT slices with the header of a hospital archive (private elements and
nested sequences included), in a temporary folder.

    python benchmarks/ingest.py --files 10000 --workers 2
    python benchmarks/ingest.py --folder /data/dicom --workers 2
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from metaswin.ingest.index import index_dicom

SLICES = 100


def write_archive(folder: Path, files: int, matrix: int = 128) -> None:
    """Write CT series of `SLICES` slices, one a patient."""
    dataset = _slice(matrix)
    for number in range(files):
        patient, index = divmod(number, SLICES)
        dataset.PatientID = f"P{patient:05d}"
        dataset.StudyInstanceUID = dataset.FrameOfReferenceUID = f"1.2.{patient + 1}"
        dataset.SeriesInstanceUID = f"1.3.{patient + 1}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.3.{patient + 1}.{index + 1}"
        dataset.ImagePositionPatient = [-250, -250, 2.5 * index]
        path = folder / f"{patient:05d}" / f"{index:04d}"
        path.parent.mkdir(exist_ok=True)
        dataset.save_as(path, enforce_file_format=True)


def _slice(matrix: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.Modality, dataset.ImageType = CTImageStorage, "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Manufacturer, dataset.ManufacturerModelName, dataset.ConvolutionKernel = "SIEMENS", "Sensation 64", "B30f"
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = "20200101"
    dataset.KVP, dataset.SliceThickness, dataset.PixelSpacing = "120", "2.5", [0.97, 0.97]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.Rows = dataset.Columns = matrix
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "113100", "DCM", "Basic profile"
    dataset.ProcedureCodeSequence = Sequence([code] * 5)
    for block in range(4):
        private = dataset.private_block(0x0009 + 0x10 * block, f"VENDOR {block}", create=True)
        for element in range(20):
            private.add_new(element, "LO", f"value {element}")
    dataset.PixelData = np.zeros((matrix, matrix), np.int16).tobytes()
    return dataset


def measure(folder: Path, out: Path, workers: int) -> tuple[int, float, float]:
    """Number of files, seconds by the clock and seconds of CPU time of one index run."""
    files = sum(1 for path in folder.rglob("*") if path.is_file())
    start, cpu = time.perf_counter(), _cpu()
    index_dicom(
        folder, out / "series.parquet", out / "private.parquet", out / "problems.parquet", out / "details",
        cache=out / "cache.parquet", workers=workers,
    )  # fmt: skip
    return files, time.perf_counter() - start, _cpu() - cpu


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
        folder = arguments.folder
        if folder is None:
            folder = Path(scratch) / "dicom"
            folder.mkdir()
            write_archive(folder, arguments.files)
        for title in ("first run", "from the cache"):
            files, seconds, cpu = measure(folder, Path(scratch) / "out", arguments.workers)
            print(
                f"{title}: {files} files in {seconds:.2f} s, {files / seconds:.0f} files/s with "
                f"{arguments.workers} workers; {files / cpu:.0f} files per CPU second"
            )
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        each = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        print(f"peak memory: {own / 1024:.0f} MiB in the main process, {each / 1024:.0f} MiB in the largest worker")


if __name__ == "__main__":
    main()
