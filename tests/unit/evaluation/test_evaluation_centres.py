"""Performance in each centre and the spread between centres, with known answers."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from scipy.stats import norm
from synthetic_run import Plan, draw

from metaswin.config.evaluation import EvaluationSettings
from metaswin.core.files import read_json, read_table, write_json, write_table
from metaswin.evaluation.centres import between_centres_table
from metaswin.evaluation.delong import delong
from metaswin.evaluation.evaluate import evaluate
from metaswin.evaluation.meta_analysis import pool
from metaswin.report.data import read_report_data
from metaswin.report.figures import centres_forest

SETTINGS = EvaluationSettings(bootstrap=100)
NAMES = ["Ahus", "Bern + Brno", "Cork", "Delft", "Evora"]
CHOSEN = "feature_set == 'deep' and classifier == 'network'"


def by_centre(folder, patients: int):
    """A drawn run whose folds are centres, and its evaluation."""
    run = draw(folder, Plan(patients=patients))
    for path in run.evaluation_inputs.folds:
        table = read_table(path)
        write_table(path, table.assign(stratum=table["fold"].map(dict(enumerate(NAMES)))))
    for path in run.evaluation_inputs.facts:
        write_json(path, {**read_json(path), "by": "centre"})
    evaluate(run.evaluation_inputs, run.evaluation_outputs, SETTINGS, {"paper": ["age"]}, 7)
    return run, {name: read_table(path) for name, path in asdict(run.evaluation_outputs).items() if name != "facts"}


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return by_centre(tmp_path_factory.mktemp("large"), 400)


def test_auc_of_a_centre_is_that_of_its_model_with_delongs_interval(large):
    _, found = large
    rows = found["predictions"].query(CHOSEN)
    table = found["centres"].query(f"{CHOSEN} and metric == 'auc'").set_index("level")
    assert table.index.tolist() == NAMES
    for fold, name in enumerate(NAMES):
        own = rows[rows["fold"] == fold]
        scores = (own.loc[own["label"] == value, "probability"].to_numpy() for value in (1, 0))
        auc, variance = delong(*scores)
        half = norm.ppf(0.975) * np.sqrt(variance)
        assert table.at[name, "value"] == pytest.approx(auc)
        assert table.at[name, "error"] == pytest.approx(np.sqrt(variance))
        assert table.at[name, "low"] == pytest.approx(auc - half)
        assert table.at[name, "high"] == pytest.approx(min(auc + half, 1))


def test_brier_of_a_centre_has_the_variance_of_its_rows_only(large):
    _, found = large
    own = found["predictions"].query(f"{CHOSEN} and fold == 2")
    loss = (own["probability"] - own["label"]) ** 2
    row = found["centres"].query(f"{CHOSEN} and metric == 'brier' and level == 'Cork'").iloc[0]
    assert row["value"] == pytest.approx(loss.mean())
    assert row["error"] == pytest.approx(loss.std(ddof=1) / np.sqrt(len(loss)))


def test_spread_is_the_meta_analysis_of_the_centres_on_the_logit_scale(large):
    _, found = large
    centres = found["centres"].query(f"{CHOSEN} and metric == 'auc'")
    row = found["between_centres"].query(f"{CHOSEN} and metric == 'auc'").iloc[0]
    value = centres["value"].to_numpy()
    pooled = pool(logit(value), centres["error"] / (value * (1 - value)), 0.95)
    assert row["centres"] == 5
    assert (row["lowest"], row["highest"]) == (value.min(), value.max())
    assert (row["mean"], row["low"], row["high"]) == pytest.approx(expit([pooled.value, pooled.low, pooled.high]))
    assert row["tau"] == pytest.approx(np.sqrt(pooled.tau2))
    assert (row["predicted_low"], row["predicted_high"]) == pytest.approx(
        expit([pooled.predicted_low, pooled.predicted_high])
    )
    assert row["why"] == ""


def test_spread_when_centres_are_few_then_only_the_range_with_the_reason(large):
    _, found = large
    for count, why in [(2, "2 centres with an interval, fewer than 3"), (3, "")]:
        table = between_centres_table(found["centres"][found["centres"]["fold"] < count], "dm", 0.95)
        row = table.query(f"{CHOSEN} and metric == 'auc'").iloc[0]
        assert row["why"] == why
        assert np.isnan(row["tau"]) == np.isnan(row["predicted_low"]) == bool(why)
        assert row["lowest"] <= row["highest"]


def test_centre_when_it_has_few_events_then_it_says_so_and_its_counts_are_suppressed(tmp_path):
    _, found = by_centre(tmp_path, 60)
    rows = found["centres"].query(f"{CHOSEN} and metric == 'auc'")
    events = found["folds"].query(CHOSEN).set_index("fold")["events"]
    assert events.between(1, 9).all()
    for row in rows.itertuples():
        few = events[row.fold] < SETTINGS.min_cell_events
        assert row.why == f"fewer than {5 if few else 10} events"
        assert np.isnan(row.value) == few
        assert np.isnan(row.low)
        assert not few or row.events_shown == "<5"
    assert found["between_centres"]["tau"].isna().all()


def test_run_when_folds_are_not_centres_then_the_tables_are_empty(tmp_path):
    run = draw(tmp_path, Plan(patients=60, modalities=("clinical",)))
    evaluate(run.evaluation_inputs, run.evaluation_outputs, SETTINGS, {"paper": ["age"]}, 7)
    for path in (run.evaluation_outputs.centres, run.evaluation_outputs.between_centres):
        assert len(read_table(path)) == 0
        assert "endpoint" in pd.read_parquet(path)


def test_forest_has_a_row_for_each_centre_the_mean_and_a_new_one(large):
    run, _ = large
    config = {"fusion": {"clinical_set": "paper"}, "clinical": {"sets": {}}, "endpoints": {"dm": {}}}
    endpoint = read_report_data(run.report_inputs, config).endpoints[0]
    forest = centres_forest(endpoint)
    primary = [row for row in forest.rows if row.group == forest.rows[0].group]
    assert [row.label for row in primary] == [*NAMES, "Mean of the centres", "A new centre"]
    assert all(row.low < row.value < row.high for row in primary)
