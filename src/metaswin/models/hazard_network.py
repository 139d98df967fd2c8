"""The hazard network: discrete-time hazards of metastasis and of death.

In interval t the conditional probabilities of metastasis, death and neither are a multinomial logit (discrete
hazards of competing risks; Tutz & Schmid 2016, Modeling Discrete Time-to-Event Data, chapter 8). Its two logits::

    base[t] + shape[t] + score(x) + change(x)[t]

- `base`: log-odds of the training rows' hazards without predictors; fixed.
- `shape`: what the baseline differs from it once there are predictors.
- `score`: hidden layer and linear path, one number a cause: proportional effects.
- `change`: from the hidden layer, one number a cause and interval: effects that change with time, as in the
  flexible networks of Lee et al. 2018 (AAAI, DeepHit) and Gensheimer & Narasimhan 2019 (PeerJ 7:e6257).

All but `base` and the two biases of `score` carry the Gaussian prior of `metaswin.models.classifiers`. `shape` and
`change` begin at 0: with a strong penalty a proportional ridge regression remains. (On RADCURE, 3,334 rows, five folds,
`change` lowered the held-out negative log-likelihood of the best penalty from 1.292 to 1.283; on simulated
proportional hazards, 320 rows, it changed nothing.)

The loss is the negative log-likelihood of both causes; a row counts in the intervals in which it was at risk, so that
patients who were censored before the horizon teach what they can.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metaswin.cohort.outcomes import CENSORED, DEATH, METASTASIS
from metaswin.config.models import NetworkSettings
from metaswin.models.mlp import Initial, hidden_values, member_hidden, modality_scales, scaled, train

CAUSES = (METASTASIS, DEATH)

# An interval with fewer metastases says little of its own hazard.
EVENTS_PER_INTERVAL = 5
SMALLEST_HAZARD = 1e-6


def interval_cuts(time: NDArray, event: NDArray, horizon: float, most: int) -> NDArray:
    """Ends of the intervals, ascending, shape (T,): interval j is (cuts[j-1], cuts[j]], the first begins at 0.

    Quantiles of the days of metastasis, so that each interval holds about as many of them, and the horizon.

    Parameters
    ----------
    time, event : array, shape (n,)
        Training rows only; at least one metastasis.
    horizon : float
        Days; always a cut.
    most : int
        The highest number of intervals that the quantiles make; at least `EVENTS_PER_INTERVAL` metastases each.
    """
    days = time[event == METASTASIS]
    number = max(1, min(most, len(days) // EVENTS_PER_INTERVAL))
    quantiles = np.quantile(days, np.arange(1, number + 1) / number, method="inverted_cdf")
    return np.unique(np.append(quantiles, float(horizon)))


def states(time: NDArray, event: NDArray, cuts: NDArray) -> NDArray:
    """What happened to each row in each interval, int array of shape (n, T).

    -1 not at risk, 0 at risk and nothing happened, 1 metastasis, 2 death. A row that is censored within an interval
    counts as at risk there if it was followed through more than half of it (Gensheimer & Narasimhan 2019, PeerJ
    7:e6257). What happens after the last cut is not seen.
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
    """Hazard of each cause in each interval without predictors, shape (T, 2).

    Events over rows at risk, with one more row at the overall daily rate, so that an interval without events of a
    cause keeps a small hazard.
    """
    width = np.diff(np.concatenate([[0.0], cuts]))
    at_risk = (state >= 0).sum(axis=0)
    events = np.stack([(state == cause).sum(axis=0) for cause in CAUSES], axis=1)
    rate = events.sum(axis=0) / (at_risk @ width)
    expected = np.minimum(width[:, None] * rate, 0.5)
    return np.clip((events + expected) / (at_risk[:, None] + 1), SMALLEST_HAZARD, 0.5)


# Beyond this the hazard is 1 to all digits that are kept, and the exponential stays finite.
LARGEST_LOGIT = 30.0


@dataclass(frozen=True)
class HazardNetworks:
    """Fitted networks: for each penalty an ensemble whose logits are averaged.

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
        """Hazards of metastasis and death, shape (penalties, rows, T, 2), for encoded modalities (rows, width)."""
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
    """Cumulative incidence of metastasis and of death at the end of each interval.

    Parameters
    ----------
    hazards : ndarray, shape (..., T, 2)

    Returns
    -------
    metastasis, death : ndarray, shape (..., T)
        Sum over intervals of hazard × probability of having had neither before (Tutz & Schmid 2016, section 8.1).
    """
    survival = np.cumprod(1 - hazards.sum(axis=-1), axis=-1)
    before = np.concatenate([np.ones_like(survival[..., :1]), survival[..., :-1]], axis=-1)
    events = np.cumsum(hazards * before[..., None], axis=-2)
    return events[..., 0], events[..., 1]


def negative_log_likelihood(hazards: NDArray, state: NDArray) -> NDArray:
    """Of each row, shape (..., n).

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
    """Train an ensemble for each penalty; all members run side by side as one batched network.

    Optimiser, schedule, dropout and seeds as `metaswin.models.classifiers.fit_networks`. Runs on one CPU thread: the
    result depends on the data and `seed` alone.

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
