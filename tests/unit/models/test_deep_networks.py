"""Backbones, pretrained weights and network files."""

import numpy as np
import pytest
import torch
from monai.networks.nets import SwinUNETR
from monai.networks.nets.swin_unetr import SwinTransformer

from metaswin.config.models import DeepSettings
from metaswin.core.errors import UserError
from metaswin.models.backbones import build, load_pretrained, moments
from metaswin.models.compute import choose_device, reproducible
from metaswin.models.deep_features import load_network, save_network, score
from metaswin.models.encoder_file import read_facts

SMALL = DeepSettings(embed_dim=12, window_size=4, resnet_depth=10)


def swin(channels=1, window=4, embed=12, seed=0):
    torch.manual_seed(seed)
    return SwinTransformer(channels, embed, (window,) * 3, (2, 2, 2), (2, 2, 2, 2), (3, 6, 12, 24))


def self_supervised(network):
    """The state of `network` with the keys of MONAI's self-supervised checkpoints."""
    state = {}
    for key, value in network.state_dict().items():
        state["module." + key.replace("mlp.linear1", "mlp.fc1").replace("mlp.linear2", "mlp.fc2")] = value
    return {"state_dict": state, "epoch": 3}


@pytest.mark.parametrize(("backbone", "width"), [("swin", 240), ("resnet", 512), ("densenet", 1024)])
def test_build_when_called_then_gives_a_logit_and_pooled_features(backbone, width):
    torch.manual_seed(0)
    network = build(backbone, SMALL, channels=3).eval()
    with torch.no_grad():
        logits, features = network(torch.rand(2, 3, 32, 32, 32))
    assert logits.shape == (2,)
    assert features.shape == (2, width)
    assert torch.isfinite(logits).all()
    assert not torch.allclose(features[0], features[1])


def test_swin_when_run_then_features_are_the_normalised_mean_of_monais_last_stage_and_moments():
    encoder = build("swin", SMALL, channels=2).encoder.eval()
    patches = torch.rand(2, 3, 48, 48, 48)
    with torch.no_grad():
        features = encoder(patches)
        last = encoder.swin(patches, normalize=True)[-1]
    # The layer normalisation of a new network has weight 1 and bias 0, as that of MONAI's forward.
    assert torch.allclose(features[:, :192], last.mean(dim=(2, 3, 4)), atol=1e-4)
    assert features.shape == (2, 240)


def test_moments_when_tokens_are_in_the_mask_then_their_mean_and_log_deviation_only():
    tokens = torch.randn(2, 5, 4, 4, 4)
    mask = torch.zeros(2, 8, 8, 8)
    mask[:, 2:6, 2:6, 2:6] = 1
    mean, deviation = moments(tokens, mask)
    inside = tokens[:, :, 1:3, 1:3, 1:3].flatten(2)
    torch.testing.assert_close(mean, inside.mean(2), atol=1e-3, rtol=0)
    torch.testing.assert_close(deviation, inside.std(2, correction=0).log(), atol=2e-3, rtol=0)
    tokens[:, :, 0] += 50  # outside
    torch.testing.assert_close(moments(tokens, mask)[0], mean, atol=1e-2, rtol=0)


def test_fit_contrast_when_tumours_are_given_then_their_median_and_quartiles():
    network = build("resnet", SMALL, channels=3)
    patches = torch.full((3, 3, 8, 8, 8), 0.9)
    patches[:, 1] = 0
    patches[:, 1, :4] = 1
    patches[:, 0, :4] = torch.linspace(0.4, 0.6, 256).view(1, 4, 8, 8)
    network.fit_contrast(patches.half())
    assert network.contrast.tolist() == pytest.approx([0.5, 0.1 / 1.349], abs=2e-3)
    patches[:, 1] = 0
    network.fit_contrast(patches.half())  # no tumour: stays
    assert network.contrast.tolist() == pytest.approx([0.5, 0.1 / 1.349], abs=2e-3)


def test_load_pretrained_when_monai_self_supervised_file_then_loaded_as_by_monai(tmp_path):
    weights = self_supervised(swin(window=7, seed=1))
    torch.save(weights, tmp_path / "model.pt")
    theirs = SwinUNETR(in_channels=1, out_channels=2, feature_size=12)
    theirs.load_from(weights)
    ours = swin(window=7, seed=2)
    report = load_pretrained(ours, tmp_path / "model.pt")
    for key, value in theirs.swinViT.state_dict().items():
        assert torch.equal(ours.state_dict()[key], value), key
    assert (report["matched"], report["adapted"], report["unused"]) == (report["total"], 0, 0)
    assert report["total"] == sum(1 for _ in ours.parameters())


def test_load_pretrained_when_channels_and_window_differ_then_adapted_and_reported(tmp_path):
    source, target = swin(window=7, seed=1), swin(channels=5, window=4, seed=2)
    torch.save(self_supervised(source), tmp_path / "model.pt")
    own = target.patch_embed.proj.weight.detach().clone()
    report = load_pretrained(target, tmp_path / "model.pt")
    # The first layer and the tables of relative positions, one a block.
    assert report["adapted"] == 1 + 8
    assert report["matched"] == report["total"] - 9
    assert torch.equal(target.patch_embed.proj.weight[:, 0], source.patch_embed.proj.weight[:, 0])
    assert torch.equal(target.patch_embed.proj.weight[:, 1:], own[:, 1:])
    big = source.layers1[0].blocks[0].attn.relative_position_bias_table.T.reshape(3, 13, 13, 13)
    small = target.layers1[0].blocks[0].attn.relative_position_bias_table.T.reshape(3, 7, 7, 7)
    # Of 13 and 7 offsets the outermost and every second coincide.
    assert torch.allclose(small, big[:, ::2, ::2, ::2], atol=1e-5)


def test_load_pretrained_when_a_whole_swin_unetr_then_takes_its_encoder_only(tmp_path):
    torch.manual_seed(3)
    whole = SwinUNETR(in_channels=1, out_channels=2, feature_size=12)
    torch.save({"state_dict": whole.state_dict()}, tmp_path / "model.pt")
    target = swin(window=7, seed=2)
    report = load_pretrained(target, tmp_path / "model.pt")
    assert report["matched"] == report["total"]
    assert report["unused"] == sum(not key.startswith("swinViT.") for key in whole.state_dict())


def test_load_pretrained_when_file_is_of_a_network_of_ours_then_all_matches(tmp_path):
    network = build("swin", SMALL, channels=5)
    save_network(tmp_path / "network.safetensors", network, "swin", SMALL, {}, ["ct", "tumor", "ring", "bone", "air"])
    report = load_pretrained(swin(channels=6, seed=4), tmp_path / "network.safetensors")
    assert report["matched"] == report["total"]


def test_load_pretrained_when_of_another_width_then_says_which(tmp_path):
    torch.save(self_supervised(swin(embed=24)), tmp_path / "model.pt")
    with pytest.raises(UserError, match=r"the file's embed_dim is 24, deep\.embed_dim is 12"):
        load_pretrained(swin(), tmp_path / "model.pt")


def test_load_pretrained_when_nothing_is_known_then_says_what_is_expected(tmp_path):
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "model.pt")
    with pytest.raises(UserError, match=r"none of the file's 1 weights fits.*module\.patch_embed"):
        load_pretrained(swin(), tmp_path / "model.pt")


@pytest.mark.parametrize("content", [b"hello", b""])
def test_load_pretrained_when_file_is_no_checkpoint_then_user_error(tmp_path, content):
    for name in ("model.pt", "model.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as weights"):
            load_pretrained(swin(), tmp_path / name)


def test_load_pretrained_when_file_would_run_code_then_refused(tmp_path):
    torch.save({"state_dict": {"module.x": np.random.RandomState}}, tmp_path / "model.pt")
    with pytest.raises(UserError, match="cannot be read as weights"):
        load_pretrained(swin(), tmp_path / "model.pt")


@pytest.mark.parametrize("backbone", ["swin", "resnet", "densenet"])
def test_network_file_when_written_and_read_then_the_same_scores_and_bytes(tmp_path, backbone):
    torch.manual_seed(0)
    network = build(backbone, SMALL, channels=3).eval()
    network.prior.fill_(-1.5)
    patch = torch.rand(3, 32, 32, 32)
    paths = [tmp_path / f"{name}.safetensors" for name in "ab"]
    for path in paths:
        save_network(path, network, backbone, SMALL, {"size": 32}, ["ct", "tumor", "ring"])
    assert paths[0].read_bytes() == paths[1].read_bytes()
    facts = read_facts(paths[0])
    assert (facts["backbone"], facts["patches"], facts["channels"]) == (backbone, {"size": 32}, ["ct", "tumor", "ring"])
    ours, theirs = score(network, patch), score(load_network(paths[0]), patch)
    assert ours[0] == theirs[0]
    assert torch.equal(ours[1], theirs[1])


def test_score_when_the_prior_changes_then_stays():
    torch.manual_seed(0)
    network = build("resnet", SMALL, channels=3).eval()
    patch = torch.rand(3, 32, 32, 32)
    before, _ = score(network, patch)
    network.prior.fill_(2.0)
    with torch.no_grad():
        assert float(network(patch[None])[0]) == pytest.approx(before + 2.0, abs=1e-5)
    assert score(network, patch)[0] == pytest.approx(before, abs=1e-5)


def test_reproducible_when_left_then_torch_is_as_before():
    threads = torch.get_num_threads()
    with reproducible(1, torch.device("cpu")):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == 1
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == threads


def test_choose_device_when_a_gpu_is_asked_for_but_absent_then_user_error():
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UserError, match=r"deep\.device is cuda"):
        choose_device("cuda")
    assert choose_device("auto") == torch.device("cpu")
