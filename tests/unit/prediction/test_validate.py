"""External validation: measures against other libraries and by hand, and the excluded patients."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from validation_run import Told, predictions

from metaswin.core.errors import UserError
from metaswin.core.files import read_json
from metaswin.prediction import external
from metaswin.prediction.external import MEASURES, SCALES, External, standard_errors
from metaswin.prediction.validate import validate


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(external, "DRAWS", 100)


@pytest.fixture(scope="module")
def drawn():
    """Two hundred patients whose risks are too low."""
    rng = np.random.default_rng(5)
    truth = rng.normal(size=200)
    label = (rng.random(200) < expit(truth + 0.7)).astype(float)
    return pd.DataFrame({"label": label, "risk": expit(0.8 * truth + rng.normal(size=200) * 0.3)})


def test_measures_when_known_then_within_their_intervals(drawn):
    table = External.of(drawn, None).table(0.95, seed=1).set_index("metric")
    y, p = drawn["label"], drawn["risk"]
    slope = LogisticRegression(C=np.inf, max_iter=1000, tol=1e-10).fit(logit(p).to_numpy()[:, None], y).coef_[0, 0]
    wanted = {
        "auc": roc_auc_score(y, p),
        "pr_auc": average_precision_score(y, p),
        "brier": brier_score_loss(y, p),
        "observed_expected": y.sum() / p.sum(),
        "calibration_slope": slope,
    }
    for name, value in wanted.items():
        assert table.loc[name, "value"] == pytest.approx(value, abs=1e-4), name
        assert table.loc[name, "low"] < value < table.loc[name, "high"], name


def test_recalibration_when_in_the_large_then_expected_is_observed_and_ranks_stay(drawn):
    table = External.of(drawn, None).table(0.95, seed=1).set_index("metric")
    assert table.loc["calibration_intercept", "value"] > 0.3
    assert table.loc["calibration_intercept", "recalibrated"] == pytest.approx(0, abs=1e-8)
    assert table.loc["observed_expected", "recalibrated"] == pytest.approx(1, abs=1e-8)
    assert table.loc["auc", "recalibrated"] == table.loc["auc", "value"]
    assert table.loc["brier", "recalibrated"] < table.loc["brier", "value"]


def test_interval_when_drawn_with_the_same_seed_then_it_is_the_same(drawn):
    one, two = (External.of(drawn, None).table(0.9, seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)


def test_interval_when_events_are_few_then_there_is_none_and_it_says_why():
    table = pd.DataFrame({"label": [1.0] * 3 + [0.0] * 30, "risk": np.linspace(0.9, 0.1, 33)})
    found = External.of(table, None).table(0.95, seed=1).set_index("metric")
    assert np.isnan(found.loc["auc", "low"])
    assert found.loc["auc", "why"] == "no interval: 3 events, fewer than 10"
    assert found.loc["auc", "value"] == 1
    assert "separate" in found.loc["calibration_slope", "why"]


def test_measures_when_all_outcomes_are_the_same_then_only_what_exists_is_a_number():
    table = pd.DataFrame({"label": [0.0, 0.0], "risk": [0.2, 0.4]})
    found = External.of(table, None).table(0.95, seed=1).set_index("metric")
    assert found.loc["brier", "value"] == pytest.approx(0.1)
    assert found.loc["observed_expected", "value"] == 0
    assert found.loc["auc", "why"] == "all outcomes are the same"


def test_weights_when_some_are_censored_before_horizon_then_others_represent_them():
    """Four patients: DM on day 5, lost on day 6, followed to 20, died on day 8. G(8-) = G(10-) = 2/3."""
    table = pd.DataFrame(
        {"label": [1, np.nan, 0, 0], "risk": [0.5] * 4, "time": [5.0, 6.0, 20.0, 8.0], "event": [1, 0, 0, 2]}
    )
    patients = External.of(table, 10.0)
    np.testing.assert_allclose(patients.weight, [1, 0, 1.5, 1.5])
    found = patients.table(0.95, seed=1).set_index("metric")
    assert found.loc["observed_expected", "value"] == pytest.approx(1 / (0.5 * 4))
    assert patients.counts == {"n": 3, "events": 1, "nonevents": 2, "unknown": 1}


def test_reliability_when_patients_are_few_then_it_is_empty(drawn):
    assert External.of(drawn.head(19), None).reliability(10, 0.95).empty
    assert External.of(drawn, None).reliability(10, 0.95)["n"].sum() == 200


def test_validation_when_written_then_training_patients_excluded_and_figures_shown(tmp_path):
    rows = [
        {"patient": f"N{i}", "risk": i / 10, "training_cohort": "not in the training cohort", "primary": i != 3,
         "unlike_training": i == 4} for i in range(1, 9)
    ]  # fmt: skip
    rows += [{"patient": "T1", "risk": 0.5, "training_cohort": "was in the training cohort"}]
    rows += [{"patient": "X1", "training_cohort": "not in the training cohort"}]
    predictions(tmp_path, rows)
    lines = [f"N{i},{int(i > 4)}" for i in range(1, 8)] + ["T1,1", "X1,0"]
    (tmp_path / "outcomes.csv").write_text("patient_id,dm\n" + "\n".join(lines) + "\n")
    page = validate(Told({"column": "dm"}), tmp_path, tmp_path / "outcomes.csv", {}).read_text()
    metrics = pd.read_csv(tmp_path / "results/validation/metrics.csv")
    auc = metrics[metrics["metric"] == "auc"].set_index("set")["value"]
    assert auc.to_dict() == {"all predicted patients": 1.0, "patients predicted by the primary feature set": 1.0}
    for words in (
        "1 were in the training cohort; 1 were not predicted; 1 have no outcome",
        "7 patients, 3 events",
        "0.700 (0.600 to 0.800)",
        "no interval: 3 events, fewer than 10",
        "1 is unlike the training patients",
        "not a medical device",
    ):
        assert words in page, words


def test_validation_when_columns_or_predictions_are_missing_then_all_are_reported(tmp_path):
    (tmp_path / "outcomes.csv").write_text("id,DM\nN1,1\n")
    with pytest.raises(UserError) as caught:
        validate(Told({"column": "dm"}), tmp_path, tmp_path / "outcomes.csv", {})
    for words in ("no predictions at", "no column 'patient_id'", "no column 'dm'"):
        assert words in str(caught.value)


def test_validation_when_no_patient_is_left_then_counts_and_reasons_are_reported(tmp_path):
    predictions(tmp_path, [{"patient": "T1", "risk": 0.5, "training_cohort": "was in the training cohort"}])
    (tmp_path / "outcomes.csv").write_text("patient_id,dm\nT1,1\n")
    with pytest.raises(UserError, match="dm: 1 were in the training cohort"):
        validate(Told({"column": "dm"}), tmp_path, tmp_path / "outcomes.csv", {})


def test_validation_of_days_from_diagnosis_uses_the_local_settings(tmp_path):
    """The models were trained on dates; the table has days, other names, `;` and an event without a day."""
    predictions(tmp_path, [{"patient": f"N{i}", "risk": i / 10} for i in range(1, 7)])
    trained = {
        "horizon_days": 365, "start": "start", "followup": "last", "deaths": "nonevent",
        "event": {"column": "dm", "positive": ["Yes"], "date": "dm_date"},
    }  # fmt: skip
    (tmp_path / "o.csv").write_text(
        "id;Distant;to DM (days);to last;Dead\nN1;0;;900;0\nN2;0;;100;1\nN3;1;700;800;0\nN4;1;;900;0\nN5;1;200;300;1\n"
        "N6;0;;50;0\n"
    )
    own = {"followup": "to last", "event": {"column": "Distant", "time": "to DM (days)"}, "death": {"column": "Dead"}}
    local = {"clinical": {"id": "id"}, "endpoints": {"dm": own}}
    bundle = Told(trained)
    with pytest.raises(UserError) as caught:
        validate(bundle, tmp_path, tmp_path / "o.csv", {"clinical": {"id": "id"}})
    for words in ("endpoints.dm: ", "no column 'start'", "in days or dates", "write null there"):
        assert words in str(caught.value)
    validate(bundle, tmp_path, tmp_path / "o.csv", local)
    view = read_json(tmp_path / "results/validation/facts.json")["endpoints"][0]
    # N3 had DM after the horizon, N2 died before it, N4 has no day, N6 is censored.
    assert next(iter(view["sets"].values())) == {"n": 4, "events": 1, "nonevents": 3, "unknown": 1}
    assert view["left"] == ["1 have no outcome for this endpoint"]
    assert view["weighted"]


def test_validation_when_a_plain_column_is_known_at_the_horizon_then_no_weights(tmp_path):
    predictions(tmp_path, [{"patient": f"N{i}", "risk": i / 10} for i in range(1, 7)])
    (tmp_path / "o.csv").write_text("patient_id,two_years\n" + "".join(f"N{i},{int(i > 3)}\n" for i in range(1, 7)))
    trained = {"horizon_days": 365, "followup": "last", "event": {"column": "dm", "time": "days"}}
    validate(Told(trained), tmp_path, tmp_path / "o.csv", {"endpoints": {"dm": {"column": "two_years"}}})
    metrics = pd.read_csv(tmp_path / "results/validation/metrics.csv").set_index("metric")
    assert metrics.loc["auc", "value"] == 1
    assert not read_json(tmp_path / "results/validation/facts.json")["endpoints"][0]["weighted"]


def test_errors_when_known_then_they_are_those_of_a_bootstrap_on_the_scale_of_pooling(drawn):
    patients = External.of(drawn, None)
    found = standard_errors(*patients.known)
    rng = np.random.default_rng(1)
    samples = [External.of(drawn.iloc[rng.integers(200, size=200)], None).known for _ in range(300)]
    for name, scale in SCALES.items():
        values = [scale.to(MEASURES[name](*sample).value) for sample in samples]
        assert found[name] == pytest.approx(np.std(values), rel=0.15), name


def test_errors_when_risks_are_equal_then_observed_expected_has_the_closed_form():
    label = np.arange(50) < 5
    found = standard_errors(label, np.full(50, 0.2), np.ones(50))
    assert found["observed_expected"] == pytest.approx(np.sqrt((1 - 0.1) / 5))
    assert found["calibration_intercept"] == pytest.approx(1 / np.sqrt(50 * 0.1 * 0.9))
    # Newcombe 2006, method 4, at an AUC of one half: n* = m* = 24.
    assert found["auc"] == pytest.approx(np.sqrt((1 + 24 / 3 + 24 / 3) / (5 * 45 / 4)))


def test_errors_when_patients_are_weighted_then_the_effective_number_counts():
    rng = np.random.default_rng(2)
    label, risk = rng.random(60) < 0.3, rng.uniform(0.1, 0.9, 60)
    one, other = (standard_errors(label, risk, np.full(60, weight)) for weight in (1.0, 3.0))
    assert one == pytest.approx(other)
    assert standard_errors(np.ones(3, bool), risk[:3], np.ones(3)) == {}
