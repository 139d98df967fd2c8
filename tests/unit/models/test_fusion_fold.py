"""All feature sets of one fold, from tables to files."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from fusion_run import FEATURES, PLACE, SETS, draw

from metaswin.cohort.folds import Folds
from metaswin.config.models import FusionSettings
from metaswin.core.errors import UserError
from metaswin.core.files import read_json, read_table
from metaswin.features.modalities import EncodedModalities, load_modality_tables
from metaswin.models.fusion import feature_set_file, load_feature_set

FEATURE_SETS = 13


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("fold")).fit()


@pytest.fixture(scope="module")
def fits(run):
    return read_json(run.output("fits.json"))


@pytest.fixture(scope="module")
def predictions(run):
    return pd.read_parquet(run.output("predictions.parquet"))


def files(run):
    return {path.name: path.read_bytes() for path in sorted(run.output("models").iterdir())}


def test_predictions_when_fitted_then_every_patient_feature_set_and_classifier_once(run, predictions):
    assert predictions.groupby(["feature_set", "classifier"])["patient"].agg(["size", "nunique"]).eq(60).all(axis=None)
    assert predictions["feature_set"].nunique() == FEATURE_SETS
    assert set(predictions["classifier"]) == {"network", "logistic"}
    assert predictions["probability"].between(0, 1, inclusive="neither").all()
    test = set(run.folds.loc[run.test, "patient"])
    assert set(predictions.loc[predictions["part"] == "test", "patient"]) == test
    assert set(predictions.loc[predictions["part"] == "inner", "patient"]) == set(run.clinical["patient"]) - test


def test_fits_when_written_then_facts_of_each_feature_set_and_classifier(run, fits):
    assert fits["primary"] == "clinical+radiomics+peri_radiomics+deep"
    assert fits["modalities"] == ["clinical", "radiomics", "peri_radiomics", "deep"]
    known = run.folds[(run.folds["repeat"] == 1) & ~(run.folds["fold"] == 0) & run.folds["label"].notna()]
    for classifiers in fits["feature_sets"].values():
        for fit in classifiers.values():
            assert (fit["n_train"], fit["events_train"]) == (len(known), known["label"].sum())
            assert 0 < fit["threshold"] < 1
    one = fits["feature_sets"]["radiomics"]["logistic"]
    assert one["columns"] == [f"tumor__{FEATURES[0]}", f"tumor__{FEATURES[1]}"]
    staging = fits["feature_sets"]["clinical:staging"]["network"]["columns"]
    assert staging == ["age", "sex=f", "sex=m", "sex=unknown", *(f"n stage={n}" for n in ("n0", "n1", "n2", "unknown"))]
    assert fits["feature_sets"]["deep"]["network"]["columns"] == ["deep_score", "deep_score=missing"]
    rings = fits["feature_sets"]["peri_radiomics"]["network"]["columns"]
    assert rings[-1] == "ring_0_10mm__missing"
    assert fits["warnings"] == []


def test_feature_sets_when_loaded_again_then_the_same_predictions(run, fits, predictions):
    rows = Folds.of(run.folds, PLACE.repeat).outer(PLACE.fold)
    modality_tables = load_modality_tables(rows.patients, run.files, SETS)
    for name, classifiers in fits["feature_sets"].items():
        feature_set = load_feature_set(run.output("models"), name)
        tables = {
            modality: modality_tables.table(modality, rows.final)[0][rows.test] for modality in feature_set.encoders
        }
        for classifier, probability in feature_set.predict(tables).items():
            assert feature_set.classifiers[classifier].threshold == classifiers[classifier]["threshold"]
            chosen = predictions[(predictions["feature_set"] == name) & (predictions["classifier"] == classifier)]
            expected = chosen.loc[chosen["part"] == "test", "probability"].to_numpy()
            assert probability == pytest.approx(expected, abs=1e-6)


def test_fit_when_values_are_missing_then_table_keeps_them_and_own_encoder_imputes(run):
    """The same column has another median in the fit that leaves out fold 2 as well."""
    ring, name = "ring_0_10mm", f"ring_0_10mm__{FEATURES[0]}"
    long = run.features[run.features["region"] == ring].set_index("patient")[FEATURES[0]]
    rows = Folds.of(run.folds, PLACE.repeat).outer(PLACE.fold)
    modality_tables = load_modality_tables(rows.patients, run.files, SETS)
    encoded = EncodedModalities(modality_tables, rows, FusionSettings())
    matrices = encoded.matrices(["peri_radiomics"])
    medians = []
    for fit in (rows.final, "without-0-2"):
        values = read_table(run.table(fit, "peri_radiomics")).set_index("patient")[name]
        assert values.isna().sum() > 0
        pd.testing.assert_series_equal(values, long.reindex(rows.patients), check_names=False)
        train = values[rows.fitted(fit)]
        medians.append(train.median())
        filled = values.fillna(medians[-1])
        scaled = (filled - filled[rows.fitted(fit)].mean()) / filled[rows.fitted(fit)].std(ddof=0)
        assert matrices[fit][0][:, 0] == pytest.approx(scaled.clip(-5, 5).to_numpy())
    assert medians[0] != medians[1]
    # Of the columns of a ring that some training rows lack, one tells so; a single missing value has no flag.
    outputs = encoded.encoder("peri_radiomics").outputs
    assert outputs == [name, f"ring_0_10mm__{FEATURES[1]}", "ring_0_10mm__missing"]
    assert matrices[rows.final][0][:, 2].tolist() == values.isna().astype(float).tolist()
    assert run.features.loc[3, ["region", FEATURES[0]]].isna().tolist() == [False, True]
    assert encoded.encoder("radiomics").outputs == [f"tumor__{FEATURES[0]}", f"tumor__{FEATURES[1]}"]


def test_region_when_no_or_every_training_row_has_it_then_it_has_no_flag(run, tmp_path):
    for keep in (run.test, ~run.test):
        other = draw(tmp_path / str(keep.sum()))
        patients = other.folds.loc[keep & (other.folds["repeat"] == PLACE.repeat), "patient"]
        ring = other.features["region"] == "ring_0_10mm"
        tumors = other.features[~ring]
        rings = tumors[tumors["patient"].isin(patients)].assign(region="ring_0_10mm")
        other.features = pd.concat([tumors, rings], ignore_index=True)
        other.write()
        rows = Folds.of(other.folds, PLACE.repeat).outer(PLACE.fold)
        modality_tables = load_modality_tables(rows.patients, other.files, SETS)
        encoder = EncodedModalities(modality_tables, rows, FusionSettings()).encoder("peri_radiomics")
        assert "ring_0_10mm__missing" not in encoder.outputs


def test_models_when_written_then_named_for_any_file_system_and_no_pickle(run):
    names = list(files(run))
    assert len(names) == 2 * FEATURE_SETS
    assert feature_set_file(run.output("models"), "clinical:paper").name == "clinical=paper"
    assert all(re.fullmatch(r"[\w+=]+\.(safetensors|json)", name) for name in names)


def test_fold_when_run_again_then_the_same_bytes(run, tmp_path):
    again = draw(tmp_path).fit()
    assert files(again) == files(run)
    for name in ("fits.json", "predictions.parquet"):
        assert again.output(name).read_bytes() == run.output(name).read_bytes()


def test_fold_when_test_rows_are_corrupted_then_models_and_thresholds_stay(run, tmp_path):
    other = draw(tmp_path)
    rng = np.random.default_rng(99)
    test = set(other.folds.loc[other.test, "patient"])
    for name in ("clinical", "used", "features", "deep"):
        table = getattr(other, name)
        rows = table["patient"].isin(test)
        for column in table.columns.drop(["patient", "region", "voxels", "role"], errors="ignore"):
            if table[column].dtype == "float64":
                table.loc[rows, column] = rng.normal(size=rows.sum()) * 1e4
            else:
                table.loc[rows, column] = "never seen"
    flipped = other.folds["patient"].isin(test) & other.folds["label"].notna()
    other.folds.loc[flipped, "label"] = 1 - other.folds.loc[flipped, "label"]
    other.fit()
    assert files(other) == files(run)
    assert other.output("fits.json").read_bytes() == run.output("fits.json").read_bytes()
    tables = [pd.read_parquet(r.output("predictions.parquet")).set_index(["part"]) for r in (run, other)]
    inner, test = ([table.loc[part, "probability"].to_numpy() for table in tables] for part in ("inner", "test"))
    assert np.array_equal(*inner)
    assert not np.allclose(*test)


def test_fold_when_labels_are_unknown_then_rows_are_predicted_but_not_trained_on(run, tmp_path):
    other = draw(tmp_path)
    other.clinical.loc[[5], "age"] = 1e4
    other.used.loc[[5], "volume_tumor_mm3"] = 1e9
    other.fit()
    assert files(other) == files(run)


def test_fold_when_one_feature_set_is_requested_then_it_is_fitted_as_with_the_others(run, tmp_path):
    other = draw(tmp_path)
    other.settings = {**other.settings, "feature_sets": ["clinical+deep"], "primary_feature_set": "deep+clinical"}
    other.fit()
    name = "clinical+deep.safetensors"
    assert list(files(other)) == ["clinical+deep.json", name]
    assert files(other)[name] == files(run)[name]


def test_fold_when_clinical_alone_then_feature_sets_are_the_sets(tmp_path):
    run = draw(tmp_path)
    run.has = ()
    fits = read_json(run.fit().output("fits.json"))
    assert list(fits["feature_sets"]) == ["clinical:paper", "clinical:staging"]
    assert fits["primary"] == "clinical:paper"


def test_fold_when_a_table_of_features_then_volume_is_its_shape_feature(tmp_path):
    run = draw(tmp_path)
    volumes = run.used.set_index("patient")["volume_tumor_mm3"]
    run.features["original_shape_MeshVolume"] = run.features["patient"].map(volumes)
    run.used = run.used[["patient"]]
    run.settings = {**run.settings, "feature_sets": ["volume"], "primary_feature_set": "volume"}
    fits = read_json(run.fit().output("fits.json"))
    assert fits["feature_sets"]["volume"]["network"]["auc_train"] > 0.6


@pytest.mark.parametrize("role", ["outcome", "time", "ignore", None])
def test_fold_when_a_set_names_a_column_that_may_not_predict_then_it_stops(tmp_path, role):
    run = draw(tmp_path)
    run.roles = {**run.roles, "sex": role} if role else {key: run.roles[key] for key in ("age", "n stage")}
    with pytest.raises(UserError) as error:
        run.fit()
    assert "clinical.sets.paper: the column 'sex' may not predict" in str(error.value)
    assert "clinical.sets.staging" in str(error.value)
    assert not run.output("models").exists()


def test_fold_when_treatment_is_named_in_a_set_then_it_predicts(tmp_path):
    run = draw(tmp_path)
    run.roles = {**run.roles, "n stage": "treatment"}
    run.settings = {**run.settings, "feature_sets": ["clinical:staging"], "primary_feature_set": "clinical:staging"}
    assert (
        "n stage=n0"
        in read_json(run.fit().output("fits.json"))["feature_sets"]["clinical:staging"]["logistic"]["columns"]
    )


def test_fold_when_a_column_alone_predicts_the_outcome_then_flagged_with_a_warning(tmp_path):
    run = draw(tmp_path)
    label = run.folds[run.folds["repeat"] == 1].set_index("patient")["label"].astype("float64")
    run.clinical["sex"] = np.where(run.clinical["patient"].map(label) == 1, "x", "y")
    run.settings = {**run.settings, "feature_sets": ["clinical", "volume"], "primary_feature_set": "volume"}
    fits = read_json(run.fit().output("fits.json"))
    [flag] = fits["feature_sets"]["clinical:paper"]["network"]["columns_flagged"]
    assert flag["column"] == "sex"
    assert flag["auc"] > 0.95
    assert fits["feature_sets"]["volume"]["network"]["columns_flagged"] == []
    [warning] = fits["warnings"]
    assert (warning["code"], warning["excludes"]) == ("single-column-auc", False)
    assert "the column sex alone" in warning["found"]


def test_fold_when_selection_keeps_nothing_then_feature_set_predicts_the_prevalence(tmp_path):
    run = draw(tmp_path)
    run.selection["kept"] = False
    run.settings = {
        **run.settings,
        "feature_sets": ["radiomics", "clinical+radiomics"],
        "primary_feature_set": "radiomics",
    }
    run.fit()
    predictions = pd.read_parquet(run.output("predictions.parquet"))
    test = predictions[(predictions["feature_set"] == "radiomics") & (predictions["part"] == "test")]
    assert test.groupby("classifier")["probability"].std().max() < 1e-6
    assert json.loads(run.output("models/radiomics.json").read_text())["modalities"][0]["columns"] == []
