"""Run TotalSegmentator on batches of patients without telemetry, downloads or repeated loading of models.

TotalSegmentator's Python API loads its models and starts worker processes again for every image and model. On small
images this takes most of the time. Within `segmenter`, TotalSegmentator uses a predictor that keeps loaded models and
works in this process.

Every finished label map is saved immediately in a store that Snakemake does not know. Its key is a hash of the image
and the settings. Therefore label maps that a killed job has finished are not drawn again, and a patient whose batch
has changed is not drawn again either.
"""

import hashlib
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from metaswin.config.imaging import TotalSegmentatorSettings
from metaswin.config.structures import TOTAL, organ_ids, structures
from metaswin.core.errors import UserError, several
from metaswin.core.files import read_volume, write_json, write_volume
from metaswin.core.gpus import own_gpu
from metaswin.core.grid import Grid
from metaswin.core.status import read_status
from metaswin.imaging.weights import home, missing_weights, required

logger = logging.getLogger("metaswin.imaging")

Segment = Callable[[sitk.Image], np.ndarray]


@contextmanager
def segmenter(settings: TotalSegmentatorSettings) -> Iterator[Segment]:
    """Yield a function that draws the organs of a CT; models stay loaded between calls.

    Yields
    ------
    callable
        Takes a CT (HU) and returns the label map (uint16; slices, rows, columns) with the ids of
        `metaswin.config.structures.organ_ids`.

    Raises
    ------
    UserError
        If weights are missing, or if the settings ask for a GPU and there is none.
    """
    if messages := missing_weights(settings):
        raise several("The organs cannot be drawn:", messages)
    with home(Path(settings.weights), settings.license), _device(settings.device) as device:
        from totalsegmentator import nnunet
        from totalsegmentator.python_api import totalsegmentator

        original, nnunet.nnUNetPredictor = nnunet.nnUNetPredictor, _keeping_predictor(settings.threads)
        try:

            def segment(ct: sitk.Image) -> np.ndarray:
                return _segment(ct, settings, device, totalsegmentator)

            yield segment
        finally:
            nnunet.nnUNetPredictor = original


@contextmanager
def _device(wanted: str) -> Iterator[str]:
    """Yield TotalSegmentator's name of the device; of several GPUs, one that no other job uses."""
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("organs.totalsegmentator.device is cuda, but torch finds no GPU; set it to auto or cpu")
    with own_gpu(wanted != "cpu") as number:
        yield "cpu" if number is None else f"gpu:{number}"


def _keeping_predictor(threads: int) -> type:
    """Return a class like nnU-Net's predictor that keeps loaded models and predicts without worker processes."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    from metaswin.core.checkpoints import weights_only

    loaded: dict[tuple, dict[str, Any]] = {}
    learned = (
        "plans_manager", "configuration_manager", "list_of_parameters", "network", "dataset_json", "trainer_name",
        "allowed_mirroring_axes", "label_manager",
    )  # fmt: skip

    class KeepingPredictor(nnUNetPredictor):
        def initialize_from_trained_model_folder(self, folder, use_folds, checkpoint_name="checkpoint_final.pth"):
            key = (str(folder), tuple(use_folds or ()), checkpoint_name)
            if key not in loaded:
                with weights_only():
                    super().initialize_from_trained_model_folder(folder, use_folds, checkpoint_name)
                loaded[key] = {name: getattr(self, name) for name in learned}
            self.__dict__.update(loaded[key])

        def predict_from_files(
            self, source, target, save_probabilities=False, overwrite=True, folder_with_segs_from_prev_stage=None, **_
        ):
            torch.set_num_threads(threads)
            return self.predict_from_files_sequential(
                source, target, save_probabilities, overwrite, folder_with_segs_from_prev_stage
            )

    return KeepingPredictor


def _segment(
    ct: sitk.Image, settings: TotalSegmentatorSettings, device: str, totalsegmentator: Callable[..., Any]
) -> np.ndarray:
    """Return the label map of all tasks; where tasks overlap, the later task overwrites the earlier one."""
    import nibabel as nib

    ids = organ_ids()
    with tempfile.TemporaryDirectory(prefix="metaswin-organs-") as folder:
        path = Path(folder) / "ct.nii.gz"
        sitk.WriteImage(ct, str(path), useCompression=False)
        image = nib.load(path)
        assert isinstance(image, nib.Nifti1Image)
        merged = np.zeros(image.shape, dtype=np.uint16)
        for task in settings.tasks:
            wanted = settings.structures if task == TOTAL else []
            drawn = totalsegmentator(
                image,
                None,
                task=task,
                ml=True,
                fast=settings.fast and task == TOTAL,
                roi_subset=list(wanted) if wanted and not settings.fast else None,
                device=device,
                quiet=True,
                nr_thr_saving=1,
                nr_thr_resamp=1,
            )
            values = np.asanyarray(drawn.dataobj).astype(np.uint16)
            names = structures(task)
            table = np.zeros(len(names) + 1, dtype=np.uint16)
            for label, name in enumerate(names, start=1):
                table[label] = ids[name] if not wanted or name in wanted else 0
            found = table[values]
            merged[found > 0] = found[found > 0]
            logger.info("%s: %d structures", task, len(np.unique(found)) - 1)
    return np.ascontiguousarray(merged.T)


def crop(grid: Grid, tumor: np.ndarray, margin: float) -> tuple[slice, ...]:
    """Return the box around the tumour, extended by `margin` (mm), as slices of an array on `grid`."""
    from scipy import ndimage

    box = ndimage.find_objects((tumor > 0).astype(np.uint8))[0]
    reach = [int(np.ceil(margin / spacing)) for spacing in grid.spacing[::-1]]
    return tuple(slice(max(0, s.start - r), s.stop + r) for s, r in zip(box, reach, strict=True))


# Settings that do not change the labels.
WITHOUT_EFFECT = {"weights", "license", "batch_size", "threads", "device", "tissues"}


@dataclass(frozen=True)
class BatchInputs:
    """Files of stage images, one entry for each patient of a batch: CTs, tumour masks and statuses."""

    ct: list[str]
    tumor: list[str]
    status: list[str]


def predict_batch(
    inputs: BatchInputs, output: str | Path, store: str | Path, settings: TotalSegmentatorSettings
) -> None:
    """Draw the organs of each patient whose label map is not yet in the store.

    If TotalSegmentator fails on an image, this is a problem of that patient: the organs job excludes the patient, and
    the other patients continue. A job that is killed or runs out of memory fails. The next attempt then continues
    after the finished patients.

    Parameters
    ----------
    inputs : BatchInputs
    output : path
        JSON: study id → ``key`` of its label map in the store, or ``error``; null for patients excluded earlier.
    store : path
        Folder of the store.
    settings : TotalSegmentatorSettings
    """
    done: dict[str, Any] = {}
    with ExitStack() as stack:
        segment: Segment | None = None
        for number, (patient, ct, tumor) in enumerate(_patients(inputs, done), start=1):
            key = store_key(ct, tumor, settings)
            path = stored(store, key)
            if not path.is_file():
                start = time.perf_counter()
                if segment is None:
                    segment = stack.enter_context(segmenter(settings))
                    logger.info("TotalSegmentator was loaded in %.1f s", time.perf_counter() - start)
                    start = time.perf_counter()
                try:
                    _draw(ct, tumor, path, segment, settings)
                except (ValueError, RuntimeError, IndexError, TypeError) as error:
                    if "out of memory" in str(error).lower():
                        raise
                    logger.exception("%s: TotalSegmentator failed", patient)
                    done[patient] = {"error": type(error).__name__}
                    continue
                seconds = time.perf_counter() - start
                logger.info("%d of %d: %s: drawn in %.1f s", number, len(inputs.ct), patient, seconds)
            done[patient] = {"key": key}
    write_json(output, done)


def _patients(inputs: BatchInputs, done: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the patients with images; patients excluded earlier are marked in `done`."""
    for ct, tumor, status in zip(inputs.ct, inputs.tumor, inputs.status, strict=True):
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
    """Return the path of a label map in the store."""
    return Path(store) / f"{key}.nii.gz"


def store_key(ct: str | Path, tumor: str | Path, settings: TotalSegmentatorSettings) -> str:
    """Return a hash (24 hex digits) of the image, the relevant settings, the version and the size of the weights.

    With `crop_margin` the hash also covers the tumour.
    """
    digest = hashlib.sha256(settings.model_dump_json(exclude=WITHOUT_EFFECT).encode())
    digest.update(version("TotalSegmentator").encode())
    for weights in required(settings):
        digest.update(f"{weights.model.folder} {weights.size}".encode())
    for path in (ct, *([tumor] if settings.crop_margin is not None else [])):
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:24]
