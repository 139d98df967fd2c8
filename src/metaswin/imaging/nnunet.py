"""Draw the tumour with a user's trained nnU-Net v2 model."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from metaswin.config.imaging import NnunetSettings
from metaswin.core.errors import several
from metaswin.core.files import write_volume
from metaswin.core.gpus import own_gpu
from metaswin.imaging.ct import Ct
from metaswin.imaging.model_folder import check_model_folder
from metaswin.imaging.nifti import read_array


def predict_tumor(ct: Ct, settings: NnunetSettings, threads: int = 1) -> dict[str, np.ndarray]:
    """Return the masks `primary` and `nodes` (if it has a label) that the model draws on a CT.

    The image reader of the model loads the CT, so that axes and orientation are those of the training. The prediction
    runs in this process, on the GPU if there is one. The checkpoint is a pickle, as nnU-Net writes it; only its
    weights are read (`metaswin.core.checkpoints`).

    Returns
    -------
    dict of str to ndarray of bool, shape (slices, rows, columns)

    Raises
    ------
    UserError
        If the model folder cannot be used.
    """
    messages = check_model_folder(settings)
    if messages:
        raise several("The nnU-Net model cannot run:", messages)
    with own_gpu() as gpu, TemporaryDirectory(prefix="metaswin-nnunet-") as folder:
        predictor = _predictor(settings, threads, "cpu" if gpu is None else f"cuda:{gpu}")
        image, drawn = Path(folder) / "ct.nii.gz", Path(folder) / "drawn.nii.gz"
        write_volume(image, ct.grid.image(ct.array))
        reader = predictor.plans_manager.image_reader_writer_class()
        array, properties = reader.read_images([str(image)])
        labels = predictor.predict_single_npy_array(array, properties)
        reader.write_seg(labels, str(drawn), properties)
        labels, _ = read_array(drawn)
    masks = {"primary": labels == settings.primary_label}
    if settings.nodes_label is not None:
        masks["nodes"] = labels == settings.nodes_label
    return masks


def _predictor(settings: NnunetSettings, threads: int, where: str):
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    from metaswin.core.checkpoints import weights_only

    torch.set_num_threads(threads)
    device = torch.device(where)
    predictor = nnUNetPredictor(
        device=device, perform_everything_on_device=device.type == "cuda", allow_tqdm=False, verbose=False
    )
    with weights_only():
        predictor.initialize_from_trained_model_folder(
            settings.model_folder, use_folds=tuple(settings.folds), checkpoint_name=settings.checkpoint
        )
    return predictor
