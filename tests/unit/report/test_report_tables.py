"""Tables of selected features, their steps and the patients."""

import numpy as np
import pandas as pd
import pytest

from metaswin.report.data import Endpoint
from metaswin.report.tables import patient_rows, selected_features, selection_steps, stability_rows


def selection(rows) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["fold", "feature", "step", "importance"])
    return table.assign(repeat=0, modality="radiomics", kept=table["step"] == "kept")


def view(**tables) -> Endpoint:
    facts = {"name": "dm", "primary": "deep", "modalities": ["deep"], "weighting": "known", "horizon_days": None}
    chosen = tables.pop("selection", pd.DataFrame())
    summary = pd.DataFrame({"feature_set": ["deep"], "classifier": ["network"]})
    return Endpoint(facts, {}, 0.95, {"summary": summary, **tables}, chosen, [], "clinical:paper")


ROWS = [
    (0, "a", "kept", 0.2), (0, "b", "kept", 0.4), (0, "c", "correlated", np.nan),
    (1, "a", "kept", 0.4), (1, "b", "rank", 0.1), (1, "c", "constant", np.nan),
]  # fmt: skip


def test_selected_features_count_folds_and_average_the_importance_of_those():
    table = selected_features(view(selection=selection(ROWS)))["radiomics"]
    assert table[["feature", "folds", "of"]].values.tolist() == [["a", 2, 2], ["b", 1, 2]]
    assert table["importance"].tolist() == pytest.approx([0.3, 0.4])


def test_selected_features_stop_at_the_limit():
    assert selected_features(view(selection=selection(ROWS)), limit=1)["radiomics"]["feature"].tolist() == ["a"]


def test_selection_steps_are_means_over_folds_also_where_a_fold_has_none():
    steps = dict(selection_steps(view(selection=selection(ROWS)))["radiomics"])
    assert steps["kept"] == 1.5
    assert steps["constant"] == 0.5
    assert "missing in too many training rows" not in steps


def test_selection_is_empty_without_radiomics():
    assert selected_features(view()) == {}
    assert selection_steps(view()) == {}


def test_patient_rows_call_by_the_fold_threshold_and_leave_missing_ones_uncalled():
    predictions = pd.DataFrame(
        {
            "patient": ["a", "b", "c", "a"],
            "feature_set": "deep",
            "classifier": "network",
            "repeat": [0, 0, 0, 1],
            "fold": [0, 0, 1, 1],
            "probability": [0.3, 0.6, np.nan, 0.9],
            "threshold": [0.3, 0.7, 0.5, 0.5],
            "label": [0.0, 1.0, np.nan, 0.0],
            "time": np.nan,
            "event": np.nan,
            "weight": 1.0,
        }
    )
    table = patient_rows(view(predictions=predictions))
    assert table["patient"].tolist() == ["b", "a", "c"]
    assert table["called"].tolist()[:2] == [0.0, 1.0]
    assert np.isnan(table["called"].tolist()[2])


STABLE = pd.DataFrame(
    {
        "modality": "radiomics",
        "feature": ["a", "b", "a", "b"],
        "fold": [0, 0, 1, 1],
        "repeat": 0,
        "patients": 20,
        "low": [0.9, 0.5, 0.7, np.nan],
        "judged": [True, True, True, False],
        "kept": [True, False, True, True],
        "reason": ["", "", "", "fewer than 10 patients"],
    }
)


def test_stability_counts_features_and_means_over_folds():
    (row,) = stability_rows(view(stability=STABLE))
    assert (row["features"], row["judged"], row["stable"]) == (2, 1.5, 1)
    assert row["why"] == ""


def test_stability_that_was_not_judged_says_why():
    table = STABLE.assign(judged=False, reason="fewer than 10 patients")
    assert stability_rows(view(stability=table))[0]["why"] == "fewer than 10 patients"


def test_selected_features_carry_the_median_lower_limit_of_their_stability():
    table = selected_features(view(selection=selection(ROWS), stability=STABLE))["radiomics"]
    assert table["low"].tolist() == pytest.approx([0.8, 0.5])
