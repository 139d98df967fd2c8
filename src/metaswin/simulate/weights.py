"""Write stand-ins (substitutes) for TotalSegmentator's weights: real nnU-Net models that turn bands of HU into labels.

With them, the real TotalSegmentator can run without its true weights, and the HU determine every label. The models do
not know anatomy: every voxel with HU in the band of the skull is labelled as skull.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metaswin.config.structures import FAST, ROUGH, Model, model
from metaswin.core.files import atomic, write_json

MOST_LABELS = 24
# Labels by which other tasks crop the image (skull, vertebrae C1, C5, T1, T4, clavicles, brain), and organs of the
# neck.
LANDMARKS = (91, 50, 46, 43, 40, 73, 74, 90, 79, 17, 16, 15)
RANGE = (-500.0, 1100.0)  # HU of the first and of the last band
BACKGROUND = -1000.0  # HU
SCALE = 100.0  # HU: standard deviation of the normalisation
SHIFT = 50.0  # keeps the carried value positive, so that the leaky ReLU does not change it
NEVER = -1000.0  # logit of labels without a band
FEATURES = (4, 8)
IMPORTS = ["conv_op", "norm_op", "dropout_op", "nonlin"]
UNET = "dynamic_network_architectures.architectures.unet.PlainConvUNet"
CONVOLUTIONS = {
    "n_stages": 2,
    "features_per_stage": list(FEATURES),
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "kernel_sizes": [[3, 3, 3]] * 2,
    "strides": [[1, 1, 1], [2, 2, 2]],
    "n_conv_per_stage": [1, 1],
    "n_conv_per_stage_decoder": [1],
    "conv_bias": True,
    "norm_op": None,
    "norm_op_kwargs": None,
    "dropout_op": None,
    "dropout_op_kwargs": None,
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}
# Spacing (mm; x, y, z) to which TotalSegmentator resamples before each model.
SPACINGS = {
    **dict.fromkeys(range(291, 296), (1.5, 1.5, 1.5)),
    297: (3.0, 3.0, 3.0),
    298: (6.0, 6.0, 6.0),
    303: (1.5, 1.5, 1.5),
    115: (0.5, 0.5, 0.5),
    351: (0.47251562774181366, 0.47251562774181366, 0.8500002026557922),
    409: (0.5, 0.5, 1.0),
    **dict.fromkeys(range(775, 780), (0.75, 0.75, 1.0)),
}


def bands(wanted: Model) -> dict[int, float]:
    """Return the centre (HU) of the band of each label that a stand-in emits, evenly spaced over `RANGE`."""
    first = [label for label in LANDMARKS if label in wanted.labels] if wanted.number in (FAST, ROUGH) else []
    chosen = [*first, *(label for label in sorted(wanted.labels) if label not in first)][:MOST_LABELS]
    low, high = RANGE
    step = (high - low) / max(1, len(chosen) - 1)
    return {label: low + step * place for place, label in enumerate(chosen)}


def write_standin(root: str | Path, number: int, centres: Mapping[int, float] | None = None) -> Path:
    """Write a stand-in for a model of TotalSegmentator in TotalSegmentator's own layout.

    A two-stage U-Net passes the HU of each voxel through its skip connection. The logit of label k is 2 c x - c²,
    where c is the centre of the band and x is the value, both in normalised HU. Therefore the nearest band has the
    largest logit.

    Parameters
    ----------
    root : path
        Folder of the weights.
    number : int
        Dataset number; see `metaswin.config.structures.WEIGHT_FOLDERS`.
    centres : mapping, optional
        Label → HU; the default is the result of `bands`.

    Returns
    -------
    Path
        The folder of the model.
    """
    import torch
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    wanted = model(number)
    folder = Path(root) / wanted.folder / wanted.trained
    trainer, _, configuration = wanted.trained.split("__")
    write_json(folder / "plans.json", _plans(wanted, configuration))
    write_json(folder / "dataset.json", _dataset(wanted))
    network = get_network_from_plans(
        UNET, CONVOLUTIONS, IMPORTS, 1, len(wanted.labels) + 1, allow_init=True, deep_supervision=False
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        encoder = network.encoder.stages[0][0].convs[0].conv
        encoder.weight[0, 0, 1, 1, 1], encoder.bias[0] = 1.0, SHIFT
        # Inputs of the decoder: first the features from the lower stage, then the skip connection.
        network.decoder.stages[0].convs[0].conv.weight[0, FEATURES[0], 1, 1, 1] = 1.0
        head = network.decoder.seg_layers[0]
        head.bias[:] = NEVER
        for label, hu in {0: BACKGROUND, **(centres if centres is not None else bands(wanted))}.items():
            centre = hu / SCALE
            head.weight[label, 0], head.bias[label] = 2 * centre, -(2 * centre * SHIFT + centre**2)
    checkpoint = {
        "network_weights": network.state_dict(),
        "trainer_name": trainer,
        "init_args": {"configuration": configuration},
        "inference_allowed_mirroring_axes": None,
    }
    with atomic(folder / "fold_0" / "checkpoint_final.pth") as temporary:
        torch.save(checkpoint, temporary)
    return folder


def _plans(wanted: Model, configuration: str) -> dict[str, Any]:
    spacing = list(SPACINGS[wanted.number][::-1])
    patch = [32, 48, 48]

    def resampling(is_seg: bool, order: int) -> dict[str, Any]:
        return {"is_seg": is_seg, "order": order, "order_z": 0, "force_separate_z": None}

    settings = {
        "data_identifier": "standin",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": patch,
        "median_image_size_in_voxels": patch,
        "spacing": spacing,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling(False, 3),
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_seg_kwargs": resampling(True, 1),
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": resampling(False, 1),
        "architecture": {"network_class_name": UNET, "arch_kwargs": CONVOLUTIONS, "_kw_requires_import": IMPORTS},
        "batch_dice": False,
    }
    limits = {"percentile_00_5": -1024.0, "percentile_99_5": 2000.0, "min": -1024.0, "max": 2000.0}
    return {
        "dataset_name": wanted.folder,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": spacing,
        "original_median_shape_after_transp": patch,
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {configuration: settings},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": {"mean": 0.0, "std": SCALE, "median": 0.0, **limits}},
    }


def _dataset(wanted: Model) -> dict[str, Any]:
    labels = {"background": 0, **{name: label for label, name in wanted.labels.items()}}
    return {
        "channel_names": {"0": "CT"},
        "labels": labels,
        "numTraining": 1,
        "file_ending": ".nii.gz",
        "standin": "metaswin: no trained model, bands of HU",
    }


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``simulate-weights`` to the subcommands of `metaswin`."""
    parser = commands.add_parser(
        "simulate-weights",
        help="write stand-ins for TotalSegmentator's weights that turn bands of HU into labels (tests and demos)",
    )
    parser.add_argument("--out", required=True, type=Path, help="new or empty folder")
    parser.add_argument("--fast", action="store_true", help="for `total` at 3 mm")
    parser.add_argument("tasks", nargs="+", metavar="TASK", help="tasks of TotalSegmentator")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from metaswin.config.imaging import TotalSegmentatorSettings
    from metaswin.config.structures import needed_models
    from metaswin.core.errors import UserError

    if arguments.out.exists() and any(arguments.out.iterdir()):
        raise UserError(f"--out {arguments.out} is not empty; give a new or empty folder, without true weights")
    try:
        settings = TotalSegmentatorSettings(tasks=arguments.tasks, fast=arguments.fast, license="none")
    except ValueError as error:
        raise UserError(f"metaswin simulate-weights: {error}") from None
    for number in needed_models(settings.tasks, settings.fast, settings.structures):
        print(json.dumps(str(write_standin(arguments.out, number))))
    return 0
