"""Selection before the split: it does see the test rows, and it does inflate the AUC."""

import numpy as np
import pandas as pd
import pytest
from controls_run import NoiseCohort
from metaswin.controls.leaky import leaky_parts
from metaswin.selection.fold import selections, training_parts
from sklearn.metrics import roc_auc_score

from metaswin.files import read_json, read_table
from metaswin.fusion.settings import FusionSettings
from metaswin.selection.settings import SelectionSettings

SETTINGS = SelectionSettings(trees=10, keep=3)


def test_parts_when_leaky_then_all_known_rows_in_every_part(tmp_path):
    cohort = NoiseCohort(tmp_path, horizon=500.0).write()
    folds = read_table(cohort.path("folds.parquet")).set_index("patient")
    parts = leaky_parts(folds, 1)
    assert list(parts) == list(training_parts(folds, 1))
    known = folds.index[folds["label"].notna()].tolist()
    assert 0 < len(known) < len(folds)
    assert all(rows == known for rows in parts.values())


@pytest.mark.parametrize("what", ["features", "labels"])
def test_selection_when_test_rows_are_corrupted_then_the_leaky_one_changes_and_the_run_does_not(tmp_path, what):
    cohort = NoiseCohort(tmp_path).write()
    features, folds = read_table(cohort.path("features.parquet")), read_table(cohort.path("folds.parquet"))
    test = folds.loc[folds["fold"] == 0, "patient"]
    spoilt, wrong = features.copy(), folds.copy()
    if what == "features":
        rows = spoilt["patient"].isin(test)
        spoilt.loc[rows, [name for name in spoilt if name.startswith("original")]] *= -3
    else:
        wrong.loc[wrong["patient"].isin(test), "label"] = 1 - wrong["label"]
    for parts_of, same in [(training_parts, True), (leaky_parts, False)]:
        clean = selections(features, folds, 0, 0, SETTINGS, 3, parts_of=parts_of)
        changed = selections(spoilt, wrong, 0, 0, SETTINGS, 3, parts_of=parts_of)
        assert clean.equals(changed) is same


def test_auc_when_features_are_noise_then_the_leaky_selection_inflates_it_and_the_run_stays_at_a_half(tmp_path):
    """Mean of three cohorts of 60 patients and 240 features of noise."""
    found = {"as-is": [], "leaky": []}
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        cohort = NoiseCohort(
            folder,
            features=120,
            seed=seed,
            selection=SelectionSettings(trees=25, keep=8),
            fusion=FusionSettings(
                arms=["radiomics+peri_radiomics"],
                headline_arm="radiomics+peri_radiomics",
                network={"steps": 5, "ensemble": 1, "penalties": [5.0]},
            ),
        ).write()
        label = read_table(cohort.path("folds.parquet")).set_index("patient")["label"]
        for variant, parts_of in [("as-is", None), ("leaky", leaky_parts)]:
            for fold in range(3):
                rows = cohort.fit_run(fold, variant, parts_of)
                rows = rows[rows["head"] == "logistic"]
                found[variant].append(roc_auc_score(label[rows["patient"]], rows["probability"]))
    assert 0.35 < np.mean(found["as-is"]) < 0.6
    assert np.mean(found["leaky"]) > 0.75


def test_arms_when_only_those_using_radiomics_are_wanted_then_they_are_fitted_as_before(tmp_path):
    cohort = NoiseCohort(tmp_path).write()
    everything = cohort.fit_run(0)
    some = cohort.fit_run(0, "leaky", None, ["radiomics", "peri_radiomics"])
    assert set(everything["arm"]) - set(some["arm"]) == {"clinical:paper", "deep", "clinical+deep", "volume"}
    joined = some.merge(everything, on=["patient", "arm", "head"], suffixes=("", "_all"))
    assert len(joined) == len(some)
    pd.testing.assert_series_equal(joined["probability"], joined["probability_all"], check_names=False)
    headline = read_json(tmp_path / "leaky-0/fits.json")["headline"]
    assert headline == read_json(tmp_path / "as-is-0/fits.json")["headline"]
