"""The fusion network: one encoder a modality, joined, one hidden layer, one logit, beside a linear path.

Why it is shaped like this (a simulated cohort of 26 and of 300 training rows with 36 + 36 selected features,
and RADCURE with 2,370 rows):

- Selected features look better on the rows they were selected on than they are, so no fixed regularisation
  serves. All weights carry a Gaussian prior (`penalty / (2 n) * |w|²`); several precisions are trained side by
  side and the caller takes the one whose inner out-of-fold predictions are best.
- Each modality is divided by the square root of its total variance (block scaling, as in multiple factor
  analysis), so that 800 deep features weigh no more a priori than one volume.
- A linear path leads from all inputs to the logit. With a strong penalty the encoders die out first and a ridge
  regression remains; without the linear path the network then falls to a constant.

A modality of at most two columns, such as the deep score, enters the hidden layer as it is.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import erf

from metaswin.fusion.settings import NetworkSettings

DIRECT = 2


@dataclass(frozen=True)
class Networks:
    """Fitted networks: for each penalty an ensemble whose logits are averaged.

    Attributes
    ----------
    widths : tuple of int
        Columns of each modality.
    weights : dict of str to ndarray
        float32 arrays with the leading axes (penalties, ensemble), and ``scale`` of shape (columns,).
    """

    widths: tuple[int, ...]
    weights: dict[str, np.ndarray]

    def logits(self, blocks: Sequence[np.ndarray]) -> np.ndarray:
        """Logits of shape (penalties, rows) for encoded modalities of shapes (rows, width)."""
        w = {name: array.astype("float64") for name, array in self.weights.items()}
        inputs = np.concatenate(blocks, axis=1) * w["scale"]
        joined = []
        for name, part in _parts(self.widths):
            columns = inputs[:, part]
            if f"{name}.weight" in w:
                joined.append(_gelu(columns @ w[f"{name}.weight"] + w[f"{name}.bias"]))
            else:
                joined.append(np.broadcast_to(columns, (*w["output.bias"].shape[:2], *columns.shape)))
        hidden = _gelu(np.concatenate(joined, axis=3) @ w["hidden.weight"] + w["hidden.bias"])
        output = hidden @ w["output.weight"] + inputs @ w["linear.weight"] + w["output.bias"]
        return output[..., 0].mean(axis=1)

    def only(self, penalty: int) -> "Networks":
        """The networks of one penalty, by its position."""
        kept = {name: array[[penalty]] for name, array in self.weights.items() if name != "scale"}
        return replace(self, weights={**kept, "scale": self.weights["scale"]})


def fit_networks(
    blocks: Sequence[np.ndarray], label: np.ndarray, penalties: Sequence[float], settings: NetworkSettings, seed: int
) -> Networks:
    """Train an ensemble for each penalty; all members run side by side as one batched network.

    Members of an ensemble start from different weights and see different dropout, the same ones for every
    penalty. Adam with a cosine schedule; the output's bias starts at the log-odds of the training rows. Runs on
    one CPU thread: the result depends on the data and `seed` alone.

    Parameters
    ----------
    blocks : sequence of ndarray
        Encoded modalities, shapes (rows, width).
    label : ndarray of shape (rows,)
        0 or 1, both present.
    penalties : sequence of float
        Precisions of the prior.
    settings, seed
    """
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    widths = tuple(block.shape[1] for block in blocks)
    scale = np.concatenate([np.full(block.shape[1], _block_scale(block)) for block in blocks]).astype("float32")
    inputs = torch.from_numpy(np.concatenate(blocks, axis=1).astype("float32")) * torch.from_numpy(scale)
    target = torch.from_numpy(label.astype("float32"))
    rows, members = len(label), len(penalties) * settings.ensemble
    weights = _initial_weights(widths, label.mean(), len(penalties), settings, generator)
    penalised = [array for name, array in weights.items() if name.endswith(".weight")]
    half_precision = torch.tensor(np.repeat(penalties, settings.ensemble), dtype=torch.float32) / (2 * rows)

    def dropped(values: torch.Tensor) -> torch.Tensor:
        if settings.dropout == 0:
            return values
        shape = (settings.ensemble, *values.shape[1:])
        kept = torch.rand(shape, generator=generator).ge(settings.dropout).float() / (1 - settings.dropout)
        return (values.unflatten(0, (len(penalties), settings.ensemble)) * kept).flatten(0, 1)

    optimizer = torch.optim.Adam(weights.values(), lr=settings.learning_rate, foreach=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    for _ in range(settings.steps):
        if rows > settings.batch_size:
            chosen = torch.randint(rows, (settings.batch_size,), generator=generator)
            batch, wanted = inputs[chosen], target[chosen]
        else:
            batch, wanted = inputs, target
        loss = functional.binary_cross_entropy_with_logits(
            member_logits(batch, weights, widths, dropped), wanted.expand(members, -1), reduction="none"
        ).mean(dim=1)
        prior = sum(array.square().sum(dim=(1, 2)) for array in penalised) * half_precision
        optimizer.zero_grad()
        # The sum over members, not the mean: each member is trained as if it were alone.
        (loss + prior).sum().backward()
        optimizer.step()
        schedule.step()

    shape = (len(penalties), settings.ensemble)
    fitted = {name: array.detach().numpy().reshape(*shape, *array.shape[1:]) for name, array in weights.items()}
    return Networks(widths, {**fitted, "scale": scale})


def network_fitter(
    arm: str, settings: NetworkSettings, seeds: Sequence[int]
) -> Callable[[Sequence[np.ndarray], np.ndarray, Sequence[float], str], Networks]:
    """`fit_networks` for one arm as a function of blocks, labels, penalties and part.

    The seed follows from `seeds` and the arm's name, not its place: an arm's fit does not depend on which others run.
    """

    def fit(blocks: Sequence[np.ndarray], label: np.ndarray, penalties: Sequence[float], part: str) -> Networks:
        seed = drawn_seed([*seeds, zlib.crc32(arm.encode()), zlib.crc32(part.encode())])
        return fit_networks(blocks, label, penalties, settings, seed)

    return fit


def drawn_seed(entropy: Sequence[int]) -> int:
    """One seed out of several numbers."""
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def member_logits(inputs, weights, widths: Sequence[int], dropped: Callable):
    """Logits (members, rows) of all members at once, differentiable.

    Parameters
    ----------
    inputs : torch.Tensor of shape (rows, columns)
        Encoded modalities times ``scale``.
    weights : mapping of str to torch.Tensor
        As in `Networks`, with one leading axis, the members.
    widths : sequence of int
        Columns of each modality.
    dropped : callable
        Dropout of hidden values (members, rows, units).
    """
    import torch
    from torch.nn import functional

    joined = []
    for name, part in _parts(widths):
        columns = inputs[:, part].expand(len(weights["output.bias"]), -1, -1)
        if f"{name}.weight" in weights:
            encoded = torch.baddbmm(weights[f"{name}.bias"], columns, weights[f"{name}.weight"])
            joined.append(dropped(functional.gelu(encoded)))
        else:
            joined.append(columns)
    hidden = torch.baddbmm(weights["hidden.bias"], torch.cat(joined, dim=2), weights["hidden.weight"])
    output = torch.baddbmm(weights["output.bias"], dropped(functional.gelu(hidden)), weights["output.weight"])
    return (output + inputs @ weights["linear.weight"])[:, :, 0]


def _initial_weights(widths, prevalence, penalties, settings, generator):
    """Weights of all members; the same for every penalty."""
    import torch

    def drawn(rows: int, columns: int, sd: float) -> torch.Tensor:
        values = torch.randn((settings.ensemble, rows, columns), generator=generator) * sd
        return values.repeat(penalties, 1, 1).requires_grad_()

    def filled(columns: int, value: float = 0.0, rows: int = 1) -> torch.Tensor:
        return torch.full((penalties * settings.ensemble, rows, columns), value).requires_grad_()

    weights, joined = {}, 0
    for name, part in _parts(widths):
        width = part.stop - part.start
        if width > DIRECT:
            # Block scaling gives a modality a total variance of at most 1, whatever its width.
            weights[f"{name}.weight"] = drawn(width, settings.encoder_width, 0.5)
            weights[f"{name}.bias"] = filled(settings.encoder_width)
        joined += settings.encoder_width if width > DIRECT else width
    weights["hidden.weight"] = drawn(joined, settings.hidden_width, max(joined, 1) ** -0.5)
    weights["hidden.bias"] = filled(settings.hidden_width)
    weights["output.weight"] = drawn(settings.hidden_width, 1, 0.5 * settings.hidden_width**-0.5)
    weights["output.bias"] = filled(1, float(np.log(prevalence / (1 - prevalence))))
    weights["linear.weight"] = filled(1, rows=sum(widths))
    return weights


def _parts(widths: Sequence[int]) -> list[tuple[str, slice]]:
    """Name of each modality's encoder and its columns among all inputs."""
    ends = np.cumsum(widths).tolist()
    return [(f"encoder{i}", slice(end - width, end)) for i, (width, end) in enumerate(zip(widths, ends, strict=True))]


def _block_scale(block: np.ndarray) -> float:
    return 1 / max(1.0, float(block.var(axis=0).sum())) ** 0.5


def _gelu(values: np.ndarray) -> np.ndarray:
    return 0.5 * values * (1 + erf(values / np.sqrt(2)))
