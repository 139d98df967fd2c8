"""The small patient that every fault starts from, and a fault's name, damage and expected outcome."""

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
RADIUS = 9.0  # mm, of the lesion
SCANNER = replace(SCANNERS[0], folder_style="{modality}", file_style="{instance:03d}")
SCANNED, TREATED = date(2020, 1, 10), date(2020, 1, 20)


@dataclass
class Case:
    """One patient in the making.

    Attributes
    ----------
    patient : str
        Study id.
    folder : Path
        Where the files lie; damage may write into it.
    slices : list of Dataset
        CT slices, feet first; saved after the damage.
    structures : Dataset or None
        The RTSTRUCT; none is saved where it is None.
    rows : list of dict
        Rows of the clinical table.
    subject : Subject
        Makes more UIDs.
    """

    patient: str
    folder: Path
    slices: list[Dataset]
    structures: Dataset | None
    rows: list[dict[str, str]]
    subject: Subject

    @property
    def rtstruct(self) -> Dataset:
        """`structures` of a case that has them."""
        assert self.structures is not None
        return self.structures

    def save(self, dataset: Dataset, name: str) -> Path:
        """Save a file of this patient as `name` below its folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(path, enforce_file_format=True)
        return path

    def contours(self) -> list[Dataset]:
        """The contours of the lesion, feet first."""
        return list(self.rtstruct.ROIContourSequence[1].ContourSequence)

    def image_references(self) -> list[Dataset]:
        """Every reference of the RTSTRUCT to an image: of the whole set, then of the lesion's contours."""
        study = self.rtstruct.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
        items = list(study.RTReferencedSeriesSequence[0].ContourImageSequence)
        return items + [contour.ContourImageSequence[0] for contour in self.contours()]


@dataclass(frozen=True)
class DataFault:
    """One fault.

    Attributes
    ----------
    name : str
        Names the patient, ``FAULT-<name>``.
    damage : callable
        Does it to a `Case`.
    codes : dict
        Expected problem code → whether it excludes. Empty where the right result is possible.
    volume : bool
        Whether the lesion keeps its volume.
    """

    name: str
    damage: Callable[[Case], None]
    codes: dict[str, bool] = field(default_factory=dict)
    volume: bool = True

    @property
    def patient(self) -> str:
        return f"FAULT-{self.name}"


def new_case(root: Path, patient: str, number: int) -> Case:
    """Write patient `number` by the simulator below `root` and open its files."""
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
    """A clinical row without fault; every third patient has a metastasis."""
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
    """Save what the damage left."""
    for index, image in enumerate(case.slices):
        case.save(image, f"CT/{index:03d}")
    if case.structures is not None:
        case.save(case.structures, "RTSTRUCT/1")
