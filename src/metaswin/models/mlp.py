"""Share encoders, hidden layer, linear path and training between the fusion network and the hazard network.

All members of all ensembles are computed together as one batched network. The leading axis of the weights is the
member.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import erf

from metaswin.config.models import NetworkSettings

if TYPE_CHECKING:
    import torch

# A modality of at most this many columns, such as the deep score, enters the hidden layer directly.
DIRECT = 2


def parts(widths: Sequence[int]) -> list[tuple[str, slice]]:
    """Return the name of each modality's encoder and its columns among all inputs."""
    ends = np.cumsum(widths).tolist()
    return [(f"encoder{i}", slice(end - width, end)) for i, (width, end) in enumerate(zip(widths, ends, strict=True))]


def modality_scales(modalities: Sequence[np.ndarray]) -> np.ndarray:
    """Return the factor (float32) of each column: 1 / root of the modality's total variance if that is above 1."""
    factors = [1 / max(1.0, float(modality.var(axis=0).sum())) ** 0.5 for modality in modalities]
    return np.repeat(factors, [modality.shape[1] for modality in modalities]).astype("float32")


def scaled(modalities: Sequence[np.ndarray], scale: np.ndarray) -> "torch.Tensor":
    """Return all columns, joined and scaled, as a float32 tensor."""
    import torch

    return torch.from_numpy(np.concatenate(modalities, axis=1).astype("float32")) * torch.from_numpy(scale)


class Initial:
    """Draw the initial weights of all members. They are the same for every penalty.

    Parameters
    ----------
    penalties : int
        Number of penalties.
    settings : NetworkSettings
    generator : torch.Generator
    """

    def __init__(self, penalties: int, settings: NetworkSettings, generator: "torch.Generator") -> None:
        self.penalties, self.settings, self.generator = penalties, settings, generator

    def drawn(self, rows: int, columns: int, sd: float) -> "torch.Tensor":
        """Return normal random numbers that differ between the members of an ensemble."""
        import torch

        values = torch.randn((self.settings.ensemble, rows, columns), generator=self.generator) * sd
        return values.repeat(self.penalties, 1, 1).requires_grad_()

    def filled(self, columns: int, value: float = 0.0, rows: int = 1) -> "torch.Tensor":
        """Return weights that all have the same value."""
        import torch

        return torch.full((self.penalties * self.settings.ensemble, rows, columns), value).requires_grad_()

    def body(self, widths: Sequence[int]) -> dict[str, "torch.Tensor"]:
        """Return the weights of the encoders and of the hidden layer for modalities of these widths."""
        encoder, hidden = self.settings.encoder_width, self.settings.hidden_width
        weights, joined = {}, 0
        for name, part in parts(widths):
            width = part.stop - part.start
            if width > DIRECT:
                # After modality scaling, the total variance of a modality is at most 1 at any width.
                weights[f"{name}.weight"] = self.drawn(width, encoder, 0.5)
                weights[f"{name}.bias"] = self.filled(encoder)
            joined += encoder if width > DIRECT else width
        weights["hidden.weight"] = self.drawn(joined, hidden, max(joined, 1) ** -0.5)
        weights["hidden.bias"] = self.filled(hidden)
        return weights

    def output(self, columns: int) -> "torch.Tensor":
        """Return the weights from the hidden layer to this number of outputs."""
        hidden = self.settings.hidden_width
        return self.drawn(hidden, columns, 0.5 * hidden**-0.5)


def member_hidden(
    inputs: "torch.Tensor", weights: Mapping[str, "torch.Tensor"], widths: Sequence[int], dropped: Callable
) -> "torch.Tensor":
    """Return the differentiable hidden values (members, rows, units) of all members.

    Parameters
    ----------
    inputs : torch.Tensor of shape (rows, columns)
        Encoded modalities, scaled.
    weights : mapping of str to torch.Tensor
        Weights whose leading axis is the member.
    widths : sequence of int
        Columns of each modality.
    dropped : callable
        Dropout of hidden values.
    """
    import torch
    from torch.nn import functional

    joined = []
    for name, part in parts(widths):
        columns = inputs[:, part].expand(len(weights["hidden.bias"]), -1, -1)
        if f"{name}.weight" in weights:
            encoded = torch.baddbmm(weights[f"{name}.bias"], columns, weights[f"{name}.weight"])
            joined.append(dropped(functional.gelu(encoded)))
        else:
            joined.append(columns)
    hidden = torch.baddbmm(weights["hidden.bias"], torch.cat(joined, dim=2), weights["hidden.weight"])
    return dropped(functional.gelu(hidden))


def hidden_values(inputs: np.ndarray, weights: Mapping[str, np.ndarray], widths: Sequence[int]) -> np.ndarray:
    """Return the hidden values (penalties, ensemble, rows, units) of fitted weights, without dropout."""
    joined = []
    for name, part in parts(widths):
        columns = inputs[:, part]
        if f"{name}.weight" in weights:
            joined.append(_gelu(columns @ weights[f"{name}.weight"] + weights[f"{name}.bias"]))
        else:
            joined.append(np.broadcast_to(columns, (*weights["hidden.bias"].shape[:2], *columns.shape)))
    return _gelu(np.concatenate(joined, axis=3) @ weights["hidden.weight"] + weights["hidden.bias"])


def train(
    weights: Mapping[str, "torch.Tensor"],
    loss: Callable[["slice | torch.Tensor", Callable], "torch.Tensor"],
    rows: int,
    penalties: Sequence[float],
    settings: NetworkSettings,
    generator: "torch.Generator",
) -> dict[str, np.ndarray]:
    """Train all members by Adam with a cosine schedule.

    The steps are those of torch.optim.Adam. That class loads torch's compiler for two seconds in each job, so its
    functional form is called. A test compares the two.

    Members of an ensemble have different dropout, which is the same for every penalty. The penalty on all weights (not
    biases) is ``penalty / (2 rows) * |w|²``.

    Parameters
    ----------
    weights : mapping
        Initial weights; changed in place.
    loss : callable
        Mean loss of each member, shape (members,), for chosen rows and a dropout.
    rows : int
        Number of training rows. If they are more than a batch, batches are drawn with replacement.
    penalties, settings, generator

    Returns
    -------
    dict of str to ndarray
        With the leading axes (penalties, ensemble).
    """
    import torch
    from torch.optim.adam import adam

    shape = (len(penalties), settings.ensemble)
    penalised = [array for name, array in weights.items() if name.endswith(".weight")]
    half_precision = torch.tensor(np.repeat(penalties, settings.ensemble), dtype=torch.float32) / (2 * rows)

    def dropped(values: torch.Tensor) -> torch.Tensor:
        if settings.dropout == 0:
            return values
        drawn = torch.rand((settings.ensemble, *values.shape[1:]), generator=generator)
        kept = drawn.ge(settings.dropout).float() / (1 - settings.dropout)
        return (values.unflatten(0, shape) * kept).flatten(0, 1)

    arrays = list(weights.values())
    means, squares = ([torch.zeros_like(array) for array in arrays] for _ in range(2))
    counts = [torch.zeros(()) for _ in arrays]
    for step in range(settings.steps):
        chosen: slice | torch.Tensor = slice(None)
        if rows > settings.batch_size:
            chosen = torch.randint(rows, (settings.batch_size,), generator=generator)
        prior = sum(array.square().sum(dim=(1, 2)) for array in penalised) * half_precision
        total = loss(chosen, dropped) + prior
        # The sum over members, not the mean, because each member is trained independently of the others.
        gradients = list(torch.autograd.grad(total.sum(), arrays))
        rate = settings.learning_rate * (1 + math.cos(math.pi * step / settings.steps)) / 2
        with torch.no_grad():
            adam(
                arrays,
                gradients,
                means,
                squares,
                [],
                counts,
                foreach=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=rate,
                weight_decay=0.0,
                eps=1e-8,
                maximize=False,
            )
    return {name: array.detach().numpy().reshape(*shape, *array.shape[1:]) for name, array in weights.items()}


def _gelu(values: np.ndarray) -> np.ndarray:
    return 0.5 * values * (1 + erf(values / np.sqrt(2)))
