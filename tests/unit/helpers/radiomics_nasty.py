"""Masks and grey values that are hard to like."""

import numpy as np
from scipy import ndimage

SHAPE = (14, 15, 16)
RNG = np.random.default_rng(3)
TEXTURE = (40 + 300 * ndimage.gaussian_filter(RNG.normal(size=SHAPE), 1.0)).astype(np.float32)
Z, Y, X = np.indices(SHAPE)
BALL = ((Z - 7) / 6) ** 2 + ((Y - 7) / 5) ** 2 + ((X - 8) / 7) ** 2 < 1


def voxels(*places: tuple) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    for place in places:
        mask[place] = True
    return mask


MASKS = {
    "ball": BALL,
    "holes": BALL & (RNG.random(SHAPE) < 0.8),
    "several components": (RNG.random(SHAPE) < 0.2) & ((Z < 5) | (Z > 9)),
    "touching the border": (Z < 4) & (Y > 9),
    "whole image": np.ones(SHAPE, bool),
    "two voxels": voxels((7, 7, slice(7, 9))),
    "two voxels apart": voxels((3, 4, 5), (5, 9, 6)),
    "eight voxels": voxels((slice(7, 9), slice(7, 9), slice(7, 9))),
    "one slice": BALL & (Z == 7),
    "one line": voxels((slice(2, 12), 5, 7)),
    "a diagonal": voxels((np.arange(10), np.arange(10), np.arange(10))),
    "every other voxel of a line": voxels((2, 3, slice(0, 16, 2))),
}
VALUES = {
    "texture": TEXTURE,
    "flat": np.full(SHAPE, 40, np.float32),
    "flat and no binary fraction": np.full(SHAPE, 0.3, np.float32),
    "two values": np.where(TEXTURE > 40, 50, 0).astype(np.float32),
    "negative": TEXTURE - 5000,
    "huge": TEXTURE * 30,
    "float64": TEXTURE.astype(np.float64) * 1.7,
    "int16": TEXTURE.astype(np.int16),
}
