"""What TotalSegmentator has drawn of one patient, with tissues in the rest of the volume."""

import numpy as np
import SimpleITK as sitk

from metaswin.files import read_json, read_volume
from metaswin.organs.catalogue import drawn, organ_ids
from metaswin.organs.predict import stored
from metaswin.organs.request import Organs, Request
from metaswin.problems import BadData


def read_drawn(request: Request) -> Organs:
    """Label map of a patient out of the store of `metaswin.organs.predict`.

    Every structure of the tasks keeps its id in `labels`, whether the patient has it or not. Nothing drawn at all is
    a warning.

    Raises
    ------
    BadData
        ``segmentation-failed``: TotalSegmentator could not draw this image.
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
            "look at the image and at the end of the log of predict_organs; leave the patient out, or draw the organs "
            "by another backend",
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
        from metaswin.organs.threshold import segment_tissues

        tissues = segment_tissues(request.ct, request.tumor > 0, request.grid, request.settings.threshold)
        array = np.where(array > 0, array, tissues.array).astype(np.uint16)
        labels = tissues.labels | labels
    return Organs(array, labels)
