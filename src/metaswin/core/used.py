"""Read which patients a run uses, and pick their files."""

from collections.abc import Iterable
from pathlib import Path

from metaswin.core.files import read_table

ENDINGS = (".status.json", ".parquet", ".nii.gz", ".png")


def used_patients(used: str | Path) -> list[str]:
    """Study ids of ``cohort/used.parquet``, sorted."""
    return sorted(read_table(used, columns=["patient"])["patient"])


def of_used(paths: Iterable[str | Path], used: str | Path) -> dict[str, Path]:
    """Patient → file of the used patients, out of the files of all planned ones.

    The files of patients that a stage has excluded are empty, or have no rows.

    Parameters
    ----------
    paths : iterable of path
        One file a patient, named ``<patient><one of ENDINGS>`` or in a folder ``<patient>``.
    used : path
        ``cohort/used.parquet``.
    """
    files = {patient_of(path): Path(path) for path in paths}
    return {patient: files[patient] for patient in used_patients(used) if patient in files}


def patient_of(path: str | Path) -> str:
    """Study id of a patient's file."""
    path = Path(path)
    for ending in ENDINGS:
        if path.name.endswith(ending):
            return path.name.removesuffix(ending)
    return path.parent.name
