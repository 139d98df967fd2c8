"""What the jobs train_deep and extract_deep_features do: files in, files out."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import monai
import numpy as np
import pandas as pd
import torch

from metaswin.deep.backbones import build
from metaswin.deep.cache import load_patch, load_patches
from metaswin.deep.compute import choose_device, reproducible
from metaswin.deep.network_file import load_network, save_network, score
from metaswin.deep.pretrained import file_hash, load_pretrained
from metaswin.deep.rows import check_two_classes, patient_of, rows_of, scored_patients, seed_of, training_labels
from metaswin.deep.scratch import Scratch
from metaswin.deep.settings import DeepSettings
from metaswin.deep.train import fit
from metaswin.files import read_table, write_json, write_table
from metaswin.patches.channels import channel_names
from metaswin.patches.settings import PatchesSettings

logger = logging.getLogger("metaswin.deep")


def train_part(
    patches: Sequence[str],
    folds: str,
    outputs: Mapping[str, str],
    scratch: str | Path,
    place: Mapping[str, str],
    settings: DeepSettings,
    patch_settings: PatchesSettings,
    seed: int,
    code: str = "",
) -> None:
    """Train the network of one part of one fold on its training rows, whose patches alone are opened.

    Parameters
    ----------
    patches : sequence of str
        Patch files of all used patients.
    folds : str
        ``folds/<endpoint>.parquet``.
    outputs : mapping
        ``network`` (safetensors), ``training`` (JSON).
    scratch : path
        Folder for the training state of this job alone.
    place : mapping
        ``endpoint, repeat, fold, backbone, part``.
    settings, patch_settings, seed
        Settings of the network and of its patches, seed of the configuration.
    code : str
        Hash of the library's source: a state left by another version is not resumed from.
    """
    where = f"endpoint {place['endpoint']}, repeat {place['repeat']}, fold {place['fold']}, {place['part']}"
    labels = training_labels(rows_of(read_table(folds), int(place["repeat"]), int(place["fold"])), place["part"])
    cached = load_patches(patches, labels.index)
    labels = labels[cached.patients]
    check_two_classes(labels, where)
    device = choose_device(settings.device)
    own_seed = seed_of(seed, *(place[key] for key in ("endpoint", "repeat", "fold", "backbone", "part")))
    pretrained = settings.pretrained if place["backbone"] == "swin" else None
    facts = {
        "settings": settings_facts(settings),
        "patches": patch_settings.model_dump(mode="json"),
        "place": dict(place),
        "seed": seed,
        "labels": labels.to_dict(),
        "values": cached.fingerprint(),
        "pretrained": file_hash(pretrained) if pretrained else None,
        "versions": [torch.__version__, monai.__version__],
        "device": device.type,
        "code": code,
    }
    state = Scratch(scratch, facts)
    channels = channel_names(patch_settings)
    with reproducible(settings.threads, device):
        torch.manual_seed(own_seed)
        network = build(place["backbone"], settings, len(channels))
        loaded = load_pretrained(network.encoder.swin, pretrained) if pretrained else None
        if loaded:
            logger.info("pretrained weights: %s", loaded)
        network.to(device)
        training = fit(network, cached.values, labels.to_numpy(), settings, own_seed, state)
    save_network(
        outputs["network"], network, place["backbone"], settings, patch_settings.model_dump(mode="json"), channels
    )
    write_json(
        outputs["training"],
        {
            **dict(place),
            "rows": len(labels),
            "events": int(labels.sum()),
            "epochs": len(training.losses),
            "losses": training.losses,
            "stopping": training.stopping,
            "best_epoch": training.best_epoch,
            "holdout": {
                "rows": training.holdout_rows,
                "events": training.holdout_events,
                "losses": training.holdout_losses,
            },
            "pretrained": loaded,
            "parameters": sum(weight.numel() for weight in network.parameters()),
            "device": device.type,
            "settings_hash": hashlib.sha256(json.dumps(facts["settings"], sort_keys=True).encode()).hexdigest()[:16],
        },
    )
    state.remove()


def settings_facts(settings: DeepSettings) -> dict:
    """The settings that change what a training gives; the file of pretrained weights counts by its content."""
    return settings.model_dump(mode="json", exclude={"enabled", "backbone", "pretrained", "checkpoint_every"})


def extract_features(
    patches: Sequence[str],
    folds: str,
    networks: Mapping[str, str],
    output: str,
    repeat: int,
    fold: int,
    settings: DeepSettings,
) -> None:
    """Score every patient of a fold by the network that has not seen it, and describe it by the outer network.

    Writes ``patient, role, score, d000 …``. `score` (see `score`) comes for a training row from the network of the
    inner fold it was left out of, for a test row from `networks["outer"]`. Patients without a patch have missing
    values.

    Parameters
    ----------
    patches, folds
        As for `train_part`.
    networks : mapping
        Part → network file, of every part.
    output : str
        ``features.parquet``.
    repeat, fold, settings
        The fold, and `device` and `threads` of the settings.
    """
    rows = rows_of(read_table(folds), repeat, fold)
    files = {patient_of(path): path for path in patches}
    there = [patient for patient in rows.index if Path(files[patient]).stat().st_size > 0]
    device = choose_device(settings.device)
    scores = dict.fromkeys(rows.index, np.nan)
    features: dict[str, np.ndarray] = {}
    with reproducible(settings.threads, device):
        for part, path in networks.items():
            network = load_network(path, device)
            scored = set(scored_patients(rows, part))
            for patient in there:
                if part != "outer" and patient not in scored:
                    continue
                value, pooled = score(network, load_patch(files[patient]).half())
                if patient in scored:
                    scores[patient] = value
                if part == "outer":
                    features[patient] = pooled.numpy()
    width = len(next(iter(features.values()), []))
    blank = np.full(width, np.nan, dtype=np.float32)
    columns = [f"d{number:03d}" for number in range(width)]
    described = pd.DataFrame([features.get(patient, blank) for patient in rows.index], columns=columns)
    front = pd.DataFrame({"patient": rows.index, "role": rows["role"].to_numpy(), "score": list(scores.values())})
    write_table(output, pd.concat([front, described], axis=1))
