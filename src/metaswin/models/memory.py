"""What a training job needs, estimated before it starts."""

import json
import math
import struct
from pathlib import Path

from metaswin.config.models import DeepSettings


def patients_with_patch(path: str | Path) -> list[str]:
    """Study ids in ``features/patches.safetensors``, from its header: no library is loaded for it."""
    with open(path, "rb") as file:
        return list(json.loads(file.read(*struct.unpack("<Q", file.read(8)))))


def memory_mb(backbone: str, settings: DeepSettings, size: int, channels: int, patients: int) -> int:
    """Memory of a training job on the CPU in MB, with a quarter to spare.

    Parameters
    ----------
    backbone : str
        ``swin``, ``resnet`` or ``densenet``.
    settings : DeepSettings
        Width, window and batch.
    size, channels, patients : int
        Edge of a patch in voxels, its channels, and how many are cached (2 bytes a value).

    Notes
    -----
    Fitted to measured peaks: 700 MB for the libraries; for the Swin 70 activations a token and feature and
    7 copies of the attention of the first stage's 3 attention heads; 600 bytes a voxel for the others.
    """
    if backbone == "swin":
        window = min(settings.window_size, size // 2)
        tokens = (math.ceil(size / 2 / window) * window) ** 3
        row = tokens * 4 * (70 * settings.embed_dim + 21 * window**3)
    else:
        row = size**3 * 600
    # Batches hold up to half as many rows again where the rows do not divide evenly.
    batch = 1.5 * settings.batch_size * (row + 8 * channels * size**3)
    cache = 2 * channels * size**3 * patients
    # Weights, gradients and two moments; the largest of the others has 64 million weights (ResNet-34).
    weights = 16 * (3500 * settings.embed_dim**2 if backbone == "swin" else 64e6)
    return math.ceil(1.25 * (700 + (batch + cache + weights) / 1e6))
