"""Shapley values on the logit scale, of modalities exactly and of columns by sampled permutations."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from metaswin.explanation.players import GroupMasker, Players
from metaswin.fusion.store import FittedHead

Logit = Callable[[np.ndarray], np.ndarray]
BATCH = 64  # masks evaluated at once


@dataclass(frozen=True)
class Shares:
    """Shapley values.

    Attributes
    ----------
    players : Players
    values : ndarray, shape (rows, players)
        Contributions to the logit; with `base` they add up to it.
    base : float
        Mean logit of the background.
    """

    players: Players
    values: np.ndarray
    base: float


def logit_of(head: FittedHead, widths: list[int]) -> Logit:
    """The recalibrated logit of a head as a function of encoded rows (modalities side by side)."""
    ends = np.cumsum(widths)[:-1]

    def logit(inputs: np.ndarray) -> np.ndarray:
        blocks = np.split(inputs, ends, axis=1)
        return head.recalibration.intercept + head.recalibration.slope * head.model.logits(blocks)[0]

    return logit


def exact_shares(logit: Logit, rows: np.ndarray, background: np.ndarray, players: Players) -> Shares:
    """Exact values: every coalition is evaluated, 2 ** players of them for each row (Shapley 1953).

    Parameters
    ----------
    logit : callable
        Logits of encoded rows.
    rows, background : ndarray, shape (., encoded columns)
    players : Players
    """
    from shap import ExactExplainer

    found = ExactExplainer(logit, GroupMasker(players, background))(rows, batch_size=BATCH, silent=True)
    return Shares(players, found.values, float(logit(background).mean()))


def sampled_shares(
    logit: Logit, rows: np.ndarray, background: np.ndarray, players: Players, permutations: int, seed: int
) -> Shares:
    """Values from random orders of the players, each run through forwards and backwards.

    They add up to the logit exactly, and are exact where the logit has no interaction of three players or more
    (Mitchell et al. 2022, JMLR 23:43, antithetic sampling; shap's PermutationExplainer).
    """
    from shap import PermutationExplainer

    explainer = PermutationExplainer(logit, GroupMasker(players, background), seed=seed)
    evaluations = permutations * (2 * len(players.names) + 1)
    found = explainer(rows, max_evals=evaluations, batch_size=BATCH, silent=True)
    return Shares(players, found.values, float(logit(background).mean()))
