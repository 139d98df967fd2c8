"""The tables of the evaluation in time."""

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from survival_run import HORIZON, draw

from metaswin.core.files import read_json, write_json, write_table
from metaswin.evaluation.cumulative_incidence import cumulative_incidence, gray_test
from metaswin.evaluation.intervals import mean_over_folds
from metaswin.evaluation.survival import METRICS
from metaswin.evaluation.survival_predictions import risk_groups

FEATURE_SET = "clinical:staging"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("tables"), repeats=2).train()


@pytest.fixture(scope="module")
def tables(run):
    return run.evaluate()


def pooled(run, repeat, feature_set=FEATURE_SET):
    """Test rows of all folds of a repeat with risk and group, put together by hand."""
    parts = []
    for r, fold in run.keys:
        if r == repeat:
            table = pd.read_parquet(run.model(r, fold, "predictions.parquet"))
            table = table[(table["feature_set"] == feature_set) & (table["part"] == "test")]
            limits = read_json(run.model(r, fold, "fits.json"))["feature_sets"][feature_set]["thresholds"]
            parts.append(table.assign(fold=fold, group=np.digitize(table["risk"], limits)))
    rows = run.folds[run.folds["repeat"] == repeat].drop(columns="fold")
    return pd.concat(parts).merge(rows, on="patient")


def test_summary_when_evaluated_then_the_corrected_mean_over_folds_and_repeats(run, tables):
    assert set(tables["summary"]["metric"]) == set(METRICS)
    assert (tables["summary"]["folds"] == 6).all()
    values = tables["folds"].query("feature_set == @FEATURE_SET and metric == 'c_index'")["value"].to_numpy()
    tested = run.folds.groupby(["repeat", "fold"]).size()
    expected = mean_over_folds(values, (tested / (run.folds["patient"].nunique() - tested)).mean(), 0.95)
    row = tables["summary"].query("feature_set == @FEATURE_SET and metric == 'c_index'").iloc[0]
    assert row[["value", "low", "high"]].tolist() == pytest.approx([expected.value, expected.low, expected.high])


def test_summary_when_risk_follows_age_and_volume_then_their_feature_sets_concordant(tables):
    c = tables["summary"].query("metric == 'c_index'").set_index("feature_set")["value"]
    assert c["volume"] > 0.6
    assert c[FEATURE_SET] > 0.6


def test_observed_over_expected_may_exceed_one_and_its_interval_too(tables):
    rows = tables["summary"].query("metric == 'observed_expected'")
    assert (rows["high"] > 1).all()
    assert (rows["low"] >= 0).all()


def test_tests_when_evaluated_then_gray_of_the_groups_of_each_repeat(run, tables):
    for repeat in (0, 1):
        rows = pooled(run, repeat)
        expected = gray_test(rows["time"].to_numpy(), rows["event"].to_numpy(dtype=int), rows["group"].to_numpy())
        found = tables["tests"].query("feature_set == @FEATURE_SET and repeat == @repeat").iloc[0]
        assert found["statistic"] == pytest.approx(expected.statistic)
        assert (found["test"], found["groups"], found["df"]) == ("gray", 3, 2)


def test_curves_when_evaluated_then_aalen_johansen_and_kaplan_meier_of_first_repeat(run, tables):
    rows = pooled(run, 0)
    curves = tables["curves"].query("feature_set == @FEATURE_SET").set_index(["curve", "group"])
    high = rows[rows["group"] == 2]
    found = curves.loc[("cif_dm", "high")]
    time, event = high["time"].to_numpy(), high["event"].to_numpy(dtype=int)
    expected = cumulative_incidence(time, event, 1, found["time"].to_numpy(), 0.95)
    assert found["value"].to_numpy() == pytest.approx(expected.value, nan_ok=True)
    assert found["at_risk"].to_numpy() == pytest.approx([np.sum(time >= day) for day in found["time"]])
    overall = curves.loc[("km_overall", "all")]
    km = KaplanMeierFitter().fit(rows["followup"], rows["dead"].astype(int))
    known = overall["value"].notna().to_numpy()
    expected = km.survival_function_at_times(overall["time"]).to_numpy()
    assert overall["value"].to_numpy()[known] == pytest.approx(expected[known])
    free = curves.loc[("km_dm_free", "all")]
    both = KaplanMeierFitter().fit(rows["time"], rows["event"].astype(int) > 0)
    assert free["value"].to_numpy()[:30] == pytest.approx(both.survival_function_at_times(free["time"][:30]).to_numpy())


def test_curves_when_evaluated_then_incidences_and_dm_free_survival_add_to_one(tables):
    curves = (
        tables["curves"].query("feature_set == 'volume' and group == 'middle'").set_index(["curve", "time"])["value"]
    )
    total = curves["cif_dm"] + curves["cif_death"] + curves["km_dm_free"]
    assert total.dropna().to_numpy() == pytest.approx(1.0)


def test_curves_when_evaluated_then_the_horizon_is_on_the_grid_and_gaps_have_reasons(tables):
    curves = tables["curves"]
    assert (curves.query(f"time == {HORIZON}").groupby(["feature_set", "group"]).size() == 4).all()
    assert set(curves["group"]) == {"all", "low", "middle", "high"}
    assert (curves["value"].isna() <= (curves["why"] != "")).all()
    assert (curves["low"].isna() <= (curves["why"] != "")).all()
    inside = curves.dropna(subset="low")
    assert ((inside["low"] <= inside["value"]) & (inside["value"] <= inside["high"])).all()


def test_calibration_when_evaluated_then_bins_by_rank_in_fold_against_aalen_johansen(run, tables):
    expected = []
    for repeat in (0, 1):
        rows = pooled(run, repeat)
        order = rows.groupby("fold")["risk"].rank() - 0.5
        rows = rows[order * 5 / rows.groupby("fold")["risk"].transform("size") < 1]
        time, event = rows["time"].to_numpy(), rows["event"].to_numpy(dtype=int)
        value = cumulative_incidence(time, event, 1, np.array([HORIZON]), 0.95).value[0]
        expected.append([len(rows), rows["risk"].mean(), value])
    found = tables["calibration"].query("feature_set == @FEATURE_SET").iloc[0]
    assert found[["n", "predicted", "observed"]].tolist() == pytest.approx(np.mean(expected, axis=0).tolist())
    assert tables["calibration"].groupby("feature_set")["n"].sum().eq(120).all()
    assert (tables["calibration"]["low"] < tables["calibration"]["observed"]).all()


def test_facts_when_evaluated_then_endpoint_and_training_numbers(run, tables):
    [endpoint] = read_json(run.output("facts"))["endpoints"]
    assert (endpoint["name"], endpoint["horizon_days"], endpoint["primary"]) == ("dm", HORIZON, FEATURE_SET)
    assert len(endpoint["training"]) == 6


def test_evaluation_when_run_twice_then_the_same_bytes(run, tables):
    before = {name: run.output(name).read_bytes() for name in tables}
    run.evaluate()
    assert before == {name: run.output(name).read_bytes() for name in tables}


def test_groups_when_at_a_limit_then_the_higher_and_missing_apart():
    assert risk_groups(np.array([0.1, 0.2, 0.5, np.nan]), [0.2, 0.4]).tolist() == [0, 1, 2, -1]


def test_evaluation_when_no_risk_is_learnt_then_reasons_and_curves_of_the_cohort(tmp_path):
    run = draw(tmp_path)
    run.folds["event"] = run.folds["event"].where(run.folds["event"] != 1, 0)
    tables = run.train().evaluate()
    why = "no metastasis in the training rows"
    assert tables["summary"]["value"].isna().all()
    assert tables["summary"]["why"].eq(why).all()
    assert tables["tests"]["why"].eq(why).all()
    assert tables["tests"]["p"].isna().all()
    assert tables["calibration"]["why"].eq(why).all()
    assert set(tables["curves"]["group"]) == {"all"}
    assert tables["curves"].query("curve == 'cif_dm'")["value"].dropna().eq(0).all()
    assert tables["curves"].query("curve == 'cif_death'")["value"].max() > 0.1


def test_evaluation_when_deaths_are_not_recorded_then_no_survival_and_the_reason(tmp_path):
    run = draw(tmp_path)
    run.folds["event"] = run.folds["event"].where(run.folds["event"] != 2, 0)
    run.folds["dead"] = pd.array([None] * len(run.folds), dtype="Int8")
    tables = run.train().evaluate()
    missing = tables["curves"].query("curve != 'cif_dm'")
    assert missing["value"].isna().all()
    assert missing["why"].eq("the endpoint names no column of deaths").all()
    assert tables["summary"]["value"].notna().all()


def test_evaluation_when_a_group_is_empty_then_its_curve_says_so(tmp_path):
    run = draw(tmp_path)
    run.settings = {**run.settings, "feature_sets": ["volume"]}
    run.volume["volume_tumor_mm3"] = 5.0
    tables = run.train().evaluate()
    groups = tables["tests"]["groups"].iloc[0]
    assert groups < 3
    empty = tables["curves"].query("why == 'no patients in the group'")
    assert empty["group"].nunique() == 3 - groups


def test_evaluation_when_one_fold_learnt_no_risk_then_others_shown_with_the_reason(tmp_path):
    run = draw(tmp_path).train()
    path = run.model(0, 1, "predictions.parquet")
    table = pd.read_parquet(path)
    write_table(path, table.assign(risk=np.nan))
    path = run.model(0, 1, "fits.json")
    write_json(path, {**read_json(path), "why": "no metastasis in the training rows"})
    tables = run.evaluate()
    assert (tables["summary"]["folds"] == 2).all()
    left_out = "1 of 3 folds excluded: no metastasis in the training rows"
    assert tables["summary"]["why"].eq(left_out).all()
    assert tables["tests"]["p"].notna().all()
    assert tables["tests"]["why"].eq("no metastasis in the training rows").all()
    assert tables["calibration"].groupby("feature_set")["n"].sum().eq(80).all()
    assert set(tables["curves"]["group"]) == {"all", "low", "middle", "high"}
