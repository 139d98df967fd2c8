"""New patients by a frozen fold: the run's own predictions again, and what happens when something is missing."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from bundle_run import PRIMARY, NewPatients, blank_clinical, fitted, freeze_run, without_feature
from fusion_run import FEATURES
from scipy.special import logit

from metaswin.core.errors import UserError
from metaswin.core.files import read_json, read_table
from metaswin.core.problems import Problem
from metaswin.prediction.patients import membership


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frozen")
    return freeze_run(fitted(folder), folder)


@pytest.fixture(scope="module")
def member(frozen, tmp_path_factory):
    """The test rows of the fold, predicted by its models."""
    folder = tmp_path_factory.mktemp("member")
    return folder, NewPatients.of(frozen.run, frozen.test).predict(frozen, folder, "1,0")


@pytest.fixture(scope="module")
def renamed(frozen, tmp_path_factory):
    """Three patients of the test fold with every region, under names that nobody had."""
    features = frozen.run.features
    rings = set(features.loc[features["region"] == "ring_0_10mm", "patient"])
    named = dict(zip([patient for patient in frozen.test if patient in rings], ["N1", "N2", "N3"], strict=False))
    return NewPatients.of(frozen.run, list(named), named)


def test_member_when_it_predicts_its_held_out_patients_then_they_equal_the_run(frozen, member):
    folder, table = member
    run = frozen.fold_predictions()
    own = read_table(folder / "members.parquet").merge(
        run, on=["patient", "feature_set", "classifier"], suffixes=("", "_run")
    )
    assert len(own) == len(run) == 2 * len(frozen.test)
    np.testing.assert_allclose(own["probability"], own["probability_run"], atol=1e-9)
    network = run[run["classifier"] == "network"].set_index("patient")["probability"]
    np.testing.assert_allclose(table["risk"], network[table.index], atol=1e-9)
    assert (table["training_cohort"] == "held out by this member").all()
    assert table["range_low"].isna().all()


def test_member_when_the_run_was_harmonised_then_its_held_out_patients_equal_the_run(tmp_path):
    """The bundle selects and harmonises all features of new patients; the run read a table made before."""
    frozen = freeze_run(fitted(tmp_path, harmonised=True), tmp_path)
    raw = frozen.run.features[frozen.run.features["region"] == "tumor"].set_index("patient")[FEATURES[0]]
    table = read_table(frozen.run.table("without-0", "radiomics")).set_index("patient")[f"tumor__{FEATURES[0]}"]
    assert not np.allclose(table, raw[table.index], equal_nan=True)
    NewPatients.of(frozen.run, frozen.test).predict(frozen, tmp_path / "new", "1,0")
    run = frozen.fold_predictions()
    own = read_table(tmp_path / "new/members.parquet").merge(
        run, on=["patient", "feature_set", "classifier"], suffixes=("", "_run")
    )
    assert len(own) == len(run) == 2 * len(frozen.test)
    np.testing.assert_allclose(own["probability"], own["probability_run"], atol=1e-9)


def test_ensemble_when_patients_were_in_the_training_cohort_then_it_says_so(frozen, renamed, tmp_path):
    table = NewPatients.of(frozen.run, frozen.test[:2]).predict(frozen, tmp_path / "a")
    assert (table["training_cohort"] == "was in the training cohort").all()
    assert table["warnings"].str.contains("does not test the models").all()
    new = renamed.predict(frozen, tmp_path / "b")
    assert (new["training_cohort"] == "not in the training cohort").all()
    # One member alone: the same numbers, and no spread.
    np.testing.assert_array_equal(new["range_low"], new["range_high"])
    assert new["group"].isin(["low", "middle", "high"]).all()


def test_membership_when_only_one_side_has_pseudonyms_then_it_is_unknown(frozen):
    bundle = frozen.read()
    assert membership(bundle, "dm", frozen.test[0], None) == "was in the training cohort"
    assert "cannot be compared" in membership(bundle, "dm", frozen.test[0], None, pseudonyms=True)


def test_contributions_when_added_up_then_they_lead_from_average_to_patients_risk(frozen, member):
    folder, table = member
    shapley = read_table(folder / "contributions.parquet")
    whole = shapley[shapley["feature"] == ""].groupby("patient")["contribution"].sum()
    single = shapley[shapley["feature"] != ""].groupby("patient")["contribution"].sum()
    rest = logit(table["risk"]) - whole[table.index]
    np.testing.assert_allclose(rest, rest.iloc[0], atol=1e-6)
    np.testing.assert_allclose(single, whole, atol=1e-6)


@pytest.mark.parametrize("patient", ["N1"])
def test_modality_when_clinical_is_missing_then_reported_and_predicted_without_it(frozen, renamed, tmp_path, patient):
    lacking = NewPatients(blank_clinical(renamed.clinical, patient), renamed.features, renamed.used)
    table, before = lacking.predict(frozen, tmp_path / "a"), renamed.predict(frozen, tmp_path / "b")
    assert table.loc[patient, "feature_set"] == "radiomics+peri_radiomics"
    assert table.loc[patient, "missing"] == "clinical"
    assert (
        "clinical missing: predicted by the models of radiomics+peri_radiomics instead"
        in table.loc[patient, "warnings"]
    )
    others = table.index.drop(patient)
    # A product of two rows may round the last bit otherwise than one of three.
    np.testing.assert_allclose(table.loc[others, "risk"], before.loc[others, "risk"], rtol=1e-14, atol=0)


def test_modality_when_all_is_missing_then_the_patient_is_not_predicted(frozen, renamed, tmp_path):
    lacking = NewPatients(
        blank_clinical(renamed.clinical, "N1"), renamed.features[renamed.features["patient"] != "N1"], renamed.used
    )
    table = lacking.predict(frozen, tmp_path)
    assert np.isnan(table.loc["N1", "risk"])
    assert "no feature set of the bundle" in table.loc["N1", "why"]
    assert table.loc["N2", "why"] == ""


def test_values_when_missing_then_they_take_the_training_median_and_are_listed(frozen, renamed, tmp_path):
    features = without_feature(renamed.features, "N2", "tumor")
    features = features[(features["patient"] != "N3") | (features["region"] != "ring_0_10mm")]
    clinical = renamed.clinical.copy()
    clinical.loc[clinical["patient"] == "N1", "age"] = np.nan
    lacking = NewPatients(clinical, features, renamed.used)
    table = lacking.predict(frozen, tmp_path / "ensemble")
    assert table.loc["N1", "assumed"] == "age (the training median)"
    assert f"tumor__{FEATURES[0]} (the training median)" in table.loc["N2", "assumed"]
    assert (table.loc["N3", "missing"], table.loc["N3", "feature_set"]) == ("peri_radiomics", "clinical+radiomics")
    # A single member does as the run did: the primary model, with what is missing filled.
    alone = lacking.predict(frozen, tmp_path / "member", "1,0")
    assert alone.loc["N3", "feature_set"] == PRIMARY
    assert "ring_0_10mm (the training medians of its features)" in alone.loc["N3", "assumed"]


def test_patient_when_unlike_the_training_ones_then_flagged_and_each_range_is_named(frozen, renamed, tmp_path):
    clinical, features, used = renamed.clinical.copy(), renamed.features.copy(), renamed.used.copy()
    clinical.loc[clinical["patient"] == "N1", ["age", "sex"]] = [600.0, "x"]
    features.loc[features["patient"] == "N1", FEATURES] = 1e3
    used.loc[used["patient"] == "N1", "volume_tumor_mm3"] = 1e9
    table = NewPatients(clinical, features, used).predict(frozen, tmp_path)
    assert table.loc["N1", "unlike_training"]
    assert table.loc["N1", "distance_percentile"] == 100
    for words in (
        "unlike the training patients",
        "age 600: the training",
        "sex x: the models do not know",
        "tumour volume",
    ):
        assert words in table.loc["N1", "warnings"]
    assert table.loc["N2", "warnings"] == ""
    assert not table.loc[["N2", "N3"], "unlike_training"].any()


def test_patient_when_excluded_by_a_stage_then_it_is_listed_with_the_reason(frozen, renamed, tmp_path):
    problem = Problem("N9", "images", "empty-mask", "a tumour without a voxel", "a drawn tumour", "draw it")
    table = NewPatients(renamed.clinical, renamed.features, renamed.used, (problem,)).predict(frozen, tmp_path)
    assert table.loc["N9", "why"] == "empty-mask: found a tumour without a voxel; expected a drawn tumour; draw it"
    assert np.isnan(table.loc["N9", "risk"])
    assert pd.read_csv(tmp_path / "table.csv")["patient"].tolist() == ["N1", "N2", "N3", "N9"]


def test_page_when_written_then_it_is_one_offline_file_that_explains_the_range(frozen, renamed, tmp_path):
    table = renamed.predict(frozen, tmp_path)
    page = (tmp_path / "pages/N1.html").read_text()
    assert not re.search(r'(src|href)="(https?:)?//', page)
    assert "not a medical device" in page
    assert "Their range is not a confidence interval" in page
    assert f"{100 * table.loc['N1', 'risk']:.0f} %" in page
    facts = read_json(tmp_path / "facts.json")
    assert facts["bundle"] == frozen.read().fingerprint
    assert facts["versions_differ"] == []


def test_prediction_when_the_bundle_was_altered_then_nothing_is_predicted(frozen, renamed, tmp_path):
    shutil.copytree(frozen.bundle, tmp_path / "bundle")
    (tmp_path / "bundle/bundle.json").write_text("{}")
    other = type(frozen)(frozen.run, tmp_path / "bundle")
    with pytest.raises(UserError, match=r"bundle\.json was changed"):
        renamed.predict(other, tmp_path / "out")
    assert not (tmp_path / "out/table.parquet").exists()
