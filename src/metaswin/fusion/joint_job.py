"""The job train_joint: files in, files out."""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch

from metaswin.deep.cache import load_patches
from metaswin.deep.compute import choose_device, own_device, reproducible
from metaswin.deep.network_file import load_network, read_facts, save_network
from metaswin.deep.rows import check_two_classes, rows_of, seed_of, training_labels
from metaswin.deep.scratch import Scratch
from metaswin.deep.settings import DeepSettings
from metaswin.deep.train import fit
from metaswin.deep.train_job import settings_facts
from metaswin.files import file_hash, read_table, write_json
from metaswin.fusion.arms import expand_arms, headline
from metaswin.fusion.blocks import Blocks
from metaswin.fusion.fit import FoldRows, ThresholdRule, fit_head
from metaswin.fusion.joint import JointNetwork, score_column
from metaswin.fusion.modalities import load_sources
from metaswin.fusion.network import network_fitter
from metaswin.fusion.settings import FusionSettings
from metaswin.fusion.store import save_networks

logger = logging.getLogger("metaswin.fusion")


def train_joint(
    inputs: Mapping[str, Any],
    outputs: Mapping[str, str],
    scratch: str | Path,
    place: Mapping[str, str],
    sets: Mapping[str, list[str]],
    settings: FusionSettings,
    deep_settings: DeepSettings,
    seed: int,
    code: str = "",
) -> None:
    """Train backbone and fusion network of the headline arm end to end, on the training rows of one part of a fold.

    Both start as they were fitted apart: the backbone of the part, and the fusion network that the part's rows and
    inner-cross-fitted scores give with the penalty that inner out-of-fold predictions choose. Then `settings.joint`
    epochs at a low learning rate, with the batches, augmentation and weight decay of `deep_settings`. Rows without
    a patch take part in the start only.

    Parameters
    ----------
    inputs : mapping
        ``patches`` (list of every used patient's), ``network`` (of this part), and what
        `metaswin.fusion.fold.train_fusion` reads.
    outputs : mapping
        ``network`` and ``head`` (safetensors), ``training`` (JSON).
    scratch : path
        Folder for the training state of this job alone.
    place : mapping
        ``endpoint, repeat, fold, backbone, part``.
    sets : mapping
        Clinical set → columns.
    settings, deep_settings, seed
    code : str
        Hash of the library's source: a state left by another version is not resumed from.
    """
    repeat, fold, part = int(place["repeat"]), int(place["fold"]), place["part"]
    folds = read_table(inputs["folds"])
    rows = FoldRows.of(folds, repeat, fold)
    sources = load_sources(rows.patients, inputs, sets)
    arms = expand_arms(settings, sources.modalities, sources.sets, sources.volume is not None)
    arm = headline(settings, arms, sources.modalities, sources.sets)
    blocks = Blocks(sources, rows, settings.category_min_rows)
    matrices = blocks.matrices(arm.blocks)
    fitter = network_fitter(arm.name, settings.network, [seed, repeat, fold])
    penalty = fit_head(fitter, matrices, rows, settings.network.penalties, ThresholdRule(), False).penalty
    fitted = rows.fitted(part)
    start = fitter([block[fitted] for block in matrices[part]], rows.label[fitted], [penalty], part)

    labels = training_labels(rows_of(folds, repeat, fold), part)
    cached = load_patches(inputs["patches"], labels.index)
    labels = labels[cached.patients]
    check_two_classes(labels, f"endpoint {place['endpoint']}, repeat {repeat}, fold {fold}, {part}")
    position = {patient: i for i, patient in enumerate(rows.patients)}
    encoded = np.concatenate(matrices[part], axis=1)[[position[patient] for patient in cached.patients]]
    # A fixed number of epochs: the backbone has seen every row, so none is left for early stopping to watch.
    wanted = deep_settings.model_copy(
        update={**settings.joint.model_dump(), "warmup_epochs": 0, "early_stopping_events": len(labels) + 1}
    )
    own_seed = seed_of(seed, "joint", *(place[key] for key in ("endpoint", "repeat", "fold", "backbone", "part")))
    facts = {
        "settings": settings_facts(wanted),
        "place": dict(place),
        "seed": seed,
        "labels": labels.to_dict(),
        "values": cached.fingerprint(),
        "network": file_hash(inputs["network"]),
        "head": {name: _hash(array) for name, array in start.weights.items()},
        "encoded": _hash(encoded),
        "versions": [torch.__version__, monai.__version__],
        "device": choose_device(wanted.device).type,
        "code": code,
    }
    state = Scratch(scratch, facts)
    with own_device(wanted.device) as device, reproducible(wanted.threads, device):
        column = score_column(arm.blocks, start.widths)
        scaling = blocks.encoder("deep", part).columns[0]
        network = JointNetwork(
            load_network(inputs["network"], device), start, encoded, column, scaling, settings.network.dropout
        ).to(device)
        training = fit(network, cached.values, labels.to_numpy(), wanted, own_seed, state, network.logits)
    about = read_facts(inputs["network"])
    save_network(
        outputs["network"], network.backbone, about["backbone"], deep_settings, about["patches"], about["channels"]
    )
    save_networks(outputs["head"], network.trained_head())
    write_json(
        outputs["training"],
        {
            **dict(place),
            "arm": arm.name,
            "rows": len(labels),
            "events": int(labels.sum()),
            "penalty": penalty,
            "losses": training.losses,
        },
    )
    state.remove()


def _hash(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
