"""MONAI's 3D Swin Transformer computed faster: its weights, its values."""

import math

import torch
from monai.networks.nets.swin_unetr import SwinTransformer, SwinTransformerBlock

from metaswin.deep.attention import attend
from metaswin.deep.layout import BlockPlaces, move, move_back, places


def last_tokens(swin: SwinTransformer, patches: torch.Tensor) -> torch.Tensor:
    """Tokens (n, token, 16 · embed_dim) of the last stage of `swin`, which has no dropout.

    As `SwinTransformer.forward` without normalisation (Liu et al. 2021, 3.1), but earlier stages are not normalised
    for a decoder, tokens move once a block, masks are made once a size, and attention is fused.

    Parameters
    ----------
    swin : SwinTransformer
        Gives the weights.
    patches : Tensor, shape (n, channel, x, y, z)
        Any size; windows and halves are padded with zeros as MONAI does.
    """
    layers = [stage[0] for stage in (swin.layers1, swin.layers2, swin.layers3, swin.layers4)]
    depths = tuple(len(layer.blocks) for layer in layers)
    grid = tuple(
        math.ceil(edge / step) for edge, step in zip(patches.shape[2:], swin.patch_embed.patch_size, strict=True)
    )
    where = places(grid, tuple(swin.window_size), depths, str(patches.device))
    tokens = move(swin.patch_embed(patches).flatten(2).transpose(1, 2), where.first).contiguous()
    for layer, stage in zip(layers, where.stages, strict=True):
        for block, place in zip(layer.blocks, stage.blocks, strict=True):
            tokens = _one_block(block, move(tokens, place.before), place)
        children = move(tokens, stage.merge).view(len(tokens), -1, 8 * tokens.shape[2])
        tokens = layer.downsample.reduction(layer.downsample.norm(children))
    return tokens


def _one_block(block: SwinTransformerBlock, tokens: torch.Tensor, place: BlockPlaces) -> torch.Tensor:
    attention = block.attn
    windowed = move(block.norm1(tokens), place.windows)
    joined = attention.qkv(windowed).view(len(tokens), -1, place.window, 3 * tokens.shape[2])
    index = attention.relative_position_index[: place.window, : place.window].reshape(-1)
    bias = attention.relative_position_bias_table[index].view(place.window, place.window, -1)
    mixed = attend(
        joined, bias.permute(2, 0, 1).contiguous(), place.mask, attention.num_heads, attention.scale
    ).flatten(1, 2)
    tokens = tokens + move_back(attention.proj(mixed), place.windows)
    return tokens + block.mlp(block.norm2(tokens))
