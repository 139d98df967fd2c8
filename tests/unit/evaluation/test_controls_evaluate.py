"""Controls beside the run: differences fold by fold, p, and rows for what was not run."""

import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from synthetic_run import Plan, draw

from metaswin.config.evaluation import ControlsSettings, EvaluationSettings
from metaswin.core.files import read_table, write_table
from metaswin.evaluation.evaluate import evaluate
from metaswin.evaluation.negative_controls import LEAKY, ControlsInputs, evaluate_controls

PENALTIES = {"network": [0.1, 0.5, 2.5], "logistic": [64.0, 1.0, 16.0]}
SETS = {"paper": ["age", "sex"], "staging": ["age", "site"]}
ENDPOINTS = {"ever": None, "dm": 900.0}


class Beside:
    """A drawn run, evaluated, and its controls."""

    def __init__(self, folder):
        self.run = draw(folder, Plan(patients=150, endpoints=ENDPOINTS, k=4, exclusions=False))
        evaluate(
            self.run.evaluation_inputs, self.run.evaluation_outputs, EvaluationSettings(bootstrap=100), SETS, seed=1
        )

    def leaky(self, change):
        """Files of the control leaky: the run's, with `change` made to the test predictions."""
        paths = {}
        for name, kind in [("predictions.parquet", "predictions"), ("fits.json", "fits")]:
            paths[f"leaky_{kind}"] = []
            for path in self.run._folds(f"fold-{{fold}}/fusion/{name}"):
                target = path.replace("as-is", "leaky")
                (self.run.folder / target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
                paths[f"leaky_{kind}"].append(target)
        for path in paths["leaky_predictions"]:
            endpoint = path.split("models/")[1].split("/")[0]
            label = read_table(self.run.results / f"folds/{endpoint}.parquet").set_index("patient")["label"]
            write_table(path, change(read_table(path), label[~label.index.duplicated()].astype("float64")))
        return paths

    def evaluate(self, permutations=(), settings=None, reasons=None, selection="forest", **variants):
        empty = {f"{c}_{kind}": [] for c in ("leaky", "shuffled") for kind in ("predictions", "fits")}
        inputs = ControlsInputs(
            as_is=self.run.evaluation_outputs.folds,
            facts=self.run.evaluation_outputs.facts,
            run_predictions=self.run.evaluation_inputs.predictions,
            run_fits=self.run.evaluation_inputs.fits,
            folds=self.run.evaluation_inputs.folds,
            folds_facts=self.run.evaluation_inputs.facts,
            permutations=list(permutations),
            **{**empty, **variants},
        )
        outputs = [str(self.run.folder / f"{name}.parquet") for name in ("controls", "permutations")]
        reasons = {"shuffled": "it needs images"} if reasons is None else reasons
        settings = settings or ControlsSettings()
        evaluate_controls(inputs, *outputs, settings, reasons, 0.95, PENALTIES, selection)
        return tuple(map(read_table, outputs))


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    return Beside(tmp_path_factory.mktemp("controls"))


def permutation_file(folder, aucs):
    rows = [(e, i, "radiomics+deep", "logistic", auc) for e in ENDPOINTS for i, auc in enumerate(aucs)]
    path = folder / "batch.parquet"
    write_table(path, pd.DataFrame(rows, columns=["endpoint", "permutation", "feature_set", "classifier", "auc"]))
    return str(path)


def test_leaky_when_it_equals_the_run_then_differences_are_zero_without_a_finding(beside, tmp_path):
    table, _ = beside.evaluate(
        [permutation_file(tmp_path, [0.7, 0.5])], **beside.leaky(lambda predictions, label: predictions)
    )
    leaky = table[table["control"] == "leaky"]
    assert len(leaky) == 2 * 26
    summary = beside.run.results / "evaluation/summary.parquet"
    expected = read_table(summary).set_index(["endpoint", "feature_set", "classifier"])
    for row in leaky.itertuples():
        metric = "auc_ipcw" if row.endpoint == "dm" else "auc"
        reference = expected.loc[(row.endpoint, row.feature_set, row.classifier)]
        assert row.auc == pytest.approx(reference[metric])
        assert row.auc_low == pytest.approx(reference[f"{metric}_low"])
        assert row.as_is == pytest.approx(row.auc)
        assert row.difference == pytest.approx(0)
    assert leaky["p"].isna().all()
    assert leaky["difference_why"].str.contains("the variance is 0").all()
    assert (leaky["note"] == LEAKY).all()


def test_leaky_when_it_knows_the_outcome_then_the_difference_has_limits_and_a_p_value(beside, tmp_path):
    def knows(predictions, label):
        noise = np.random.default_rng(1).random(len(predictions))
        known = predictions["patient"].map(label).fillna(0).to_numpy()
        return predictions.assign(probability=0.4 * known + 0.5 * noise)

    table, _ = beside.evaluate([permutation_file(tmp_path, [0.7, 0.5])], **beside.leaky(knows))
    row = table[
        (table["control"] == "leaky") & (table["feature_set"] == "volume") & (table["endpoint"] == "ever")
    ].iloc[0]
    assert row["auc"] > 0.9
    assert row["difference"] == pytest.approx(row["as_is"] - row["auc"])
    assert row["p"] < 0.05
    assert row["difference_low"] < row["difference"] < row["difference_high"] < 0
    folds = read_table(beside.run.results / "evaluation/folds.parquet")
    chosen = (
        (folds["feature_set"] == "volume") & (folds["classifier"] == row["classifier"]) & (folds["endpoint"] == "ever")
    )
    assert row["as_is"] == pytest.approx(folds.loc[chosen, "auc"].mean())
    # The interval and p belong to one normal distribution.
    error = (row["difference_high"] - row["difference_low"]) / 2 / 1.959964
    assert 2 * norm.sf(abs(row["difference"]) / error) == pytest.approx(row["p"], rel=1e-6)


def test_permuted_when_joined_then_mean_range_p_and_what_was_refitted(beside, tmp_path):
    null = np.linspace(0.4, 0.6, 41)
    table, permutations = beside.evaluate([permutation_file(tmp_path, [0.595, *null])], **beside.leaky(lambda p, _: p))
    row = table[(table["control"] == "permuted") & (table["endpoint"] == "dm")].iloc[0]
    assert (row["feature_set"], row["classifier"], row["n"]) == ("radiomics+deep", "logistic", 41)
    assert row["auc"] == pytest.approx(0.5)
    assert (row["auc_low"], row["auc_high"]) == pytest.approx((0.405, 0.595))
    assert row["refit"] == 0.595
    # 0.595 and 0.6 score as high.
    assert row["p"] == pytest.approx(3 / 42)
    assert row["difference"] == pytest.approx(row["as_is"] - 0.5)
    assert "41 times (200 or more are recommended)" in row["note"]
    assert "with one penalty (16)" in row["note"]
    assert "trained only on the first permuted outcome" in row["note"]
    assert "the folds, the feature selection (100 trees), the encoding" in row["note"]
    assert len(permutations) == 2 * 42


def test_permuted_when_a_permutation_is_missing_then_it_does_not_count(beside, tmp_path):
    path = permutation_file(tmp_path, [0.9, 0.5, np.nan, 0.6])
    row = beside.evaluate([path], **beside.leaky(lambda p, _: p))[0].set_index("control").loc["permuted"].iloc[0]
    assert row["n"] == 2
    assert row["p"] == pytest.approx(1 / 3)
    path = permutation_file(tmp_path, [np.nan, np.nan])
    row = beside.evaluate([path], **beside.leaky(lambda p, _: p))[0].set_index("control").loc["permuted"].iloc[0]
    assert pd.isna(row["auc"])
    assert row["auc_why"] == "the AUC is not estimable in any fold"


def test_control_when_not_run_then_one_row_names_the_reason(beside):
    settings = ControlsSettings(leaky=False, permuted=False)
    table, permutations = beside.evaluate(settings=settings)
    assert len(table) == 2 * 3
    notes = table[table["endpoint"] == "dm"].set_index("control")["note"].to_dict()
    assert notes == {
        "leaky": "turned off by the setting controls.leaky: false",
        "shuffled": "not applicable: it needs images",
        "permuted": "turned off by the setting controls.permuted: false",
    }
    assert table[["auc", "p", "difference"]].isna().all(axis=None)
    assert permutations.empty


def test_control_that_should_have_run_but_is_absent_raises_an_error(beside):
    with pytest.raises(ValueError, match="leaky should have been run"):
        beside.evaluate()
