"""Explanation of one fitted fold, and of all folds together."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fusion_run import FEATURES, FITS, PLACE, draw
from scipy.special import expit

from metaswin.config.evaluation import ExplanationSettings
from metaswin.core.files import read_table, write_table
from metaswin.evaluation.explanation import (
    ExplanationInputs,
    ExplanationOutputs,
    collect_explanation,
    explain_fold,
    pool_features,
    pool_modalities,
)

SETTINGS = ExplanationSettings(background=12, patients=8, permutations=1)


def small(folder):
    """A fold with the primary feature set alone."""
    run = draw(folder)
    run.settings = {**run.settings, "feature_sets": ["all"]}
    return run


def explain(run, seed=3, settings=SETTINGS):
    inputs = ExplanationInputs(
        run.path("folds"), *(str(run.output(name)) for name in ("predictions.parquet", "fits.json", "models"))
    )
    # Only the tables of the final fit are read.
    tables = {key: path for key, path in run.files.tables.items() if key[0] == FITS[0]}
    outputs = {name: str(run.folder / f"explained-{name}.parquet") for name in ("modalities", "features")}
    explain_fold(inputs, replace(run.files, tables=tables), **outputs, sets=run.sets, settings=settings, seed=seed)
    return tuple(read_table(path) for path in outputs.values())


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    run = small(tmp_path_factory.mktemp("explanation")).fit()
    return run, explain(run)


def test_fold_when_explained_then_contributions_add_up_to_the_prediction_of_the_fold(fitted):
    run, (modalities, _) = fitted
    predictions = read_table(run.output("predictions.parquet"))
    predictions = predictions[predictions["feature_set"] == "clinical+radiomics+peri_radiomics+deep"]
    for classifier in ("network", "logistic"):
        own = modalities[modalities["classifier"] == classifier].groupby("patient")
        logit = own["base"].first() + own["contribution"].sum()
        wanted = (
            predictions[predictions["classifier"] == classifier]
            .set_index("patient")["probability"]
            .reindex(logit.index)
        )
        np.testing.assert_allclose(expit(logit), wanted, atol=1e-6)


def test_fold_when_explained_then_only_held_out_patients_and_no_deep_dimension(fitted):
    run, (modalities, features) = fitted
    tested = set(run.folds.loc[run.test & (run.folds["repeat"] == PLACE.repeat), "patient"])
    assert set(modalities["patient"]) <= tested
    assert modalities["patient"].nunique() == SETTINGS.patients
    assert set(modalities["modality"]) == {"clinical", "radiomics", "peri_radiomics", "deep"}
    assert set(features["modality"]) == {"clinical", "radiomics", "peri_radiomics"}
    sex = features[features["feature"] == "sex"]
    assert set(sex["level"]) <= {"f", "m", "unknown"}
    assert sex["value"].isna().all()
    assert not features.duplicated(["patient", "classifier", "modality", "feature"]).any()
    # The columns are those that the final fit keeps, and one for the region that some training rows lack.
    chosen = set(features.loc[features["modality"] == "peri_radiomics", "feature"])
    assert chosen == {*(f"ring_0_10mm__{FEATURES[i]}" for i in (0, 1)), "ring_0_10mm__missing"}
    ring = features[features["feature"] == "ring_0_10mm__missing"].set_index("patient")["value"]
    there = set(run.features.loc[run.features["region"] == "ring_0_10mm", "patient"])
    assert {patient: value == 0 for patient, value in ring.items()} == {p: p in there for p in ring.index}


def test_fold_when_the_labels_of_test_rows_change_then_the_explanation_does_not(fitted, tmp_path):
    _, before = fitted
    run = small(tmp_path)
    label = run.folds["label"].astype("float64")
    run.folds["label"] = pd.array(np.where(run.test, 1 - label, label), dtype="Int8")
    for first, again in zip(before, explain(run.fit()), strict=True):
        pd.testing.assert_frame_equal(first, again)


def test_fold_when_the_models_do_not_give_the_predictions_then_it_is_refused(tmp_path):
    run = small(tmp_path).fit()
    predictions = read_table(run.output("predictions.parquet"))
    predictions["probability"] = predictions["probability"] * 0.9
    write_table(run.output("predictions.parquet"), predictions)
    with pytest.raises(RuntimeError, match="does not give the predictions"):
        explain(run)


def contributions():
    """Two patients in each of two folds; in the second fold the modality b is silent."""
    rows = [(0, "p", "a", 1.0), (0, "p", "b", -3.0), (0, "q", "a", -2.0), (0, "q", "b", 3.0),
            (1, "r", "a", 1.0), (1, "r", "b", 0.0), (1, "s", "a", 1.0), (1, "s", "b", 0.0)]  # fmt: skip
    return pd.DataFrame(rows, columns=["fold", "patient", "modality", "contribution"]).assign(repeat=0)


def test_modalities_when_pooled_then_mean_size_and_share_of_each_fold():
    pooled = pool_modalities(contributions()).set_index(["fold", "modality"])
    assert pooled["mean_abs"].tolist() == [1.5, 3.0, 1.0, 0.0]
    np.testing.assert_allclose(pooled["share"], [1 / 3, 2 / 3, 1, 0])
    silent = contributions().assign(contribution=0.0)
    assert pool_modalities(silent)["share"].isna().all()


def feature(name, fold, values, contribution, levels=None):
    table = pd.DataFrame({"value": values, "contribution": contribution, "feature": name, "fold": fold})
    return table.assign(level=levels, modality="clinical", repeat=0).astype({"value": "float64", "level": "str"})


def test_features_when_pooled_then_size_and_direction_come_from_folds_that_have_them():
    pooled = pool_features(
        pd.concat(
            [
                feature("age", 0, [1, 2, 3], [-1.0, 0.0, 1.0]),
                feature("age", 1, [1, 2, 3], [-4.0, 0.0, 4.0]),
                feature("rare", 1, [1, 2, 3], [9.0, 0.0, -9.0]),
                feature("noise", 0, [1, 2, 3, 4], [1.0, -1.0, -1.0, 1.0]),
                feature("still", 0, [1, 2], [0.0, 0.0]),
                feature("sex", 0, [np.nan] * 3, [-0.1, 0.3, 0.1], ["f", "m", "m"]),
            ]
        )
    ).set_index("feature")
    assert pooled.index.tolist() == ["rare", "age", "noise", "sex", "still"]
    assert pooled["folds"].to_dict() == {"rare": 1, "age": 2, "noise": 1, "sex": 1, "still": 1}
    assert pooled.loc["age", "mean_abs"] == pytest.approx((2 / 3 + 8 / 3) / 2)
    assert pooled["direction"].to_dict() == {
        "rare": "higher lowers the risk",
        "age": "higher raises the risk",
        "noise": "mixed",
        "sex": "highest for m",
        "still": "none",
    }


def test_collection_when_a_fold_is_read_then_each_classifier_has_its_tables(fitted, tmp_path):
    run, _ = fitted
    paths = {}
    for name in ("modalities", "features"):
        paths[name] = tmp_path / f"any/{name}.parquet"
        write_table(paths[name], read_table(run.folder / f"explained-{name}.parquet"))
    names = ("modalities", "features", "modalities_logistic", "features_logistic")
    outputs = ExplanationOutputs(*(str(tmp_path / f"{name}.parquet") for name in names))
    collect_explanation([paths["modalities"]], [paths["features"]], outputs)
    for path in (outputs.modalities, outputs.modalities_logistic):
        table = read_table(path)
        assert table["share"].sum() == pytest.approx(1)
        assert table[["repeat", "fold"]].to_numpy().tolist() == [[1, 0]] * 4
    assert read_table(outputs.features)["folds"].eq(1).all()
