"""Where the tokens of a Swin Transformer lie in memory, stage by stage."""

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as functional
from monai.networks.nets.swin_unetr import compute_mask, get_window_size

from metaswin.deep.compute import not_compiled

# The eight children of a merged token, in the order of MONAI's PatchMerging.
CHILDREN = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1))
NOTHING = -1


@dataclass(frozen=True)
class Move:
    """From one order of tokens to another and back; an index one past the end stands for a token of zeros."""

    index: torch.Tensor
    inverse: torch.Tensor
    adds: bool  # whether tokens of zeros come in
    drops: bool  # whether tokens are left out


@dataclass(frozen=True)
class BlockPlaces:
    """Moves of one block: before it, into its windows (None: no move), its mask (window, token, token) and window."""

    before: Move | None
    windows: Move | None
    mask: torch.Tensor | None
    window: int


@dataclass(frozen=True)
class StagePlaces:
    """Moves of one stage: its blocks, then each merged token's children side by side."""

    blocks: tuple[BlockPlaces, ...]
    merge: Move


@dataclass(frozen=True)
class Places:
    """Moves of a whole network; `first` follows the patch embedding."""

    first: Move | None
    stages: tuple[StagePlaces, ...]


class _Moved(torch.autograd.Function):
    """Gathers both ways: the gradient of a gather alone would add into tensors, slowly."""

    @staticmethod
    def forward(ctx, tokens, index, inverse, adds, drops):
        ctx.save_for_backward(inverse)
        ctx.drops = drops
        return _take(tokens, index, adds)

    @staticmethod
    def backward(ctx, gradient):
        (inverse,) = ctx.saved_tensors
        return _take(gradient, inverse, ctx.drops), None, None, None, None


def _take(tokens: torch.Tensor, index: torch.Tensor, adds: bool) -> torch.Tensor:
    source = functional.pad(tokens, (0, 0, 0, 1)) if adds else tokens
    return source[:, index].contiguous()


def move(tokens: torch.Tensor, how: Move | None) -> torch.Tensor:
    """`tokens` (n, token, width) in the order `how` leads to."""
    return tokens if how is None else _Moved.apply(tokens, how.index, how.inverse, how.adds, how.drops)


def move_back(tokens: torch.Tensor, how: Move | None) -> torch.Tensor:
    """`tokens` in the order `how` comes from."""
    return tokens if how is None else _Moved.apply(tokens, how.inverse, how.index, how.drops, how.adds)


@not_compiled
def places(grid: tuple[int, int, int], window: tuple[int, int, int], depths: tuple[int, ...], device: str) -> Places:
    """The moves of a network over a `grid` of tokens with `depths` blocks a stage.

    Without padding the tokens lie window by window all through a block, so that one gather a block takes the place
    of MONAI's roll, partition and their inverses, and the gather after a stage both merges and sorts into the
    next stage's windows. Where windows do not divide the grid, tokens lie in the grid's order and each block gathers
    its windows, with zeros as MONAI pads.
    """
    return _places(grid, window, depths, device)


@lru_cache(maxsize=16)
def _places(grid: tuple, window: tuple, depths: tuple, device: str) -> Places:
    # Not an inference tensor, whoever asks first: training saves these for its backward pass.
    with torch.inference_mode(False):
        stages, order = [], _first_order(grid, window)
        first = _move(np.arange(math.prod(grid)), order, device)
        for depth in depths:
            blocks = []
            for number in range(depth):
                half = tuple(edge // 2 for edge in window) if number % 2 else (0, 0, 0)
                block, order = _block(grid, window, half, order, device)
                blocks.append(block)
            merged = tuple(math.ceil(edge / 2) for edge in grid)
            parents = _first_order(merged, window)
            stages.append(StagePlaces(tuple(blocks), _sure(order, _children(grid, merged)[parents].ravel(), device)))
            grid, order = merged, parents
        return Places(first, tuple(stages))


def _block(grid, window, half, order, device) -> tuple[BlockPlaces, np.ndarray]:
    """The places of one block, and the order in which it leaves the tokens."""
    size, shift = get_window_size(grid, window, half)
    windows = _windows(grid, size, shift)
    mask = None
    if any(shift):
        padded = [math.ceil(edge / step) * step for edge, step in zip(grid, size, strict=True)]
        mask = compute_mask(padded, size, shift, device)
    if (windows == NOTHING).any():
        return BlockPlaces(None, _move(order, windows, device), mask, math.prod(size)), order
    return BlockPlaces(_move(order, windows, device), None, mask, math.prod(size)), windows


def _first_order(grid, window) -> np.ndarray:
    """The order in which a stage begins: its unshifted windows if they need no padding, else the grid's."""
    windows = _windows(grid, get_window_size(grid, window), (0, 0, 0))
    return np.arange(math.prod(grid)) if (windows == NOTHING).any() else windows


def _windows(grid, size, shift) -> np.ndarray:
    """Token numbers window by window, `NOTHING` where the grid is padded."""
    counts = [math.ceil(edge / step) for edge, step in zip(grid, size, strict=True)]
    numbers = np.full([count * step for count, step in zip(counts, size, strict=True)], NOTHING)
    numbers[: grid[0], : grid[1], : grid[2]] = np.arange(math.prod(grid)).reshape(grid)
    numbers = np.roll(numbers, [-step for step in shift], axis=(0, 1, 2))
    split = list(itertools.chain.from_iterable(zip(counts, size, strict=True)))
    return numbers.reshape(split).transpose(0, 2, 4, 1, 3, 5).ravel()


def _children(grid, merged) -> np.ndarray:
    """Token numbers (parent, 8) of the children of each merged token."""
    numbers = np.full([2 * edge for edge in merged], NOTHING)
    numbers[: grid[0], : grid[1], : grid[2]] = np.arange(math.prod(grid)).reshape(grid)
    return np.stack([numbers[i::2, j::2, k::2].ravel() for i, j, k in CHILDREN], axis=1)


def _move(source: np.ndarray, target: np.ndarray, device: str) -> Move | None:
    return None if np.array_equal(source, target) else _sure(source, target, device)


def _sure(source: np.ndarray, target: np.ndarray, device: str) -> Move:
    index, inverse = _positions(source, target), _positions(target, source)
    return Move(
        torch.from_numpy(index).to(device),
        torch.from_numpy(inverse).to(device),
        bool((index == len(source)).any()),
        bool((inverse == len(target)).any()),
    )


def _positions(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Where each token of `target` lies in `source`; its length where it does not."""
    where = np.full(max(source.max(), target.max()) + 2, len(source))
    there = source != NOTHING
    where[source[there]] = np.flatnonzero(there)
    return where[target]  # NOTHING, -1, is the last place, which no token has
