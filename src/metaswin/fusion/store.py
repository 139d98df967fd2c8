"""Save fitted arms and load them again: safetensors for weights, JSON for the rest, no pickle."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file

from metaswin.files import atomic, read_json, write_json
from metaswin.fusion.encode import BlockEncoder
from metaswin.fusion.fit import Model
from metaswin.fusion.logistic import Logistics
from metaswin.fusion.network import Networks
from metaswin.fusion.thresholds import Recalibration


@dataclass(frozen=True)
class FittedHead:
    """A head ready to predict; positive means probability >= threshold."""

    model: Model
    recalibration: Recalibration
    threshold: float


@dataclass(frozen=True)
class FittedArm:
    """An arm ready to predict.

    Attributes
    ----------
    name : str
    encoders : dict
        Block → encoder, in the order in which the heads take them.
    heads : dict
        ``network`` and ``logistic``.
    """

    name: str
    encoders: dict[str, BlockEncoder]
    heads: dict[str, FittedHead]

    def predict(self, tables: Mapping[str, pd.DataFrame]) -> dict[str, np.ndarray]:
        """Probability of DM by head, each of shape (rows,).

        Parameters
        ----------
        tables : mapping
            Block → raw columns, see `metaswin.fusion.modalities.Sources.table`; the same rows in each.
        """
        blocks = [encoder.transform(tables[block]) for block, encoder in self.encoders.items()]
        return {name: head.recalibration.probability(head.model.logits(blocks)[0]) for name, head in self.heads.items()}


def arm_file(folder: str | Path, name: str) -> Path:
    """Path of an arm's file without its ending; ``:`` is no letter of a file name on every system."""
    return Path(folder) / name.replace(":", "=")


def save_arm(folder: str | Path, arm: FittedArm) -> None:
    """Write ``<arm>.safetensors`` and ``<arm>.json`` below `folder`."""
    path = arm_file(folder, arm.name)
    tensors = {
        f"{head}.{name}": np.ascontiguousarray(array)
        for head, fitted in arm.heads.items()
        for name, array in fitted.model.weights.items()
    }
    with atomic(f"{path}.safetensors") as temporary:
        save_file(tensors, temporary)
    write_json(
        f"{path}.json",
        {
            "name": arm.name,
            # A list, since JSON objects are written with sorted keys and the order of the blocks counts.
            "blocks": [
                {"block": block, "width": len(encoder.outputs), "columns": encoder.as_json()}
                for block, encoder in arm.encoders.items()
            ],
            "heads": {
                name: {"recalibration": asdict(head.recalibration), "threshold": head.threshold}
                for name, head in arm.heads.items()
            },
        },
    )


def load_arm(folder: str | Path, name: str) -> FittedArm:
    """Load an arm written by `save_arm`."""
    path = arm_file(folder, name)
    raw, tensors = read_json(f"{path}.json"), load_file(f"{path}.safetensors")
    widths = tuple(block["width"] for block in raw["blocks"])
    heads = {}
    for head, facts in raw["heads"].items():
        weights = {key.removeprefix(f"{head}."): value for key, value in tensors.items() if key.startswith(f"{head}.")}
        model = Networks(widths, weights) if head == "network" else Logistics(weights)
        heads[head] = FittedHead(model, Recalibration(**facts["recalibration"]), facts["threshold"])
    encoders = {block["block"]: BlockEncoder.from_json(block["columns"]) for block in raw["blocks"]}
    return FittedArm(raw["name"], encoders, heads)
