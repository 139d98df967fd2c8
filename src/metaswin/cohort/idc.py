"""Fetch a collection of the NCI Imaging Data Commons through the optional package ``idc-index``."""

import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaswin.cohort.fetch import Selection
from metaswin.core.errors import UserError, several, suggestion

if TYPE_CHECKING:
    import pandas as pd

LAYOUT = "%PatientID/%SeriesInstanceUID"


def fetch_idc(
    collection: str,
    selection: Selection,
    out: Path,
    patients: Collection[str] | None = None,
    show: Callable[[str], None] = print,
) -> None:
    """Download series of a collection as ``<out>/<patient>/<series UID>/*.dcm``; complete files are kept.

    Parameters
    ----------
    collection : str
        Name of the collection, as in the portal of IDC (``collection_id``).
    selection : Selection
    out : Path
    patients : collection of str or None
        Their ``PatientID``; None takes all patients of the collection.
    show : callable
        Prints a line.

    Raises
    ------
    UserError
        If idc-index is not installed, if the collection or a patient is unknown, if the disk is too small, or if
        files are missing after the download.
    """
    client = _client()
    chosen, absent = selected(client.index, collection, selection, patients)
    size = float(chosen["series_size_MB"].sum())
    licences = ", ".join(sorted(chosen["license_short_name"].dropna().unique())) or "not stated"
    show(
        f"{collection}: {chosen['PatientID'].nunique()} patients, {len(chosen)} series, {size / 1000:.1f} GB; "
        f"licences: {licences}"
    )
    out.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(out).free / 1e6
    if size > free:
        raise UserError(f"--out: {out} has {free / 1000:.1f} GB free, but the selection needs {size / 1000:.1f} GB")
    client.download_dicom_series(
        chosen["SeriesInstanceUID"].tolist(), str(out), quiet=True, use_s5cmd_sync=True, dirTemplate=LAYOUT
    )
    messages = [f"{patient}: not in the collection with this modality and date" for patient in absent]
    messages += [
        f"{row.PatientID}: a series is incomplete; the same command downloads the rest"
        for row in chosen.itertuples()
        if _count(out / str(row.PatientID) / str(row.SeriesInstanceUID)) < row.instanceCount
    ]
    if messages:
        raise several("Not everything was fetched:", list(dict.fromkeys(messages)))


def selected(
    index: "pd.DataFrame", collection: str, selection: Selection, patients: Collection[str] | None
) -> tuple["pd.DataFrame", list[str]]:
    """Return the selected rows of IDC's index of series, and the patients without any.

    Raises
    ------
    UserError
        If the collection is unknown or nothing is selected.
    """
    names = set(index["collection_id"])
    if collection not in names:
        raise UserError(f"--idc: there is no collection {collection!r}{_near(collection, names)}")
    rows = index[(index["collection_id"] == collection) & index["Modality"].isin(selection.modalities)]
    dates = rows["StudyDate"].astype(str).str.replace("-", "")
    rows = rows[[selection.contains(day) for day in dates]]
    absent: list[str] = []
    if patients is not None:
        absent = sorted(set(patients) - set(rows["PatientID"]))
        rows = rows[rows["PatientID"].isin(set(patients))]
    if rows.empty:
        raise UserError(f"--idc: {collection} has no series of {', '.join(selection.modalities)} in this selection")
    return rows, absent


def _near(collection: str, names: set[str]) -> str:
    near = suggestion(collection, names)
    return near if near.startswith("; did") else "; names are in the portal of IDC, such as tcga_hnsc"


def _count(folder: Path) -> int:
    return sum(1 for path in folder.glob("*.dcm")) if folder.is_dir() else 0


def _client() -> Any:
    try:
        from idc_index import IDCClient
    except ImportError:
        raise UserError("--idc needs the package idc-index: install it with `pip install idc-index`") from None
    return IDCClient()
