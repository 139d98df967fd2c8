"""Time and peak memory of the images, organs and regions jobs on a synthetic 512 × 512 × 200 CT with contours.

    python benchmarks/images.py [--slices 200] [--keep FOLDER]

Each stage runs in a process of its own, as in the workflow, so that its wall time holds the start of Python and all
imports. The series is noisy (noise sets the time of compression) and the RTSTRUCT holds 20 ROIs of which two are drawn.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

SPACING = (0.9, 0.9, 2.0)  # mm
STAGES = {
    "images": """
from metaswin.imaging.convert import convert_patient
from metaswin.config.imaging import ImagesSettings
convert_patient(f"{w}/source.json", f"{w}/ct.nii.gz", f"{w}/tumor.nii.gz", f"{w}/image.json", f"{w}/status.json",
                ImagesSettings(), f"{w}/details")
""",
    "organs": """
from metaswin.imaging.organs import segment_patient
from metaswin.config.imaging import OrgansSettings
segment_patient(f"{w}/ct.nii.gz", f"{w}/tumor.nii.gz", f"{w}/status.json", f"{w}/organs.nii.gz", f"{w}/organs.json",
                f"{w}/organs-status.json", OrgansSettings(), f"{w}/details")
""",
    "regions": """
from metaswin.imaging.regions import regions_of_patient
from metaswin.config.imaging import RegionsSettings
regions_of_patient(f"{w}/ct.nii.gz", f"{w}/tumor.nii.gz", f"{w}/organs.nii.gz", f"{w}/organs.json",
                   f"{w}/organs-status.json", f"{w}/crop.nii.gz", f"{w}/regions.nii.gz", f"{w}/regions.json",
                   f"{w}/regions-status.json", RegionsSettings(), f"{w}/details")
""",
}


def main() -> None:
    """Write the series, run each stage and print a line for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="write here and keep the files")
    arguments = parser.parse_args()
    with TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        write_case(folder, arguments.slices)
        for stage, code in STAGES.items():
            seconds, megabytes = measure(code, folder)
            print(f"{stage}: {seconds:.1f} s, {megabytes:.0f} MB peak")


def measure(code: str, folder: Path) -> tuple[float, float]:
    """Wall time (s) and peak resident memory (MB) of `code` in a fresh Python; `w` is the folder."""
    start = time.perf_counter()
    pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", f"w = {str(folder)!r}\n{code}"])
    _, status, usage = os.wait4(pid, 0)
    if status:
        sys.exit(f"the job failed with status {status}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def write_case(folder: Path, slices: int) -> None:
    """A head-like CT series, an RTSTRUCT and the source record of one patient."""
    series, frame = generate_uid(), generate_uid()
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:512, :512]
    body = np.hypot(row - 256, column - 256) < 180
    tissue = np.where(body, 40, -1000)
    tissue[np.hypot(row - 380, column - 256) < 25] = 600
    tissue[np.hypot(row - 220, column - 256) < 12] = -1000
    paths = []
    for index in range(slices):
        pixels = (tissue + rng.normal(0, 15, tissue.shape) + 1024).clip(0, 4095).astype(np.uint16)
        paths.append(str(folder / f"ct-{index}.dcm"))
        _save(_slice(pixels, index, series, frame), paths[-1])
    rois = {number: _contours(number, slices) for number in range(1, 21)}
    _save(_structures(rois, frame), str(folder / "rs.dcm"))
    tumor = {
        "kind": "rtstruct",
        "path": str(folder / "rs.dcm"),
        "rois": {"primary": [{"number": 1, "name": "GTVp"}], "nodes": [{"number": 2, "name": "GTVn"}]},
    }
    record = {"patient": "bench", "kind": "dicom", "ct": paths, "tumor": tumor}
    (folder / "source.json").write_text(json.dumps(record), encoding="utf-8")


def _contours(number: int, slices: int) -> list[np.ndarray]:
    """A sphere of contours; the first two lie side by side within the body."""
    radius, middle = 25.0, slices * SPACING[2] / 2
    centre = (220.0 + 40 * (number % 2), 260.0)
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    contours = []
    for index in range(slices):
        height = index * SPACING[2]
        if abs(height - middle) < radius:
            r = np.sqrt(radius**2 - (height - middle) ** 2)
            x, y = centre[0] + r * np.cos(angle), centre[1] + r * np.sin(angle)
            contours.append(np.column_stack([x, y, np.full(angle.size, height)]))
    return contours


def _slice(pixels: np.ndarray, index: int, series: str, frame: str) -> Dataset:
    image = _dataset(CTImageStorage, "CT")
    image.SeriesInstanceUID, image.FrameOfReferenceUID = series, frame
    image.ImagePositionPatient = [0, 0, index * SPACING[2]]
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.PixelSpacing, image.SliceThickness = [SPACING[1], SPACING[0]], SPACING[2]
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.RescaleSlope, image.RescaleIntercept, image.KVP = 1, -1024, 120
    image.PixelData = pixels.tobytes()
    return image


def _structures(rois: dict[int, list[np.ndarray]], frame: str) -> Dataset:
    structures = _dataset(RTStructureSetStorage, "RTSTRUCT")
    reference = Dataset()
    reference.FrameOfReferenceUID = frame
    structures.ReferencedFrameOfReferenceSequence = Sequence([reference])
    names, drawn = [], []
    for number, contours in rois.items():
        name, item = Dataset(), Dataset()
        name.ROINumber, name.ROIName = number, f"ROI {number}"
        item.ReferencedROINumber, item.ContourSequence = number, Sequence()
        for points in contours:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
            contour.ContourData = [f"{value:.3f}" for value in points.ravel()]
            item.ContourSequence.append(contour)
        names.append(name)
        drawn.append(item)
    structures.StructureSetROISequence, structures.ROIContourSequence = Sequence(names), Sequence(drawn)
    return structures


def _dataset(storage: str, modality: str) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = storage, generate_uid()
    dataset.PatientID, dataset.Modality = "bench", modality
    return dataset


def _save(dataset: Dataset, path: str) -> None:
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path, enforce_file_format=True)


if __name__ == "__main__":
    main()
