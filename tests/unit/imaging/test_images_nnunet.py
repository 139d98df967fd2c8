"""Drawing the tumour with a stand-in nnU-Net model whose weights turn HU bands into labels."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from images_dicom import SAGITTAL, grid, write_source

from metaswin.config.imaging import ImagesSettings, NnunetSettings
from metaswin.core.errors import UserError
from metaswin.imaging.convert import convert_patient
from metaswin.imaging.model_folder import check_model_folder, model_files

BANDS = {0: -1000.0, 1: 0.0, 2: 60.0, 3: 120.0}  # HU at the centre of each label's band
NAMES = {"background": 0, "muscle": 1, "tumour": 2, "node": 3}
SCALE = 100.0  # HU: the normalisation's standard deviation
SHIFT = 50.0  # keeps the carried value positive through the leaky ReLU
CONVOLUTION = {
    "n_stages": 2,
    "features_per_stage": [2, 2],
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
IMPORTS = ["conv_op", "norm_op", "dropout_op", "nonlin"]


def write_json_files(folder: Path, names: dict[str, int] = NAMES, channels: int = 1) -> None:
    """plans.json and dataset.json of a one-configuration model."""

    def resampling(order):
        return {"is_seg": False, "order": order, "order_z": 0, "force_separate_z": None}

    unet = "dynamic_network_architectures.architectures.unet.PlainConvUNet"
    configuration = {
        "data_identifier": "standin",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [16, 16, 16],
        "median_image_size_in_voxels": [16.0, 16.0, 16.0],
        "spacing": [3.0, 2.0, 2.0],
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling(3),
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_seg_kwargs": resampling(1) | {"is_seg": True},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": resampling(1),
        "architecture": {"network_class_name": unet, "arch_kwargs": CONVOLUTION, "_kw_requires_import": IMPORTS},
        "batch_dice": False,
    }
    statistics = {"mean": 0.0, "std": SCALE, "percentile_00_5": -1024.0, "percentile_99_5": 2000.0}
    plans = {
        "dataset_name": "Dataset001_Standin",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [3.0, 2.0, 2.0],
        "original_median_shape_after_transp": [16, 16, 16],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": statistics | {"min": -1024.0, "max": 2000.0, "median": 0}},
    }
    dataset = {
        "channel_names": {str(n): "CT" for n in range(channels)},
        "labels": names,
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    folder.mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))


def write_model(folder: Path) -> None:
    """A two-stage U-Net that carries each voxel's HU through its skip connection and picks the nearest band.

    The logit of label k is 2 c x - c², the band's centre c and the value x in normalised HU.
    """
    import torch
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    write_json_files(folder)
    architecture = json.loads((folder / "plans.json").read_text())["configurations"]["3d_fullres"]["architecture"]
    network = get_network_from_plans(
        architecture["network_class_name"], CONVOLUTION, IMPORTS, 1, len(BANDS), allow_init=True, deep_supervision=False
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        encoder = network.encoder.stages[0][0].convs[0].conv
        encoder.weight[0, 0, 1, 1, 1], encoder.bias[0] = 1.0, SHIFT
        network.decoder.stages[0].convs[0].conv.weight[0, 2, 1, 1, 1] = 1.0  # inputs: two from below, then the skip
        head = network.decoder.seg_layers[0]
        for label, hu in BANDS.items():
            centre = hu / SCALE
            head.weight[label, 0], head.bias[label] = 2 * centre, -(2 * centre * SHIFT + centre**2)
    checkpoint = {
        "network_weights": network.state_dict(),
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": "3d_fullres"},
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }
    (folder / "fold_0").mkdir()
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # of nnU-Net and what it imports
@pytest.mark.parametrize("direction", [(1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0), SAGITTAL], ids=["axial", "sagittal"])
def test_convert_when_model_draws_then_labels_are_exact_and_marked_automatic(tmp_path, direction):
    on = grid(size=(32, 32, 24), spacing=(2.0, 2.0, 3.0), direction=direction)
    labels = np.zeros(on.shape, dtype=int)
    labels[4:20, 5:28, 6:27] = 1
    labels[8:14, 10:18, 9:16] = 2
    labels[15:18, 20:25, 18:23] = 3
    write_model(tmp_path / "model")
    sitk.WriteImage(on.image(np.vectorize(BANDS.get)(labels).astype(np.int16)), str(tmp_path / "ct.nii.gz"))
    source = write_source(
        tmp_path / "source.json", str(tmp_path / "ct.nii.gz"), {"kind": "nnunet", "path": None}, kind="nifti"
    )
    nnunet = NnunetSettings(model_folder=str(tmp_path / "model"), primary_label=2, nodes_label=3)
    outputs = [tmp_path / name for name in ("out.nii.gz", "tumor.nii.gz", "image.json", "status.json")]
    convert_patient(source, *outputs, ImagesSettings(nnunet=nnunet), tmp_path / "details")
    expected = np.select([labels == 2, labels == 3], [1, 2], 0)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(outputs[1]))), expected)
    facts = json.loads(outputs[2].read_text())
    assert (facts["tumor_source"], facts["automatic"]) == ("nnunet", True)


def settings_of(folder, **others):
    return NnunetSettings(model_folder=str(folder), **others)


def usable(folder: Path) -> Path:
    """A folder that looks like a model; its weights are not read."""
    write_json_files(folder)
    (folder / "fold_0").mkdir()
    (folder / "fold_0/checkpoint_final.pth").touch()
    return folder


def test_check_model_folder_when_usable_then_no_message(tmp_path):
    folder = usable(tmp_path / "model")
    assert check_model_folder(settings_of(folder, nodes_label=3)) == []
    assert [path.name for path in model_files(settings_of(folder))] == [
        "plans.json",
        "dataset.json",
        "checkpoint_final.pth",
    ]


def test_check_model_folder_when_unusable_then_every_fault_is_named(tmp_path):
    assert "not set" in check_model_folder(NnunetSettings())[0]
    assert "no folder" in check_model_folder(settings_of(tmp_path / "gone"))[0]
    folder = usable(tmp_path / "model")
    messages = check_model_folder(settings_of(folder, folds=[0, 1, 2]))
    assert len(messages) == 2
    assert "fold_1/checkpoint_final.pth" in messages[0]
    messages = check_model_folder(settings_of(folder, primary_label=9, nodes_label=0))
    assert [message.split(":")[0] for message in messages] == [
        "images.nnunet.primary_label",
        "images.nnunet.nodes_label",
    ]
    assert "2 (tumour)" in messages[0]
    (folder / "dataset.json").write_text("{}")
    assert "dataset.json cannot be read" in check_model_folder(settings_of(folder))[0]


def test_check_model_folder_when_model_expects_two_channels_then_reported(tmp_path):
    write_json_files(tmp_path / "model", channels=2)
    (tmp_path / "model/fold_0").mkdir()
    (tmp_path / "model/fold_0/checkpoint_final.pth").touch()
    assert "2 channels" in check_model_folder(settings_of(tmp_path / "model"))[0]


def test_convert_when_model_folder_is_missing_then_user_error(tmp_path):
    on = grid()
    hu = np.full(on.shape, -5, dtype=np.int16)
    hu[0, 0, 0] = 40
    sitk.WriteImage(on.image(hu), str(tmp_path / "ct.nii.gz"))
    source = write_source(
        tmp_path / "source.json", str(tmp_path / "ct.nii.gz"), {"kind": "nnunet", "path": None}, kind="nifti"
    )
    outputs = [tmp_path / name for name in ("out.nii.gz", "tumor.nii.gz", "image.json", "status.json")]
    with pytest.raises(UserError, match="model_folder"):
        convert_patient(source, *outputs, ImagesSettings(nnunet=settings_of(tmp_path / "gone")), tmp_path / "details")
    assert not outputs[3].exists()
