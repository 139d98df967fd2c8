"""Fit, store and load the hazard models of one outer fold."""

import logging
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors.numpy import save_file

from metaswin.cohort.folds import Folds, OuterFold, Place
from metaswin.cohort.outcomes import CENSORED, DEATH, METASTASIS
from metaswin.config.feature_sets import FeatureSet, hazard_feature_sets, parse_feature_set
from metaswin.config.models import FusionSettings, SurvivalSettings
from metaswin.core.files import atomic, read_table, write_json, write_table
from metaswin.features.encoder import ModalityEncoder
from metaswin.features.modalities import EncodedModalities, ModalityFiles, load_modality_tables
from metaswin.models.classifiers import drawn_seed
from metaswin.models.fusion import FoldOutputs, encoder_tensors, feature_set_file
from metaswin.models.hazard_network import (
    HazardNetworks,
    fit_hazards,
    incidence,
    interval_cuts,
    negative_log_likelihood,
    states,
)


@dataclass(frozen=True)
class FittedHazard:
    """Hold a fitted hazard model of one feature set.

    Attributes
    ----------
    name : str
        Feature set.
    encoders : dict
        Modality → encoder, in the order in which the network takes them.
    model : HazardNetworks
        One penalty.
    cuts : ndarray of shape (T,)
        Ends of the intervals, days.
    horizon : float
        Days; one of `cuts`.
    thresholds : tuple of float
        Limits of the risk groups, ascending. A group contains the risks at or above its lower limit.
    """

    name: str
    encoders: dict[str, ModalityEncoder]
    model: HazardNetworks
    cuts: NDArray
    horizon: float
    thresholds: tuple[float, ...]


def incidence_at(incidence: NDArray, cuts: NDArray, days: NDArray) -> NDArray:
    """Return the cumulative incidence at any days, by linear interpolation between the cuts, from 0 at day 0.

    Parameters
    ----------
    incidence : ndarray, shape (rows, T)
        Cumulative incidence at `cuts`.
    cuts, days : ndarray, shapes (T,) and (m,)
        Days must not be after the last cut.

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
    """Write ``<feature_set>.safetensors`` and ``<feature_set>.json`` below `folder`."""
    path = feature_set_file(folder, fitted.name)
    tensors = {name: np.ascontiguousarray(array) for name, array in fitted.model.weights.items()}
    tensors |= encoder_tensors(fitted.encoders)
    with atomic(f"{path}.safetensors") as temporary:
        save_file(tensors, temporary)
    write_json(
        f"{path}.json",
        {
            "name": fitted.name,
            # A list, because JSON objects are written with sorted keys and the order of the modalities matters.
            "modalities": [
                {"modality": modality, "width": len(encoder.outputs), "columns": encoder.as_json()}
                for modality, encoder in fitted.encoders.items()
            ],
            "cuts": fitted.cuts.tolist(),
            "horizon": fitted.horizon,
            "thresholds": list(fitted.thresholds),
        },
    )


logger = logging.getLogger("metaswin.models")


@dataclass(frozen=True)
class HazardFit:
    """Hold a fitted hazard model with its predictions.

    Attributes
    ----------
    model : HazardNetworks
        Fitted on all training rows, one penalty.
    penalty : float
    loss_inner : float
        Negative log-likelihood per row of the inner out-of-fold predictions.
    cuts, times : ndarray
        Ends of the intervals of `model`, and the ends up to the horizon.
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
    folds: str,
    files: ModalityFiles,
    outputs: FoldOutputs,
    place: Place,
    horizon: float,
    sets: Mapping[str, list[str]],
    settings: SurvivalSettings,
    fusion: FusionSettings,
    seed: int,
) -> None:
    """Fit the hazard model of every feature set; write predictions, facts of the fits and the fitted classifiers.

    If the risk at the horizon cannot be estimated from the training rows, the predictions are missing and the facts
    state the reason.

    Parameters
    ----------
    folds : str
        ``folds/<endpoint>.parquet``.
    files : ModalityFiles
    outputs : FoldOutputs
    place : Place
    horizon : float
        Days.
    sets : mapping
        Clinical set → columns.
    settings, fusion, seed
        `fusion` defines the modalities of the feature sets.

    Raises
    ------
    UserError
        If these data lack a clinical set or a feature set.
    """
    rows = Folds.of(read_table(folds), place.repeat).with_followup().outer(place.fold)
    modality_tables = load_modality_tables(rows.patients, files, sets)
    has_volume = modality_tables.volume is not None
    feature_sets = hazard_feature_sets(
        settings.feature_sets, fusion, modality_tables.modalities, modality_tables.sets, has_volume
    )
    primary = parse_feature_set(
        fusion.primary_feature_set, fusion, modality_tables.modalities, modality_tables.sets, has_volume
    )
    why = why_not(rows, horizon)
    Path(outputs.models).mkdir(parents=True, exist_ok=True)
    if why:
        logger.warning("not estimable: %s", why)
    encoded = EncodedModalities(modality_tables, rows, fusion)
    tables = []
    fits: dict[str, dict[str, Any]] = {}
    for feature_set in feature_sets:
        if why:
            tables.append(_missing(feature_set, rows))
            fits[feature_set.name] = {}
            continue
        start = time.perf_counter()
        seeds = [seed, place.repeat, place.fold]
        fit = fit_hazard(feature_set.name, encoded.matrices(feature_set.modalities), rows, horizon, settings, seeds)
        thresholds = group_thresholds(fit.metastasis[rows.train, -1], settings.groups)
        encoders = {modality: encoded.encoder(modality) for modality in feature_set.modalities}
        save_hazard(outputs.models, FittedHazard(feature_set.name, encoders, fit.model, fit.cuts, horizon, thresholds))
        tables.append(_predictions(feature_set, fit, rows))
        fits[feature_set.name] = _facts(encoders, fit, thresholds)
        logger.info("%s: %.1f s", feature_set.name, time.perf_counter() - start)
    write_table(outputs.predictions, pd.concat(tables, ignore_index=True))
    write_json(
        outputs.fits,
        {
            **asdict(place),
            "primary": primary.name,
            "horizon_days": horizon,
            "why": why,
            "rows": _counts(rows, horizon),
            "feature_sets": fits,
        },
    )


def why_not(rows: OuterFold, horizon: float) -> str:
    """Return why the risk at the horizon cannot be estimated from these training rows; empty if it can."""
    for fit in rows.fits:
        chosen = rows.fitted(fit)
        where = "the training rows" if fit == rows.final else f"the training rows of fit {fit}"
        if not (rows.event[chosen] == METASTASIS).any():
            return f"no metastasis in {where}"
        if not (rows.time[chosen] >= horizon).any():
            return f"none of {where} is followed to the horizon of {horizon:g} days"
    return ""


def fit_hazard(
    name: str,
    modalities: Mapping[str, Sequence[NDArray]],
    rows: OuterFold,
    horizon: float,
    settings: SurvivalSettings,
    seeds: Sequence[int],
) -> HazardFit:
    """Fit one feature set in every fit of an outer fold.

    Each inner fit is repeated for every penalty and predicts the inner fold that it excludes. The penalty with the
    lowest negative log-likelihood of these predictions is used for the fit on all training rows. Each fit has its own
    interval cuts, derived from its training rows.

    Parameters
    ----------
    name : str
        Feature set. Its seed is derived from the name, so that a fit does not depend on the other feature sets.
    modalities : mapping
        Fit → encoded modalities of all rows; the encoders are fitted on that fit's training rows.
    rows, horizon, settings, seeds
    """
    penalties = sorted(settings.network.penalties)
    cuts = {
        fit: interval_cuts(rows.time[rows.fitted(fit)], rows.event[rows.fitted(fit)], horizon, settings.intervals)
        for fit in rows.fits
    }
    times = cuts[rows.final][cuts[rows.final] <= horizon]

    def fitted(fit: str, wanted: Sequence[float]) -> HazardNetworks:
        chosen = rows.fitted(fit)
        entropy = [*seeds, zlib.crc32(name.encode()), zlib.crc32(fit.encode())]
        return fit_hazards(
            [modality[chosen] for modality in modalities[fit]],
            states(rows.time[chosen], rows.event[chosen], cuts[fit]),
            cuts[fit],
            wanted,
            settings.network,
            drawn_seed(entropy),
        )

    shape = (len(penalties), len(rows.time), len(times))
    losses = np.full(shape[:2], np.nan)
    metastasis, death = np.full(shape, np.nan), np.full(shape, np.nan)
    for fit in rows.inner:
        scored = rows.scored(fit)
        hazards = fitted(fit, penalties).hazards([modality[scored] for modality in modalities[fit]])
        known = scored & rows.train
        state = states(rows.time[known], rows.event[known], cuts[fit])
        losses[:, known] = negative_log_likelihood(hazards[:, known[scored]], state)
        for i, curves in enumerate(zip(*incidence(hazards), strict=True)):
            for found, curve in zip((metastasis, death), curves, strict=True):
                found[i, scored] = incidence_at(curve, cuts[fit], times)
    mean = losses[:, rows.train].mean(axis=1)
    best = int(np.argmin(mean))
    model = fitted(rows.final, [penalties[best]])
    curves = incidence(model.hazards([modality[rows.test] for modality in modalities[rows.final]])[0])
    for found, curve in zip((metastasis, death), curves, strict=True):
        found[best, rows.test] = curve[:, : len(times)]
    cut = cuts[rows.final]
    return HazardFit(model, penalties[best], float(mean[best]), cut, times, metastasis[best], death[best])


def group_thresholds(risk: NDArray, groups: int) -> tuple[float, ...]:
    """Return the limits of the risk groups, ascending: quantiles of inner out-of-fold risks of the training rows."""
    return tuple(float(limit) for limit in np.quantile(risk, np.arange(1, groups) / groups))


def _predictions(feature_set: FeatureSet, fit: HazardFit, rows: OuterFold) -> pd.DataFrame:
    return _table(feature_set, rows).assign(
        risk=fit.metastasis[:, -1],
        risk_death=fit.death[:, -1],
        cif_dm=fit.metastasis.astype("float32").tolist(),
        cif_death=fit.death.astype("float32").tolist(),
    )


def _missing(feature_set: FeatureSet, rows: OuterFold) -> pd.DataFrame:
    nothing: list[list[float]] = [[] for _ in rows.patients]
    return _table(feature_set, rows).assign(risk=np.nan, risk_death=np.nan, cif_dm=nothing, cif_death=nothing)


def _table(feature_set: FeatureSet, rows: OuterFold) -> pd.DataFrame:
    part = np.where(rows.test, "test", "inner")
    return pd.DataFrame({"patient": rows.patients, "feature_set": feature_set.name, "part": part})


def _facts(encoders: Mapping[str, ModalityEncoder], fit: HazardFit, thresholds: Sequence[float]) -> dict[str, Any]:
    return {
        "columns": [name for encoder in encoders.values() for name in encoder.outputs],
        "cuts": fit.cuts.tolist(),
        "times": fit.times.tolist(),
        "penalty": fit.penalty,
        "loss_inner": fit.loss_inner,
        "thresholds": list(thresholds),
    }


def _counts(rows: OuterFold, horizon: float) -> dict[str, int]:
    """Return counts of the training rows."""
    time, event = rows.time[rows.train], rows.event[rows.train]
    return {
        "train": len(time),
        "metastases": int(np.sum(event == METASTASIS)),
        "deaths": int(np.sum(event == DEATH)),
        "censored_before_horizon": int(np.sum((event == CENSORED) & (time < horizon))),
    }
