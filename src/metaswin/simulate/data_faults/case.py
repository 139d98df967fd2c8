"""Define the small patient from which every fault starts, and a fault's name, damage and expected outcome."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from metaswin.simulate.contours import Roi, trace
from metaswin.simulate.dicom import Subject, write_ct, write_rtstruct
from metaswin.simulate.phantom import Grid
from metaswin.simulate.scanners import SCANNERS

GRID = Grid(size=(16, 16, 8), spacing=(4.0, 4.0, 3.0), origin=(-30.0, -30.0, -10.5))
RADIUS = 9.0  # mm: radius of the lesion
SCANNER = replace(SCANNERS[0], folder_style="{modality}", file_style="{instance:03d}")
SCANNED, TREATED = date(2020, 1, 10), date(2020, 1, 20)


@dataclass
class Case:
    """One patient while it is being made.

    Attributes
    ----------
    patient : str
        Study id.
    folder : Path
        Folder of the files; the damage may write into it.
    slices : list of Dataset
        CT slices, feet first; they are saved after the damage.
    structures : Dataset or None
        The RTSTRUCT; if None, no RTSTRUCT is saved.
    rows : list of dict
        Rows of the clinical table.
    subject : Subject
        Creates further UIDs.
    """

    patient: str
    folder: Path
    slices: list[Dataset]
    structures: Dataset | None
    rows: list[dict[str, str]]
    subject: Subject

    @property
    def rtstruct(self) -> Dataset:
        """The RTSTRUCT of a case that has one."""
        assert self.structures is not None
        return self.structures

    def save(self, dataset: Dataset, name: str) -> Path:
        """Save a file of this patient as `name` below its folder and return its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(path, enforce_file_format=True)
        return path

    def contours(self) -> list[Dataset]:
        """Return the contours of the lesion, feet first."""
        return list(self.rtstruct.ROIContourSequence[1].ContourSequence)

    def image_references(self) -> list[Dataset]:
        """Return all image references of the RTSTRUCT: those of the whole set, then those of the lesion's contours."""
        study = self.rtstruct.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
        items = list(study.RTReferencedSeriesSequence[0].ContourImageSequence)
        return items + [contour.ContourImageSequence[0] for contour in self.contours()]


@dataclass(frozen=True)
class DataFault:
    """One data fault.

    Attributes
    ----------
    name : str
        Name of the fault; the patient is called ``FAULT-<name>``.
    damage : callable
        Function that applies the fault to a `Case`.
    codes : dict
        Expected problem code → whether it excludes the patient. Empty if the workflow can process the patient
        correctly.
    volume : bool
        Whether the volume of the lesion is unchanged.
    """

    name: str
    damage: Callable[[Case], None]
    codes: dict[str, bool] = field(default_factory=dict)
    volume: bool = True

    @property
    def patient(self) -> str:
        return f"FAULT-{self.name}"


def new_case(root: Path, patient: str, number: int) -> Case:
    """Write patient `number` with the simulator below `root` and open its files."""
    subject = Subject(patient, (7, number), number % 2 == 0, date(1950 + number % 30, 1 + number % 12, 2), SCANNED)
    folder = root / patient
    rng = np.random.default_rng(number)
    x, y, z = GRID.coordinates()
    depth = 27.0 - np.hypot(x, y) + 0 * z
    hu = np.select([depth < 0, depth < 4], [-1000.0, -100.0], 40.0) + rng.normal(0, 10, GRID.shape)
    distance = np.sqrt(x**2 + y**2 + z**2)
    hu[distance < RADIUS] += 30
    series = write_ct(folder, subject, SCANNER, GRID, np.rint(hu).clip(-1024).astype(int), 2, contrast=True)
    rois = [
        Roi("External", "EXTERNAL", trace(-depth, 0.0, GRID)),
        Roi("GTVp", "GTV", trace(distance, RADIUS, GRID)),
    ]
    write_rtstruct(folder, subject, SCANNER, GRID, series, rois)
    files = [pydicom.dcmread(path) for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
    slices: list[Dataset] = [file for file in files if file.Modality == "CT"]
    slices.sort(key=lambda image: float(image.ImagePositionPatient[2]))
    structures = next(file for file in files if file.Modality == "RTSTRUCT")
    return Case(patient, folder, slices, structures, [clinical_row(patient, number)], subject)


def clinical_row(patient: str, number: int) -> dict[str, str]:
    """Return a clinical row without a fault; every third patient has a metastasis."""
    event = number % 3 == 0
    return {
        "patient_id": patient,
        "age": str(45 + number % 30),
        "sex": "Male" if number % 2 == 0 else "Female",
        "treatment_start": TREATED.isoformat(),
        "dm": str(int(event)),
        "dm_days": "200" if event else "",
        "followup_days": "900",
        "hpv": "",
        "recurrence_site": "none",
    }


def finish(case: Case) -> None:
    """Save the slices and the RTSTRUCT after the damage."""
    for index, image in enumerate(case.slices):
        case.save(image, f"CT/{index:03d}")
    if case.structures is not None:
        case.save(case.structures, "RTSTRUCT/1")
