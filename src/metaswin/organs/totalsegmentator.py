"""Run TotalSegmentator on a CT: no telemetry, no download, no model loaded twice.

TotalSegmentator's Python API loads its models and starts worker processes anew for every image and model, which on
small images takes most of the time. Within `segmenter` it is given a predictor that keeps loaded models and works in
this process.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from metaswin.errors import UserError, several
from metaswin.gpus import own_gpu
from metaswin.images.grid import Grid
from metaswin.organs.catalogue import TOTAL, organ_ids, structures
from metaswin.organs.home import home
from metaswin.organs.settings import TotalSegmentatorSettings
from metaswin.organs.weights import missing_weights

logger = logging.getLogger("metaswin.organs")

Segment = Callable[[sitk.Image], np.ndarray]


@contextmanager
def segmenter(settings: TotalSegmentatorSettings) -> Iterator[Segment]:
    """A function that draws the organs of a CT; models stay loaded between calls.

    Yields
    ------
    callable
        Takes a CT (HU) and gives the label map (uint16; slices, rows, columns) with the ids of
        `metaswin.organs.catalogue.organ_ids`.

    Raises
    ------
    UserError
        If weights are missing, or a GPU is asked for where there is none.
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
    """TotalSegmentator's word for the device: of several GPUs one that no other job holds."""
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("organs.totalsegmentator.device is cuda, but torch finds no GPU; set it to auto or cpu")
    with own_gpu(wanted != "cpu") as number:
        yield "cpu" if number is None else f"gpu:{number}"


def _keeping_predictor(threads: int) -> type:
    """nnU-Net's predictor, but it keeps loaded models, and predicts without worker processes."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    from metaswin.checkpoints import weights_only

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
    """Label map of all tasks; where tasks overlap, the later one wins."""
    import nibabel as nib

    ids = organ_ids()
    with tempfile.TemporaryDirectory(prefix="metaswin-organs-") as folder:
        path = Path(folder) / "ct.nii.gz"
        sitk.WriteImage(ct, str(path), useCompression=False)
        image = nib.load(path)
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


def crop(grid: Grid, tumor: np.ndarray, margin: float) -> tuple[slice, slice, slice]:
    """The box of the tumour and `margin` (mm) around it, as slices of an array on `grid`."""
    from scipy import ndimage

    box = ndimage.find_objects((tumor > 0).astype(np.uint8))[0]
    reach = [int(np.ceil(margin / spacing)) for spacing in grid.spacing[::-1]]
    return tuple(slice(max(0, s.start - r), s.stop + r) for s, r in zip(box, reach, strict=True))
