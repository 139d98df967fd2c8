"""Fit every arm of one fold."""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd

from metaswin.files import read_table, write_json, write_table
from metaswin.fusion.arms import Arm, expand_arms, headline
from metaswin.fusion.blocks import Blocks
from metaswin.fusion.fit import FitHead, FoldRows, HeadFit, ThresholdRule, fit_head
from metaswin.fusion.joint_fit import Joint, load_joint
from metaswin.fusion.logistic import Logistics, fit_logistics
from metaswin.fusion.modalities import Sources, load_sources
from metaswin.fusion.network import drawn_seed, network_fitter
from metaswin.fusion.settings import FusionSettings
from metaswin.fusion.store import FittedArm, FittedHead, save_arm
from metaswin.fusion.suspicion import column_aucs, suspicious
from metaswin.problems import public_table

logger = logging.getLogger("metaswin.fusion")


def train_fusion(
    inputs: Mapping[str, str | None],
    outputs: Mapping[str, str],
    repeat: int,
    fold: int,
    sets: Mapping[str, list[str]],
    settings: FusionSettings,
    rule: ThresholdRule,
    seed: int,
    using: Collection[str] = (),
) -> None:
    """Fit all arms of one fold with both heads; write predictions, facts of the fits and the fitted arms.

    Parameters
    ----------
    inputs : mapping
        Paths of ``folds``, of what `metaswin.fusion.modalities.load_sources` and, with ``deep_score: joint``, of what
        `metaswin.fusion.joint_fit.load_joint` reads.
    outputs : mapping
        ``predictions`` (Parquet), ``fits`` (JSON), ``models`` (folder).
    repeat, fold : int
    sets : mapping
        Clinical set → columns.
    settings, rule, seed
    using : collection of str
        Only arms that join one of these; all arms where it is empty. The controls leave out what they do not change.

    Raises
    ------
    UserError
        For sets or arms that these data cannot serve, or training rows with one outcome only.
    """
    rows = FoldRows.of(read_table(inputs["folds"]), repeat, fold)
    sources = load_sources(rows.patients, inputs, sets)
    arms = expand_arms(settings, sources.modalities, sources.sets, sources.volume is not None)
    answer = headline(settings, arms, sources.modalities, sources.sets)
    arms = [arm for arm in arms if not using or set(using) & set(arm.blocks)]
    blocks = sorted({block for arm in arms for block in arm.blocks})
    limit = settings.flag_single_column_auc
    # The score of a network that has seen the row knows the outcome: no discovery.
    checked = [block for block in blocks if not (block == "deep" and settings.deep_score == "in-sample")]
    flagged = {block: _flagged(sources, block, rows, limit) if block in checked else [] for block in blocks}
    plain = with_deep = Blocks(sources, rows, settings.category_min_rows)
    if settings.deep_score == "inner-validation" and "deep" in blocks:
        with_deep = _held_out(sources, rows, settings.category_min_rows, [seed, repeat, fold])
    joint = load_joint(inputs, rows) if inputs.get("joint_features") else None

    fits: dict[str, dict[str, Any]] = {}
    tables = []
    for arm in arms:
        start = time.perf_counter()
        ours = joint if arm == answer else None
        encoded = with_deep if "deep" in arm.blocks else plain
        encoded = encoded.with_scores(ours.scores) if ours else encoded
        matrices = encoded.matrices(arm.blocks)
        heads = {
            name: fit_head(fit, matrices, encoded.rows, penalties, rule, settings.recalibrate)
            for name, (fit, penalties) in head_fits(arm, settings, [seed, repeat, fold]).items()
            if not (ours and name == "network")
        }
        if ours:
            heads["network"] = ours.fit(arm, encoded, rule, settings.recalibrate)
        encoders = {block: encoded.encoder(block) for block in arm.blocks}
        facts = {
            "columns": [name for encoder in encoders.values() for name in encoder.outputs],
            "candidates": sum(sources.candidates(block, encoders[block].outputs) for block in arm.blocks),
            "columns_flagged": [entry for block in arm.blocks for entry in flagged[block]],
            "n_train": int(encoded.rows.train.sum()),
            "events_train": int(encoded.rows.label[encoded.rows.train].sum()),
        }
        fits[arm.name] = {name: facts | _facts(head) for name, head in heads.items()}
        tables += [_predictions(arm, name, head, encoded.rows) for name, head in heads.items()]
        fitted = {name: FittedHead(head.model, head.recalibration, head.threshold) for name, head in heads.items()}
        save_arm(outputs["models"], FittedArm(arm.name, encoders, fitted))
        logger.info("%s: %d columns, %.1f s", arm.name, len(facts["columns"]), time.perf_counter() - start)

    warnings = [suspicious(entry["column"], limit) for block in blocks for entry in flagged[block]]
    for warning in warnings:
        logger.warning("%s", warning)
    write_table(outputs["predictions"], pd.concat(tables, ignore_index=True))
    write_json(
        outputs["fits"],
        {
            "headline": answer.name,
            "deep_score": _mode(settings, blocks, joint),
            "modalities": [name for name in sources.modalities if name in settings.modalities],
            "arms": fits,
            "warnings": public_table(dict.fromkeys(warnings)).to_dict("records"),
        },
    )


def _held_out(sources: Sources, rows: FoldRows, min_rows: int, seeds: Sequence[int]) -> Blocks:
    """What arms with the deep score are fitted on where one network has left out inner fold 0.

    Features are those selected on the rows of that network: neither scores nor features know the rows fitted on.
    """
    return Blocks(replace(sources, selected_on="inner-0"), rows.held_out(drawn_seed(seeds)), min_rows)


def _mode(settings: FusionSettings, blocks: Collection[str], joint: Joint | None) -> str | None:
    """Which network scored the rows fitted on; nothing is trained jointly for the controls."""
    if "deep" not in blocks:
        return None
    return "cross-fitted" if settings.deep_score == "joint" and joint is None else settings.deep_score


def _flagged(sources: Sources, block: str, rows: FoldRows, limit: float) -> list[dict[str, Any]]:
    """Columns of a block whose AUC on the training rows is beyond the limit."""
    table, kinds = sources.table(block, "outer")
    aucs = column_aucs(table[rows.train], kinds, rows.label[rows.train], rows.inner[rows.train])
    return [{"column": column, "auc": value} for column, value in aucs.items() if value > limit]


def head_fits(arm: Arm, settings: FusionSettings, seeds: Sequence[int]) -> dict[str, tuple[FitHead, list[float]]]:
    """How each head of an arm is fitted, and its penalties; `seeds` are those of the run, repeat and fold."""

    def logistic(blocks: Sequence[np.ndarray], label: np.ndarray, penalties: Sequence[float], part: str) -> Logistics:
        return fit_logistics(blocks, label, penalties)

    return {
        "network": (network_fitter(arm.name, settings.network, seeds), settings.network.penalties),
        "logistic": (logistic, settings.logistic_penalties),
    }


def _facts(head: HeadFit) -> dict[str, Any]:
    return {
        "threshold": head.threshold,
        "penalty": head.penalty,
        "recalibration": asdict(head.recalibration),
        "auc_inner": head.auc_inner,
        "auc_train": head.auc_train,
    }


def _predictions(arm: Arm, head: str, fit: HeadFit, rows: FoldRows) -> pd.DataFrame:
    part = np.where(rows.test, "test", "inner")
    return pd.DataFrame(
        {"patient": rows.patients, "arm": arm.name, "head": head, "part": part, "probability": fit.probability}
    )
