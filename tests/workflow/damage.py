"""Break the data of simulated patients, one thing at a time."""

import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
from pydicom.dataset import Dataset

LESION = re.compile(r"gtv.*|primary.*|node.*", flags=re.IGNORECASE)


def files_of(folder: Path) -> dict[str, dict[str, list[Path]]]:
    """Patient → modality → files below `folder`."""
    found: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["PatientID", "Modality"])
        found[str(header.PatientID)][str(header.Modality)].append(path)
    return found


def edit_structures(files: dict[str, list[Path]], edit: Callable[[Dataset], None]) -> None:
    """Apply `edit` to every RTSTRUCT of a patient and save it."""
    for path in files["RTSTRUCT"]:
        structures = pydicom.dcmread(path)
        edit(structures)
        structures.save_as(path)


def rename_lesions(structures: Dataset) -> None:
    """Give lesions names that no pattern matches."""
    for roi in structures.StructureSetROISequence:
        if LESION.fullmatch(str(roi.ROIName)):
            roi.ROIName = "Secret Smith lesion"


def shrink_lesions(factor: float) -> Callable[[Dataset], None]:
    """Scale each contour about its own centre."""

    def shrink(structures: Dataset) -> None:
        _each_contour(structures, lambda points: points.mean(axis=0) + factor * (points - points.mean(axis=0)))

    return shrink


def _each_contour(structures: Dataset, change: Callable[[np.ndarray], np.ndarray]) -> None:
    lesions = {r.ROINumber for r in structures.StructureSetROISequence if LESION.fullmatch(str(r.ROIName))}
    for roi in structures.ROIContourSequence:
        if roi.ReferencedROINumber in lesions:
            for contour in roi.ContourSequence:
                points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
                contour.ContourData = [f"{value:.3f}" for value in change(points).ravel()]


def remove_slices(files: dict[str, list[Path]], count: int) -> None:
    """Delete neighbouring slices from the middle of each CT series of a patient."""
    series = defaultdict(list)
    for path in files["CT"]:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        series[header.SeriesInstanceUID].append((float(header.ImagePositionPatient[2]), path))
    for slices in series.values():
        middle = len(slices) // 2
        for _, path in sorted(slices)[middle : middle + count]:
            path.unlink()


def repeat_slice(files: dict[str, list[Path]]) -> None:
    """Put another image at the position of one slice of each CT series."""
    for path in files["CT"]:
        header = pydicom.dcmread(path)
        if int(header.InstanceNumber) == 9:
            header.SOPInstanceUID += ".9"
            header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
            header.PixelData = header.PixelData[::-1]
            header.save_as(path.with_name("repeated"))


def edit_table(path: Path, edit: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Apply `edit` to the clinical table."""
    edit(pd.read_csv(path, dtype=str)).to_csv(path, index=False)
