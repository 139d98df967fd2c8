"""A trained network as one safetensors file that says how to rebuild it."""

import json
from pathlib import Path

import safetensors.torch
import torch
from safetensors import safe_open

from metaswin.deep.backbones import Classifier, build
from metaswin.deep.settings import DeepSettings
from metaswin.files import atomic

# Settings a network is rebuilt from.
ARCHITECTURE = ("embed_dim", "window_size", "resnet_depth", "dropout")
# One key only: safetensors writes several in an order that changes from run to run.
KEY = "metaswin"


def save_network(
    path: str | Path, network: Classifier, backbone: str, settings: DeepSettings, patches: dict, channels: list[str]
) -> None:
    """Write the weights of `network`; `patches` are the settings of the patches it was trained on."""
    facts = {
        "backbone": backbone,
        "architecture": {key: getattr(settings, key) for key in ARCHITECTURE},
        "patches": patches,
        "channels": channels,
    }
    weights = {key: value.cpu().contiguous() for key, value in network.state_dict().items()}
    with atomic(path) as temporary:
        safetensors.torch.save_file(weights, temporary, metadata={KEY: json.dumps(facts, sort_keys=True)})


def read_facts(path: str | Path) -> dict:
    """What `save_network` wrote beside the weights: ``backbone, architecture, patches, channels``."""
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()[KEY])


def load_network(path: str | Path, device: torch.device | None = None) -> Classifier:
    """The network of `path`, ready to predict."""
    facts = read_facts(path)
    network = build(facts["backbone"], DeepSettings(**facts["architecture"]), len(facts["channels"]))
    network.load_state_dict(safetensors.torch.load_file(path))
    return network.to(device or torch.device("cpu")).eval()


def score(network: Classifier, patch: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Score and features (width,) of one patch (channel, x, y, z).

    The score is the logit less the log-odds of the prevalence the network was trained at. Networks of several fits
    are trained at prevalences that differ against those of the rows they leave out; with the raw logit, scores pooled
    over the fits would rank events below non-events by that alone.

    One patch at a time: the values of a patient do not depend on who else is in the batch.
    """
    device = next(network.parameters()).device
    with torch.inference_mode():
        logit, features = network(patch[None].to(device, torch.float32))
    return float(logit - network.prior), features[0].float().cpu()
