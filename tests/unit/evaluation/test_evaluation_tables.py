"""The tables of the evaluation from drawn runs with known answers."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from synthetic_run import Plan, draw

from metaswin.config.evaluation import EvaluationSettings
from metaswin.core.files import read_json, read_table, write_json, write_table
from metaswin.evaluation.evaluate import evaluate
from metaswin.evaluation.predictions import gather
from metaswin.evaluation.strata import Pairs, levels

SETTINGS = EvaluationSettings(strata=["site", "age"], bootstrap=100)
SETS = {"paper": ["age", "sex", "site"], "staging": ["site"]}


def evaluated(run) -> dict:
    evaluate(run.evaluation_inputs, run.evaluation_outputs, SETTINGS, SETS, 7)
    tables = {name: read_table(path) for name, path in asdict(run.evaluation_outputs).items() if name != "facts"}
    return {**tables, "facts": read_json(run.evaluation_outputs.facts)}


@pytest.fixture(scope="module")
def horizon_run(tmp_path_factory):
    modalities = ("clinical", "radiomics", "deep")
    plan = Plan(patients=150, endpoints={"dm": 900.0, "late": 1800.0}, modalities=modalities, repeats=2)
    run = draw(tmp_path_factory.mktemp("horizon"), plan)
    return run, evaluated(run)


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory):
    run = draw(tmp_path_factory.mktemp("plain"), Plan(patients=60, modalities=("clinical",)))
    return run, evaluated(run)


def test_fold_auc_of_known_outcomes_equals_sklearn(horizon_run):
    run, found = horizon_run
    folds = pd.read_parquet(f"{run.results}/folds/late.parquet")
    predictions = pd.read_parquet(f"{run.results}/models/late/as-is/r1/fold-3/fusion/predictions.parquet")
    feature_set = predictions.query("feature_set == 'deep' and classifier == 'network' and part == 'test'")
    rows = feature_set.merge(folds[folds["repeat"] == 1], on="patient").dropna(subset="label")
    row = found["folds"].query(
        "endpoint == 'late' and feature_set == 'deep' and classifier == 'network' and repeat == 1 and fold == 3"
    )
    assert row["auc"].item() == pytest.approx(roc_auc_score(rows["label"].astype(int), rows["probability"]))
    assert row["n"].item() == len(rows)


def test_summary_is_the_mean_over_folds_and_repeats_never_of_pooled_rows(horizon_run):
    _, found = horizon_run
    means = found["folds"].groupby(["endpoint", "feature_set", "classifier"])["auc_ipcw"].mean()
    summary = found["summary"].set_index(["endpoint", "feature_set", "classifier"])
    assert summary["auc_ipcw"].to_numpy() == pytest.approx(means.loc[summary.index].to_numpy())
    assert (summary["folds"] == 10).all()


def test_brier_interval_has_the_variances_of_the_rows_and_of_the_inner_fits(horizon_run):
    run, found = horizon_run
    chosen = "endpoint == 'dm' and feature_set == 'deep' and classifier == 'network'"
    row = found["summary"].query(chosen).iloc[0]
    inputs = (getattr(run.evaluation_inputs, name) for name in ("predictions", "fits", "folds", "facts"))
    data = next(one for one in gather(*inputs) if one.name == "dm")
    parts = data.feature_sets["deep", "network"]
    known = [part.known for part in parts]
    rows = [np.var((scores - labels) ** 2, ddof=1) / len(labels) for labels, scores, _ in known]
    # The fold's own row is missing, and every other fold has an inner fit without it.
    losses = np.array(
        [np.mean((part.known_refits - labels) ** 2, axis=1) for part, (labels, _, _) in zip(parts, known, strict=True)]
    )
    losses = losses.reshape(2, 5, 5)  # two repeats of five folds
    assert (np.isnan(losses) == np.eye(5, dtype=bool)).all()
    moves = 3 * (np.nanmean(losses, axis=2, keepdims=True) - losses)
    effects = np.nanmean(moves, axis=1) * 16 / 15
    limit = data.ratio * np.mean(rows)
    fits = np.mean(np.sum(effects**2, axis=1) / 20)
    half = 1.959964 * np.sqrt(np.mean(rows) / 5 + min(fits + limit / 4, limit))
    assert row["brier_high"] - row["brier"] == pytest.approx(half, rel=1e-6)


def test_summary_counts_each_patient_once(horizon_run):
    run, found = horizon_run
    counts = read_json(f"{run.results}/folds/dm.json")["counts"]["nonevent"]
    row = found["summary"].query("endpoint == 'dm'").iloc[0]
    assert {name: row[name] for name in ("events", "nonevents", "unknown")} == {
        name: counts[name] for name in ("events", "nonevents", "unknown")
    }
    assert row["unknown"] > 0


def test_horizon_endpoint_has_censoring_weights_and_names_them_as_primary(horizon_run):
    _, found = horizon_run
    weight = found["predictions"].query("endpoint == 'dm'")
    assert (weight.loc[weight["label"].isna(), "weight"] == 0).all()
    assert (weight.loc[weight["label"].notna(), "weight"] >= 1).all()
    assert [e["weighting"] for e in found["facts"]["endpoints"]] == ["ipcw", "ipcw"]
    assert not np.allclose(found["summary"]["auc"], found["summary"]["auc_ipcw"])


def test_plain_endpoint_is_not_weighted_and_says_so(plain_run):
    _, found = plain_run
    assert found["facts"]["endpoints"][0]["weighting"] == "known"
    assert found["summary"]["auc_ipcw"].isna().all()
    assert found["summary"]["auc_ipcw_why"].str.contains("plain column").all()
    assert (found["predictions"]["weight"] == 1).all()


def test_weights_do_not_depend_on_the_test_rows_follow_up(tmp_path):
    run = draw(tmp_path, Plan(patients=80, endpoints={"dm": 900.0}, modalities=("clinical",)))
    before = evaluated(run)["predictions"].query("fold == 0")
    path = f"{run.results}/folds/dm.parquet"
    folds = read_table(path)
    spared = folds.query("fold == 0")["patient"].iloc[0]
    corrupt = (folds["fold"] == 0) & (folds["patient"] != spared)
    folds.loc[corrupt, "time"], folds.loc[corrupt, "event"] = 1.0, 0
    write_table(path, folds)
    after = evaluated(run)["predictions"].query("fold == 0")
    same = [table.loc[table["patient"] == spared, "weight"].to_numpy() for table in (before, after)]
    assert np.array_equal(*same)


def test_comparisons_are_the_primary_model_against_volume_and_clinical_sets_only(horizon_run):
    _, found = horizon_run
    table = found["comparisons"]
    assert set(table["against"]) == {"volume", "clinical:paper", "clinical:staging"}
    assert set(table["feature_set"]) == {"clinical+radiomics+deep"}
    row = table.query(
        "endpoint == 'dm' and classifier == 'network' and against == 'volume' and against_classifier == 'logistic' "
        "and metric == 'auc'"
    ).iloc[0]
    folds = found["folds"].query("endpoint == 'dm'").set_index(["feature_set", "classifier"])
    ours = folds.loc[(row["feature_set"], "network"), "auc"].mean()
    assert row["value"] == pytest.approx(ours - folds.loc[("volume", "logistic"), "auc"].mean())


def test_death_table_shows_both_rules(horizon_run):
    _, found = horizon_run
    table = found["deaths"].query("endpoint == 'dm'").set_index("rule")
    assert table.loc["nonevent", "nonevents"] == table.loc["exclude", "nonevents"] + table.loc["exclude", "excluded"]
    assert table["in_use"].to_dict() == {"nonevent": True, "exclude": False}


def test_every_feature_set_has_a_roc_curve_that_ends_at_one(horizon_run):
    _, found = horizon_run
    ends = found["roc"].groupby(["endpoint", "feature_set", "classifier"]).tail(1)
    assert len(ends) == len(found["summary"])
    assert ends["tpr"].to_numpy() == pytest.approx(1)


def test_strata_with_few_events_are_not_estimable_and_say_why(plain_run):
    _, found = plain_run
    few = found["strata"].query("column == 'site' and events_shown == '<5'")
    assert len(few) > 0
    assert few["auc"].isna().all()
    assert few["auc_why"].str.contains("fewer than 5 ").all()


def test_strata_cover_every_patient_once(horizon_run):
    _, found = horizon_run
    one = found["strata"].query("endpoint == 'dm' and feature_set == 'deep' and classifier == 'network'")
    told = one.groupby("column")[["n", "unknown"]].sum().sum(axis=1)
    assert told["age"] == 150
    assert (one["n"].isna() == one["n_shown"].isin(["<5", "≥5"])).all()


def test_missing_prediction_makes_the_feature_set_not_estimable_in_that_fold(tmp_path):
    run = draw(tmp_path, Plan(patients=60, modalities=("clinical",)))
    path = run.evaluation_inputs.predictions[0]
    table = read_table(path)
    lost = table.query("feature_set == 'clinical:paper' and classifier == 'network' and part == 'test'").index[0]
    write_table(path, table.drop(index=lost))
    found = evaluated(run)
    row = found["summary"].query("feature_set == 'clinical:paper' and classifier == 'network'").iloc[0]
    assert row["auc_folds"] == 4
    assert row["auc_why"] == "1 of 5 folds excluded: 1 prediction is missing"


def test_fold_with_one_class_is_excluded_with_its_reason(tmp_path):
    run = draw(tmp_path, Plan(patients=60, modalities=("clinical",)))
    path = run.evaluation_inputs.folds[0]
    folds = read_table(path)
    folds.loc[folds["fold"] == 2, "label"] = 0
    write_table(path, folds)
    found = evaluated(run)
    row = found["summary"].iloc[0]
    assert row["auc_why"] == "1 of 5 folds excluded: no events in the fold's test rows"
    assert row["spe_folds"] == 5
    assert found["roc"]["folds"].max() == 4


def test_one_feature_set_and_no_strata_give_empty_tables_not_errors(tmp_path):
    run = draw(tmp_path, Plan(patients=60, modalities=("clinical",)))
    for path in run.evaluation_inputs.fits:
        fits = read_json(path)
        del fits["feature_sets"]["clinical:staging"]
        write_json(path, fits)
    evaluate(run.evaluation_inputs, run.evaluation_outputs, EvaluationSettings(), SETS, 7)
    assert len(read_table(run.evaluation_outputs.comparisons)) == 0
    assert len(read_table(run.evaluation_outputs.strata)) == 0
    assert len(read_table(run.evaluation_outputs.summary)) == 2


def test_folds_with_different_feature_sets_raise_an_error(tmp_path):
    run = draw(tmp_path, Plan(patients=60, modalities=("clinical",)))
    path = run.evaluation_inputs.fits[0]
    fits = read_json(path)
    del fits["feature_sets"]["clinical:paper"]
    write_json(path, fits)
    with pytest.raises(ValueError, match="different feature sets"):
        evaluated(run)


def test_evaluation_twice_gives_the_same_tables(plain_run):
    run, found = plain_run
    again = evaluated(run)
    pd.testing.assert_frame_equal(found["strata"], again["strata"])


def test_gather_assigns_files_by_their_content_whatever_their_names_and_order(horizon_run, tmp_path):
    run, _ = horizon_run
    inputs = {name: getattr(run.evaluation_inputs, name) for name in ("predictions", "fits", "folds", "facts")}
    moved = {name: list(paths) for name, paths in inputs.items()}
    pairs = list(zip(inputs["predictions"], inputs["fits"], strict=True))
    for number, pair in enumerate(reversed(pairs)):
        for name, path in zip(("predictions", "fits"), pair, strict=True):
            copy = tmp_path / f"{name}-{number}"
            copy.write_bytes(Path(path).read_bytes())
            moved[name][number] = str(copy)
    for name in ("folds", "facts"):
        for number, path in enumerate(inputs[name]):
            copy = tmp_path / f"{name}-{number}"
            copy.write_bytes(Path(path).read_bytes())
            moved[name][number] = str(copy)
    first, again = gather(**inputs), gather(**moved)
    assert [data.name for data in first] == [data.name for data in again] == ["dm", "late"]
    for one, other in zip(first, again, strict=True):
        pd.testing.assert_frame_equal(one.predictions, other.predictions)
        pd.testing.assert_frame_equal(one.training, other.training)
        assert one.prevalence == other.prevalence


def test_levels_fold_case_and_keep_the_most_common_spelling():
    column = pd.Series(["Larynx", "larynx ", "larynx", None, "tonsil"], dtype="str")
    assert levels(column).tolist() == ["larynx", "larynx", "larynx", "missing", "tonsil"]


def test_levels_cut_a_long_numeric_column_at_its_median():
    assert levels(pd.Series([1.0, 2, 3, 4, 5, 6, 7, np.nan])).tolist() == ["≤ 4"] * 4 + ["> 4"] * 3 + ["missing"]


def test_levels_keep_a_short_numeric_column():
    assert levels(pd.Series([0.0, 1.0, np.nan])).tolist() == ["0", "1", "missing"]


def pairs(labels, folds, draws=200):
    rows = pd.DataFrame({"patient": [f"p{i}" for i in range(len(labels))], "repeat": 0, "fold": folds, "label": labels})
    return Pairs(rows, draws, np.random.default_rng(1))


def test_pairs_never_compare_scores_of_two_folds():
    # Within each fold the order is perfect; fold 1's scores all lie above fold 0's.
    scores = np.array([0.1, 0.2, 0.8, 0.9])
    found = pairs([0, 1, 0, 1], [0, 0, 1, 1]).estimate(scores, np.ones(4), 0.95)
    assert found.value == 1.0
    assert found.low is None


def test_pairs_of_one_fold_equal_sklearn_and_the_interval_contains_the_value():
    rng = np.random.default_rng(2)
    labels = (rng.random(80) < 0.4).astype(int)
    scores, weight = rng.normal(size=80) + labels, rng.random(80) + 0.5
    found = pairs(labels, np.zeros(80, dtype=int)).estimate(scores, weight, 0.95)
    assert found.value == pytest.approx(roc_auc_score(labels, scores, sample_weight=weight))
    assert found.low < found.value < found.high


def test_pairs_without_both_outcomes_in_a_fold_are_not_estimable():
    found = pairs([0, 0, 1, 1], [0, 0, 1, 1]).estimate(np.arange(4.0), np.ones(4), 0.95)
    assert found.value is None
    assert found.why == "no fold contains both an event and a non-event"
