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
    network : str or None
        File of the network whose score the arm joins: ``deep`` or ``joint``; None without a deep score.
    selected_on : str
        Part whose selection of features holds.
    """

    name: str
    blocks: tuple[str, ...]
    network: str | None
    selected_on: str

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "blocks": list(self.blocks)}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "BundledArm":
        return cls(**{**raw, "blocks": tuple(raw["blocks"])})


def bundled_arms(
    headline: str, blocks: Mapping[str, Sequence[str]], inner: Mapping[str, float | None], mode: str | None
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
    mode : str or None
        ``deep_score`` of the fits. With ``joint`` only the headline's network was trained end to end; other arms with a
        deep score are left out, since they need a second network in every member.
    """

    def order(name: str) -> tuple[Any, ...]:
        value = inner[name]
        return name != headline, -len(blocks[name]), 0.0 if value is None else -value, name

    names = [name for name in blocks if set(blocks[name]) <= set(blocks[headline])]
    if mode == "joint":
        names = [name for name in names if name == headline or "deep" not in blocks[name]]
    arms = []
    for name in sorted(names, key=order):
        deep = "deep" in blocks[name]
        network = None if not deep else "joint" if mode == "joint" else "deep"
        part = "inner-0" if deep and mode == "inner-validation" else "outer"
        arms.append(BundledArm(name, tuple(blocks[name]), network, part))
    return arms


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
