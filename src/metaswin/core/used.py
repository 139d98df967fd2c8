"""Read the list of patients that a run uses, and select their files."""

from collections.abc import Iterable
from pathlib import Path

from metaswin.core.files import read_table

ENDINGS = (".status.json", ".parquet", ".nii.gz", ".png")


def used_patients(used: str | Path) -> list[str]:
    """Return the study ids in ``cohort/used.parquet``, sorted."""
    return sorted(read_table(used, columns=["patient"])["patient"])


def of_used(paths: Iterable[str | Path], used: str | Path) -> dict[str, Path]:
    """Return a dictionary from each used patient to the patient's file, selected from the files of all planned ones.

    The files of patients that a stage has excluded are empty or have no rows.

    Parameters
    ----------
    paths : iterable of path
        One file per patient, named ``<patient><one of ENDINGS>`` or in a folder ``<patient>``.
    used : path
        ``cohort/used.parquet``.
    """
    files = {patient_of(path): Path(path) for path in paths}
    return {patient: files[patient] for patient in used_patients(used) if patient in files}


def patient_of(path: str | Path) -> str:
    """Return the study id that a file belongs to."""
    path = Path(path)
    for ending in ENDINGS:
        if path.name.endswith(ending):
            return path.name.removesuffix(ending)
    return path.parent.name
