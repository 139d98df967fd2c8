"""Store trained networks, and compute the deep scores and features of every patient."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.torch
import torch

from metaswin.cohort.folds import Folds
from metaswin.config.models import DeepSettings
from metaswin.core.files import atomic, read_table, write_table
from metaswin.models.backbones import Classifier, build
from metaswin.models.compute import own_device, reproducible
from metaswin.models.encoder_file import KEY, read_facts
from metaswin.models.memory import patients_with_patch
from metaswin.models.patches import load_patch

# Settings from which a network is rebuilt.
ARCHITECTURE = ("embed_dim", "window_size", "resnet_depth", "dropout")


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


def load_network(path: str | Path, device: torch.device | None = None) -> Classifier:
    """Load the network of `path` in evaluation mode."""
    facts = read_facts(path)
    network = build(facts["backbone"], DeepSettings(**facts["architecture"]), len(facts["channels"]))
    network.load_state_dict(safetensors.torch.load_file(path))
    return network.to(device or torch.device("cpu")).eval()


def score(network: Classifier, patch: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Return score and features (width,) of one patch (channel, x, y, z).

    The score is the logit minus the log-odds of the prevalence in the training rows of the network. If a fold contains
    more events, the rows outside it contain fewer. With the raw logit, this alone would rank events below non-events
    in scores that are pooled over the fits.

    The function takes one patch at a time, so the values of a patient do not depend on other patients in a batch.
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
    """Write the deep score and the deep features of every patient of an outer fold.

    The columns are ``patient, role, score, score_seen, d000 …``. The network of the final fit gives the scores of the
    test rows and the features ``d…``. The `mode` determines which network scores a training row. With
    ``cross-fitted``, `score` (see `score`) comes from the network that was trained without the row's fold and without
    the test fold. With ``in-sample``, it comes from the network of the final fit, which was trained on the row.
    `score_seen` is the score that the network of the final fit gives to its own training rows. Patients without a
    patch have missing values.

    Parameters
    ----------
    patches, folds
        ``features/patches.safetensors``, ``folds/<endpoint>.parquet``.
    networks : mapping
        Fit → network file, for every fit of the outer fold, or for the final fit only (``in-sample``).
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
