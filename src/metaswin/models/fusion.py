"""Fit, store and load the classifiers of every feature set of one outer fold."""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file

from metaswin.cohort.folds import Folds, OuterFold, Place
from metaswin.cohort.screening import column_aucs, suspicious
from metaswin.config.feature_sets import FeatureSet, expand_feature_sets, primary_feature_set
from metaswin.config.models import FusionSettings
from metaswin.core.files import atomic, read_json, read_table, write_json, write_table
from metaswin.core.problems import public_table
from metaswin.features.encoder import ModalityEncoder
from metaswin.features.modalities import EncodedModalities, ModalityFiles, ModalityTables, load_modality_tables
from metaswin.models.classifiers import Logistics, Networks, fit_logistics, network_fitter
from metaswin.models.thresholds import Recalibration, auc, fit_recalibration, fit_threshold


class Model(Protocol):
    """Describe fitted classifiers, one for each penalty."""

    @property
    def weights(self) -> dict[str, np.ndarray]: ...

    def logits(self, modalities: Sequence[np.ndarray]) -> np.ndarray: ...


AnyModel = TypeVar("AnyModel", bound=Model)
# Function that fits a classifier for each penalty. Arguments: encoded modalities, labels, penalties, name of the fit.
FitClassifier = Callable[[Sequence[np.ndarray], np.ndarray, Sequence[float], str], AnyModel]


@dataclass(frozen=True)
class ThresholdRule:
    """Hold the rule that chooses the threshold, see `metaswin.models.thresholds.fit_threshold`."""

    rule: Literal["youden", "sensitivity"] = "youden"
    sensitivity: float = 0.8


@dataclass(frozen=True)
class ClassifierFit:
    """Hold a fitted classifier with its predictions.

    Attributes
    ----------
    model : Model
        Fitted on all training rows, one penalty.
    penalty : float
    recalibration : Recalibration
    threshold : float
        Threshold of the recalibrated probabilities.
    probability : ndarray of shape (rows,)
        Recalibrated probabilities: inner out-of-fold for training rows, of `model` for test rows.
    auc_inner : float or None
        Mean over inner folds of the AUC of inner out-of-fold predictions.
    auc_train : float
        AUC of `model` on its training rows. It is far above `auc_inner` if the model over-fits.
    """

    model: Model
    penalty: float
    recalibration: Recalibration
    threshold: float
    probability: np.ndarray
    auc_inner: float | None
    auc_train: float | None


def fit_classifier(
    fit: FitClassifier,
    modalities: Mapping[str, Sequence[np.ndarray]],
    rows: OuterFold,
    penalties: Sequence[float],
    rule: ThresholdRule,
    recalibrate: bool,
) -> ClassifierFit:
    """Fit a classifier in every fit of an outer fold.

    Each inner fit is repeated for every penalty and predicts the inner fold that it excludes. The penalty with the
    lowest log loss of these predictions is used for the fit on all training rows. Recalibration and threshold are
    fitted on the same predictions. These predictions are very slightly optimistic, because the penalty was chosen by
    their log loss. Test rows are not used.

    Parameters
    ----------
    fit : callable
        Function that fits the classifier, see `FitClassifier`.
    modalities : mapping
        Fit → encoded modalities of all rows; the encoders are fitted on that fit's training rows.
    rows, penalties, rule, recalibrate
    """
    penalties = sorted(penalties)
    inner = np.full((len(penalties), len(rows.label)), np.nan)
    for name in rows.inner:
        fitted, scored = rows.fitted(name), rows.scored(name)
        model = fit([modality[fitted] for modality in modalities[name]], rows.label[fitted], penalties, name)
        inner[:, scored] = model.logits([modality[scored] for modality in modalities[name]])

    train, label = rows.train, rows.label[rows.train]
    losses = np.logaddexp(0, (1 - 2 * label) * inner[:, train]).mean(axis=1)
    best = int(np.argmin(losses))
    logits = inner[best]
    final = modalities[rows.final]
    model = fit([modality[train] for modality in final], label, [penalties[best]], rows.final)
    logits[rows.test] = model.logits([modality[rows.test] for modality in final])[0]

    recalibration = fit_recalibration(logits[train], label) if recalibrate else Recalibration()
    probability = recalibration.probability(logits)
    within = [auc(logits[chosen], rows.label[chosen]) for chosen in (train & rows.scored(name) for name in rows.inner)]
    estimable = [value for value in within if value is not None]
    return ClassifierFit(
        model,
        penalties[best],
        recalibration,
        fit_threshold(probability[train], label, rule.rule, rule.sensitivity),
        probability,
        float(np.mean(estimable)) if estimable else None,
        auc(model.logits([modality[train] for modality in final])[0], label),
    )


@dataclass(frozen=True)
class FittedClassifier:
    """Hold a classifier for prediction. A row is positive if its probability is >= the threshold."""

    model: Model
    recalibration: Recalibration
    threshold: float


@dataclass(frozen=True)
class FittedFeatureSet:
    """Hold the encoders and classifiers of a feature set for prediction.

    Attributes
    ----------
    name : str
    encoders : dict
        Modality → encoder, in the order in which the classifiers take them.
    classifiers : dict
        ``network`` and ``logistic``.
    """

    name: str
    encoders: dict[str, ModalityEncoder]
    classifiers: dict[str, FittedClassifier]

    def predict(self, tables: Mapping[str, pd.DataFrame]) -> dict[str, np.ndarray]:
        """Return the probability of DM by each classifier, arrays of shape (rows,).

        Parameters
        ----------
        tables : mapping
            Modality → raw columns, see `metaswin.features.modalities.ModalityTables.table`; the same rows in each.
        """
        modalities = [encoder.transform(tables[modality]) for modality, encoder in self.encoders.items()]
        return {
            name: classifier.recalibration.probability(classifier.model.logits(modalities)[0])
            for name, classifier in self.classifiers.items()
        }


def feature_set_file(folder: str | Path, name: str) -> Path:
    """Return the path of a feature set's file without suffix. ``:`` is replaced, as some systems do not allow it."""
    return Path(folder) / name.replace(":", "=")


def save_feature_set(folder: str | Path, feature_set: FittedFeatureSet) -> None:
    """Write ``<feature_set>.safetensors`` and ``<feature_set>.json`` below `folder`."""
    path = feature_set_file(folder, feature_set.name)
    tensors = {
        f"{classifier}.{name}": np.ascontiguousarray(array)
        for classifier, fitted in feature_set.classifiers.items()
        for name, array in fitted.model.weights.items()
    } | encoder_tensors(feature_set.encoders)
    with atomic(f"{path}.safetensors") as temporary:
        save_file(tensors, temporary)
    write_json(
        f"{path}.json",
        {
            "name": feature_set.name,
            # A list, because JSON objects are written with sorted keys and the order of the modalities matters.
            "modalities": [
                {"modality": modality, "width": len(encoder.outputs), "columns": encoder.as_json()}
                for modality, encoder in feature_set.encoders.items()
            ],
            "classifiers": {
                name: {"recalibration": asdict(classifier.recalibration), "threshold": classifier.threshold}
                for name, classifier in feature_set.classifiers.items()
            },
        },
    )


def encoder_tensors(encoders: Mapping[str, ModalityEncoder]) -> dict[str, np.ndarray]:
    """Return the arrays of the encoders as ``encoder.<modality>.<array>``."""
    return {
        f"encoder.{modality}.{name}": np.ascontiguousarray(array)
        for modality, encoder in encoders.items()
        for name, array in encoder.arrays.items()
    }


def load_feature_set(folder: str | Path, name: str) -> FittedFeatureSet:
    """Load a feature set written by `save_feature_set`."""
    path = feature_set_file(folder, name)
    raw, tensors = read_json(f"{path}.json"), load_file(f"{path}.safetensors")
    widths = tuple(modality["width"] for modality in raw["modalities"])
    classifiers = {}
    for classifier, facts in raw["classifiers"].items():
        weights = {
            key.removeprefix(f"{classifier}."): value
            for key, value in tensors.items()
            if key.startswith(f"{classifier}.")
        }
        model: Model = Networks(widths, weights) if classifier == "network" else Logistics(weights)
        classifiers[classifier] = FittedClassifier(model, Recalibration(**facts["recalibration"]), facts["threshold"])
    encoders = {}
    for modality in raw["modalities"]:
        own = f"encoder.{modality['modality']}."
        arrays = {key.removeprefix(own): value for key, value in tensors.items() if key.startswith(own)}
        encoders[modality["modality"]] = ModalityEncoder.from_json(modality["columns"], arrays)
    return FittedFeatureSet(raw["name"], encoders, classifiers)


logger = logging.getLogger("metaswin.models")


@dataclass(frozen=True)
class FoldOutputs:
    """Hold the output paths of one outer fold: ``predictions`` (Parquet), ``fits`` (JSON), the folder ``models``."""

    predictions: str
    fits: str
    models: str


def train_fusion(
    folds: str,
    files: ModalityFiles,
    outputs: FoldOutputs,
    place: Place,
    sets: Mapping[str, list[str]],
    settings: FusionSettings,
    rule: ThresholdRule,
    seed: int,
    using: Collection[str] = (),
) -> None:
    """Fit all feature sets of one outer fold with both classifiers.

    The function writes predictions, facts of the fits and the fitted feature sets.

    Parameters
    ----------
    folds : str
        ``folds/<endpoint>.parquet``.
    files : ModalityFiles
    outputs : FoldOutputs
    place : Place
    sets : mapping
        Clinical set → columns.
    settings, rule, seed
    using : collection of str
        Modalities. Only feature sets that contain one of them are fitted; all feature sets if it is empty. The negative
        controls omit the feature sets that they do not change.

    Raises
    ------
    UserError
        If these data lack a clinical set or a feature set, or if the training rows have one outcome only.
    """
    rows = Folds.of(read_table(folds), place.repeat).outer(place.fold)
    rows.check_both_outcomes(str(place))
    modality_tables = load_modality_tables(rows.patients, files, sets)
    feature_sets = expand_feature_sets(
        settings, modality_tables.modalities, modality_tables.sets, modality_tables.volume is not None
    )
    primary = primary_feature_set(settings, feature_sets, modality_tables.modalities, modality_tables.sets)
    feature_sets = [
        feature_set for feature_set in feature_sets if not using or set(using) & set(feature_set.modalities)
    ]
    modalities = sorted({modality for feature_set in feature_sets for modality in feature_set.modalities})
    limit = settings.flag_single_column_auc
    # An in-sample deep score depends on the row's own outcome, so a high AUC is expected.
    checked = [modality for modality in modalities if not (modality == "deep" and settings.deep_score == "in-sample")]
    flagged = {
        modality: _flagged(modality_tables, modality, rows, limit) if modality in checked else []
        for modality in modalities
    }
    encoded = EncodedModalities(modality_tables, rows, settings)

    seeds = [seed, place.repeat, place.fold]
    fits: dict[str, dict[str, Any]] = {}
    tables = []
    for feature_set in feature_sets:
        start = time.perf_counter()
        matrices = encoded.matrices(feature_set.modalities)
        classifiers = {
            name: fit_classifier(fit, matrices, rows, penalties, rule, settings.recalibrate)
            for name, (fit, penalties) in classifier_fits(feature_set, settings, seeds).items()
        }
        encoders = {modality: encoded.encoder(modality) for modality in feature_set.modalities}
        facts: dict[str, Any] = {
            "columns": [name for encoder in encoders.values() for name in encoder.outputs],
            "candidates": sum(
                modality_tables.chosen_among(modality, encoders[modality].outputs)
                for modality in feature_set.modalities
            ),
            "columns_flagged": [entry for modality in feature_set.modalities for entry in flagged[modality]],
            "n_train": int(rows.train.sum()),
            "events_train": int(rows.label[rows.train].sum()),
        }
        fits[feature_set.name] = {name: facts | _facts(classifier) for name, classifier in classifiers.items()}
        tables += [_predictions(feature_set, name, classifier, rows) for name, classifier in classifiers.items()]
        fitted = {
            name: FittedClassifier(classifier.model, classifier.recalibration, classifier.threshold)
            for name, classifier in classifiers.items()
        }
        save_feature_set(outputs.models, FittedFeatureSet(feature_set.name, encoders, fitted))
        logger.info("%s: %d columns, %.1f s", feature_set.name, len(facts["columns"]), time.perf_counter() - start)

    warnings = [suspicious(entry["column"], limit) for modality in modalities for entry in flagged[modality]]
    for warning in warnings:
        logger.warning("%s", warning)
    write_table(outputs.predictions, pd.concat(tables, ignore_index=True))
    write_json(
        outputs.fits,
        {
            **asdict(place),
            "primary": primary.name,
            "deep_score": settings.deep_score if "deep" in modalities else None,
            "modalities": [name for name in modality_tables.modalities if name in settings.modalities],
            "feature_sets": fits,
            "warnings": public_table(dict.fromkeys(warnings)).to_dict("records"),
        },
    )


def _flagged(modality_tables: ModalityTables, modality: str, rows: OuterFold, limit: float) -> list[dict[str, Any]]:
    """Return the columns of a modality whose AUC on the training rows exceeds the limit."""
    table, kinds = modality_tables.table(modality, rows.final)
    train = rows.train
    aucs = column_aucs(table[train], kinds, rows.label[train], rows.folds.fold[train])
    return [{"column": column, "auc": value} for column, value in aucs.items() if value > limit]


def classifier_fits(
    feature_set: FeatureSet, settings: FusionSettings, seeds: Sequence[int]
) -> dict[str, tuple[FitClassifier, list[float]]]:
    """Return the fitting function and the penalties of each classifier (`seeds`: of the run, repeat and fold)."""

    def logistic(
        modalities: Sequence[np.ndarray], label: np.ndarray, penalties: Sequence[float], fit: str
    ) -> Logistics:
        return fit_logistics(modalities, label, penalties)

    return {
        "network": (network_fitter(feature_set.name, settings.network, seeds), settings.network.penalties),
        "logistic": (logistic, settings.logistic_penalties),
    }


def _facts(classifier: ClassifierFit) -> dict[str, Any]:
    return {
        "threshold": classifier.threshold,
        "penalty": classifier.penalty,
        "recalibration": asdict(classifier.recalibration),
        "auc_inner": classifier.auc_inner,
        "auc_train": classifier.auc_train,
    }


def _predictions(feature_set: FeatureSet, classifier: str, fit: ClassifierFit, rows: OuterFold) -> pd.DataFrame:
    part = np.where(rows.test, "test", "inner")
    return pd.DataFrame(
        {
            "patient": rows.patients,
            "feature_set": feature_set.name,
            "classifier": classifier,
            "part": part,
            "probability": fit.probability,
        }
    )
