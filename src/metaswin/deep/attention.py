"""Attention within windows, with a learnt bias of relative positions."""

import torch
import torch.nn.functional as functional

from metaswin.deep.compute import not_compiled

# Attention values that the CPU works on at a time: 2 MB, about the cache of two cores.
CHUNK = 2**19


def attend(
    joined: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor | None, heads: int, scale: float
) -> torch.Tensor:
    """softmax(q kᵀ · scale + bias + mask) v within each window (Liu et al. 2021, equation 4).

    Parameters
    ----------
    joined : Tensor, shape (n, window, token, 3 · width)
        Queries, keys and values side by side.
    bias : Tensor, shape (head, token, token)
        Added to every window's scores.
    mask : Tensor, shape (window, token, token), optional
        Added to every head's scores.

    Returns
    -------
    Tensor, shape (n, window, token, width)

    Notes
    -----
    `scaled_dot_product_attention`, but for training on the CPU: there torch has no fused kernel that gives the
    gradient of a bias, and falls back to whole matrices in memory.
    """
    if joined.device.type == "cpu" and torch.is_grad_enabled():
        return _on_cpu(joined, bias, mask, heads, scale)
    count, windows, tokens, width = joined.shape
    split = joined.view(count, windows, tokens, 3, heads, -1).permute(3, 0, 1, 4, 2, 5)
    added = bias[None].expand(windows, -1, -1, -1) if mask is None else bias[None] + mask[:, None]
    # Windows go with the heads, so that one bias serves all patients without a copy each.
    query, key, value = split.reshape(3, count, windows * heads, tokens, -1)
    added = added.to(query.dtype).reshape(1, windows * heads, tokens, tokens).expand(count, -1, -1, -1)
    result = functional.scaled_dot_product_attention(query, key, value, attn_mask=added, scale=scale)
    result = result.view(count, windows, heads, tokens, -1).transpose(2, 3)
    return result.reshape(count, windows, tokens, width // 3)


@not_compiled
def _on_cpu(joined, bias, mask, heads, scale):
    return _Chunked.apply(joined, bias, mask, heads, scale)


class _Chunked(torch.autograd.Function):
    """Attention a few windows at a time, so that its matrices stay in the cache; heads' features lie along rows."""

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
        # The sum that the gradient of a softmax takes off each row (Dao et al. 2022, FlashAttention, B.2).
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
    """Row and slice of windows of each chunk; they depend on the shape alone, and so do the sums over them."""
    step = max(1, CHUNK // (heads * tokens**2))
    for row in range(count):
        for start in range(0, windows, step):
            yield row, slice(start, min(start + step, windows))


def _heads_of(joined: torch.Tensor, parts: int, heads: int) -> torch.Tensor:
    """The parts (part, window · head, feature, token) of (window, token, part · width)."""
    windows, tokens, _ = joined.shape
    split = joined.reshape(windows, tokens, parts, heads, -1).permute(2, 0, 3, 4, 1)
    return split.reshape(parts, windows * heads, -1, tokens)
