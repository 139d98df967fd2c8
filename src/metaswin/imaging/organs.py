"""Segment the organs of one patient with the backend that the configuration names."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from metaswin.config.imaging import OrgansSettings
from metaswin.config.structures import drawn, organ_ids
from metaswin.core.files import read_json, read_volume, write_json, write_volume
from metaswin.core.grid import Grid
from metaswin.core.problems import BadData
from metaswin.core.status import passed_on, patient_job, read_status
from metaswin.imaging.organ_labels import Organs, Request, resolve
from metaswin.imaging.totalsegmentator import stored


def read_drawn(request: Request) -> Organs:
    """Return the label map of a patient from the store of `metaswin.imaging.totalsegmentator`.

    `labels` contains every structure of the tasks, even if the patient does not have it. An empty label map causes a
    warning.

    Raises
    ------
    BadData
        ``segmentation-failed``, if TotalSegmentator failed on this image.
    """
    settings = request.settings.totalsegmentator
    if request.batch is None or request.store is None:
        raise ValueError("the backend totalsegmentator reads what the rule predict_organs has drawn")
    found = read_json(request.batch)[request.patient]
    if "error" in found:
        raise BadData(
            "segmentation-failed",
            f"an image on which TotalSegmentator failed ({found['error']})",
            "a CT of the head and neck",
            "look at the image and at the end of the log of predict_organs; exclude the patient, or draw the organs "
            "with another backend",
        )
    array = sitk.GetArrayFromImage(read_volume(stored(request.store, found["key"])))
    ids = organ_ids()
    labels = {name: ids[name] for name in drawn(settings.tasks, settings.structures)}
    if not array.any():
        request.findings.warn(
            "no-organs",
            "an image in which TotalSegmentator found nothing",
            "organs of the head and neck",
            "look at the image: its orientation, its units (HU) and what it shows",
        )
    if settings.tissues:
        from metaswin.imaging.tissues import segment_tissues

        tissues = segment_tissues(request.ct, request.tumor > 0, request.grid, request.settings.threshold)
        array = np.where(array > 0, array, tissues.array).astype(np.uint16)
        labels = tissues.labels | labels
    return Organs(array, labels)


def _threshold(request: Request) -> Organs:
    from metaswin.imaging.tissues import segment_tissues

    return segment_tissues(request.ct, request.tumor > 0, request.grid, request.settings.threshold)


def _masks(request: Request) -> Organs:
    from metaswin.imaging.organ_masks import read_organs

    return read_organs(request)


def _totalsegmentator(request: Request) -> Organs:

    return read_drawn(request)


BACKENDS: dict[str, Callable[[Request], Organs]] = {
    "threshold": _threshold,
    "masks": _masks,
    "totalsegmentator": _totalsegmentator,
}


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
    """Label the organs of one patient with the backend that the settings name.

    Parameters
    ----------
    ct, tumor, upstream : path
        CT, tumour and status of `metaswin.imaging.convert`.
    organs, names, status : path
        Output files: the label map on the CT's grid, ``{"backend", "labels": {name: id}, "groups": {name: [ids]}}``
        and the status.
    source : path, optional
        The patient's source record; backend ``masks`` reads it for ROIs of the RTSTRUCT.
    batch, store : path, optional
        For backend ``totalsegmentator``: output and store of `metaswin.imaging.totalsegmentator.predict_batch`.
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
