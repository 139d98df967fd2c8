"""Fit the hazard head of every arm of one fold."""

import logging
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metaswin.clinical.label import CENSORED, DEATH, METASTASIS
from metaswin.files import read_table, write_json, write_table
from metaswin.fusion.arms import Arm, parse_arm
from metaswin.fusion.blocks import Blocks
from metaswin.fusion.encode import BlockEncoder
from metaswin.fusion.modalities import load_sources
from metaswin.fusion.network import drawn_seed
from metaswin.fusion.settings import FusionSettings
from metaswin.survival.arms import hazard_arms
from metaswin.survival.intervals import interval_cuts, states
from metaswin.survival.network import HazardNetworks, fit_hazards, incidence, negative_log_likelihood
from metaswin.survival.rows import SurvivalRows
from metaswin.survival.settings import SurvivalSettings
from metaswin.survival.store import FittedHazard, incidence_at, save_hazard

logger = logging.getLogger("metaswin.survival")


@dataclass(frozen=True)
class HazardFit:
    """A fitted hazard head with its predictions.

    Attributes
    ----------
    model : HazardNetworks
        Fitted on the part ``outer``, one penalty.
    penalty : float
    loss_inner : float
        Negative log-likelihood a row of inner out-of-fold predictions.
    cuts, times : ndarray
        Ends of the intervals of the part ``outer``, and those of them up to the horizon.
    metastasis, death : ndarray of shape (rows, len(times))
        Cumulative incidence at `times`: inner out-of-fold for training rows, of `model` for test rows. The last
        column is the risk at the horizon.
    """

    model: HazardNetworks
    penalty: float
    loss_inner: float
    cuts: NDArray
    times: NDArray
    metastasis: NDArray
    death: NDArray


def train_hazard(
    inputs: Mapping[str, str | None],
    outputs: Mapping[str, str],
    repeat: int,
    fold: int,
    horizon: float,
    sets: Mapping[str, list[str]],
    settings: SurvivalSettings,
    fusion: FusionSettings,
    seed: int,
) -> None:
    """Fit the hazard head of every arm; write predictions, facts of the fits and the fitted heads.

    Where the training rows cannot tell a risk at the horizon, predictions are missing and the facts say why.

    Parameters
    ----------
    inputs : mapping
        Paths of ``folds`` and of what `metaswin.fusion.modalities.load_sources` reads.
    outputs : mapping
        ``predictions`` (Parquet), ``fits`` (JSON), ``models`` (folder).
    repeat, fold : int
    horizon : float
        Days.
    sets : mapping
        Clinical set → columns.
    settings, fusion, seed
        `fusion` says what the arms are made of.

    Raises
    ------
    UserError
        For sets or arms that these data cannot serve.
    """
    rows = SurvivalRows.of(read_table(inputs["folds"]), repeat, fold)
    sources = load_sources(rows.patients, inputs, sets)
    has_volume = sources.volume is not None
    arms = hazard_arms(settings.arms, fusion, sources.modalities, sources.sets, has_volume)
    answer = parse_arm(fusion.headline_arm, fusion, sources.modalities, sources.sets, has_volume)
    why = rows.why_not(horizon)
    Path(outputs["models"]).mkdir(parents=True, exist_ok=True)
    if why:
        logger.warning("not estimable: %s", why)
    encoded = Blocks(sources, rows, fusion.category_min_rows)
    tables, fits = [], {}
    for arm in arms:
        if why:
            tables.append(_missing(arm, rows))
            fits[arm.name] = {}
            continue
        start = time.perf_counter()
        fit = fit_hazard(arm.name, encoded.matrices(arm.blocks), rows, horizon, settings, [seed, repeat, fold])
        thresholds = group_thresholds(fit.metastasis[rows.train, -1], settings.groups)
        encoders = {block: encoded.encoder(block) for block in arm.blocks}
        save_hazard(outputs["models"], FittedHazard(arm.name, encoders, fit.model, fit.cuts, horizon, thresholds))
        tables.append(_predictions(arm, fit, rows))
        fits[arm.name] = _facts(encoders, fit, thresholds)
        logger.info("%s: %.1f s", arm.name, time.perf_counter() - start)
    write_table(outputs["predictions"], pd.concat(tables, ignore_index=True))
    write_json(
        outputs["fits"],
        {
            "headline": answer.name,
            "horizon_days": horizon,
            "why": why,
            "rows": _counts(rows, horizon),
            "arms": fits,
        },
    )


def fit_hazard(
    name: str,
    blocks: Mapping[str, Sequence[NDArray]],
    rows: SurvivalRows,
    horizon: float,
    settings: SurvivalSettings,
    seeds: Sequence[int],
) -> HazardFit:
    """Fit one arm on every part of a fold.

    Each inner part is fitted for every penalty and predicts the inner fold it left out. The penalty with the lowest
    negative log-likelihood of these predictions is fitted on all training rows. Each part has its own interval
    cuts, from the rows it is fitted on.

    Parameters
    ----------
    name : str
        Arm; its seed follows from the name, so that a fit does not depend on which others run.
    blocks : mapping
        Part → encoded modalities of all rows, encoded as fitted on that part's training rows.
    rows, horizon, settings, seeds
    """
    penalties = sorted(settings.network.penalties)
    cuts = {
        part: interval_cuts(rows.time[rows.fitted(part)], rows.event[rows.fitted(part)], horizon, settings.intervals)
        for part in rows.parts
    }
    times = cuts["outer"][cuts["outer"] <= horizon]

    def fitted(part: str, wanted: Sequence[float]) -> HazardNetworks:
        chosen = rows.fitted(part)
        entropy = [*seeds, zlib.crc32(name.encode()), zlib.crc32(part.encode())]
        return fit_hazards(
            [block[chosen] for block in blocks[part]],
            states(rows.time[chosen], rows.event[chosen], cuts[part]),
            cuts[part],
            wanted,
            settings.network,
            drawn_seed(entropy),
        )

    shape = (len(penalties), len(rows.time), len(times))
    losses = np.full(shape[:2], np.nan)
    metastasis, death = np.full(shape, np.nan), np.full(shape, np.nan)
    for part in rows.parts[1:]:
        predicted = rows.predicted(part)
        hazards = fitted(part, penalties).hazards([block[predicted] for block in blocks[part]])
        known = predicted & rows.train
        state = states(rows.time[known], rows.event[known], cuts[part])
        losses[:, known] = negative_log_likelihood(hazards[:, known[predicted]], state)
        for i, curves in enumerate(zip(*incidence(hazards), strict=True)):
            for found, curve in zip((metastasis, death), curves, strict=True):
                found[i, predicted] = incidence_at(curve, cuts[part], times)
    mean = losses[:, rows.train].mean(axis=1)
    best = int(np.argmin(mean))
    model = fitted("outer", [penalties[best]])
    curves = incidence(model.hazards([block[rows.test] for block in blocks["outer"]])[0])
    for found, curve in zip((metastasis, death), curves, strict=True):
        found[best, rows.test] = curve[:, : len(times)]
    return HazardFit(model, penalties[best], float(mean[best]), cuts["outer"], times, metastasis[best], death[best])


def group_thresholds(risk: NDArray, groups: int) -> tuple[float, ...]:
    """Limits of risk groups: quantiles of inner out-of-fold risks of the training rows, ascending."""
    return tuple(float(limit) for limit in np.quantile(risk, np.arange(1, groups) / groups))


def _predictions(arm: Arm, fit: HazardFit, rows: SurvivalRows) -> pd.DataFrame:
    return _table(arm, rows).assign(
        risk=fit.metastasis[:, -1],
        risk_death=fit.death[:, -1],
        cif_dm=fit.metastasis.astype("float32").tolist(),
        cif_death=fit.death.astype("float32").tolist(),
    )


def _missing(arm: Arm, rows: SurvivalRows) -> pd.DataFrame:
    nothing = [[] for _ in rows.patients]
    return _table(arm, rows).assign(risk=np.nan, risk_death=np.nan, cif_dm=nothing, cif_death=nothing)


def _table(arm: Arm, rows: SurvivalRows) -> pd.DataFrame:
    part = np.where(rows.test, "test", "inner")
    return pd.DataFrame({"patient": rows.patients, "arm": arm.name, "part": part})


def _facts(encoders: Mapping[str, BlockEncoder], fit: HazardFit, thresholds: Sequence[float]) -> dict[str, Any]:
    return {
        "columns": [name for encoder in encoders.values() for name in encoder.outputs],
        "cuts": fit.cuts.tolist(),
        "times": fit.times.tolist(),
        "penalty": fit.penalty,
        "loss_inner": fit.loss_inner,
        "thresholds": list(thresholds),
    }


def _counts(rows: SurvivalRows, horizon: float) -> dict[str, int]:
    """What the training rows hold."""
    time, event = rows.time[rows.train], rows.event[rows.train]
    return {
        "train": len(time),
        "metastases": int(np.sum(event == METASTASIS)),
        "deaths": int(np.sum(event == DEATH)),
        "lost_before_horizon": int(np.sum((event == CENSORED) & (time < horizon))),
    }
