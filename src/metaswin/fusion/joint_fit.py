"""Fusion networks that were trained end to end with the backbone, as heads of the headline arm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metaswin.files import read_table
from metaswin.fusion.arms import Arm
from metaswin.fusion.blocks import Blocks
from metaswin.fusion.fit import FoldRows, HeadFit, ThresholdRule, fit_head
from metaswin.fusion.network import Networks
from metaswin.fusion.store import load_networks
from metaswin.fusion.thresholds import auc


@dataclass(frozen=True)
class Joint:
    """What the jobs `train_joint` of one fold left.

    Attributes
    ----------
    scores, seen : Series
        Scores of the fine-tuned backbones by patient: of the one that has not seen the row, and of the outer one on
        the rows it was fitted on.
    heads : dict
        Part → file of its fusion network.
    """

    scores: pd.Series
    seen: pd.Series
    heads: dict[str, Path]

    def fit(self, arm: Arm, blocks: Blocks, rule: ThresholdRule, recalibrate: bool) -> HeadFit:
        """The jointly trained network, with recalibration and threshold from its inner out-of-fold predictions.

        Parameters
        ----------
        arm : Arm
        blocks : Blocks
            Encoded with `scores`.
        rule, recalibrate
            See `metaswin.fusion.fit.fit_head`.
        """

        def trained(_: Sequence[np.ndarray], __: np.ndarray, ___: Sequence[float], part: str) -> Networks:
            return load_networks(self.heads[part], [len(blocks.encoder(b, part).outputs) for b in arm.blocks])

        # One penalty that nothing reads: the networks are trained already.
        fitted = fit_head(trained, blocks.matrices(arm.blocks), blocks.rows, [1.0], rule, recalibrate)
        train = blocks.rows.train
        seen = [block[train] for block in blocks.with_scores(self.seen).matrices(arm.blocks)["outer"]]
        return replace(fitted, penalty=None, auc_train=auc(fitted.model.logits(seen)[0], blocks.rows.label[train]))


def load_joint(inputs: Mapping[str, Any], rows: FoldRows) -> Joint:
    """Read the scores ``joint_features`` and the fusion networks ``joint_heads`` (a file a part) of a fold."""
    table = read_table(inputs["joint_features"], columns=["patient", "score", "score_seen"]).set_index("patient")
    table = table.reindex(rows.patients)
    heads = {Path(path).parent.name: Path(path) for path in inputs["joint_heads"]}
    return Joint(table["score"], table["score_seen"], heads)
