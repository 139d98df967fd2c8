"""Estimate the memory of a training job before it starts."""

import json
import math
import struct
from pathlib import Path

from metaswin.config.models import DeepSettings


def patients_with_patch(path: str | Path) -> list[str]:
    """Return the study ids in ``features/patches.safetensors``. Only the header is read, without a further library."""
    with open(path, "rb") as file:
        header = json.loads(file.read(*struct.unpack("<Q", file.read(8))))
    return [name for name in header if name != "__metadata__"]


def memory_mb(backbone: str, settings: DeepSettings, size: int, channels: int, patients: int) -> int:
    """Return the memory (MB) of a training job on the CPU, with a reserve of a quarter.

    Parameters
    ----------
    backbone : str
        ``swin``, ``resnet`` or ``densenet``.
    settings : DeepSettings
        Width, window and batch size are used.
    size, channels, patients : int
        Edge of a patch (voxels), number of its channels, and number of patches in memory (2 bytes per value).

    Notes
    -----
    The estimate is fitted to measured peaks. It counts 700 MB for the libraries. For the Swin it adds 70 activations
    per token and feature, and 7 copies of the attention of the first stage's 3 attention heads. For the other networks
    it adds 600 bytes per voxel.
    """
    if backbone == "swin":
        window = min(settings.window_size, size // 2)
        tokens = (math.ceil(size / 2 / window) * window) ** 3
        row = tokens * 4 * (70 * settings.embed_dim + 21 * window**3)
    else:
        row = size**3 * 600
    # Batches have up to 1.5 times as many rows if the number of rows is not a multiple of the batch size.
    batch = 1.5 * settings.batch_size * (row + 8 * channels * size**3)
    cache = 2 * channels * size**3 * patients
    # Weights, gradients and two moments. The largest other network (ResNet-34) has 64 million weights.
    weights = 16 * (3500 * settings.embed_dim**2 if backbone == "swin" else 64e6)
    return math.ceil(1.25 * (700 + (batch + cache + weights) / 1e6))
