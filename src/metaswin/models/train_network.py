"""Run the job train_deep: read its input files, train a network and write its output files."""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from metaswin.cohort.folds import Folds, check_both_outcomes, seed_of
from metaswin.config.features import RADIOMICS
from metaswin.config.imaging import PatchesSettings
from metaswin.config.models import DeepSettings
from metaswin.core.files import file_hash, read_json, read_table, write_json
from metaswin.features.matrix import wide
from metaswin.imaging.patch_file import channel_names
from metaswin.models.backbones import build, load_pretrained
from metaswin.models.compute import choose_device, own_device, reproducible
from metaswin.models.deep_features import save_network
from metaswin.models.guidance import Targets, radiomics_components
from metaswin.models.patches import load_patches
from metaswin.models.training import Scratch, fit

logger = logging.getLogger("metaswin.models")


def train_network(
    patches: str,
    folds: str,
    network: str,
    training: str,
    scratch: str | Path,
    place: Mapping[str, Any],
    settings: DeepSettings,
    patch_settings: PatchesSettings,
    seed: int,
    code: str = "",
    radiomics: str | None = None,
) -> None:
    """Train the network of one fit on its training rows. Only their patches are read.

    While the encoder learns components, the rows with an unknown outcome outside the left-out folds are training rows
    too.

    Parameters
    ----------
    patches : str
        ``features/patches.safetensors``.
    folds : str
        ``folds/<endpoint>.parquet``.
    network, training : str
        Output files: safetensors and JSON.
    scratch : path
        Folder for the training state of this job only.
    place : mapping
        ``endpoint, repeat, fit, backbone``.
    settings, patch_settings, seed
        Settings of the network and of its patches, seed of the configuration.
    code : str
        Hash of the library's source. A training does not resume from the state of another version.
    radiomics : str or None
        ``features/radiomics.parquet``. The components that the encoder learns first are computed from the rows of the
        training patients only, see `metaswin.models.guidance`. With None, the encoder learns only the outcome.
    """
    rows = Folds.of(read_table(folds), place["repeat"])
    chosen = rows.outside(place["fit"]) if settings.guided else rows.fitted(place["fit"])
    cached = load_patches(patches, rows.chosen(chosen))
    where = np.array([rows.patients.index(patient) for patient in cached.patients], dtype=int)
    components = guiding_components(radiomics, cached.patients, settings)
    targets = Targets(rows.label[where], rows.time[where], rows.event[where], components)
    labels = targets.labels[targets.labelled]
    what = f"endpoint {place['endpoint']}, repeat {place['repeat']}, fit {place['fit']}, patients with a patch"
    check_both_outcomes(labels, what)
    own_seed = seed_of(seed, *(place[key] for key in ("endpoint", "repeat", "fit", "backbone")))
    pretrained = settings.pretrained if place["backbone"] == "swin" else None
    facts = {
        "settings": settings_facts(settings),
        "patches": patch_settings.model_dump(mode="json"),
        "place": dict(place),
        "seed": seed,
        "patients": cached.patients,
        "values": cached.fingerprint(),
        "targets": targets.fingerprint(),
        "pretrained": file_hash(pretrained) if pretrained else None,
        "versions": [torch.__version__, version("monai")],
        "device": choose_device(settings.device).type,
        "code": code,
    }
    state = Scratch(scratch, facts)
    if _is_there(network, training, state.key):
        logger.info("the existing network was trained on the same rows and settings; it is kept")
        return
    channels = channel_names(patch_settings)
    with own_device(settings.device) as device, reproducible(settings.threads, device):
        torch.manual_seed(own_seed)
        model = build(place["backbone"], settings, len(channels))
        loaded = load_pretrained(model.encoder.get_submodule("swin"), pretrained) if pretrained else None
        if loaded:
            logger.info("pretrained weights: %s", loaded)
        model.fit_contrast(cached.values)
        model.to(device)
        trained = fit(model, cached.values, targets, settings, own_seed, state)
    save_network(network, model, place["backbone"], settings, patch_settings.model_dump(mode="json"), channels)
    write_json(
        training,
        {
            **dict(place),
            "rows": len(labels),
            "events": int(labels.sum()),
            "unlabelled_rows": len(cached.patients) - len(labels),
            "components": components.shape[1],
            "pretraining_losses": trained.pretraining_losses,
            "epochs": len(trained.losses),
            "losses": trained.losses,
            "stopping": trained.stopping,
            "best_epoch": trained.best_epoch,
            "holdout": {
                "rows": trained.holdout_rows,
                "events": trained.holdout_events,
                "losses": trained.holdout_losses,
            },
            "pretrained": loaded,
            "parameters": sum(weight.numel() for weight in model.parameters()),
            "device": device.type,
            "trained_on": state.key,
            "settings_hash": hashlib.sha256(json.dumps(facts["settings"], sort_keys=True).encode()).hexdigest()[:16],
        },
    )
    state.remove()


def guiding_components(radiomics: str | None, patients: list[str], settings: DeepSettings) -> np.ndarray:
    """Return the components of the patients' tumour and ring features, shape (patients, components)."""
    if radiomics is None or not settings.guided:
        return np.empty((len(patients), 0), dtype=np.float32)
    long = read_table(radiomics)
    features = pd.concat([wide(long, modality, patients) for modality in RADIOMICS], axis="columns")
    return radiomics_components(features, settings.components)


def _is_there(network: str, training: str, key: str) -> bool:
    """Return whether both files are from a training on the same rows and settings. If so, renew their timestamps.

    Snakemake keeps the files (``update``). It plans a training whenever a patient is added, although that patient may
    be excluded, in which case the training rows do not change.
    """
    paths = [Path(network), Path(training)]
    if not all(path.is_file() for path in paths) or read_json(training).get("trained_on") != key:
        return False
    for path in paths:
        os.utime(path)
    return True


def settings_facts(settings: DeepSettings) -> dict:
    """Return the settings that change the result of a training. Pretrained weights are represented by their hash."""
    return settings.model_dump(mode="json", exclude={"enabled", "backbone", "pretrained", "checkpoint_every"})
