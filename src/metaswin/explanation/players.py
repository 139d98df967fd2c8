"""Who shares the credit: groups of encoded columns, known or unknown together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metaswin.fusion.encode import BlockEncoder

# Modalities whose columns are shown one by one; a dimension of a deep feature means nothing by itself.
SHOWN = ("clinical", "radiomics", "peri_radiomics", "anatomy")


@dataclass(frozen=True)
class Players:
    """Groups of the encoded columns of an arm.

    Attributes
    ----------
    names : list of tuple of str
        ``(modality,)`` or ``(modality, column)``.
    owner : ndarray of int, shape (encoded columns,)
        Player of each encoded column.
    """

    names: list[tuple[str, ...]]
    owner: np.ndarray

    @classmethod
    def of(cls, names: Sequence[tuple[str, ...]]) -> "Players":
        """Players of columns that have these names; columns of the same name are one player."""
        distinct = list(dict.fromkeys(names))
        return cls(distinct, np.array([distinct.index(name) for name in names], dtype=int))


def modality_of(block: str) -> str:
    """``clinical`` of ``clinical:<set>``, otherwise the block itself."""
    return block.split(":")[0]


def modality_players(encoders: Mapping[str, BlockEncoder]) -> Players:
    """One player a modality."""
    return Players.of([(modality_of(block),) for block, encoder in encoders.items() for _ in encoder.outputs])


def column_players(encoders: Mapping[str, BlockEncoder]) -> Players:
    """One player a column of the table: the one-hot columns of a category, or a number and its flag, are one.

    A modality that is not in `SHOWN` stays one player.
    """
    names: list[tuple[str, ...]] = []
    for block, encoder in encoders.items():
        modality = modality_of(block)
        for column in encoder.columns:
            player = (modality, column.name) if modality in SHOWN else (modality,)
            names += [player] * len(column.outputs)
    return Players.of(names)


class GroupMasker:
    """A masker for shap: the columns of the players that are not known come from each row of the background.

    This is the interventional value function (Janzing, Minorics and Bloebaum 2020, AISTATS): v(S) is the mean over
    the background of f(x_S, b_rest). Known together, the columns of one category are never half set.

    Parameters
    ----------
    players : Players
    background : ndarray, shape (rows, encoded columns)
    """

    immutable_outputs = True
    clustering = None

    def __init__(self, players: Players, background: np.ndarray) -> None:
        self.players, self.background = players, background
        self.shape = (len(background), len(players.names))

    def __call__(self, mask: np.ndarray, row: np.ndarray) -> tuple[np.ndarray]:
        return (np.where(mask[self.players.owner], row, self.background),)

    def mask_shapes(self, row: np.ndarray) -> list[tuple[int]]:
        return [(len(self.players.names),)]
