"""Train the hazard network: discrete-time hazards of metastasis and of death.

In interval t the conditional probabilities of metastasis, death and neither are a multinomial logit (discrete
hazards of competing risks; Tutz & Schmid 2016, Modeling Discrete Time-to-Event Data, chapter 8). Its two logits::

    base[t] + shape[t] + score(x) + change(x)[t]

- `base` is the log-odds of the training rows' hazards without predictors. It is fixed.
- `shape` is the difference between `base` and the baseline of the model with predictors.
- `score` comes from the hidden layer and the linear path. It is one number per cause: a proportional effect.
- `change` comes from the hidden layer. It is one number per cause and interval: an effect that changes with time, as in
  the flexible networks of Lee et al. 2018 (AAAI, DeepHit) and Gensheimer & Narasimhan 2019 (PeerJ 7:e6257).

All weights except `base` and the two biases of `score` have the Gaussian prior of `metaswin.models.classifiers`. The
initial values of `shape` and `change` are 0, so a strong penalty gives a proportional ridge regression. On RADCURE
(3,334 rows, five folds), `change` lowered the held-out negative log-likelihood of the best penalty from 1.292 to 1.283.
On simulated proportional hazards (320 rows), it had no effect.

The loss is the negative log-likelihood of both causes. A row contributes to the intervals in which it was at risk, so
patients who were censored before the horizon are used up to their censoring.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metaswin.cohort.outcomes import CENSORED, DEATH, METASTASIS
from metaswin.config.models import NetworkSettings
from metaswin.models.mlp import Initial, hidden_values, member_hidden, modality_scales, scaled, train

CAUSES = (METASTASIS, DEATH)

# With fewer metastases, the hazard of an interval cannot be estimated well.
EVENTS_PER_INTERVAL = 5
SMALLEST_HAZARD = 1e-6


def interval_cuts(time: NDArray, event: NDArray, horizon: float, most: int) -> NDArray:
    """Return the ends of the intervals, ascending, shape (T,).

    Interval j is (cuts[j-1], cuts[j]]; the first starts at 0.
    The cuts are the horizon and quantiles of the days of metastasis, so that all intervals contain about the same
    number of metastases.

    Parameters
    ----------
    time, event : array, shape (n,)
        Training rows only; at least one metastasis.
    horizon : float
        Days; always a cut.
    most : int
        Largest number of intervals from the quantiles. Each has at least `EVENTS_PER_INTERVAL` metastases.
    """
    days = time[event == METASTASIS]
    number = max(1, min(most, len(days) // EVENTS_PER_INTERVAL))
    quantiles = np.quantile(days, np.arange(1, number + 1) / number, method="inverted_cdf")
    return np.unique(np.append(quantiles, float(horizon)))


def states(time: NDArray, event: NDArray, cuts: NDArray) -> NDArray:
    """Return the state of each row in each interval, int array of shape (n, T).

    The values are -1 (not at risk), 0 (at risk without an event), 1 (metastasis) and 2 (death). A row that is censored
    within an interval counts as at risk there if it was followed through more than half of it (Gensheimer & Narasimhan
    2019, PeerJ 7:e6257). Events after the last cut are ignored.
    """
    starts = np.concatenate([[0.0], cuts[:-1]])
    last = np.searchsorted(cuts, time, side="left")
    position = np.arange(len(cuts))
    found = np.where(position < last[:, None], 0, -1)
    inside = np.flatnonzero(last < len(cuts))
    half = (starts + cuts)[last[inside]] / 2
    censored = event[inside] == CENSORED
    found[inside, last[inside]] = np.where(censored, np.where(time[inside] > half, 0, -1), event[inside])
    return found


def marginal_hazards(state: NDArray, cuts: NDArray) -> NDArray:
    """Return the hazard of each cause in each interval without predictors, shape (T, 2).

    The hazard is the number of events divided by the number of rows at risk. One row at the overall daily rate is
    added, so that an interval without events of a cause has a small hazard above 0.
    """
    width = np.diff(np.concatenate([[0.0], cuts]))
    at_risk = (state >= 0).sum(axis=0)
    events = np.stack([(state == cause).sum(axis=0) for cause in CAUSES], axis=1)
    rate = events.sum(axis=0) / (at_risk @ width)
    expected = np.minimum(width[:, None] * rate, 0.5)
    return np.clip((events + expected) / (at_risk[:, None] + 1), SMALLEST_HAZARD, 0.5)


# Larger logits give a hazard of 1 in the stored precision; the limit keeps the exponential finite.
LARGEST_LOGIT = 30.0


@dataclass(frozen=True)
class HazardNetworks:
    """Hold fitted networks: for each penalty an ensemble whose logits are averaged.

    Attributes
    ----------
    widths : tuple of int
        Columns of each modality.
    weights : dict of str to ndarray
        float32 arrays with the leading axes (penalties, ensemble), and ``scale`` of shape (columns,) and ``base`` of
        shape (T, 2).
    """

    widths: tuple[int, ...]
    weights: dict[str, NDArray]

    def hazards(self, modalities: Sequence[NDArray]) -> NDArray:
        """Return hazards of metastasis and death (penalties, rows, T, 2) for encoded modalities (rows, width)."""
        w = {name: array.astype("float64") for name, array in self.weights.items()}
        inputs = np.concatenate(modalities, axis=1) * w["scale"]
        hidden = hidden_values(inputs, w, self.widths)
        score = hidden @ w["output.weight"] + inputs @ w["linear.weight"] + w["output.bias"]
        change = hidden @ w["change.weight"] + w["shape.weight"]
        steps = len(w["base"])
        logits = score[..., None, :] + change.reshape(*change.shape[:-1], steps, len(CAUSES))
        odds = np.exp(np.minimum(logits.mean(axis=1) + w["base"], LARGEST_LOGIT))
        return odds / (1 + odds.sum(axis=-1, keepdims=True))


def incidence(hazards: NDArray) -> tuple[NDArray, NDArray]:
    """Return the cumulative incidence of metastasis and of death at the end of each interval.

    Parameters
    ----------
    hazards : ndarray, shape (..., T, 2)

    Returns
    -------
    metastasis, death : ndarray, shape (..., T)
        Sum over intervals of hazard × probability of neither event before (Tutz & Schmid 2016, section 8.1).
    """
    survival = np.cumprod(1 - hazards.sum(axis=-1), axis=-1)
    before = np.concatenate([np.ones_like(survival[..., :1]), survival[..., :-1]], axis=-1)
    events = np.cumsum(hazards * before[..., None], axis=-2)
    return events[..., 0], events[..., 1]


def negative_log_likelihood(hazards: NDArray, state: NDArray) -> NDArray:
    """Return the negative log-likelihood of each row, shape (..., n).

    Parameters
    ----------
    hazards : ndarray, shape (..., n, T, 2)
    state : int ndarray, shape (n, T)
        See `metaswin.models.hazard_network.states`.
    """
    neither = 1 - hazards.sum(axis=-1)
    chances = np.concatenate([neither[..., None], hazards], axis=-1)
    happened = np.maximum(state, 0)[..., None]
    chosen = np.take_along_axis(chances, np.broadcast_to(happened, (*chances.shape[:-1], 1)), axis=-1)[..., 0]
    return -np.sum(np.log(chosen) * (state >= 0), axis=-1)


def fit_hazards(
    modalities: Sequence[NDArray],
    state: NDArray,
    cuts: NDArray,
    penalties: Sequence[float],
    settings: NetworkSettings,
    seed: int,
) -> HazardNetworks:
    """Train an ensemble for each penalty. All members are trained together as one batched network.

    Optimiser, schedule, dropout and seeds are those of `metaswin.models.classifiers.fit_networks`. The training uses
    one CPU thread, so the result depends only on the data and `seed`.

    Parameters
    ----------
    modalities : sequence of ndarray
        Encoded modalities, shapes (rows, width).
    state : int ndarray, shape (rows, T)
        See `metaswin.models.hazard_network.states`.
    cuts : ndarray, shape (T,)
        Ends of the intervals.
    penalties : sequence of float
        Precisions of the prior.
    settings, seed
    """
    import torch

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    widths = tuple(modality.shape[1] for modality in modalities)
    scale = modality_scales(modalities)
    inputs = scaled(modalities, scale)
    base = _log_odds(marginal_hazards(state, cuts)).astype("float32")
    fixed = torch.from_numpy(base)
    at_risk = torch.from_numpy((state >= 0).astype("float32"))
    happened = torch.from_numpy(np.stack([state == cause for cause in CAUSES], axis=-1).astype("float32"))
    causes, steps = len(CAUSES), len(cuts)
    initial = Initial(len(penalties), settings, generator)
    weights = {
        **initial.body(widths),
        "output.weight": initial.output(causes),
        "output.bias": initial.filled(causes),
        "linear.weight": initial.filled(causes, rows=sum(widths)),
        "shape.weight": initial.filled(steps * causes),
        "change.weight": initial.filled(steps * causes, rows=settings.hidden_width),
    }

    def loss(chosen: slice | torch.Tensor, dropped: Callable) -> torch.Tensor:
        hidden = member_hidden(inputs[chosen], weights, widths, dropped)
        score = torch.baddbmm(weights["output.bias"], hidden, weights["output.weight"])
        score = score + inputs[chosen] @ weights["linear.weight"]
        change = torch.baddbmm(weights["shape.weight"], hidden, weights["change.weight"])
        logits = fixed + score[:, :, None, :] + change.unflatten(2, (steps, causes))
        logits = logits.clamp(max=LARGEST_LOGIT)
        total = torch.log1p(logits.exp().sum(dim=3)) * at_risk[chosen]
        return (total.sum(dim=2) - (logits * happened[chosen]).sum(dim=(2, 3))).mean(dim=1)

    fitted = train(weights, loss, len(state), penalties, settings, generator)
    return HazardNetworks(widths, {**fitted, "scale": scale, "base": base})


def _log_odds(hazards: NDArray) -> NDArray:
    return np.log(hazards / (1 - hazards.sum(axis=1, keepdims=True)))
