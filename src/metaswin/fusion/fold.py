"""Fit every arm of one outer fold."""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from metaswin.files import read_table, write_json, write_table
from metaswin.folds.rows import Folds, OuterFold, Place
from metaswin.fusion.arms import Arm, expand_arms, headline
from metaswin.fusion.blocks import Blocks
from metaswin.fusion.fit import FitHead, HeadFit, ThresholdRule, fit_head
from metaswin.fusion.logistic import Logistics, fit_logistics
from metaswin.fusion.modalities import SourceFiles, Sources, load_sources
from metaswin.fusion.network import network_fitter
from metaswin.fusion.settings import FusionSettings
from metaswin.fusion.store import FittedArm, FittedHead, save_arm
from metaswin.fusion.suspicion import column_aucs, suspicious
from metaswin.problems import public_table

logger = logging.getLogger("metaswin.fusion")


@dataclass(frozen=True)
class FusionOutputs:
    """Files that `train_fusion` writes: ``predictions`` (Parquet), ``fits`` (JSON) and the folder ``models``."""

    predictions: str
    fits: str
    models: str


def train_fusion(
    folds: str,
    files: SourceFiles,
    outputs: FusionOutputs,
    place: Place,
    sets: Mapping[str, list[str]],
    settings: FusionSettings,
    rule: ThresholdRule,
    seed: int,
    using: Collection[str] = (),
) -> None:
    """Fit all arms of one outer fold with both heads; write predictions, facts of the fits and the fitted arms.

    Parameters
    ----------
    folds : str
        ``folds/<endpoint>.parquet``.
    files : SourceFiles
    outputs : FusionOutputs
    place : Place
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
    rows = Folds.of(read_table(folds), place.repeat).outer(place.fold)
    rows.check_both_outcomes(str(place))
    sources = load_sources(rows.patients, files, sets)
    arms = expand_arms(settings, sources.modalities, sources.sets, sources.volume is not None)
    answer = headline(settings, arms, sources.modalities, sources.sets)
    arms = [arm for arm in arms if not using or set(using) & set(arm.blocks)]
    blocks = sorted({block for arm in arms for block in arm.blocks})
    limit = settings.flag_single_column_auc
    # The score of a network that has seen the row knows the outcome: no discovery.
    checked = [block for block in blocks if not (block == "deep" and settings.deep_score == "in-sample")]
    flagged = {block: _flagged(sources, block, rows, limit) if block in checked else [] for block in blocks}
    encoded = Blocks(sources, rows, settings.category_min_rows)

    seeds = [seed, place.repeat, place.fold]
    fits: dict[str, dict[str, Any]] = {}
    tables = []
    for arm in arms:
        start = time.perf_counter()
        matrices = encoded.matrices(arm.blocks)
        heads = {
            name: fit_head(fit, matrices, rows, penalties, rule, settings.recalibrate)
            for name, (fit, penalties) in head_fits(arm, settings, seeds).items()
        }
        encoders = {block: encoded.encoder(block) for block in arm.blocks}
        facts = {
            "columns": [name for encoder in encoders.values() for name in encoder.outputs],
            "candidates": sum(sources.chosen_among(block, encoders[block].outputs) for block in arm.blocks),
            "columns_flagged": [entry for block in arm.blocks for entry in flagged[block]],
            "n_train": int(rows.train.sum()),
            "events_train": int(rows.label[rows.train].sum()),
        }
        fits[arm.name] = {name: facts | _facts(head) for name, head in heads.items()}
        tables += [_predictions(arm, name, head, rows) for name, head in heads.items()]
        fitted = {name: FittedHead(head.model, head.recalibration, head.threshold) for name, head in heads.items()}
        save_arm(outputs.models, FittedArm(arm.name, encoders, fitted))
        logger.info("%s: %d columns, %.1f s", arm.name, len(facts["columns"]), time.perf_counter() - start)

    warnings = [suspicious(entry["column"], limit) for block in blocks for entry in flagged[block]]
    for warning in warnings:
        logger.warning("%s", warning)
    write_table(outputs.predictions, pd.concat(tables, ignore_index=True))
    write_json(
        outputs.fits,
        {
            **asdict(place),
            "headline": answer.name,
            "deep_score": settings.deep_score if "deep" in blocks else None,
            "modalities": [name for name in sources.modalities if name in settings.modalities],
            "arms": fits,
            "warnings": public_table(dict.fromkeys(warnings)).to_dict("records"),
        },
    )


def _flagged(sources: Sources, block: str, rows: OuterFold, limit: float) -> list[dict[str, Any]]:
    """Columns of a block whose AUC on the training rows is beyond the limit."""
    table, kinds = sources.table(block, rows.final)
    train = rows.train
    aucs = column_aucs(table[train], kinds, rows.label[train], rows.folds.fold[train])
    return [{"column": column, "auc": value} for column, value in aucs.items() if value > limit]


def head_fits(arm: Arm, settings: FusionSettings, seeds: Sequence[int]) -> dict[str, tuple[FitHead, list[float]]]:
    """How each head of an arm is fitted, and its penalties; `seeds` are those of the run, repeat and fold."""

    def logistic(blocks: Sequence[np.ndarray], label: np.ndarray, penalties: Sequence[float], fit: str) -> Logistics:
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


def _predictions(arm: Arm, head: str, fit: HeadFit, rows: OuterFold) -> pd.DataFrame:
    part = np.where(rows.test, "test", "inner")
    return pd.DataFrame(
        {"patient": rows.patients, "arm": arm.name, "head": head, "part": part, "probability": fit.probability}
    )
