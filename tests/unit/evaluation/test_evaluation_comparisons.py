"""Primary model against controls: the confirmatory family, Holm's method, and each kind of difference."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from synthetic_run import Plan, draw

from metaswin.config.evaluation import EvaluationSettings
from metaswin.core.files import read_table, write_table
from metaswin.evaluation.comparisons import baselines, comparison_table, confirmatory_feature_sets, holm
from metaswin.evaluation.predictions import gather
from metaswin.evaluation.summary import fold_table

SETS = {"staging": ["t", "n"], "paper": ["age", "sex", "site"], "other": ["a", "b", "c"]}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    plan = Plan(patients=150, endpoints={"dm": 900.0}, modalities=("clinical", "radiomics", "deep"))
    run = draw(tmp_path_factory.mktemp("comparisons"), plan)
    inputs = run.evaluation_inputs
    (found,) = gather(inputs.predictions, inputs.fits, inputs.folds, inputs.facts)
    return found


def compared(data, **settings) -> pd.DataFrame:
    return comparison_table(data, fold_table(data), EvaluationSettings(**settings), SETS)


def test_holm_of_a_textbook_example():
    # .01 x 4, .02 x 3, .03 x 2 and the last at least as large.
    assert holm(np.array([0.03, 0.01, 0.02, 0.04])) == pytest.approx([0.06, 0.04, 0.06, 0.06])


def test_holm_when_a_test_is_missing_then_it_still_counts():
    assert holm(np.array([np.nan, 0.02])) == pytest.approx([np.nan, 0.04], nan_ok=True)


@given(hnp.arrays(float, st.integers(0, 8), elements=st.floats(0, 1)))
def test_holm_lies_between_the_raw_and_the_bonferroni_value(p):
    found = holm(p)
    assert np.all(found >= p)
    assert np.all(found <= np.minimum(p * len(p), 1) + 1e-12)


def test_baselines_are_volume_and_single_clinical_sets():
    feature_sets = ["clinical:paper", "clinical+deep", "clinical:paper+deep", "volume", "deep"]
    assert baselines(feature_sets) == ["clinical:paper", "volume"]


@pytest.mark.parametrize(
    ("feature_sets", "chosen", "family"),
    [
        (["volume", "clinical:staging", "clinical:paper", "clinical:other"], None, ["volume", "clinical:paper"]),
        (["volume", "clinical:staging", "clinical:paper"], "staging", ["volume", "clinical:staging"]),
        (["clinical:staging", "deep"], "paper", ["clinical:staging"]),
        (["deep"], None, []),
    ],
)
def test_confirmatory_family_is_fixed_by_the_config_and_the_feature_sets(feature_sets, chosen, family):
    assert confirmatory_feature_sets(feature_sets, "deep", SETS, chosen) == family


def test_confirmatory_family_when_the_largest_set_is_the_primary_then_the_next():
    assert confirmatory_feature_sets(["clinical:paper", "clinical:staging"], "clinical:paper", SETS, None) == [
        "clinical:staging"
    ]


def test_confirmatory_when_at_a_horizon_then_only_weighted_auc_of_primary_classifier(data):
    table = compared(data)
    planned = table[table["family"] == "confirmatory"]
    assert planned[["against", "metric", "classifier", "against_classifier"]].to_numpy().tolist() == [
        ["clinical:paper", "auc_ipcw", "network", "network"],
        ["volume", "auc_ipcw", "network", "network"],
    ]
    assert planned["p_holm"].to_numpy() == pytest.approx(holm(planned["p"].to_numpy()))
    assert table.loc[table["family"] == "exploratory", "p_holm"].isna().all()


def test_confirmatory_classifier_and_set_follow_the_settings(data):
    table = compared(data, primary_classifier="logistic", confirmatory_clinical_set="staging")
    planned = table[table["family"] == "confirmatory"]
    assert set(planned["against"]) == {"clinical:staging", "volume"}
    assert set(planned["classifier"]) | set(planned["against_classifier"]) == {"logistic"}


def one(table, metric):
    wanted = (table["metric"] == metric) & (table["against"] == "volume")
    return table[wanted & (table["classifier"] == "network") & (table["against_classifier"] == "network")].iloc[0]


def mean_difference(data, value) -> float:
    ours = [value(part) for part in data.feature_sets[data.primary, "network"]]
    return float(np.mean(ours) - np.mean([value(part) for part in data.feature_sets["volume", "network"]]))


def test_differences_are_means_over_folds(data):
    table = compared(data, net_benefit_threshold=0.25)

    def brier_ipcw(part):
        labels, scores, weights = part.known
        return np.average((labels - scores) ** 2, weights=weights)

    def benefit(part):
        labels, scores, _ = part.known
        return np.mean((scores >= 0.25) * (labels - (~labels) / 3))

    assert one(table, "brier_ipcw")["value"] == pytest.approx(mean_difference(data, brier_ipcw))
    assert one(table, "net_benefit")["value"] == pytest.approx(mean_difference(data, benefit))
    assert one(table, "net_benefit")["threshold_probability"] == 0.25
    assert np.isnan(one(table, "auc")["threshold_probability"])


def test_net_benefit_threshold_is_the_prevalence_of_training_rows(tmp_path):
    run = draw(tmp_path, Plan(patients=80, endpoints={"dm": 900.0}, modalities=("clinical",)))
    inputs = run.evaluation_inputs

    def prevalence():
        return gather(inputs.predictions, inputs.fits, inputs.folds, inputs.facts)[0].prevalence

    before = prevalence()
    folds = read_table(inputs.folds[0])
    corrupt = folds["fold"] == 0
    folds.loc[corrupt, "label"], folds.loc[corrupt, "time"], folds.loc[corrupt, "event"] = 1, 1.0, 1
    write_table(inputs.folds[0], folds)
    after = prevalence()
    assert before[0, 0] == after[0, 0]
    assert before[0, 1] != after[0, 1]


def test_comparisons_of_a_plain_column_have_no_weighted_value(tmp_path):
    run = draw(tmp_path, Plan(patients=60, modalities=("clinical", "radiomics")))
    inputs = run.evaluation_inputs
    (data,) = gather(inputs.predictions, inputs.fits, inputs.folds, inputs.facts)
    table = compared(data)
    weighted = table[table["metric"].str.endswith("_ipcw")]
    assert weighted["value"].isna().all()
    assert weighted["why"].str.contains("plain column").all()
    assert set(table.loc[table["family"] == "confirmatory", "metric"]) == {"auc"}
