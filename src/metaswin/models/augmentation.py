"""Augment a batch of patches by random flips, rotations, scaling, shifts and noise."""

import math

import torch
import torch.nn.functional as functional

from metaswin.config.models import AugmentationSettings

CT = 0  # the CT's channel


def augment(patches: torch.Tensor, settings: AugmentationSettings, generator: torch.Generator) -> torch.Tensor:
    """Return a randomly changed copy of `patches` (n, channel, x, y, z; x from right to left).

    The same linear interpolation is applied to all channels of a patient. Noise is added to the CT only. Voxels from
    outside the patch are set to 0 in every channel, which means air in the CT and no structure in the masks. All
    random numbers are drawn on the CPU from `generator`, so that they do not depend on the device.
    """
    affines = random_affines(len(patches), settings, generator).to(patches, non_blocking=True)
    grid = functional.affine_grid(affines, list(patches.shape), align_corners=False)
    moved = functional.grid_sample(patches, grid, padding_mode="zeros", align_corners=False)
    if settings.noise > 0:
        noise = torch.randn(moved[:, CT].shape, generator=generator) * settings.noise
        moved[:, CT] += noise.to(moved, non_blocking=True)
    return moved


def random_affines(count: int, settings: AugmentationSettings, generator: torch.Generator) -> torch.Tensor:
    """Return random transforms (count, 3, 4) in the coordinates of `affine_grid`, whose order is (z, y, x)."""

    def uniform(reach: float, size: int) -> torch.Tensor:
        return (torch.rand((count, size), generator=generator) * 2 - 1) * reach

    angles = uniform(math.radians(settings.rotate), 3)
    scale = torch.exp(uniform(math.log1p(settings.scale), 1))
    shift = uniform(2 * settings.shift, 3)  # the patch runs from -1 to 1
    flip = torch.where(torch.rand((count,), generator=generator) < 0.5, -1.0, 1.0)
    matrix = _rotation(angles) * scale[:, :, None]
    if settings.flip:
        matrix[:, 2, :] *= flip[:, None]
    return torch.cat([matrix, shift[:, :, None]], dim=2)


def _rotation(angles: torch.Tensor) -> torch.Tensor:
    """Return rotation matrices (n, 3, 3) about the three axes in turn."""
    matrix = torch.eye(3).expand(len(angles), 3, 3)
    for axis in range(3):
        cosine, sine = torch.cos(angles[:, axis]), torch.sin(angles[:, axis])
        first, second = [other for other in range(3) if other != axis]
        turn = torch.eye(3).repeat(len(angles), 1, 1)
        turn[:, first, first], turn[:, second, second] = cosine, cosine
        turn[:, first, second], turn[:, second, first] = -sine, sine
        matrix = matrix @ turn
    return matrix
