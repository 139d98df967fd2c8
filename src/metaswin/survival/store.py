"""Save fitted hazard heads: safetensors for weights, JSON for the rest, no pickle."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from metaswin.files import atomic, write_json
from metaswin.fusion.encode import BlockEncoder
from metaswin.fusion.store import arm_file
from metaswin.survival.network import HazardNetworks


@dataclass(frozen=True)
class FittedHazard:
    """A fitted hazard head of one arm.

    Attributes
    ----------
    name : str
        Arm.
    encoders : dict
        Block → encoder, in the order in which the network takes them.
    model : HazardNetworks
        One penalty.
    cuts : ndarray of shape (T,)
        Ends of the intervals, days.
    horizon : float
        Days; one of `cuts`.
    thresholds : tuple of float
        Limits of the risk groups, ascending: a group holds risks at or above its lower limit.
    """

    name: str
    encoders: dict[str, BlockEncoder]
    model: HazardNetworks
    cuts: NDArray
    horizon: float
    thresholds: tuple[float, ...]


def incidence_at(incidence: NDArray, cuts: NDArray, days: NDArray) -> NDArray:
    """Cumulative incidence between cuts, on a straight line within each interval from 0 at day 0.

    Parameters
    ----------
    incidence : ndarray, shape (rows, T)
        At `cuts`.
    cuts, days : ndarray, shapes (T,) and (m,)
        Days must not lie beyond the last cut.

    Returns
    -------
    ndarray, shape (rows, m)
    """
    if np.max(days, initial=0.0) > cuts[-1]:
        raise ValueError(f"day {np.max(days):g} lies beyond the last cut {cuts[-1]:g}")
    ends = np.concatenate([[0.0], cuts])
    values = np.concatenate([np.zeros((len(incidence), 1)), incidence], axis=1)
    upper = np.clip(np.searchsorted(ends, days, side="left"), 1, len(cuts))
    share = (days - ends[upper - 1]) / (ends[upper] - ends[upper - 1])
    return values[:, upper - 1] * (1 - share) + values[:, upper] * share


def save_hazard(folder: str | Path, fitted: FittedHazard) -> None:
    """Write ``<arm>.safetensors`` and ``<arm>.json`` below `folder`."""
    path = arm_file(folder, fitted.name)
    tensors = {name: np.ascontiguousarray(array) for name, array in fitted.model.weights.items()}
    with atomic(f"{path}.safetensors") as temporary:
        save_file(tensors, temporary)
    write_json(
        f"{path}.json",
        {
            "name": fitted.name,
            # A list, since JSON objects are written with sorted keys and the order of the blocks counts.
            "blocks": [
                {"block": block, "width": len(encoder.outputs), "columns": encoder.as_json()}
                for block, encoder in fitted.encoders.items()
            ],
            "cuts": fitted.cuts.tolist(),
            "horizon": fitted.horizon,
            "thresholds": list(fitted.thresholds),
        },
    )
