"""Permutations: the refit is the run's own, batches do not matter, the null lies at .5."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from controls_run import FUSION, SELECTION, SETS, NoiseCohort
from sklearn.metrics import roc_auc_score

from metaswin.config.cohort import FoldsSettings
from metaswin.config.features import HarmonisationSettings, SelectionSettings, StabilitySettings
from metaswin.config.models import FusionSettings
from metaswin.core.files import read_table
from metaswin.evaluation.censoring import primary_weights, weighted_auc
from metaswin.evaluation.negative_controls import permutation_p
from metaswin.evaluation.permutation import permutation_table, permute_batch

STABILITY = StabilitySettings(perturbations=3)
AUC = SelectionSettings(method="auc", keep_choices=[1, 3])


@pytest.fixture
def cohort(tmp_path):
    return NoiseCohort(tmp_path).write()


@pytest.mark.parametrize(
    ("method", "stability", "selection"),
    [
        ("none", None, SELECTION),
        ("combat", None, SELECTION),
        ("none", STABILITY, SELECTION),
        ("combat", STABILITY, AUC),
    ],
)
def test_refit_when_nothing_is_permuted_and_penalties_are_chosen_then_it_equals_the_run(
    tmp_path, method, stability, selection
):
    feature_sets = ["clinical", "radiomics", "peri_radiomics+deep", "volume"]
    fusion = FUSION.model_copy(update={"feature_sets": feature_sets, "primary_feature_set": "radiomics"})
    harmonisation = HarmonisationSettings(method=method, batch="sex")
    stages = {"selection": selection, "fusion": fusion, "harmonisation": harmonisation, "stability": stability}
    cohort = NoiseCohort(tmp_path, **stages).write()
    predicted = pd.concat([cohort.fit_run(fold).assign(fold=fold) for fold in range(3)])
    label = read_table(cohort.path("folds.parquet")).set_index("patient")["label"]
    expected = predicted.groupby(["feature_set", "classifier", "fold"])[["patient", "probability"]].apply(
        lambda rows: roc_auc_score(label[rows["patient"]], rows["probability"])
    )
    settings = cohort.settings(penalty="chosen", classifiers=["network", "logistic"])
    table = permutation_table(cohort.study(), 0, settings).set_index(["feature_set", "classifier"])["auc"]
    expected = expected.groupby(["feature_set", "classifier"]).mean()
    assert len(table) == 8
    selection = read_table(tmp_path / "as-is/selection.parquet")
    assert (selection["step"] == "unstable").any() == (stability is not None)
    pd.testing.assert_series_equal(table.sort_index(), expected.sort_index(), check_names=False)


def test_refit_when_outcome_depends_on_a_feature_then_only_unpermuted_refit_finds_it(tmp_path):
    fusion = FusionSettings(feature_sets=["radiomics"], primary_feature_set="radiomics")
    cohort = NoiseCohort(tmp_path, n=120, signal=4.0, fusion=fusion).write()
    study, settings = cohort.study(), cohort.settings()
    auc = {i: permutation_table(study, i, settings)["auc"].item() for i in range(20)}
    assert auc[0] > 0.85
    null = np.array([auc[i] for i in range(1, 20)])
    assert null.max() < 0.75
    assert permutation_p(auc[0], null) == 1 / 20


def test_batches_when_refitted_one_by_one_then_equal(cohort, tmp_path):
    settings = cohort.settings()
    for name, numbers in [("all", [0, 1, 2]), ("first", [0]), ("rest", [2, 1])]:
        permute_batch(cohort.inputs(), str(tmp_path / f"{name}.parquet"), "dm", SETS, numbers, settings)
    together = read_table(tmp_path / "all.parquet")
    apart = pd.concat([read_table(tmp_path / "first.parquet"), read_table(tmp_path / "rest.parquet")])
    order = ["permutation", "feature_set", "classifier"]
    pd.testing.assert_frame_equal(
        together.sort_values(order, ignore_index=True), apart.sort_values(order, ignore_index=True)
    )
    assert together.columns.tolist() == ["endpoint", "permutation", "feature_set", "classifier", "auc"]
    assert set(together["classifier"]) == {"logistic"}


def test_feature_sets_when_networks_are_not_permuted_then_those_with_deep_excluded(cohort):
    feature_sets = set(permutation_table(cohort.study(deep_permuted=False), 1, cohort.settings())["feature_set"])
    assert {"clinical:paper", "radiomics", "peri_radiomics", "clinical+radiomics", "volume"} <= feature_sets
    assert not any("deep" in feature_set for feature_set in feature_sets)


def test_classifiers_when_the_network_is_primary_then_primary_feature_set_has_both(cohort):
    settings = replace(cohort.settings(), primary_classifier="network")
    table = permutation_table(cohort.study(), 1, settings)
    both = table.groupby("feature_set")["classifier"].agg(set)
    everything = "clinical+radiomics+peri_radiomics+deep"
    assert both[everything] == {"network", "logistic"}
    assert all(classifiers == {"logistic"} for classifiers in both.drop(everything))


def test_deep_when_permuted_then_the_scores_of_the_permuted_networks_are_used(cohort):
    study, settings = cohort.study(), cohort.settings()
    other = replace(study, deep=[-scores.sample(frac=1, random_state=1) for scores in study.deep])
    other = replace(other, deep=[pd.Series(s.to_numpy(), index=study.deep[0].index) for s in other.deep])

    def deep(one, number):
        return permutation_table(one, number, settings).set_index("feature_set").loc["deep", "auc"]

    assert deep(study, 1) == deep(other, 1)
    assert deep(study, 0) != deep(other, 0)


def test_permutation_when_folds_cannot_be_made_then_it_is_missing_without_an_error(cohort):
    settings = replace(cohort.settings(), folds=FoldsSettings(k=30))
    table = permutation_table(cohort.study(), 1, settings)
    assert len(table) == 12
    assert table["auc"].isna().all()


def test_null_when_nothing_predicts_then_its_mean_is_a_half(tmp_path):
    """The null of every feature set is centred; the standard error of its mean over 40 permutations is .01 to .02."""
    fusion = FusionSettings(feature_sets=["radiomics", "clinical+deep", "volume"], primary_feature_set="radiomics")
    cohort = NoiseCohort(tmp_path, n=100, horizon=500.0, fusion=fusion).write()
    study, settings = cohort.study(), cohort.settings()
    table = pd.concat([permutation_table(study, number, settings) for number in range(1, 41)])
    assert table.groupby("feature_set")["auc"].mean().between(0.45, 0.55).all()


@pytest.mark.long
def test_p_when_nothing_predicts_then_uniform(tmp_path):
    """40 cohorts of noise, 19 permutations each: p is 1/20 … 20/20, each equally likely."""
    from scipy import stats

    fusion = FusionSettings(feature_sets=["clinical+radiomics"], primary_feature_set="clinical+radiomics")
    found = []
    for seed in range(40):
        folder = tmp_path / str(seed)
        folder.mkdir()
        cohort = NoiseCohort(folder, n=60, seed=seed, features=4, fusion=fusion).write()
        study, settings = cohort.study(), cohort.settings()
        aucs = [permutation_table(study, number, settings)["auc"].item() for number in range(20)]
        found.append(permutation_p(aucs[0], np.array(aucs[1:])))
    assert min(found) >= 1 / 20
    quarters = np.histogram(found, bins=[0, 0.2501, 0.5001, 0.7501, 1.0001])[0]
    assert stats.chisquare(quarters).pvalue > 0.001
    assert 0.4 < np.mean(found) < 0.65


@pytest.mark.parametrize(("observed", "p"), [(0.65, 2 / 5), (0.6, 3 / 5), (0.9, 1 / 5), (0.1, 1.0)])
def test_p_when_counted_by_hand_then_ties_count_and_it_is_never_zero(observed, p):
    assert permutation_p(observed, np.array([0.4, 0.5, 0.6, 0.7])) == pytest.approx(p)


def test_auc_when_weighted_then_each_pair_counts_by_its_weights():
    label, score = np.array([1, 1, 0, 0, np.nan]), np.array([0.9, 0.2, 0.5, 0.1, 0.0])
    weight = np.array([1.0, 3.0, 2.0, 1.0, 0.0])
    # Pairs: 0.9 beats both (1 x 2 + 1 x 1), 0.2 beats 0.1 alone (3 x 1), of 4 x 3.
    assert weighted_auc(label, score, weight) == pytest.approx(6 / 12)
    assert weighted_auc(label, score, np.ones(5)) == roc_auc_score(label[:4], score[:4])
    assert np.isnan(weighted_auc(np.array([1.0, 1.0]), np.array([0.1, 0.2]), np.ones(2)))
    assert np.isnan(weighted_auc(label, np.array([0.9, np.nan, 0.5, 0.1, 0.0]), weight))


def test_weights_when_a_horizon_is_given_then_known_outcomes_represent_the_censored():
    train = pd.DataFrame({"label": [0, 0, 1], "time": [50.0, 900.0, 80.0], "event": [0, 0, 1]})
    test = pd.DataFrame(
        {"label": pd.array([1, 0, None], dtype="Int8"), "time": [20.0, 800.0, 30.0], "event": [1, 0, 0]}
    )
    # One of three is lost at 50: from then on G = 2/3.
    np.testing.assert_allclose(primary_weights(test, train, 500.0), [1.0, 1.5, 0.0])
    np.testing.assert_allclose(primary_weights(test, train, None), [1.0, 1.0, 0.0])
