"""Selection before the split: it does see the test rows, and it does inflate the AUC."""

import numpy as np
import pandas as pd
import pytest
from controls_run import NoiseCohort
from sklearn.metrics import roc_auc_score

from metaswin.cohort.folds import Folds, leaky_training, outer_fits
from metaswin.config.features import RADIOMICS, SelectionSettings
from metaswin.config.models import FusionSettings
from metaswin.core.files import read_json, read_table
from metaswin.features.fit_tables import selections
from metaswin.features.matrix import wide

SETTINGS = SelectionSettings(trees=10, keep=3)


@pytest.mark.parametrize("what", ["features", "labels"])
def test_selection_when_test_rows_are_corrupted_then_only_the_leaky_one_changes(tmp_path, what):
    cohort = NoiseCohort(tmp_path).write()
    features, table = read_table(cohort.path("features.parquet")), read_table(cohort.path("folds.parquet"))
    test = table.loc[table["fold"] == 0, "patient"]
    spoilt, wrong = features.copy(), table.copy()
    if what == "features":
        rows = spoilt["patient"].isin(test)
        spoilt.loc[rows, [name for name in spoilt if name.startswith("original")]] *= -3
    else:
        wrong.loc[wrong["patient"].isin(test), "label"] = 1 - wrong["label"]
    for training, same in [(Folds.training, True), (leaky_training, False)]:
        clean, changed = (
            selections(
                {name: wide(long, name, folds.patients) for name in RADIOMICS},
                folds.labels,
                training(folds),
                SETTINGS,
                3,
            )
            for long, folds in [(features, Folds.of(table, 0)), (spoilt, Folds.of(wrong, 0))]
        )
        for fit in outer_fits(0, 3):
            assert clean[clean["fit"] == fit].equals(changed[changed["fit"] == fit]) is same


def test_auc_when_features_are_noise_then_only_leaky_selection_raises_it_above_half(tmp_path):
    """Mean of three cohorts of 60 patients and 480 features of noise."""
    found = {"as-is": [], "leaky": []}
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        cohort = NoiseCohort(
            folder,
            features=240,
            seed=seed,
            selection=SelectionSettings(trees=25, keep=8),
            fusion=FusionSettings(
                feature_sets=["radiomics+peri_radiomics"],
                primary_feature_set="radiomics+peri_radiomics",
                network={"steps": 5, "ensemble": 1, "penalties": [5.0]},
            ),
        ).write()
        label = read_table(cohort.path("folds.parquet")).set_index("patient")["label"]
        for variant in found:
            for fold in range(3):
                rows = cohort.fit_run(fold, variant)
                rows = rows[rows["classifier"] == "logistic"]
                found[variant].append(roc_auc_score(label[rows["patient"]], rows["probability"]))
    assert 0.35 < np.mean(found["as-is"]) < 0.6
    assert np.mean(found["leaky"]) > 0.75


def test_feature_sets_when_only_those_with_radiomics_then_they_are_fitted_as_before(tmp_path):
    cohort = NoiseCohort(tmp_path).write()
    everything = cohort.fit_run(0)
    primary = read_json(tmp_path / "as-is/fold-0/fits.json")["primary"]
    some = cohort.fit_run(0, using=["radiomics", "peri_radiomics"])
    assert set(everything["feature_set"]) - set(some["feature_set"]) == {
        "clinical:paper",
        "deep",
        "clinical+deep",
        "volume",
    }
    joined = some.merge(everything, on=["patient", "feature_set", "classifier"], suffixes=("", "_all"))
    assert len(joined) == len(some)
    pd.testing.assert_series_equal(joined["probability"], joined["probability_all"], check_names=False)
    assert read_json(tmp_path / "as-is/fold-0/fits.json")["primary"] == primary
