"""Evidence beside the results: shown where its table is there, said to be missing where it is not."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from report_page import config_of, evaluated, reported
from synthetic_evidence import draw_evidence, draw_maps, draw_qc_images
from synthetic_run import Plan, draw

from metaswin.core.files import read_table, write_table
from metaswin.core.formatting import reason
from metaswin.report.controls import control_table, not_made, permutation_chart
from metaswin.report.data import STABILITY, Endpoint, read_report_data
from metaswin.report.evidence import (
    coverage_rows,
    deep_score_note,
    feature_rows,
    modality_rows,
    optimism_rows,
    sample_size_rows,
)
from metaswin.report.figures import feature_sets_forest
from metaswin.report.survival import incidence_chart, kaplan_meier_chart

PLAN = Plan(patients=60, endpoints={"dm": 900.0}, k=3)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return evaluated(draw(tmp_path_factory.mktemp("evidence"), PLAN))


@pytest.fixture(scope="module")
def full(run):
    inputs = {"survival": draw_evidence(run), "maps": draw_maps(run)}
    inputs["qc_images"] = draw_qc_images(run, [f"P{number:04d}" for number in range(1, 31)])
    return reported(run, inputs, qc_images=10)


def test_page_with_all_evidence_is_well_formed_offline_and_without_missing_numbers(full):
    assert full.open == []
    assert full.wrong == []
    assert len(full.ids) == len(set(full.ids))
    assert all(value.startswith(("#", "data:")) for value in full.references)
    assert not re.search(r"\b(nan|None|inf|NaT)\b", full.text)


def test_leaky_control_is_labelled_as_wrong_wherever_it_is_shown(full):
    assert full.text.count("wrong on purpose") == 2
    assert "is too high and is never a result" in full.text


@pytest.mark.parametrize(
    "words",
    [
        "Voxel-shuffled regions",
        "200 permutations",
        "Training − test",
        "Gray's test",
        "Cumulative incidence of metastasis",
        "Observed / expected",
        "Cramér's V",
        "Share of the prediction",
        "Regions that the deep network uses",
        "Each repeat is computed separately",
    ],
)
def test_each_piece_of_evidence_is_shown(full, words):
    assert words in full.text


def test_qc_images_stop_at_the_limit_and_the_page_says_so(full):
    assert full.html.count('class="look"') == 10
    assert "10 QC images are in this page" in full.text
    assert "The other 20 are in the folder" in full.text
    assert "identifying data" in full.text


def test_analyses_that_were_not_run_are_named(run):
    text = reported(run).text
    said = text[text.index("Not run for this endpoint") : text.index("Sample size")]
    for words in (
        "Negative control “Permuted outcome”",
        "setting harmonisation.method: none",
        "Time-to-event",
        "Explanation",
        "Optimism",
        "QC images",
        "Stability",
    ):
        assert words in said
    assert "Decision curves" not in said


def test_selection_and_stability_are_those_of_the_final_fits(run, tmp_path):
    """Other fits scored training rows; which fold a final fit tests is in its name."""
    [written] = run.report_inputs.selection
    selection = read_table(written)
    assert selection["fit"].nunique() == 6
    stable = selection.assign(patients=20, low=0.9, judged=True)[STABILITY]
    write_table(tmp_path / "any.parquet", stable)
    inputs = replace(run.report_inputs, stability=[tmp_path / "any.parquet"])
    [found] = read_report_data(inputs, config_of(run.plan)).endpoints
    for table in (found.selection, found.rows("stability")):
        expected = selection[selection["fit"].isin(["without-0", "without-1", "without-2"])]
        assert table["feature"].tolist() == expected["feature"].tolist()
        assert table["fold"].tolist() == [int(fit[-1]) for fit in expected["fit"]]
    write_table(tmp_path / "empty.parquet", selection.head(0))
    [found] = read_report_data(
        replace(run.report_inputs, selection=[tmp_path / "empty.parquet"]), config_of(run.plan)
    ).endpoints
    assert len(found.selection) == 0


def endpoint(**tables) -> Endpoint:
    facts = {
        "name": "dm",
        "primary": "clinical+radiomics",
        "modalities": ["clinical", "radiomics"],
        "deaths": "nonevent",
    }
    facts |= {"weighting": "known", "horizon_days": 730.5}
    rows = [
        {
            "feature_set": feature_set,
            "classifier": classifier,
            "auc": auc,
            "auc_low": auc - 0.1,
            "auc_high": auc + 0.1,
            "auc_why": "",
        }
        for feature_set, auc in (
            ("clinical+radiomics", 0.7),
            ("clinical:paper", 0.65),
            ("radiomics", 0.6),
            ("volume", 0.62),
        )
        for classifier in ("network", "logistic")
    ]
    summary = pd.DataFrame(rows)
    tables = {"summary": summary, "comparisons": pd.DataFrame({"metric": []}), **tables}
    return Endpoint(facts, {}, 0.95, tables, pd.DataFrame(), [], "clinical:paper")


def control(name: str, feature_set: str, auc: float, **more) -> dict:
    row = {
        "control": name,
        "feature_set": feature_set,
        "classifier": "network",
        "auc": auc,
        "auc_low": auc,
        "auc_high": auc,
        "auc_why": "",
    }
    row |= {"as_is": 0.7, "difference": 0.7 - auc, "difference_low": -0.1, "difference_high": 0.1, "difference_why": ""}
    return {**row, "p": np.nan, "n": np.nan, "refit": np.nan, "note": "refitted", **more}


CONTROLS = pd.DataFrame(
    [
        control("leaky", "radiomics", 0.8),
        control("permuted", "radiomics", 0.5, classifier="logistic", p=0.004, n=200.0, refit=0.68),
        control("shuffled", "radiomics", 0.59),
        control("shuffled", "radiomics", 0.1, classifier="logistic"),
    ]
)


def test_controls_when_shown_then_in_order_each_feature_set_once_with_its_classifier():
    rows = control_table(endpoint(controls=CONTROLS))
    assert [row["control"] for row in rows] == ["shuffled", "permuted", "leaky"]
    assert [row["auc"].value for row in rows] == [0.59, 0.5, 0.8]
    assert [row["classifier"] for row in rows] == ["", "Logistic regression", ""]
    assert [row["wrong"] for row in rows] == [False, False, True]
    assert [row["p"] for row in rows] == ["–", "0.004", "–"]
    assert (rows[1]["n"], rows[1]["refit"].text) == (200, "0.680")


def test_control_that_was_not_run_has_a_reason_and_no_row():
    table = CONTROLS[CONTROLS["control"] != "leaky"]
    missing = control(
        "leaky", "clinical+radiomics", np.nan, as_is=np.nan, note="turned off by the setting controls.leaky: false"
    )
    found = endpoint(controls=pd.concat([table, pd.DataFrame([missing])], ignore_index=True))
    assert [row["control"] for row in control_table(found)] == ["shuffled", "permuted"]
    assert not_made(found) == {"leaky": "turned off by the setting controls.leaky: false"}
    assert set(not_made(endpoint())) == {"shuffled", "permuted", "leaky"}


def test_forest_when_drawn_then_each_feature_set_once_and_the_controls_below():
    forest = feature_sets_forest(endpoint(controls=CONTROLS))
    named = [(row.group, row.label) for row in forest.rows]
    assert named[0] == ("Primary", "Clinical + radiomics")
    assert [label for group, label in named if group == "Baselines"] == ["Tumour volume"]
    assert len([row for row in forest.rows if row.second]) == 4
    assert [row.value for row in forest.rows[-3:]] == [0.59, 0.5, 0.8]
    assert forest.x_range == (0.4, 0.8)


def test_forest_when_a_modality_is_not_in_the_primary_then_grouped_with_those_alone():
    rows = [
        {
            "feature_set": feature_set,
            "classifier": "network",
            "auc": 0.6,
            "auc_low": 0.5,
            "auc_high": 0.7,
            "auc_why": "",
        }
        for feature_set in (
            "clinical+radiomics",
            "clinical:paper",
            "radiomics",
            "anatomy",
            "radiomics+anatomy",
            "volume",
        )
    ]
    forest = feature_sets_forest(endpoint(summary=pd.DataFrame(rows)))
    groups = [row.group for row in forest.rows]
    assert groups == ["Primary", *["Modalities alone"] * 3, "Joined", "Baselines"]


def test_permutations_are_counted_and_the_true_outcome_is_refitted_in_the_same_way():
    auc = [0.66, 0.49, 0.5, 0.51, 0.62]
    rows = pd.DataFrame(
        {"feature_set": "clinical+radiomics", "classifier": "logistic", "permutation": range(5), "auc": auc}
    )
    chart = permutation_chart(endpoint(permutations=rows))
    columns, real = chart.series
    assert sum(columns.y) == 4
    assert real.x == [0.66, 0.66]
    assert real.label == "Real outcome (logistic regression): 0.660"
    assert chart.x_range[0] <= 0.49
    assert chart.x_range[1] >= 0.66


def test_permutations_that_were_not_run_have_no_curve():
    table = pd.DataFrame({"feature_set": [], "classifier": [], "permutation": [], "auc": []})
    assert permutation_chart(endpoint(permutations=table)).series == []


def test_optimism_is_the_mean_over_folds_and_shows_the_deep_score_alone():
    rows = [
        {"feature_set": "radiomics", "classifier": "network", "auc_train": 0.9, "auc_inner": 0.6, "auc_test": 0.7},
        {"feature_set": "radiomics", "classifier": "network", "auc_train": 0.7, "auc_inner": 0.6, "auc_test": 0.5},
        {"feature_set": "radiomics", "classifier": "logistic", "auc_train": 0.1, "auc_inner": 0.1, "auc_test": 0.1},
        {"feature_set": "deep_score", "classifier": "swin", "auc_train": 1.0, "auc_inner": 0.6, "auc_test": np.nan},
    ]
    first, second = optimism_rows(endpoint(optimism=pd.DataFrame(rows)))
    assert first["auc_train"].value == pytest.approx(0.8)
    assert first["gap"].signed == "+0.200"
    assert second["name"] == "Deep score alone (swin)"
    assert second["gap"].text == "not estimable"


def test_deep_scores_that_saw_their_rows_are_called_optimistic():
    rows = pd.DataFrame({"feature_set": ["deep"], "classifier": ["network"], "deep_score": ["in-sample"]})
    found = endpoint(optimism=rows)
    found.facts["modalities"] = ["clinical", "deep"]
    assert "optimistic" in deep_score_note(found)
    found.facts["modalities"] = ["clinical"]
    assert deep_score_note(found) == ""


def test_sample_size_distinguishes_unmet_unknown_and_met():
    found = [("events_per_parameter", 2.0, 10.0, False, ""), ("x_y", np.nan, 0.05, None, "no events")]
    found.append(("shrinkage", 0.95, 0.9, True, ""))
    rows = pd.DataFrame(found, columns=["criterion", "value", "limit", "met", "why"]).astype({"met": "boolean"})
    shown = sample_size_rows(endpoint(sample_size=rows.assign(feature_set="clinical+radiomics", classifier="network")))
    assert [row["met"] for row in shown] == [False, None, True]
    assert shown[1]["criterion"] == "x y"
    assert (shown[1]["value"], shown[1]["why"]) == ("", "no events")
    assert shown[0]["value"] == "2.00"


def test_contributions_of_modalities_are_means_over_folds_with_their_range():
    rows = pd.DataFrame({"modality": ["clinical", "deep"] * 2, "fold": [0, 0, 1, 1], "share": [0.2, 0.8, 0.4, 0.6]})
    first, second = modality_rows(endpoint(shap_modalities=rows))
    assert (first["name"], first["share"], first["low"], first["high"]) == (
        "Deep features",
        pytest.approx(0.7),
        0.6,
        0.8,
    )
    assert second["folds"] == 2


def test_features_stop_at_the_limit_within_each_modality():
    rows = pd.DataFrame({"modality": ["clinical"] * 3 + ["radiomics"], "feature": list("abcd"), "folds": 5,
                         "mean_abs": [0.1, 0.3, 0.2, 0.9], "direction": "up"})  # fmt: skip
    assert [row["feature"] for row in feature_rows(endpoint(shap_features=rows), 2)] == ["b", "c", "d"]


def curves() -> pd.DataFrame:
    parts = []
    for curve in ("cif_dm", "cif_death", "km_dm_free", "km_overall"):
        for group, scale in (("all", 0.3), ("low", 0.1), ("high", 0.4)):
            part = pd.DataFrame({"time": [0.0, 365.25, 730.5], "value": [0.0, scale / 2, scale]})
            parts.append(
                part.assign(curve=curve, group=group, low=np.nan, high=np.nan, feature_set="clinical+radiomics")
            )
    return pd.concat(parts, ignore_index=True)


def test_incidence_shows_risk_groups_in_years_and_death_only_on_demand():
    chart = incidence_chart(endpoint(survival_curves=curves()))
    shown = [series for series in chart.series if series.shown]
    assert [series.label for series in shown] == ["Low risk", "High risk"]
    assert shown[0].x == [0.0, 1.0, 2.0]
    assert all("death" in series.label for series in chart.series if not series.shown)


def test_survival_of_all_patients_is_shown_once():
    chart = kaplan_meier_chart(endpoint(survival_curves=curves()))
    assert [series.label for series in chart.series] == ["Free of distant metastasis", "Overall survival"]


def test_group_without_followed_patients_has_no_curve():
    table = curves()
    table.loc[table["group"] == "high", "value"] = np.nan
    chart = incidence_chart(endpoint(survival_curves=table))
    assert [series.label for series in chart.series if series.shown] == ["Low risk"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("not estimable (no events)", "no events"),
        ("not estimable: one class", "one class"),
        ("2 of 5 folds excluded: no events", "2 of 5 folds excluded: no events"),
        (None, ""),
        (float("nan"), ""),
    ],
)
def test_reason_is_shown_without_repeating_not_estimable(text, kept):
    assert reason(text) == kept


def test_evidence_that_is_not_estimable_is_shown_as_a_reason_not_a_number(run):
    paths = draw_evidence(run)
    for path in paths:
        table = read_table(path)
        numbers = [name for name in table.select_dtypes("float") if name not in ("time", "threshold_probability")]
        reasons = [name for name in table if name.endswith("why")]
        write_table(path, table.assign(**dict.fromkeys(numbers, np.nan), **dict.fromkeys(reasons, "5 events")))
    text = reported(run, {"survival": paths}).text
    assert "5 events" in text
    assert not re.search(r"\b(nan|None|inf|NaT)\b", text)


def test_measured_coverage_is_shown_with_what_it_was_measured_on(run, monkeypatch):
    row = {"interval": "mean over folds", "metric": "auc", "n": 200, "repeats": 1, "censored": None, "target": "models",
           "truth": 0.7, "coverage": 0.953, "error": 0.004, "width": 0.2, "estimable": 1.0}  # fmt: skip
    unknown = {**row, "interval": "DeLong", "coverage": None, "error": None, "estimable": 0.0, "censored": 0.25}
    found = {"command": "python benchmarks/coverage.py", "machine": "2 cores", "setting": "binormal scores"}
    found |= {"auc": [row], "delong": (0.922, 0.924)}
    found |= {"targets": {"models": "mean of all models"}, "cohorts": 500, "confidence": 0.95, "rows": [row, unknown]}
    monkeypatch.setattr("metaswin.report.build.coverage_rows", lambda: found)
    text = reported(run).text
    assert "95.3%" in text
    assert "contained the mean true AUC of such models in 92.2 to 92.4% of cohorts" in text
    assert "mean of all models" in text
    assert "Measured in simulations, not in this run: binormal scores. Each row is based on 500 cohorts." in text
    assert not re.search(r"\b(nan|None)\b", text)


def test_survival_coverage_is_shown_only_with_a_time_to_event(run):
    title = "Intervals of the time-to-event metrics"
    assert title not in reported(run).text
    text = reported(run, {"survival": draw_evidence(run)}).text
    assert title in text
    assert "Gray's test of cross-validated risk groups" in text
    assert "had p < .05 in 11.5% of cohorts of 200 and in 9.5% of cohorts of 400 instead of 5%" in text


def test_files_with_the_same_name_are_distinguished_by_endpoint(tmp_path):
    run = evaluated(draw(tmp_path, Plan(patients=50, endpoints={"dm": 900.0, "late": 1800.0}, k=3)))
    data = read_report_data(replace(run.report_inputs, explanation=draw_evidence(run)), config_of(run.plan))
    for one in data.endpoints:
        shares = one.tables["shap_modalities"]
        assert len(shares) == 5 * 4
        assert set(shares["endpoint"]) == {one.name}


def test_coverage_of_delong_is_the_range_of_what_was_measured():
    found = coverage_rows()
    measured = [row["coverage"] for row in found["rows"] if row["interval"] == "DeLong" and row["target"] == "models"]
    assert found["delong"] == (min(measured), max(measured))
    assert {row["metric"] for row in found["auc"]} == {"auc"}
