"""Published signatures as baselines: the same test rows, no fit, discrimination only where the score is not a risk."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from report_page import reported
from scipy.special import expit
from sklearn.metrics import roc_auc_score
from synthetic_run import Plan, draw

from metaswin.config.evaluation import EvaluationSettings
from metaswin.config.signatures import Signature
from metaswin.core.files import read_json, read_table, write_table
from metaswin.evaluation.comparisons import baselines
from metaswin.evaluation.evaluate import evaluate
from metaswin.evaluation.fold_results import fold_results
from metaswin.evaluation.intervals import mean_over_folds
from metaswin.evaluation.predictions import gather

SETS = {"paper": ["age", "sex", "site"], "staging": ["age"]}
COMMON = {
    "citation": "a test",
    "checked": "a test",
    "region": "tumor",
    "extraction": {},
    "features": [{"name": "original_shape_MeshVolume", "coefficient": 1}],
}
SIGNATURES = {
    "lung": Signature(title="Lung 2020", outcome="survival of lung cancer", distant_metastasis=False, **COMMON),
    "risk": Signature(title="Risk 2021", outcome="metastasis", distant_metastasis=True, intercept=0.0, **COMMON),
}


def with_scores(folder, plan: Plan, missing: int = 0):
    """A drawn run and the scores of both signatures, some of the first one missing."""
    run = draw(folder, plan)
    patients = read_table(run.evaluation_inputs.used)["patient"]
    rng = np.random.default_rng(4)
    scores = pd.DataFrame({name: rng.normal(0, 3, len(patients)) for name in SIGNATURES}, index=patients)
    scores.iloc[:missing, 0] = np.nan
    long = scores.reset_index().melt("patient", var_name="signature", value_name="value").assign(feature="score")
    path = f"{run.results}/features/signatures.parquet"
    write_table(path, long[["patient", "signature", "feature", "value"]])
    return run, replace(run.evaluation_inputs, signatures=path), scores


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    plan = Plan(patients=150, modalities=("clinical", "radiomics"), exclusions=False)
    run, inputs, scores = with_scores(tmp_path_factory.mktemp("signatures"), plan, missing=4)
    evaluate(inputs, run.evaluation_outputs, EvaluationSettings(bootstrap=100), SETS, 1, SIGNATURES)
    return run, inputs, scores


def table(finished, name: str) -> pd.DataFrame:
    return read_table(getattr(finished[0].evaluation_outputs, name))


def data_of(finished):
    _, inputs, scores = finished
    (found,) = gather(inputs.predictions, inputs.fits, inputs.folds, inputs.facts, SIGNATURES, scores)
    return found


def test_signature_alone_is_a_baseline():
    assert baselines(["deep", "signature:lung", "volume"]) == ["signature:lung", "volume"]


def test_auc_is_the_mean_over_the_folds_of_the_models(finished):
    _, inputs, scores = finished
    folds = read_table(inputs.folds[0]).set_index("patient").join(scores)
    by_fold = [
        roc_auc_score(rows["label"].astype(int), rows["lung"])
        for _, rows in folds[folds["lung"].notna()].groupby("fold")
    ]
    summary = table(finished, "summary").set_index("feature_set")
    assert summary.loc["signature:lung", "auc"] == pytest.approx(np.mean(by_fold))
    assert summary.loc["signature:lung", "classifier"] == "published"
    assert summary.loc["signature:lung", "auc_folds"] == 5
    assert summary.loc["signature:lung", "auc_low"] < summary.loc["signature:lung", "auc_high"]


def test_metrics_when_the_score_is_not_a_risk_then_discrimination_only_with_reason(finished):
    row = table(finished, "summary").set_index("feature_set").loc["signature:lung"]
    for metric in ("acc", "sen", "spe", "brier", "calibration_intercept", "calibration_slope"):
        assert pd.isna(row[metric])
        assert row[f"{metric}_why"] == "a score, not a risk: the signature was trained on survival of lung cancer"
    assert row["pr_auc"] > 0
    for name, column in (("calibration", "observed"), ("decision", "net_benefit")):
        rows = table(finished, name)
        rows = rows[rows["feature_set"] == "signature:lung"]
        assert rows[column].isna().all()
        assert rows["why"].str.startswith("a score, not a risk").all()


def test_metrics_when_the_score_is_a_risk_then_brier_and_calibration_but_no_threshold(finished):
    _, _, scores = finished
    row = table(finished, "summary").set_index("feature_set").loc["signature:risk"]
    assert row["brier"] > 0
    assert np.isfinite(row["calibration_slope"])
    assert row["sen_why"] == "the training rows gave no threshold"
    predictions = table(finished, "predictions").query("feature_set == 'signature:risk'").set_index("patient")
    assert predictions["probability"].to_numpy() == pytest.approx(
        expit(scores.loc[predictions.index, "risk"].to_numpy())
    )


def test_comparison_is_paired_on_the_rows_with_a_score(finished):
    rows = table(finished, "comparisons").query("against == 'signature:lung' and classifier == 'network'")
    rows = rows.set_index("metric")
    data = data_of(finished)
    missing = data.predictions.query("feature_set == 'signature:lung' and probability.isna()")["patient"]
    differences = []
    ours = data.predictions[
        (data.predictions["feature_set"] == data.primary) & (data.predictions["classifier"] == "network")
    ]
    theirs = data.predictions[data.predictions["feature_set"] == "signature:lung"]
    for fold in range(5):
        both = [part[(part["fold"] == fold) & ~part["patient"].isin(missing)] for part in (ours, theirs)]
        aucs = [roc_auc_score(part["label"].astype(int), part["probability"]) for part in both]
        differences.append(aucs[0] - aucs[1])
    assert len(missing) == 4
    assert rows.loc["auc", "value"] == pytest.approx(np.mean(differences))
    assert rows.loc["auc", "family"] == "exploratory"
    assert rows.loc["auc", "low"] < rows.loc["auc", "value"] < rows.loc["auc", "high"]
    for metric in ("brier", "net_benefit"):
        assert pd.isna(rows.loc[metric, "value"])
        assert rows.loc[metric, "why"].startswith("a score, not a risk")


def test_interval_has_no_variance_of_fits(finished):
    found = fold_results("auc", data_of(finished).feature_sets["signature:lung", "published"], weighted=False)
    assert not found.fitted
    rows = np.mean(found.variances) / 5
    assert mean_over_folds(found, 0.25, 0.95).error == pytest.approx(np.sqrt(rows))
    assert mean_over_folds(replace(found, fitted=True), 0.25, 0.95).error > 1.1 * np.sqrt(rows)


def test_fits_without_a_further_fold_give_a_signature_the_same_score(finished):
    found = fold_results("auc", data_of(finished).feature_sets["signature:lung", "published"], weighted=False)
    same = np.repeat(found.values[:, None], 5, axis=1)
    np.fill_diagonal(same, np.nan)
    assert found.refits == pytest.approx(same, nan_ok=True)


def test_facts_count_the_patients_without_a_score(finished):
    (facts,) = read_json(finished[0].evaluation_outputs.facts)["endpoints"]
    assert [(one["name"], one["missing"], bool(one["score_only"])) for one in facts["signatures"]] == [
        ("lung", 4, True),
        ("risk", 0, False),
    ]
    assert not any("signature" in name for name in facts["confirmatory"])


def test_labels_when_permuted_then_every_score_stays(finished, tmp_path):
    _, inputs, scores = finished
    folds = read_table(inputs.folds[0])
    order = np.random.default_rng(0).permutation(len(folds))
    path = f"{tmp_path}/folds.parquet"
    write_table(path, folds.assign(label=folds["label"].to_numpy()[order]))
    changed = replace(inputs, folds=[path])
    (before,) = gather(inputs.predictions, inputs.fits, inputs.folds, inputs.facts, SIGNATURES, scores)
    (after,) = gather(changed.predictions, changed.fits, changed.folds, changed.facts, SIGNATURES, scores)
    keys = ["patient", "feature_set"]
    own = [
        data.predictions[data.predictions["classifier"] == "published"].sort_values(keys)["probability"].to_numpy()
        for data in (before, after)
    ]
    np.testing.assert_array_equal(*own)
    labels = [data.predictions.drop_duplicates("patient")["label"].to_numpy() for data in (before, after)]
    assert not np.array_equal(*labels)


def test_horizon_when_weighted_then_the_signature_is_too(tmp_path):
    plan = Plan(patients=150, endpoints={"dm": 900.0}, modalities=("clinical", "radiomics"), exclusions=False)
    run, inputs, _ = with_scores(tmp_path, plan)
    evaluate(inputs, run.evaluation_outputs, EvaluationSettings(bootstrap=100), SETS, 1, SIGNATURES)
    summary = read_table(run.evaluation_outputs.summary).set_index("feature_set")
    assert 0 < summary.loc["signature:lung", "auc_ipcw"] < 1
    # The signature has no horizon, the endpoint has one: no risk.
    assert "no horizon" in summary.loc["signature:risk", "brier_ipcw_why"]


def test_scores_when_all_are_missing_then_no_metric_and_the_run_continues(tmp_path):
    run, inputs, _ = with_scores(
        tmp_path, Plan(patients=120, modalities=("clinical", "radiomics"), exclusions=False), missing=120
    )
    evaluate(inputs, run.evaluation_outputs, EvaluationSettings(bootstrap=100), SETS, 1, SIGNATURES)
    summary = read_table(run.evaluation_outputs.summary).set_index("feature_set")
    assert pd.isna(summary.loc["signature:lung", "auc"])
    assert summary.loc["signature:lung", "auc_why"] == "no patient among the fold's test rows has a score"


def test_report_names_the_signatures_among_the_baselines_and_what_was_checked(finished):
    page = reported(finished[0])
    assert page.wrong == []
    assert page.text.count("Signature: Lung 2020") >= 4
    assert "the published signature Lung 2020" in page.text
    assert "Trained on survival of lung cancer" in page.text
    assert "4 patients have no score" in page.text
    assert (
        "Published signatures (Lung 2020 and Risk 2021) were computed with their own extraction settings" in page.text
    )
