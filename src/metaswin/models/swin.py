"""Compute MONAI's 3D Swin Transformer faster, with the same weights and the same values."""

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional

from metaswin.models.compute import not_compiled
from metaswin.models.monai_networks import SwinTransformer, SwinTransformerBlock, compute_mask, get_window_size

# The eight children of a merged token, in the order of MONAI's PatchMerging.
CHILDREN = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1))
NOTHING = -1


@dataclass(frozen=True)
class Move:
    """Hold the indices from one order of tokens to another and back. An index one past the end means a zero token."""

    index: torch.Tensor
    inverse: torch.Tensor
    adds: bool  # whether tokens of zeros are added
    drops: bool  # whether tokens are dropped


@dataclass(frozen=True)
class BlockPlaces:
    """Hold one block's moves (before it, into its windows; None: no move), mask (window, token, token) and window."""

    before: Move | None
    windows: Move | None
    mask: torch.Tensor | None
    window: int


@dataclass(frozen=True)
class StagePlaces:
    """Hold the moves of one stage: those of its blocks, then the move that joins the children of each merged token."""

    blocks: tuple[BlockPlaces, ...]
    merge: Move


@dataclass(frozen=True)
class Places:
    """Hold the moves of a whole network. The move `first` follows the patch embedding."""

    first: Move | None
    stages: tuple[StagePlaces, ...]


class _Moved(torch.autograd.Function):
    """Gather in both directions. The default gradient of a gather is a scatter addition, which is slow."""

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
    """Return `tokens` (n, token, width) in the target order of `how`."""
    return tokens if how is None else _Moved.apply(tokens, how.index, how.inverse, how.adds, how.drops)


def move_back(tokens: torch.Tensor, how: Move | None) -> torch.Tensor:
    """Return `tokens` in the source order of `how`."""
    return tokens if how is None else _Moved.apply(tokens, how.inverse, how.index, how.drops, how.adds)


@not_compiled
def places(grid: tuple[int, int, int], window: tuple[int, int, int], depths: tuple[int, ...], device: str) -> Places:
    """Return the moves of a network over a `grid` of tokens with `depths` blocks per stage.

    Without padding, the tokens are ordered by window throughout a block. One gather per block then replaces MONAI's
    roll, partition and their inverses. The gather after a stage merges the tokens and also sorts them into the next
    stage's windows. If the windows do not divide the grid, the tokens are in the grid's order. Each block then gathers
    its windows, padded with zeros as in MONAI.
    """
    return _places(grid, window, depths, device)


@lru_cache(maxsize=16)
def _places(grid: tuple, window: tuple, depths: tuple, device: str) -> Places:
    # Inference mode is off even if the first caller uses it: training saves these tensors for its backward pass.
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
    """Return the places of one block, and the order of the tokens after it."""
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
    """Return the order of tokens when a stage starts: by unshifted window, or the grid's if windows need padding."""
    windows = _windows(grid, get_window_size(grid, window), (0, 0, 0))
    return np.arange(math.prod(grid)) if (windows == NOTHING).any() else windows


def _windows(grid, size, shift) -> np.ndarray:
    """Return the token numbers ordered by window, `NOTHING` where the grid is padded."""
    counts = [math.ceil(edge / step) for edge, step in zip(grid, size, strict=True)]
    numbers = np.full([count * step for count, step in zip(counts, size, strict=True)], NOTHING)
    numbers[: grid[0], : grid[1], : grid[2]] = np.arange(math.prod(grid)).reshape(grid)
    numbers = np.roll(numbers, [-step for step in shift], axis=(0, 1, 2))
    split = list(itertools.chain.from_iterable(zip(counts, size, strict=True)))
    return numbers.reshape(split).transpose(0, 2, 4, 1, 3, 5).ravel()


def _children(grid, merged) -> np.ndarray:
    """Return the token numbers (parent, 8) of the children of each merged token."""
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
    """Return the position of each token of `target` in `source`; the length of `source` if it is absent."""
    where = np.full(max(source.max(), target.max()) + 2, len(source))
    there = source != NOTHING
    where[source[there]] = np.flatnonzero(there)
    return where[target]  # NOTHING, -1, indexes the last position, which belongs to no token


# Number of attention values per chunk on the CPU: 2 MB, about the cache of two cores.
CHUNK = 2**19


def attend(
    joined: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor | None, heads: int, scale: float
) -> torch.Tensor:
    """Return softmax(q kᵀ · scale + bias + mask) v within each window (Liu et al. 2021, equation 4).

    Parameters
    ----------
    joined : Tensor, shape (n, window, token, 3 · width)
        Concatenated queries, keys and values.
    bias : Tensor, shape (head, token, token)
        Added to every window's scores.
    mask : Tensor, shape (window, token, token), optional
        Added to every head's scores.

    Returns
    -------
    Tensor, shape (n, window, token, width)

    Notes
    -----
    The function uses `scaled_dot_product_attention`, except for training on the CPU. There torch has no fused kernel
    that gives the gradient of a bias, and it would hold whole matrices in memory.
    """
    if joined.device.type == "cpu" and torch.is_grad_enabled():
        return _on_cpu(joined, bias, mask, heads, scale)
    count, windows, tokens, width = joined.shape
    split = joined.view(count, windows, tokens, 3, heads, -1).permute(3, 0, 1, 4, 2, 5)
    added = bias[None].expand(windows, -1, -1, -1) if mask is None else bias[None] + mask[:, None]
    # Windows share an axis with the heads, so that all patients use one bias without copies.
    query, key, value = split.reshape(3, count, windows * heads, tokens, -1)
    added = added.to(query.dtype).reshape(1, windows * heads, tokens, tokens).expand(count, -1, -1, -1)
    result = functional.scaled_dot_product_attention(query, key, value, attn_mask=added, scale=scale)
    result = result.view(count, windows, heads, tokens, -1).transpose(2, 3)
    return result.reshape(count, windows, tokens, width // 3)


@not_compiled
def _on_cpu(joined, bias, mask, heads, scale):
    return _Chunked.apply(joined, bias, mask, heads, scale)


class _Chunked(torch.autograd.Function):
    """Compute attention in chunks of windows, so that its matrices stay in the cache; head features lie along rows."""

    @staticmethod
    def forward(ctx, joined, bias, mask, heads, scale):
        count, windows, tokens, width = joined.shape
        kept = joined.new_empty((count, windows, heads, tokens, tokens))
        result = joined.new_empty((count, windows, tokens, width // 3))
        for row, part in _chunks(count, windows, heads, tokens):
            query, key, value = _heads_of(joined[row, part], 3, heads)
            scores = kept[row, part].view(-1, tokens, tokens)
            added = bias[None] if mask is None else bias + mask[part, None]
            added = added.expand(part.stop - part.start, -1, -1, -1).reshape(scores.shape)
            torch.baddbmm(added, query.transpose(1, 2), key, alpha=scale, out=scores)
            torch.softmax(scores, dim=-1, out=scores)
            values = torch.bmm(scores, value.transpose(1, 2))
            result[row, part].view(-1, tokens, heads, width // 3 // heads).copy_(
                values.view(-1, heads, tokens, width // 3 // heads).transpose(1, 2)
            )
        ctx.save_for_backward(joined, kept, result)
        ctx.heads, ctx.scale = heads, scale
        return result

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        joined, kept, result = ctx.saved_tensors
        heads, scale = ctx.heads, ctx.scale
        count, windows, tokens, width = joined.shape
        of_joined = torch.empty_like(joined)
        of_bias = joined.new_zeros((heads, tokens, tokens))
        # The sum that the gradient of a softmax subtracts from each row (Dao et al. 2022, FlashAttention, B.2).
        common = (gradient * result).reshape(count, windows, tokens, heads, -1).sum(-1).neg_().transpose(2, 3)
        for row, part in _chunks(count, windows, heads, tokens):
            query, key, value = _heads_of(joined[row, part], 3, heads)
            (outer,) = _heads_of(gradient[row, part], 1, heads)
            weights = kept[row, part].view(-1, tokens, tokens)
            taken = common[row, part].reshape(-1, tokens, 1).expand_as(weights)
            scores = torch.baddbmm(taken, outer.transpose(1, 2), value).mul_(weights)
            of_bias += scores.view(-1, heads, tokens, tokens).sum(0)
            target = of_joined[row, part].view(-1, tokens, 3, heads, width // 3 // heads)
            of_query = torch.bmm(scores, key.transpose(1, 2)).mul_(scale)
            target[:, :, 0] = of_query.view(-1, heads, tokens, width // 3 // heads).transpose(1, 2)
            for place, left, right in ((1, query * scale, scores), (2, outer, weights)):
                product = torch.bmm(left, right)
                target[:, :, place] = product.view(-1, heads, width // 3 // heads, tokens).permute(0, 3, 1, 2)
        return of_joined, of_bias, None, None, None


def _chunks(count: int, windows: int, heads: int, tokens: int):
    """Yield the row and the slice of windows of each chunk. They, and the sums over them, depend only on the shape."""
    step = max(1, CHUNK // (heads * tokens**2))
    for row in range(count):
        for start in range(0, windows, step):
            yield row, slice(start, min(start + step, windows))


def _heads_of(joined: torch.Tensor, parts: int, heads: int) -> torch.Tensor:
    """Return the parts (part, window · head, feature, token) of (window, token, part · width)."""
    windows, tokens, _ = joined.shape
    split = joined.reshape(windows, tokens, parts, heads, -1).permute(2, 0, 3, 4, 1)
    return split.reshape(parts, windows * heads, -1, tokens)


def last_tokens(swin: SwinTransformer, embedded: torch.Tensor) -> torch.Tensor:
    """Return the tokens (n, token, 16 · embed_dim) of the last stage of `swin`, which has no dropout.

    The values are those of `SwinTransformer.forward` without normalisation (Liu et al. 2021, 3.1). The earlier stages
    are not normalised for a decoder. Tokens are moved once per block, masks are computed once per size, and attention
    is fused.

    Parameters
    ----------
    swin : SwinTransformer
        Network with the weights.
    embedded : Tensor, shape (n, embed_dim, x, y, z)
        Patches after `swin.patch_embed`, of any size. Windows and halves are padded with zeros as in MONAI.
    """
    # torch's annotations give every part of a module the type tensor or module.
    layers: list[Any] = [stage[0] for stage in (swin.layers1, swin.layers2, swin.layers3, swin.layers4)]
    depths = tuple(len(layer.blocks) for layer in layers)
    where = places(tuple(embedded.shape[2:]), tuple(swin.window_size), depths, str(embedded.device))
    tokens = move(embedded.flatten(2).transpose(1, 2), where.first).contiguous()
    for layer, stage in zip(layers, where.stages, strict=True):
        for block, place in zip(layer.blocks, stage.blocks, strict=True):
            tokens = _one_block(block, move(tokens, place.before), place)
        children = move(tokens, stage.merge).view(len(tokens), -1, 8 * tokens.shape[2])
        tokens = layer.downsample.reduction(layer.downsample.norm(children))
    return tokens


def _one_block(block: SwinTransformerBlock, tokens: torch.Tensor, place: BlockPlaces) -> torch.Tensor:
    attention: Any = block.attn
    windowed = move(block.norm1(tokens), place.windows)
    joined = attention.qkv(windowed).view(len(tokens), -1, place.window, 3 * tokens.shape[2])
    index = attention.relative_position_index[: place.window, : place.window].reshape(-1)
    bias = attention.relative_position_bias_table[index].view(place.window, place.window, -1)
    mixed = attend(
        joined, bias.permute(2, 0, 1).contiguous(), place.mask, attention.num_heads, attention.scale
    ).flatten(1, 2)
    tokens = tokens + move_back(attention.proj(mixed), place.windows)
    return tokens + block.mlp(block.norm2(tokens))
