"""Frozen encoders: their input, their outputs, and the messages about files that cannot be used."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import torch
from patch_file import collected
from safetensors import safe_open
from safetensors.numpy import save_file

from metaswin.config.features import EmbeddingSettings
from metaswin.config.imaging import PatchesSettings
from metaswin.config.load import load
from metaswin.config.models import DeepSettings
from metaswin.core.errors import UserError
from metaswin.core.files import file_hash, read_table, write_table, write_volume
from metaswin.features.embedding import embedding_facts
from metaswin.imaging.patch_file import channel_names
from metaswin.models.backbones import build
from metaswin.models.deep_features import save_network, score
from metaswin.models.embedding import EmbeddingInputs, extract_embedding, lesion_input
from metaswin.models.encoder_file import check_encoder
from metaswin.models.patches import load_patch

CPU = DeepSettings(threads=1, device="cpu")
PATCHES = PatchesSettings(size=32, spacing=2.0, organ_groups={})
SMALL = {"size": (8, 10, 12), "spacing": (2.0, 2.0, 3.0)}


class Encoder(torch.nn.Module):
    """A convolution, pooled to four numbers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Conv3d(1, 4, 3)
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, patch):
        return self.dropout(self.layer(patch)).mean((2, 3, 4))


class Transformed(torch.nn.Module):
    """An encoder whose output is a function of the right one."""

    def __init__(self, function) -> None:
        super().__init__()
        self.encoder, self.function = Encoder().eval(), function

    def forward(self, patch):
        return self.function(self.encoder(patch))


def export(encoder: torch.nn.Module, path: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces a successor of TorchScript
        torch.jit.trace(encoder, torch.zeros(1, 1, 12, 10, 8), check_trace=False).save(str(path))
    return str(path)


def image(array: np.ndarray, origin=(0.0, 0.0, 0.0), spacing=(1.0, 1.0, 1.0)) -> sitk.Image:
    found = sitk.GetImageFromArray(array)
    found.SetOrigin(origin)
    found.SetSpacing(spacing)
    return found


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    """Three patients with a CT of noise and a tumour; the list of used patients has two of them."""
    folder = tmp_path_factory.mktemp("cohort")
    rng = np.random.default_rng(0)
    for patient in ("A", "B", "C"):
        tumor = np.zeros((20, 30, 30), dtype=np.uint8)
        tumor[8:12, 10:20, 12:18] = 1
        write_volume(folder / f"images/{patient}/ct.nii.gz", image(rng.normal(0, 300, tumor.shape).astype(np.float32)))
        write_volume(folder / f"images/{patient}/tumor.nii.gz", image(tumor))
    write_table(folder / "used.parquet", pd.DataFrame({"patient": ["A", "C"]}))
    return folder


def extract(cohort: Path, model: str, output: Path, patches: str | None = None, **settings) -> pd.DataFrame:
    inputs = EmbeddingInputs(
        model,
        str(cohort / "used.parquet"),
        *([str(path) for path in sorted(cohort.glob(f"images/*/{name}.nii.gz"))] for name in ("ct", "tumor")),
        patches,
    )
    settings = EmbeddingSettings(model=model, **(SMALL | settings))
    extract_embedding(inputs, str(output), settings, PATCHES, CPU)
    return read_table(output).set_index("patient")


def test_embedding_when_extracted_then_the_outputs_of_the_encoder_and_its_hash(cohort, tmp_path):
    model = export(Encoder().eval(), tmp_path / "model.pt")
    table = extract(cohort, model, tmp_path / "embedding.parquet")
    assert list(table.index) == ["A", "C"]
    assert list(table) == ["e0000", "e0001", "e0002", "e0003"]
    ct, tumor = (sitk.ReadImage(str(cohort / f"images/C/{name}.nii.gz")) for name in ("ct", "tumor"))
    patch = lesion_input(ct, tumor, EmbeddingSettings(**SMALL))
    assert patch.shape == (12, 10, 8)
    with torch.inference_mode():
        wanted = Encoder().eval()(torch.from_numpy(patch)[None, None])[0].numpy()
    np.testing.assert_allclose(table.loc["C"], wanted, rtol=1e-5)
    assert embedding_facts(str(tmp_path / "embedding.parquet")) == {"sha256": file_hash(model), "columns": []}
    again = extract(cohort, model, tmp_path / "again.parquet")
    pd.testing.assert_frame_equal(table, again, check_exact=True)


def test_input_when_cropped_as_in_the_code_of_fmcib_then_equal():
    """FMCIB: orientation LPS, 50³ voxels of 1 mm from 25 before the centroid, (HU + 1024) / 3072.

    Its datasets (fmcib.datasets) use SimpleITK in this way. Its command (fmcib.preprocessing) does the same with MONAI.
    """
    hu = np.random.default_rng(1).normal(0, 500, (70, 80, 90)).astype(np.float32)
    # Stored from left to right and from back to front.
    ct = image(hu, (40.0, 30.0, -20.0))
    ct.SetDirection([-1, 0, 0, 0, -1, 0, 0, 0, 1])
    mask = np.zeros(hu.shape, dtype=np.uint8)
    mask[30:41, 35:46, 40:51] = 1
    tumor = sitk.GetImageFromArray(mask)
    tumor.CopyInformation(ct)
    found = lesion_input(ct, tumor, EmbeddingSettings())

    oriented = sitk.DICOMOrient(ct, "LPS")
    centroid = ct.TransformIndexToPhysicalPoint((45, 40, 35))
    x, y, z = oriented.TransformPhysicalPointToIndex(centroid)
    wanted = sitk.GetArrayFromImage(oriented[x - 25 : x + 25, y - 25 : y + 25, z - 25 : z + 25])
    assert found.shape == (50, 50, 50)
    np.testing.assert_allclose(found, (wanted + 1024) / 3072, atol=1e-5)


def test_input_when_beyond_the_ct_then_air_and_clipped_if_set():
    ct = image(np.full((10, 10, 10), 3072, dtype=np.int16))
    tumor = image(np.ones((10, 10, 10), dtype=np.uint8))
    found = lesion_input(ct, tumor, EmbeddingSettings(size=(20, 20, 20)))
    assert found[0, 0, 0] == 0
    assert found[10, 10, 10] == pytest.approx(4096 / 3072)
    clipped = lesion_input(ct, tumor, EmbeddingSettings(size=(20, 20, 20), clip=True))
    assert clipped.max() == 1


def test_input_when_there_is_no_primary_then_around_the_largest_node():
    labels = np.zeros((20, 20, 20), dtype=np.uint8)
    labels[2:4, 2:4, 2:4] = 2
    labels[10:15, 10:15, 10:15] = 2
    ct = np.zeros(labels.shape, dtype=np.int16)
    ct[12, 12, 12] = 1000
    found = lesion_input(image(ct), image(labels), EmbeddingSettings(size=(5, 5, 5)))
    assert np.unravel_index(found.argmax(), found.shape) == (2, 2, 2)


@pytest.mark.parametrize(
    ("encoder", "settings", "text"),
    [
        (Transformed(lambda found: found[:, :, None]), {}, r"output of the encoder is \(1, 4, 1\)"),
        (Transformed(lambda found: (found, found)), {}, "output of the encoder is tuple"),
        (Transformed(lambda found: found / 0), {}, r"not finite for 2 of 2 patients \(A, C\)"),
        (Encoder().train(), {}, "different outputs for the same input"),
        (Encoder().eval(), {"size": (2, 2, 2)}, r"failed on an input of shape \(1, 1, 2, 2, 2\)"),
    ],
)
def test_encoder_when_its_output_cannot_be_used_then_told(cohort, tmp_path, encoder, settings, text):
    model = export(encoder, tmp_path / "model.pt")
    with pytest.raises(UserError, match=text):
        extract(cohort, model, tmp_path / "embedding.parquet", **settings)
    assert not (tmp_path / "embedding.parquet").exists()


def test_file_when_absent_or_of_another_kind_then_told(tmp_path):
    weights = tmp_path / "weights.pt"
    torch.save(Encoder().state_dict(), weights)
    (tmp_path / "text.safetensors").write_text("no tensors")
    for path, text in [
        (tmp_path / "absent.pt", "no file"),
        (weights, "not a TorchScript file; docs/howto/embeddings.md"),
        (tmp_path / "text.safetensors", "not a network that metaswin wrote"),
    ]:
        (message,) = check_encoder(EmbeddingSettings(model=str(path)), PATCHES)
        assert text in message


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    """A network as `train_deep` writes it, and the patches of patients A and B."""
    folder = tmp_path_factory.mktemp("network")
    rng = np.random.default_rng(3)
    for patient in ("A", "B"):
        channels = [sitk.GetImageFromArray(rng.random((32, 32, 32), dtype=np.float32)) for _ in range(3)]
        write_volume(folder / f"{patient}.nii.gz", sitk.JoinSeries(channels))
    collected(folder)
    torch.manual_seed(0)
    settings = DeepSettings(resnet_depth=10)
    patches = PATCHES.model_dump(mode="json")
    built = build("resnet", settings, 3).eval()
    save_network(folder / "network.safetensors", built, "resnet", settings, patches, channel_names(PATCHES))
    return folder


def test_network_of_another_study_when_used_then_its_features_and_none_without_a_patch(cohort, network, tmp_path):
    from metaswin.models.deep_features import load_network

    model, patches = str(network / "network.safetensors"), str(network / "patches.safetensors")
    table = extract(cohort, model, tmp_path / "embedding.parquet", patches)
    wanted = score(load_network(model), load_patch(patches, "A"))[1].numpy()
    np.testing.assert_allclose(table.loc["A"], wanted, rtol=1e-5)
    assert table.loc["C"].isna().all()


def test_network_of_another_version_when_its_weights_do_not_fit_then_user_error(cohort, network, tmp_path):
    old = tmp_path / "old.safetensors"
    with safe_open(network / "network.safetensors", framework="np") as file:
        save_file({"other.weight": np.zeros(3, np.float32)}, old, metadata=file.metadata())
    with pytest.raises(UserError, match="was written by another version of metaswin"):
        extract(cohort, str(old), tmp_path / "embedding.parquet", str(network / "patches.safetensors"))


def test_network_of_another_study_when_patches_differ_then_each_setting_is_told(network):
    settings = EmbeddingSettings(model=str(network / "network.safetensors"))
    assert check_encoder(settings, PATCHES) == []
    other = PATCHES.model_copy(update={"spacing": 1.5, "window": (-200.0, 240.0)})
    messages = check_encoder(settings, other)
    assert [message.split(":")[0] for message in messages] == ["patches.spacing", "patches.window"]
    assert "found 1.5, but the network in embedding.model was trained on patches with 2.0" in messages[0]


def test_settings_when_they_exclude_each_other_then_told():
    raw = {
        "data": {"source": "clinical"},
        "clinical": {"table": "t.csv", "columns": {"age": "baseline", "dm": "outcome"}},
        "endpoints": {"dm": {"column": "dm"}},
    }
    with pytest.raises(UserError, match="embedding: found model and table; set only one of them"):
        load(raw | {"embedding": {"model": "a.pt", "table": "a.csv"}})
    with pytest.raises(UserError, match=r"embedding\.model: data\.source clinical has no images"):
        load(raw | {"embedding": {"model": "a.pt"}})
    with pytest.raises(UserError, match="embedding: window: the lower limit must be below the upper one"):
        load(raw | {"embedding": {"table": "a.csv", "window": [5, 5]}})
    assert load(raw | {"embedding": {"table": "a.csv"}}).embedding.enabled
