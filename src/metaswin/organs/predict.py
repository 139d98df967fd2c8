"""Draw the organs of a batch of patients with one load of the models: the work of rule ``predict_organs``.

Every finished label map is kept at once in a store that Snakemake does not know, keyed by the image and the settings:
what a killed job has finished is not drawn again, nor is a patient whose batch has changed.
"""

import hashlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from metaswin.files import read_volume, write_json, write_volume
from metaswin.images.grid import Grid
from metaswin.organs.settings import TotalSegmentatorSettings
from metaswin.organs.totalsegmentator import Segment, crop, segmenter
from metaswin.organs.weights import required
from metaswin.status import read_status

logger = logging.getLogger("metaswin.organs")

# What does not change the labels.
WITHOUT_EFFECT = {"weights", "license", "batch_size", "threads", "device", "tissues"}


def predict_batch(
    inputs: Mapping[str, Sequence[str]], output: str | Path, store: str | Path, settings: TotalSegmentatorSettings
) -> None:
    """Draw the organs of each patient that the store does not have.

    An image on which TotalSegmentator fails is that patient's problem (the organs job excludes it); the others go on.
    A job that is killed or runs out of memory fails, and the next try goes on behind the patients that are done.

    Parameters
    ----------
    inputs : mapping
        Lists ``ct``, ``tumor`` and ``status`` of the stage images, one entry a patient.
    output : path
        JSON: study id → ``key`` of its label map in the store, or ``error``; null for patients excluded before.
    store : path
        Folder of the store.
    settings : TotalSegmentatorSettings
    """
    done: dict[str, Any] = {}
    with ExitStack() as stack:
        segment: Segment | None = None
        for patient, ct, tumor in _patients(inputs, done):
            key = store_key(ct, tumor, settings)
            path = stored(store, key)
            if not path.is_file():
                start = time.perf_counter()
                if segment is None:
                    segment = stack.enter_context(segmenter(settings))
                    logger.info("TotalSegmentator is loaded after %.1f s", time.perf_counter() - start)
                    start = time.perf_counter()
                try:
                    _draw(ct, tumor, path, segment, settings)
                except (ValueError, RuntimeError, IndexError, TypeError) as error:
                    if "out of memory" in str(error).lower():
                        raise
                    logger.exception("%s: TotalSegmentator failed", patient)
                    done[patient] = {"error": type(error).__name__}
                    continue
                logger.info("%s: drawn in %.1f s", patient, time.perf_counter() - start)
            done[patient] = {"key": key}
    write_json(output, done)


def _patients(inputs: Mapping[str, Sequence[str]], done: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Patients with images; those excluded before are marked in `done`."""
    for ct, tumor, status in zip(inputs["ct"], inputs["tumor"], inputs["status"], strict=True):
        earlier = read_status(status)
        if earlier.ok:
            yield earlier.patient, ct, tumor
        else:
            done[earlier.patient] = None


def _draw(ct: str, tumor: str, path: Path, segment: Segment, settings: TotalSegmentatorSettings) -> None:
    image = read_volume(ct)
    grid = Grid.of(image)
    if settings.crop_margin is None:
        labels = segment(image)
    else:
        import numpy as np

        box = crop(grid, sitk.GetArrayFromImage(read_volume(tumor)), settings.crop_margin)
        x, y, z = (slice(s.start, min(s.stop, n)) for s, n in zip(box[::-1], grid.size, strict=True))
        labels = np.zeros(grid.shape, dtype=np.uint16)
        labels[z, y, x] = segment(image[x, y, z])
    write_volume(path, grid.image(labels))


def stored(store: str | Path, key: str) -> Path:
    """Where the store keeps a label map."""
    return Path(store) / f"{key}.nii.gz"


def store_key(ct: str | Path, tumor: str | Path, settings: TotalSegmentatorSettings) -> str:
    """Hash (24 hex digits) of the image, the settings that matter, the version and the size of the weights.

    With `crop_margin` the tumour matters too.
    """
    digest = hashlib.sha256(settings.model_dump_json(exclude=WITHOUT_EFFECT).encode())
    digest.update(version("TotalSegmentator").encode())
    for weights in required(settings):
        digest.update(f"{weights.model.folder} {weights.size}".encode())
    for path in (ct, *([tumor] if settings.crop_margin is not None else [])):
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:24]
