"""Train the two classifiers: a fusion network with one encoder for each modality, and logistic regression.

The design is based on a simulated cohort of 26 and of 300 training rows with 36 + 36 selected features, and on RADCURE
with 2,370 rows:

- Selected features look better than they are on the rows they were selected on, so no single regularisation suits all
  data. All weights have a Gaussian prior (`penalty / (2 n) * |w|²`). Networks with several precisions are trained
  together, and the caller chooses the precision with the best inner out-of-fold predictions.
- Each modality is divided by the square root of its total variance (block scaling, as in multiple factor analysis).
  800 deep features therefore have the same a priori weight as one volume.
- A linear path leads from all inputs to the logit. A strong penalty shrinks the encoders to 0 first, and a ridge
  regression remains. Without the linear path, the network would become a constant.

A modality of at most two columns, such as the deep score, enters the hidden layer directly.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from metaswin.config.models import NetworkSettings
from metaswin.models.mlp import Initial, hidden_values, member_hidden, modality_scales, scaled, train


@dataclass(frozen=True)
class Logistics:
    """Hold fitted regressions, one for each penalty.

    `weights` holds ``coef`` of shape (penalties, columns) and ``intercept`` of shape (penalties,).
    """

    weights: dict[str, np.ndarray]

    def logits(self, modalities: Sequence[np.ndarray]) -> np.ndarray:
        """Return logits of shape (penalties, rows) for encoded modalities of shapes (rows, width)."""
        inputs = np.concatenate(modalities, axis=1)
        return self.weights["coef"] @ inputs.T + self.weights["intercept"][:, None]


def fit_logistics(modalities: Sequence[np.ndarray], label: np.ndarray, penalties: Sequence[float]) -> Logistics:
    """Fit one regression for each penalty (1/C in scikit-learn's terms). The intercept is not penalised."""
    from sklearn.linear_model import LogisticRegression

    inputs = np.concatenate(modalities, axis=1)
    if inputs.shape[1] == 0:
        odds = np.log(label.mean() / (1 - label.mean()))
        return Logistics({"coef": np.zeros((len(penalties), 0)), "intercept": np.full(len(penalties), odds)})
    models = [LogisticRegression(C=1 / penalty, max_iter=10_000).fit(inputs, label) for penalty in penalties]
    return Logistics(
        {
            "coef": np.stack([model.coef_[0] for model in models]),
            "intercept": np.array([model.intercept_[0] for model in models]),
        }
    )


@dataclass(frozen=True)
class Networks:
    """Hold fitted networks: for each penalty an ensemble whose logits are averaged.

    Attributes
    ----------
    widths : tuple of int
        Columns of each modality.
    weights : dict of str to ndarray
        float32 arrays with the leading axes (penalties, ensemble), and ``scale`` of shape (columns,).
    """

    widths: tuple[int, ...]
    weights: dict[str, np.ndarray]

    def logits(self, modalities: Sequence[np.ndarray]) -> np.ndarray:
        """Return logits of shape (penalties, rows) for encoded modalities of shapes (rows, width)."""
        w = {name: array.astype("float64") for name, array in self.weights.items()}
        inputs = np.concatenate(modalities, axis=1) * w["scale"]
        hidden = hidden_values(inputs, w, self.widths)
        output = hidden @ w["output.weight"] + inputs @ w["linear.weight"] + w["output.bias"]
        return output[..., 0].mean(axis=1)


def fit_networks(
    modalities: Sequence[np.ndarray],
    label: np.ndarray,
    penalties: Sequence[float],
    settings: NetworkSettings,
    seed: int,
) -> Networks:
    """Train an ensemble for each penalty. All members are trained together as one batched network.

    Members of an ensemble have different initial weights and different dropout; both are the same for every penalty.
    The optimiser is Adam with a cosine schedule. The output's bias starts at the log-odds of the training rows. The
    training uses one CPU thread, so the result depends only on the data and `seed`.

    Parameters
    ----------
    modalities : sequence of ndarray
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
    widths = tuple(modality.shape[1] for modality in modalities)
    scale = modality_scales(modalities)
    inputs = scaled(modalities, scale)
    target = torch.from_numpy(label.astype("float32"))
    initial = Initial(len(penalties), settings, generator)
    prevalence = label.mean()
    weights = {
        **initial.body(widths),
        "output.weight": initial.output(1),
        "output.bias": initial.filled(1, float(np.log(prevalence / (1 - prevalence)))),
        "linear.weight": initial.filled(1, rows=sum(widths)),
    }

    def loss(chosen: slice | torch.Tensor, dropped: Callable) -> torch.Tensor:
        logits = member_logits(inputs[chosen], weights, widths, dropped)
        wanted = target[chosen].expand(len(logits), -1)
        return functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(dim=1)

    fitted = train(weights, loss, len(label), penalties, settings, generator)
    return Networks(widths, {**fitted, "scale": scale})


def network_fitter(
    feature_set: str, settings: NetworkSettings, seeds: Sequence[int]
) -> Callable[[Sequence[np.ndarray], np.ndarray, Sequence[float], str], Networks]:
    """Return `fit_networks` for one feature set as a function of modalities, labels, penalties and name of the fit.

    The seed is derived from `seeds` and the feature set's name, not from its position. The fit of a feature set
    therefore does not depend on the other feature sets.
    """

    def fit(modalities: Sequence[np.ndarray], label: np.ndarray, penalties: Sequence[float], name: str) -> Networks:
        seed = drawn_seed([*seeds, zlib.crc32(feature_set.encode()), zlib.crc32(name.encode())])
        return fit_networks(modalities, label, penalties, settings, seed)

    return fit


def drawn_seed(entropy: Sequence[int]) -> int:
    """Return one seed derived from several numbers."""
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def member_logits(inputs, weights, widths: Sequence[int], dropped: Callable):
    """Return the differentiable logits (members, rows) of all members.

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

    hidden = member_hidden(inputs, weights, widths, dropped)
    output = torch.baddbmm(weights["output.bias"], hidden, weights["output.weight"])
    return (output + inputs @ weights["linear.weight"])[:, :, 0]
