"""Explain the predictions of each fold and collect the explanations of an endpoint."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metaswin.cohort.folds import Folds
from metaswin.cohort.predictors import UNKNOWN, normalised
from metaswin.config.evaluation import ExplanationSettings
from metaswin.core.files import read_json, read_table, write_table
from metaswin.evaluation.shapley import (
    SHOWN,
    ShapleyValues,
    column_groups,
    exact_shapley,
    logit_of,
    modality_groups,
    modality_name,
    sampled_shapley,
)
from metaswin.features.encoder import CategoryColumn, RegionFlag
from metaswin.features.modalities import ModalityFiles, load_modality_tables
from metaswin.models.fusion import FittedFeatureSet, load_feature_set

# A classifier without interactions needs only one permutation, which is exact.
PERMUTATIONS = {"logistic": 1}
TOLERANCE = 1e-6


@dataclass(frozen=True)
class ExplanationInputs:
    """Name the files that `explain_fold` reads in addition to the modality tables."""

    folds: str
    predictions: str
    fits: str
    models: str


def explain_fold(
    inputs: ExplanationInputs,
    files: ModalityFiles,
    modalities: str,
    features: str,
    sets: Mapping[str, list[str]],
    settings: ExplanationSettings,
    seed: int,
) -> None:
    """Compute Shapley values of the primary feature set's classifiers on the held-out rows of one outer fold.

    Training rows are the background. Nothing is fitted. Labels are used only to find the rows with a known label.

    The output is two long tables with ``repeat, fold``: `modalities` (`patient, classifier, modality, contribution,
    base, logit`) and `features` (`patient, classifier, modality, feature, value, level, contribution`, only for columns
    of the modalities in `SHOWN`).

    Parameters
    ----------
    inputs : ExplanationInputs
    files : ModalityFiles
        Files of `metaswin.models.fusion.train_fusion`, with the tables of features of the final fit only.
    modalities, features : str
        Files to write.
    sets, settings, seed

    Raises
    ------
    RuntimeError
        If the explained logit does not give the prediction of the fold.
    """
    fits = read_json(inputs.fits)
    repeat, fold = fits["repeat"], fits["fold"]
    rows = Folds.of(read_table(inputs.folds), repeat).outer(fold)
    modality_tables = load_modality_tables(rows.patients, files, sets)
    feature_set = load_feature_set(inputs.models, fits["primary"])
    tables = {modality: modality_tables.table(modality, rows.final)[0] for modality in feature_set.encoders}
    encoded = np.concatenate(
        [encoder.transform(tables[modality]) for modality, encoder in feature_set.encoders.items()], axis=1
    )
    rng = np.random.default_rng([seed, repeat, fold, zlib.crc32(b"explanation")])
    background = encoded[_sampled(rows.train, settings.background, rng)]
    held_out = _sampled(rows.test, settings.patients, rng)
    patients = [rows.patients[row] for row in held_out]
    _check(feature_set, encoded[held_out], patients, read_table(inputs.predictions))

    values = {modality: table.iloc[held_out] for modality, table in tables.items()}
    place = {"repeat": repeat, "fold": fold}
    of_modalities, of_features = [], []
    for name, classifier in feature_set.classifiers.items():
        logit = logit_of(classifier, _widths(feature_set))
        explained = encoded[held_out], background
        exact = exact_shapley(logit, *explained, modality_groups(feature_set.encoders))
        of_modalities.append(
            _modality_table(feature_set, exact, logit(encoded[held_out]), patients).assign(classifier=name, **place)
        )
        groups = column_groups(feature_set.encoders)
        orders = PERMUTATIONS.get(name, settings.permutations)
        sampled = sampled_shapley(logit, *explained, groups, orders, int(rng.integers(2**31)))
        of_features.append(_feature_table(feature_set, sampled, values, patients).assign(classifier=name, **place))
    write_table(modalities, pd.concat(of_modalities, ignore_index=True))
    write_table(features, pd.concat(of_features, ignore_index=True))


def _sampled(chosen: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return the positions of the chosen rows in their order, at most `most` of them, drawn at random."""
    positions = np.flatnonzero(chosen)
    return positions if len(positions) <= most else np.sort(rng.choice(positions, most, replace=False))


def _widths(feature_set: FittedFeatureSet) -> list[int]:
    return [len(encoder.outputs) for encoder in feature_set.encoders.values()]


def _check(feature_set: FittedFeatureSet, encoded: np.ndarray, patients: list[str], predictions: pd.DataFrame) -> None:
    """Check that the explained classifiers give the predictions of this fold."""
    chosen = predictions[(predictions["feature_set"] == feature_set.name) & predictions["patient"].isin(patients)]
    for name, classifier in feature_set.classifiers.items():
        logits = classifier.model.logits(np.split(encoded, np.cumsum(_widths(feature_set))[:-1], axis=1))[0]
        wanted = chosen[chosen["classifier"] == name].set_index("patient")["probability"].reindex(patients)
        worst = np.abs(classifier.recalibration.probability(logits) - wanted.to_numpy(dtype="float64")).max()
        if not worst <= TOLERANCE:
            raise RuntimeError(
                f"{feature_set.name}, {name}: the fitted feature set does not give the predictions of this fold"
            )


def _modality_table(
    feature_set: FittedFeatureSet, shapley: ShapleyValues, logits: np.ndarray, patients: list[str]
) -> pd.DataFrame:
    """Build the table of contributions; a modality without columns contributes 0."""
    position = {name: i for i, (name,) in enumerate(shapley.groups.names)}
    nothing = np.zeros(len(patients))
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "patient": patients,
                    "modality": modality,
                    "contribution": shapley.values[:, position[modality]] if modality in position else nothing,
                    "base": shapley.base,
                    "logit": logits,
                }
            )
            for modality in dict.fromkeys(map(modality_name, feature_set.encoders))
        ],
        ignore_index=True,
    )


def _feature_table(
    feature_set: FittedFeatureSet, shapley: ShapleyValues, tables: Mapping[str, pd.DataFrame], patients: list[str]
) -> pd.DataFrame:
    """Build the table of contributions of each shown column, with the patient's value or category level."""
    columns = {
        (modality_name(modality), column.name): (column, tables[modality])
        for modality, encoder in feature_set.encoders.items()
        for column in encoder.columns
    }
    parts = [pd.DataFrame(_blank(0))]
    for i, group in enumerate(shapley.groups.names):
        if group[0] not in SHOWN:
            continue
        column, table = columns[group[0], group[1]]
        facts: dict[str, Any] = _blank(len(patients)) | {"patient": patients, "modality": group[0]}
        facts |= {"feature": group[1], "contribution": shapley.values[:, i]}
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


# No direction is reported if the mean rank correlation of value and contribution is smaller than this.
CLEAR = 0.3
FOLD = ["repeat", "fold"]


@dataclass(frozen=True)
class ExplanationOutputs:
    """Name the tables of modalities and features that `collect_explanation` writes, for both classifiers."""

    modalities: str
    features: str
    modalities_logistic: str
    features_logistic: str


def collect_explanation(modalities: Sequence[str], features: Sequence[str], outputs: ExplanationOutputs) -> None:
    """Join the folds of one endpoint.

    Parameters
    ----------
    modalities, features : sequence of path
        Tables of `metaswin.evaluation.explanation.explain_fold`.
    outputs : ExplanationOutputs
    """
    of_modalities, of_features = (
        pd.concat(map(read_table, paths), ignore_index=True) for paths in (modalities, features)
    )
    for classifier, pooled_modalities, pooled_features in [
        ("network", outputs.modalities, outputs.features),
        ("logistic", outputs.modalities_logistic, outputs.features_logistic),
    ]:
        write_table(pooled_modalities, pool_modalities(of_modalities[of_modalities["classifier"] == classifier]))
        write_table(pooled_features, pool_features(of_features[of_features["classifier"] == classifier]))


def pool_modalities(contributions: pd.DataFrame) -> pd.DataFrame:
    """Compute the mean |contribution| of each modality over the held-out rows of each fold, and its share of the sum.

    Returns
    -------
    DataFrame
        ``repeat, fold, modality, mean_abs, share, patients``. `share` is missing if all contributions are 0.
    """
    size = contributions.assign(mean_abs=contributions["contribution"].abs())
    pooled = size.groupby([*FOLD, "modality"], sort=False)["mean_abs"].agg(["mean", "size"]).reset_index()
    pooled = pooled.rename(columns={"mean": "mean_abs", "size": "patients"})
    total = pooled.groupby(FOLD)["mean_abs"].transform("sum")
    pooled["share"] = (pooled["mean_abs"] / total).where(total > 0)
    return pooled[[*FOLD, "modality", "mean_abs", "share", "patients"]]


def pool_features(contributions: pd.DataFrame) -> pd.DataFrame:
    """Pool each column over the folds whose model contains it, largest first within its modality.

    Returns
    -------
    DataFrame
        ``modality, feature, folds, mean_abs, direction``. `folds` is the number of folds of the row. `mean_abs` is the
        mean over these folds of the mean |contribution|. `direction` describes in words when contributions are high.
        For a number it uses the mean rank correlation of value and contribution within folds, and for a category the
        level with the highest mean.
    """
    rows = [
        {
            "modality": modality,
            "feature": feature,
            "folds": part[FOLD].drop_duplicates().shape[0],
            "mean_abs": part["contribution"].abs().groupby([part["repeat"], part["fold"]]).mean().mean(),
            "direction": _direction(part),
        }
        for (modality, feature), part in contributions.groupby(["modality", "feature"], sort=False)
    ]
    table = pd.DataFrame(rows, columns=["modality", "feature", "folds", "mean_abs", "direction"])
    order = list(dict.fromkeys(table["modality"]))
    table = table.sort_values(
        ["modality", "mean_abs", "feature"],
        ascending=[True, False, True],
        key=lambda column: column.map(order.index) if column.name == "modality" else column,
        ignore_index=True,
    )
    return table.astype({"modality": "str", "feature": "str", "direction": "str"})


def _direction(part: pd.DataFrame) -> str:
    if part["level"].notna().any():
        means = part.groupby("level")["contribution"].mean()
        return f"highest for {means.idxmax()}" if np.ptp(means) > 0 else "none"
    found = [_rank_correlation(fold) for _, fold in part.groupby(FOLD)]
    known = [value for value in found if value is not None]
    mean = float(np.mean(known)) if known else 0.0
    if not known or not part["contribution"].abs().max() > 0:
        return "none"
    if abs(mean) < CLEAR:
        return "mixed"
    return "higher raises the risk" if mean > 0 else "higher lowers the risk"


def _rank_correlation(fold: pd.DataFrame) -> float | None:
    """Return Spearman's correlation of value and contribution; None if one of them does not vary."""
    known = fold[fold["value"].notna()]
    if known["value"].nunique() < 2 or known["contribution"].nunique() < 2:
        return None
    return float(np.corrcoef(known["value"].rank(), known["contribution"].rank())[0, 1])
