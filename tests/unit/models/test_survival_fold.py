"""The hazard model of one fold, from tables to files."""

import re

import numpy as np
import pandas as pd
import pytest
from survival_run import HORIZON, SETS, SavedHazard, draw

from metaswin.cohort.folds import Folds
from metaswin.core.errors import UserError
from metaswin.core.files import read_json
from metaswin.features.modalities import load_modality_tables

FOLD = (0, 0)
FEATURE_SETS = ["clinical:staging", "volume", "clinical:paper"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("hazard")).train([FOLD])


@pytest.fixture(scope="module")
def fits(run):
    return read_json(run.model(*FOLD, "fits.json"))


@pytest.fixture(scope="module")
def predictions(run):
    return pd.read_parquet(run.model(*FOLD, "predictions.parquet"))


def files(run):
    return {path.name: path.read_bytes() for path in sorted(run.model(*FOLD, "models").iterdir())}


def test_predictions_when_fitted_then_patients_once_with_a_curve_ending_in_the_risk(fits, predictions):
    assert predictions.groupby("feature_set")["patient"].agg(["size", "nunique"]).eq(120).all(axis=None)
    assert set(predictions["feature_set"]) == set(FEATURE_SETS)
    times = np.array(fits["feature_sets"]["volume"]["times"])
    assert times[-1] == HORIZON
    curves = np.stack(predictions["cif_dm"])
    assert curves.shape[1] == len(times)
    assert np.all(np.diff(curves, axis=1) >= 0)
    assert curves[:, -1] == pytest.approx(predictions["risk"].to_numpy(), abs=1e-6)
    assert (predictions["risk"] + predictions["risk_death"]).between(0, 1).all()


def test_fits_when_written_then_cuts_have_the_horizon_and_counts_the_censored(run, fits):
    rows = Folds.of(run.folds, FOLD[0]).with_followup().outer(FOLD[1])
    time, event = rows.time[rows.train], rows.event[rows.train]
    assert fits["primary"] == "clinical:staging"
    first = run.folds["repeat"].eq(0)
    assert fits["rows"]["train"] == len(time) == (first & run.folds["fold"].ne(0)).sum()
    assert fits["rows"]["censored_before_horizon"] == np.sum((event == 0) & (time < HORIZON)) > 0
    for feature_set in fits["feature_sets"].values():
        assert HORIZON in feature_set["cuts"]
        assert set(feature_set["cuts"]) - {HORIZON} <= set(time[event == 1])
        assert feature_set["penalty"] in (2.0, 20.0)
    assert fits["feature_sets"]["volume"]["columns"] == ["volume_tumor_mm3"]


def test_thresholds_when_written_then_thirds_of_the_inner_predictions(fits, predictions):
    inner = predictions[(predictions["part"] == "inner") & (predictions["feature_set"] == "volume")]["risk"]
    thresholds = fits["feature_sets"]["volume"]["thresholds"]
    shares = [float((inner >= limit).mean()) for limit in thresholds]
    assert shares == pytest.approx([2 / 3, 1 / 3], abs=0.02)


def test_risk_when_it_follows_volume_then_hazard_classifier_of_every_fit_finds_it(tmp_path):
    run = draw(tmp_path, n=400).train([FOLD])
    predictions = pd.read_parquet(run.model(*FOLD, "predictions.parquet"))
    rows = predictions[predictions["feature_set"] == "volume"]
    fold = run.folds[run.folds["repeat"] == FOLD[0]].set_index("patient")["fold"]
    volume = run.volume.set_index("patient")["volume_tumor_mm3"]
    # One model scores the rows of one fold: risks of different folds are on scales of their own.
    models = rows.groupby(rows["patient"].map(fold))
    ranked = [model["risk"].corr(model["patient"].map(volume), method="spearman") for _, model in models]
    assert len(ranked) == 3
    assert min(ranked) > 0.9


def test_classifiers_when_read_from_their_files_then_the_same_predictions(run, fits, predictions):
    rows = Folds.of(run.folds, FOLD[0]).with_followup().outer(FOLD[1])
    modality_tables = load_modality_tables(rows.patients, run.files, SETS)
    for name in fits["feature_sets"]:
        hazard = SavedHazard(run.model(*FOLD, "models"), name)
        tables = {modality: modality_tables.table(modality, rows.final)[0][rows.test] for modality in hazard.encoders}
        metastasis = hazard.metastasis(tables)
        expected = predictions[(predictions["feature_set"] == name) & (predictions["part"] == "test")]["risk"]
        assert metastasis[:, hazard.cuts.index(hazard.horizon)] == pytest.approx(expected.to_numpy())


def test_models_when_written_then_named_for_any_file_system_and_no_pickle(run):
    assert len(files(run)) == 2 * len(FEATURE_SETS)
    assert all(re.fullmatch(r"[\w+=]+\.(safetensors|json)", name) for name in files(run))


def test_fold_when_run_again_then_the_same_bytes(run, tmp_path):
    again = draw(tmp_path).train([FOLD])
    assert files(again) == files(run)
    for name in ("fits.json", "predictions.parquet"):
        assert again.model(*FOLD, name).read_bytes() == run.model(*FOLD, name).read_bytes()


def test_fold_when_test_rows_are_corrupted_then_classifiers_cuts_and_thresholds_stay(run, tmp_path):
    other = draw(tmp_path)
    rng = np.random.default_rng(99)
    spoilt = other.folds["fold"] == FOLD[1]
    patients = set(other.folds.loc[spoilt, "patient"])
    count = int(spoilt.sum())
    other.folds.loc[spoilt, "time"] = rng.uniform(1, 9000, count)
    other.folds.loc[spoilt, "event"] = rng.integers(0, 3, count)
    other.folds.loc[spoilt, "label"] = 1
    for table in (other.clinical, other.volume):
        rows = table["patient"].isin(patients)
        for column in table.columns.drop("patient"):
            numeric = table[column].dtype == "float64"
            table.loc[rows, column] = rng.normal(size=count) * 1e4 if numeric else "never seen"
    other.train([FOLD])
    assert files(other) == files(run)
    assert other.model(*FOLD, "fits.json").read_bytes() == run.model(*FOLD, "fits.json").read_bytes()
    tables = [pd.read_parquet(r.model(*FOLD, "predictions.parquet")).set_index("part") for r in (run, other)]
    inner, test = ([table.loc[part, "risk"].to_numpy() for table in tables] for part in ("inner", "test"))
    assert np.array_equal(*inner)
    assert not np.allclose(*test)


def test_fold_when_another_fold_is_corrupted_then_its_risks_use_unaffected_cuts(
    tmp_path,
):
    """Inner out-of-fold risks must not depend on the follow-up of the rows they belong to."""
    other = draw(tmp_path)
    chosen = (other.folds["fold"] == 1).to_numpy()
    other.settings = {**other.settings, "network": {**other.settings["network"], "penalties": [2.0]}}
    one = draw(tmp_path / "plain")
    one.settings = other.settings
    one.train([FOLD])
    other.folds.loc[chosen, "time"] = other.folds.loc[chosen, "time"] / 2
    other.train([FOLD])
    spoilt = set(other.folds.loc[chosen, "patient"])
    found = []
    for each in (one, other):
        table = pd.read_parquet(each.model(*FOLD, "predictions.parquet"))
        rows = table[(table["feature_set"] == "volume") & table["patient"].isin(spoilt)]
        found.append(rows.set_index("patient")["risk"])
    assert np.array_equal(*found)


def test_fold_when_rows_are_censored_before_the_horizon_then_they_are_used(run, tmp_path):
    other = draw(tmp_path)
    lost = other.folds["label"].isna() & (other.folds["fold"] != FOLD[1])
    assert lost.any()
    other.folds = other.folds.assign(time=other.folds["time"].where(~lost, 1.0))
    other.train([FOLD])
    assert files(other) != files(run)


def test_fold_when_one_feature_set_is_requested_then_fitted_as_with_the_others(run, tmp_path):
    other = draw(tmp_path)
    other.settings = {**other.settings, "feature_sets": ["volume"]}
    other.train([FOLD])
    assert list(files(other)) == ["volume.json", "volume.safetensors"]
    assert files(other)["volume.safetensors"] == files(run)["volume.safetensors"]


def test_fold_when_a_feature_set_cannot_be_made_then_user_error(tmp_path):
    other = draw(tmp_path)
    other.settings = {**other.settings, "feature_sets": ["radiomics"]}
    with pytest.raises(UserError, match="the feature set 'radiomics' needs radiomics"):
        other.train([FOLD])


def test_fold_when_there_are_no_deaths_then_the_risk_of_death_is_near_zero(tmp_path):
    run = draw(tmp_path)
    run.folds.loc[run.folds["event"] == 2, "event"] = 0
    run.settings = {**run.settings, "feature_sets": ["volume"]}
    run.train([FOLD])
    table = pd.read_parquet(run.model(*FOLD, "predictions.parquet"))
    assert table["risk"].between(0.01, 0.99).all()
    assert table["risk_death"].max() < 1e-4


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda f: f.assign(event=f["event"].where(f["event"] != 1, 0)), "no metastasis in the training rows"),
        (
            lambda f: f.assign(time=f["time"].clip(upper=500.0), event=f["event"].where(f["time"] < 500, 0)),
            "none of the training rows is followed to the horizon of 730 days",
        ),
    ],
)
def test_fold_when_no_risk_can_be_learnt_then_predictions_missing_with_the_reason(tmp_path, spoil, why):
    run = draw(tmp_path)
    run.folds = spoil(run.folds)
    run.train([FOLD])
    assert read_json(run.model(*FOLD, "fits.json"))["why"] == why
    assert pd.read_parquet(run.model(*FOLD, "predictions.parquet"))["risk"].isna().all()
    assert files(run) == {}
