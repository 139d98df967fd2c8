"""Shapley values on the logit scale, of modalities exactly and of columns by sampled permutations."""

from collections.abc import Callable
from dataclasses import dataclass
from math import comb

import numpy as np

from metaswin.explanation.players import GroupMasker, Players
from metaswin.fusion.store import FittedHead

Logit = Callable[[np.ndarray], np.ndarray]
BATCH = 64  # rows, or masks of one row, evaluated at once


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
    """Exact values from every coalition of the players (Shapley 1953): for a handful of players only.

    Own code, since shap's ExactExplainer compiles for seconds in each job; both are compared in a test.

    Parameters
    ----------
    logit : callable
        Logits of encoded rows.
    rows, background : ndarray, shape (., encoded columns)
    players : Players
    """
    count = len(players.names)
    worth = np.stack([_worth(logit, rows, background, code >> players.owner & 1 == 1) for code in range(2**count)])
    values = np.zeros((len(rows), count))
    for code in range(2**count):
        size = code.bit_count()
        for player in range(count):
            if not code >> player & 1:
                weight = 1 / (count * comb(count - 1, size))
                values[:, player] += weight * (worth[code | 1 << player] - worth[code])
    return Shares(players, values, float(logit(background).mean()))


def _worth(logit: Logit, rows: np.ndarray, background: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mean logit of each row over the background where the columns that are not `known` come from there."""
    parts = []
    for first in range(0, len(rows), BATCH):
        mixed = np.where(known, rows[first : first + BATCH, None], background)
        parts.append(logit(mixed.reshape(-1, rows.shape[1])).reshape(mixed.shape[:2]).mean(axis=1))
    return np.concatenate([np.zeros(0), *parts])


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
