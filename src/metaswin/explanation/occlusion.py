"""Occlusion: how the score of a network changes where a part of the patch is hidden (Zeiler and Fergus 2014, ECCV)."""

from itertools import product

import numpy as np
import torch

from metaswin.deep.backbones import Classifier
from metaswin.explanation.settings import OcclusionSettings

PLAIN = 0.5  # the middle of the CT's window


def occlusion_map(network: Classifier, patch: torch.Tensor, spacing: float, settings: OcclusionSettings) -> np.ndarray:
    """Fall of the logit where a cube is hidden: positive where what is there raises the risk.

    A voxel has the mean over the cubes that hide it, each weighted by how near the voxel is to the cube's middle: with
    steps of half a cube this is the linear interpolation between the middles.

    Parameters
    ----------
    network : Classifier
        Ready to predict.
    patch : Tensor, shape (channel, x, y, z)
        Channels CT (0…1 within the window), tumour, ring, organ groups; see `metaswin.patches`.
    spacing : float
        Edge of a voxel (mm).
    settings : OcclusionSettings

    Returns
    -------
    ndarray of float64, shape (x, y, z)
        NaN where no cube was tried: only those that meet tumour or ring are.
    """
    device = next(network.parameters()).device
    cubes = cubes_at(patch, spacing, settings)
    total, weights = np.zeros(patch.shape[1:]), np.zeros(patch.shape[1:])
    with torch.inference_mode():
        patch = patch.to(device, torch.float32)
        whole = float(network(patch[None])[0])
        for first in range(0, len(cubes), settings.batch_size):
            batch = cubes[first : first + settings.batch_size]
            hidden = torch.stack([_hidden(patch, cube, settings.hide) for cube in batch])
            for cube, logit in zip(batch, network(hidden)[0].tolist(), strict=True):
                weight = _nearness([s.stop - s.start for s in cube])
                total[cube] += weight * (whole - logit)
                weights[cube] += weight
    return np.divide(total, weights, out=np.full(total.shape, np.nan), where=weights > 0)


def cubes_at(patch: torch.Tensor, spacing: float, settings: OcclusionSettings) -> list[tuple[slice, slice, slice]]:
    """Cubes in steps over the patch, up to its last voxel, that meet tumour or ring."""
    edge = max(1, round(settings.cube / spacing))
    step = max(1, round(settings.step / spacing))
    lesion = (patch[1:3] > 0).any(dim=0).numpy()
    starts = [sorted({*range(0, max(n - edge, 0), step), max(n - edge, 0)}) for n in lesion.shape]
    cubes = [tuple(slice(start, start + edge) for start in corner) for corner in product(*starts)]
    return [cube for cube in cubes if lesion[cube].any()]


def _nearness(edges: list[int]) -> np.ndarray:
    """Product of a hat along each axis, above 0 everywhere within the cube."""
    hats = [1 - np.abs((np.arange(n) + 0.5) * 2 / n - 1) for n in edges]
    return np.einsum("i,j,k->ijk", *hats)


def _hidden(patch: torch.Tensor, cube: tuple[slice, slice, slice], hide: str) -> torch.Tensor:
    changed = patch.clone()
    if hide == "all":
        changed[(slice(1, None), *cube)] = 0.0
    changed[(0, *cube)] = PLAIN
    return changed
