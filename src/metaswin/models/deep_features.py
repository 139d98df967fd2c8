"""Store trained networks, and compute the deep scores and features of every patient."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from safetensors import safe_open

from metaswin.cohort.folds import Folds
from metaswin.config.models import DeepSettings
from metaswin.core.files import atomic, read_table, write_table
from metaswin.models.backbones import Classifier, build
from metaswin.models.compute import own_device, reproducible
from metaswin.models.memory import patients_with_patch
from metaswin.models.patches import load_patch

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


def extract_features(
    patches: str,
    folds: str,
    networks: Mapping[str, str],
    output: str,
    repeat: int,
    fold: int,
    settings: DeepSettings,
    mode: str = "cross-fitted",
) -> None:
    """Score and describe every patient of an outer fold; which network scores a training row is the `mode`.

    Writes ``patient, role, score, score_seen, d000 …``. The network of the final fit scores the test rows and gives the
    features ``d…``. `score` (see `score`) of a training row comes from the network that was trained without the row's
    fold and without the test fold; with the mode ``in-sample`` it comes from the network of the final fit, which has
    seen the row. `score_seen` is that network's score of the rows that it learnt from. Patients without a patch have
    missing values.

    Parameters
    ----------
    patches, folds
        ``features/patches.safetensors``, ``folds/<endpoint>.parquet``.
    networks : mapping
        Fit → network file: of every fit of the outer fold, or of the final one alone (``in-sample``).
    output : str
        ``features.parquet``.
    repeat, fold, settings
        The outer fold, and `device` and `threads` of the settings.
    mode : str
        ``fusion.deep_score``.
    """
    rows = Folds.of(read_table(folds), repeat).outer(fold)
    with_patch = set(patients_with_patch(patches))
    there = [patient for patient in rows.patients if patient in with_patch]
    learnt = set(rows.folds.chosen(rows.train))
    scores, seen = dict.fromkeys(rows.patients, np.nan), dict.fromkeys(rows.patients, np.nan)
    features: dict[str, np.ndarray] = {}
    with own_device(settings.device) as device, reproducible(settings.threads, device):
        for fit, path in networks.items():
            network = load_network(path, device)
            final = fit == rows.final
            scored = set(rows.patients if mode == "in-sample" else rows.folds.chosen(rows.scored(fit)))
            for patient in there if final else [patient for patient in there if patient in scored]:
                value, pooled = score(network, load_patch(patches, patient))
                if patient in scored:
                    scores[patient] = value
                if final:
                    features[patient] = pooled.numpy()
                    seen[patient] = value if patient in learnt else np.nan
    width = len(next(iter(features.values()), []))
    blank = np.full(width, np.nan, dtype=np.float32)
    columns = [f"d{number:03d}" for number in range(width)]
    described = pd.DataFrame([features.get(patient, blank) for patient in rows.patients], columns=columns)
    front = pd.DataFrame({"patient": rows.patients, "role": np.where(rows.test, "test", "train")})
    front = front.assign(score=list(scores.values()), score_seen=list(seen.values()))
    write_table(output, pd.concat([front, described], axis=1))
