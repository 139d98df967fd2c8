"""One fold's explanation: the work of rule ``explain_fusion``."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metaswin.clinical.predictors import UNKNOWN, normalised
from metaswin.explanation.players import SHOWN, column_players, modality_of, modality_players
from metaswin.explanation.settings import ExplanationSettings
from metaswin.explanation.shapley import Shares, exact_shares, logit_of, sampled_shares
from metaswin.files import read_json, read_table, write_table
from metaswin.folds.rows import Folds
from metaswin.fusion.encode import CategoryColumn, RegionFlag
from metaswin.fusion.modalities import SourceFiles, load_sources
from metaswin.fusion.store import FittedArm, load_arm

# Permutations of a head without interactions: one is exact.
PERMUTATIONS = {"logistic": 1}
TOLERANCE = 1e-6


@dataclass(frozen=True)
class ExplanationInputs:
    """Files that `explain_fold` reads beside the sources: folds, and what `metaswin.fusion.fold.train_fusion` wrote."""

    folds: str
    predictions: str
    fits: str
    models: str


def explain_fold(
    inputs: ExplanationInputs,
    files: SourceFiles,
    modalities: str,
    features: str,
    sets: Mapping[str, list[str]],
    settings: ExplanationSettings,
    seed: int,
) -> None:
    """Shapley values of the headline arm's heads on held-out rows of one outer fold, with training rows as background.

    Nothing is fitted, and labels only tell which rows have one. Writes long tables with ``repeat, fold``: `modalities`
    (`patient, head, modality, contribution, base, logit`) and `features` (`patient, head, modality, feature, value,
    level, contribution`: the columns of the modalities in `SHOWN` alone).

    Parameters
    ----------
    inputs : ExplanationInputs
    files : SourceFiles
        Those of `metaswin.fusion.fold.train_fusion`; of the tables of features only those of the final fit.
    modalities, features : str
        Written.
    sets, settings, seed

    Raises
    ------
    RuntimeError
        If the logit explained is not the one that predicted.
    """
    fits = read_json(inputs.fits)
    repeat, fold = fits["repeat"], fits["fold"]
    rows = Folds.of(read_table(inputs.folds), repeat).outer(fold)
    sources = load_sources(rows.patients, files, sets)
    arm = load_arm(inputs.models, fits["headline"])
    tables = {block: sources.table(block, rows.final)[0] for block in arm.encoders}
    encoded = np.concatenate([encoder.transform(tables[block]) for block, encoder in arm.encoders.items()], axis=1)
    rng = np.random.default_rng([seed, repeat, fold, zlib.crc32(b"explanation")])
    background = encoded[_sampled(rows.train, settings.background, rng)]
    held_out = _sampled(rows.test, settings.patients, rng)
    patients = [rows.patients[row] for row in held_out]
    _check(arm, encoded[held_out], patients, read_table(inputs.predictions))

    values = {block: table.iloc[held_out] for block, table in tables.items()}
    place = {"repeat": repeat, "fold": fold}
    of_modalities, of_features = [], []
    for name, head in arm.heads.items():
        logit = logit_of(head, _widths(arm))
        explained = encoded[held_out], background
        exact = exact_shares(logit, *explained, modality_players(arm.encoders))
        of_modalities.append(_modality_table(arm, exact, logit(encoded[held_out]), patients).assign(head=name, **place))
        players = column_players(arm.encoders)
        orders = PERMUTATIONS.get(name, settings.permutations)
        sampled = sampled_shares(logit, *explained, players, orders, int(rng.integers(2**31)))
        of_features.append(_feature_table(arm, sampled, values, patients).assign(head=name, **place))
    write_table(modalities, pd.concat(of_modalities, ignore_index=True))
    write_table(features, pd.concat(of_features, ignore_index=True))


def _sampled(chosen: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of the chosen rows in their order, at most so many of them, drawn at random."""
    positions = np.flatnonzero(chosen)
    return positions if len(positions) <= most else np.sort(rng.choice(positions, most, replace=False))


def _widths(arm: FittedArm) -> list[int]:
    return [len(encoder.outputs) for encoder in arm.encoders.values()]


def _check(arm: FittedArm, encoded: np.ndarray, patients: list[str], predictions: pd.DataFrame) -> None:
    """Explain nothing but the predictions of this fold."""
    chosen = predictions[(predictions["arm"] == arm.name) & predictions["patient"].isin(patients)]
    for name, head in arm.heads.items():
        logits = head.model.logits(np.split(encoded, np.cumsum(_widths(arm))[:-1], axis=1))[0]
        wanted = chosen[chosen["head"] == name].set_index("patient")["probability"].reindex(patients)
        worst = np.abs(head.recalibration.probability(logits) - wanted.to_numpy(dtype="float64")).max()
        if not worst <= TOLERANCE:
            raise RuntimeError(f"{arm.name}, {name}: the fitted arm gives other predictions than those of this fold")


def _modality_table(arm: FittedArm, shares: Shares, logits: np.ndarray, patients: list[str]) -> pd.DataFrame:
    """A modality without a column contributes nothing."""
    position = {name: i for i, (name,) in enumerate(shares.players.names)}
    nothing = np.zeros(len(patients))
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "patient": patients,
                    "modality": modality,
                    "contribution": shares.values[:, position[modality]] if modality in position else nothing,
                    "base": shares.base,
                    "logit": logits,
                }
            )
            for modality in dict.fromkeys(map(modality_of, arm.encoders))
        ],
        ignore_index=True,
    )


def _feature_table(
    arm: FittedArm, shares: Shares, tables: Mapping[str, pd.DataFrame], patients: list[str]
) -> pd.DataFrame:
    """Contribution of each column that is shown, with the patient's value or, of a category, its level."""
    columns = {
        (modality_of(block), column.name): (column, tables[block])
        for block, encoder in arm.encoders.items()
        for column in encoder.columns
    }
    parts = [pd.DataFrame(_blank(0))]
    for i, player in enumerate(shares.players.names):
        if player[0] not in SHOWN:
            continue
        column, table = columns[player]
        facts: dict[str, Any] = _blank(len(patients)) | {"patient": patients, "modality": player[0]}
        facts |= {"feature": player[1], "contribution": shares.values[:, i]}
        if isinstance(column, RegionFlag):
            facts["value"] = column.of(table)[:, 0]
        elif isinstance(column, CategoryColumn):
            facts["level"] = [x if x in column.levels else UNKNOWN for x in normalised(table[column.name])]
        else:
            facts["value"] = table[column.name].to_numpy(dtype="float64", na_value=np.nan)
        parts.append(pd.DataFrame(facts))
    return pd.concat([part.astype(_TYPES) for part in parts], ignore_index=True)


_TYPES = {"patient": "str", "modality": "str", "feature": "str", "value": "float64", "level": "str",
          "contribution": "float64"}  # fmt: skip


def _blank(rows: int) -> dict[str, Any]:
    return {name: [np.nan if kind == "float64" else None] * rows for name, kind in _TYPES.items()}
