"""Our computation of the Swin Transformer against MONAI's, values and gradients."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.networks.nets.swin_unetr import SwinTransformer

from metaswin.config.models import DeepSettings
from metaswin.models.backbones import build
from metaswin.models.guidance import Targets
from metaswin.models.swin import attend, last_tokens
from metaswin.models.training import Scratch, fit


def monai_swin(window):
    torch.manual_seed(0)
    swin = SwinTransformer(2, 12, (window,) * 3, (2, 2, 2), (2, 2, 2, 2), (3, 6, 12, 24))
    for name, weight in swin.named_parameters():
        if "norm" in name or "bias" in name:  # new ones are 0 or 1, and would hide what reads the wrong one
            torch.nn.init.normal_(weight, mean=float("norm" in name and name.endswith("weight")), std=0.3)
    return swin


@pytest.mark.parametrize(
    ("window", "size"),
    [
        (4, (32, 32, 32)),  # no padding
        (6, (48, 24, 24)),  # windows shrink on two axes
        (7, (32, 32, 48)),  # padded windows
        (3, (26, 18, 22)),  # odd tokens in every stage
        (2, (17, 21, 13)),  # the patch embedding pads too
    ],
)
def test_last_tokens_when_size_and_window_vary_then_monais_values_and_gradients(window, size):
    swin = monai_swin(window)
    patches = torch.randn(2, 2, *size)
    theirs = swin(patches, normalize=False)[-1].flatten(2).transpose(1, 2)
    weighing = torch.randn_like(theirs)
    (theirs * weighing).sum().backward()
    wanted = {name: weight.grad.clone() for name, weight in swin.named_parameters()}
    swin.zero_grad()
    ours = last_tokens(swin, swin.patch_embed(patches))
    (ours * weighing).sum().backward()
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    for name, weight in swin.named_parameters():
        scale = float(wanted[name].abs().max())
        torch.testing.assert_close(weight.grad / scale, wanted[name] / scale, atol=1e-4, rtol=0, msg=name)


def test_last_tokens_when_predicting_then_the_values_of_training():
    """Without gradients `scaled_dot_product_attention` computes, as on a GPU; places made there serve training too."""
    swin = monai_swin(4)
    patches = torch.randn(2, 2, 40, 32, 32)
    with torch.inference_mode():
        predicted = last_tokens(swin, swin.patch_embed(patches))
    trained = last_tokens(swin, swin.patch_embed(patches))
    trained.sum().backward()
    torch.testing.assert_close(predicted, trained, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("masked", [False, True])
def test_attend_when_in_chunks_then_values_and_gradients_of_torchs_own(masked, monkeypatch):
    monkeypatch.setattr("metaswin.models.swin.CHUNK", 2 * 3 * 5 * 5)  # two windows of seven
    torch.manual_seed(0)
    joined = torch.randn(2, 7, 5, 3 * 12, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, 5, 5, dtype=torch.float64, requires_grad=True)
    mask = torch.where(torch.rand(7, 5, 5) < 0.3, -100.0, 0.0).double() if masked else None
    query, key, value = joined.view(2, 7, 5, 3, 3, 4).permute(3, 0, 1, 4, 2, 5)
    added = bias if mask is None else bias + mask[:, None]
    scores = torch.softmax(query @ key.transpose(-1, -2) * 0.5 + added, dim=-1)
    theirs = (scores @ value).transpose(2, 3).reshape(2, 7, 5, 12)
    ours = attend(joined, bias, mask, 3, 0.5)
    weighing = torch.randn_like(theirs)
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)
    for mine, wanted in zip(
        torch.autograd.grad(ours, (joined, bias), weighing),
        torch.autograd.grad(theirs, (joined, bias), weighing),
        strict=True,
    ):
        torch.testing.assert_close(mine, wanted, atol=1e-12, rtol=0)


# Of the graph that breaks off at the chunked attention, which is not compiled.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
def test_fit_when_compiled_then_the_losses_of_the_plain_one(tmp_path, monkeypatch):
    """Traced as for any compiler, but run by torch: a real one would take a minute here."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    patches = torch.rand(4, 3, 32, 32, 32, generator=torch.Generator().manual_seed(0)).half()
    components = np.float32([[1, 0], [-1, 1], [1, -1], [-1, 0]])
    targets = replace(Targets.of_labels(np.array([0, 1, 0, 1])), components=components)
    losses = []
    for compiled in (False, True):
        settings = DeepSettings(embed_dim=12, pretrain_epochs=1, epochs=1, batch_size=2, compile=compiled)
        torch.manual_seed(0)
        network = build("swin", settings, 3)
        trained = fit(network, patches, targets, settings, 1, Scratch(tmp_path, {}))
        losses.append([*trained.pretraining_losses, *trained.losses])
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
