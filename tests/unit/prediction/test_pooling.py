"""Pooling of several external validations: what is pooled, what is shown alone, and the page."""

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.special import expit, logit
from validation_run import Told, predictions

from metaswin.cli import main
from metaswin.core.errors import UserError
from metaswin.evaluation.meta_analysis import pool
from metaswin.prediction import external, validate_cli
from metaswin.prediction.pooling import cohort_names, pool_cohorts, pooled_metric
from metaswin.prediction.validate import validate


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(external, "DRAWS", 60)


def cohort(folder, seed, n=80, shift=0.0, prefix="N"):
    """A validated cohort; risks are too low by `shift` on the logit."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(-0.5, 1, n)
    label = rng.random(n) < expit(truth + shift)
    predictions(folder, [{"patient": f"{prefix}{i}", "risk": float(expit(x))} for i, x in enumerate(truth)])
    rows = "".join(f"{prefix}{i},{int(y)}\n" for i, y in enumerate(label))
    (folder / "outcomes.csv").write_text(f"patient_id,dm\n{rows}")
    validate(Told({"column": "dm"}), folder, folder / "outcomes.csv", {})
    return folder


@pytest.fixture
def cohorts(tmp_path):
    """Three cohorts, and one in which all patients have the event."""
    made = {f"centre {i}": cohort(tmp_path / f"c{i}", i, shift=0.4 * i, prefix=f"C{i}-") for i in range(3)}
    return made | {"alike": cohort(tmp_path / "alike", 9, n=12, prefix="C0-", shift=99)}


def test_pooling_when_cohorts_are_validated_then_numbers_are_those_of_the_meta_analysis(cohorts, tmp_path):
    page = pool_cohorts(Told({"column": "dm"}), cohorts, tmp_path / "pooled").read_text()
    table = pd.read_parquet(tmp_path / "pooled/pooled.parquet").set_index("metric")
    own = [pd.read_csv(folder / "results/validation/metrics.csv").set_index("metric") for folder in cohorts.values()][
        :3
    ]
    for metric, to, back in [("auc", logit, expit), ("observed_expected", np.log, np.exp)]:
        wanted = pool([to(m.loc[metric, "value"]) for m in own], [m.loc[metric, "se"] for m in own], 0.95)
        row = table.loc[metric]
        assert row["cohorts"] == 3
        assert row["value"] == pytest.approx(back(wanted.value))
        assert (row["low"], row["high"]) == pytest.approx((back(wanted.low), back(wanted.high)))
        assert row["predicted_high"] == pytest.approx(back(wanted.predicted_high))
        assert (row["tau2"], row["i2"]) == pytest.approx((wanted.tau2, wanted.i2))
        assert f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})" in page
    assert table["not_pooled"].str.startswith("alike (").all()
    for words in (
        "Pooled: risk of outcome dm",
        "Shown but not pooled: alike",
        "Mean of 3 cohorts",
        "Prediction interval for another cohort",
        "Cohort centre 1",
        "12 ids occur in more than one cohort",
        "Hartung and Knapp",
    ):
        assert words in page, words
    assert {path.suffix for path in (tmp_path / "pooled").glob("auc-dm.*")} == {".svg", ".pdf"}


def test_pooled_metric_when_only_one_has_an_error_then_there_is_no_mean_and_it_says_why():
    rows = {
        "a": {"value": 0.7, "se": 0.2, "why": ""},
        "b": {"value": 1.0, "se": np.nan, "why": "no interval: 3 events, fewer than 10"},
        "c": {"value": np.nan, "se": np.nan, "why": "all outcomes are the same"},
    }
    found = pooled_metric(rows, "auc", 0.95)
    assert found["value"] is None
    assert found["why"] == "1 cohort with a standard error, fewer than 2"
    assert found["not_pooled"] == "b (1 has no standard error); c (all outcomes are the same)"


def test_pooled_metric_when_there_are_two_then_no_prediction_interval():
    rows = {name: {"value": value, "se": 0.2, "why": ""} for name, value in [("a", 0.7), ("b", 0.8)]}
    found = pooled_metric(rows, "auc", 0.95)
    assert 0.7 < found["value"] < 0.8
    assert found["predicted_low"] is None
    assert found["why"] == "no prediction interval: 2 cohorts, fewer than 3"


def test_names_when_folders_are_called_the_same_then_they_are_numbered(tmp_path):
    outputs = [tmp_path / "a/out", tmp_path / "b/out", tmp_path / "c"]
    assert cohort_names(outputs) == ["out (1)", "out (2)", "c"]


def given(folder, *arguments):
    """Folders of predictions, and the call."""
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "predict.yaml").write_text(yaml.safe_dump({"predict": {"bundle": name, "clinical": None}}))
    return ["validate", "--output", str(folder / "a"), str(folder / "b"), *arguments]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--pooled: name a folder for the page of all cohorts"),
        (["--pooled", "p", "--outcomes", "x.csv"], "--outcomes: found 1 for 2 folders of --output"),
        (["--pooled", "p", "--settings", "x", "y", "z"], "--settings: found 3 for 2 folders of --output"),
    ],
)
def test_call_when_options_do_not_fit_then_it_says_what_to_give(tmp_path, capsys, arguments, message):
    assert main(given(tmp_path, *arguments)) == 1
    assert message in capsys.readouterr().err


def test_call_when_one_cohort_is_pooled_or_given_twice_then_an_error(tmp_path, capsys):
    a = str(tmp_path / "a")
    given(tmp_path)
    assert main(["validate", "--output", a, "--pooled", "p"]) == 1
    assert "pooling needs two or more folders in --output; found 1" in capsys.readouterr().err
    assert main(["validate", "--output", a, a, str(tmp_path / "nowhere"), "--pooled", "p"]) == 1
    text = capsys.readouterr().err
    assert "is given more than once" in text
    assert "nowhere has no predict.yaml" in text


def test_call_when_bundles_differ_then_nothing_is_pooled(tmp_path, capsys, monkeypatch):
    def told(output, outcomes, settings):
        bundle = Told({"column": "dm"})
        bundle.fingerprint = output.name * 64
        return bundle

    monkeypatch.setattr(validate_cli, "_validate", told)
    assert main(given(tmp_path, "--pooled", str(tmp_path / "p"))) == 1
    assert "predictions are of different bundles" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()


def test_pooling_when_no_cohort_has_outcomes_then_the_error_is_that_of_the_validation(tmp_path):
    predictions(tmp_path, [{"patient": "N1", "risk": 0.5}])
    (tmp_path / "outcomes.csv").write_text("patient_id,dm\nN2,1\n")
    with pytest.raises(UserError, match="No patient can be validated"):
        validate(Told({"column": "dm"}), tmp_path, tmp_path / "outcomes.csv", {})
