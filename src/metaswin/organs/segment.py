"""One patient's organs: the work of rule ``segment_organs``."""

from pathlib import Path

import SimpleITK as sitk

from metaswin.files import read_volume, write_json, write_volume
from metaswin.images.grid import Grid
from metaswin.organs.backends import BACKENDS
from metaswin.organs.groups import resolve
from metaswin.organs.request import Request
from metaswin.organs.settings import OrgansSettings
from metaswin.status import passed_on, patient_job, read_status


def segment_patient(
    ct: str | Path,
    tumor: str | Path,
    upstream: str | Path,
    organs: str | Path,
    names: str | Path,
    status: str | Path,
    settings: OrgansSettings,
    details: str | Path,
    source: str | Path | None = None,
    batch: str | Path | None = None,
    store: str | Path | None = None,
) -> None:
    """Label the organs of one patient with the backend of the settings.

    Parameters
    ----------
    ct, tumor, upstream : path
        CT, tumour and status of `metaswin.images.convert`.
    organs, names, status : path
        Written: the label map on the CT's grid, ``{"backend", "labels": {name: id}, "groups": {name: [ids]}}`` and
        the status.
    source : path, optional
        The patient's source record, read by backend ``masks`` for ROIs of the RTSTRUCT.
    batch, store : path, optional
        For backend ``totalsegmentator``: output and store of `metaswin.organs.predict.predict_batch`.
    """
    if passed_on(upstream, "organs", status, [organs, names], details):
        return
    with patient_job(read_status(upstream).patient, "organs", status, [organs, names], details) as findings:
        image = read_volume(ct)
        request = Request(
            patient=findings.patient,
            ct=sitk.GetArrayFromImage(image),
            tumor=sitk.GetArrayFromImage(read_volume(tumor)),
            grid=Grid.of(image),
            settings=settings,
            source=Path(source) if source else None,
            batch=Path(batch) if batch else None,
            store=Path(store) if store else None,
            findings=findings,
        )
        found = BACKENDS[settings.backend](request)
        write_volume(organs, request.grid.image(found.array))
        groups = resolve(settings.groups, found.labels)
        write_json(names, {"backend": settings.backend, "labels": found.labels, "groups": groups})
