"""Which arms of a run travel: the headline, and those that stand in where a modality is missing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class BundledArm:
    """An arm of the bundle.

    Attributes
    ----------
    name : str
    blocks : tuple of str
    """

    name: str
    blocks: tuple[str, ...]

    @property
    def deep(self) -> bool:
        """Whether the arm joins a deep score."""
        return "deep" in self.blocks

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "blocks": list(self.blocks)}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "BundledArm":
        return cls(**{**raw, "blocks": tuple(raw["blocks"])})


def bundled_arms(
    headline: str, blocks: Mapping[str, Sequence[str]], inner: Mapping[str, float | None]
) -> list[BundledArm]:
    """The headline, then the arms that join some of its blocks, in the order in which they stand in for it.

    More blocks come first; among as many, the arm with the higher AUC on inner rows left out. Test rows have no say.

    Parameters
    ----------
    headline : str
    blocks : mapping
        Arm → blocks, of every fitted arm.
    inner : mapping
        Arm → mean AUC of inner out-of-fold predictions over the members; None where not estimable.
    """

    def order(name: str) -> tuple[Any, ...]:
        value = inner[name]
        return name != headline, -len(blocks[name]), 0.0 if value is None else -value, name

    names = [name for name in blocks if set(blocks[name]) <= set(blocks[headline])]
    return [BundledArm(name, tuple(blocks[name])) for name in sorted(names, key=order)]


def stand_in(arms: Sequence[BundledArm], there: Collection[str]) -> BundledArm | None:
    """The first arm whose blocks are all there; None where there is none."""
    return next((arm for arm in arms if set(arm.blocks) <= set(there)), None)


def mean_inner_auc(fits: Sequence[Mapping[str, Any]], head: str) -> dict[str, float | None]:
    """Mean over the members of each arm's AUC on inner rows left out."""
    found = {}
    for name in fits[0]["arms"]:
        values = [fit["arms"][name][head]["auc_inner"] for fit in fits]
        known = [value for value in values if value is not None]
        found[name] = float(np.mean(known)) if known else None
    return found
