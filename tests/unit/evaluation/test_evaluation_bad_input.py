"""Bad input: in every table a number is finite, and what is missing has its reason."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from synthetic_run import Plan, draw

from metaswin.config.evaluation import EvaluationSettings
from metaswin.core.files import read_json, read_table, write_json, write_table
from metaswin.evaluation.evaluate import evaluate

SETTINGS = EvaluationSettings(strata=["site", "age", "sex"], bootstrap=100, decision_range=(0.1, 0.2))
HORIZON = {"dm": 900.0}


def constant(run, rng):
    _edit_predictions(run, lambda table: table.assign(probability=0.3))


def only_zeros_and_ones(run, rng):
    _edit_predictions(run, lambda table: table.assign(probability=(table["probability"] > 0.3).astype(float)))


def some_missing(run, rng):
    _edit_predictions(
        run, lambda table: table.assign(probability=table["probability"].where(rng.random(len(table)) > 0.02))
    )


def all_missing(run, rng):
    _edit_predictions(run, lambda table: table.assign(probability=np.nan))


def perfect(run, rng):
    labels = read_table(run.evaluation_inputs.folds[0]).set_index("patient")["label"].astype("float64")
    truth = {patient: 0.9 if label == 1 else 0.1 for patient, label in labels.items()}
    _edit_predictions(run, lambda table: table.assign(probability=table["patient"].map(truth)))


def five_events(run, rng):
    _edit_folds(run, lambda folds: folds.assign(label=folds["label"].where(folds["label"].cumsum() <= 5, 0)))


def no_events_in_two_folds(run, rng):
    _edit_folds(run, lambda folds: folds.assign(label=folds["label"].mask(folds["fold"] < 2, 0)))


def no_threshold(run, rng):
    for path in run.evaluation_inputs.fits:
        fits = read_json(path)
        for classifiers in fits["feature_sets"].values():
            classifiers["network"]["threshold"] = None
        write_json(path, fits)


def nobody_followed_so_long(run, rng):
    _edit_folds(run, lambda folds: folds.assign(time=folds["time"].clip(upper=100.0), event=0))


def _edit_predictions(run, edit):
    for path in run.evaluation_inputs.predictions:
        write_table(path, edit(read_table(path)))


def _edit_folds(run, edit):
    for path in run.evaluation_inputs.folds:
        write_table(path, edit(read_table(path)))


def missing_without_a_reason(table: pd.DataFrame, value: str, why: str) -> pd.DataFrame:
    limits = [name for name in (f"{value}_low", f"{value}_high") if name in table]
    if value in ("value", "net_benefit", "observed", "auc") and not limits:
        limits = [name for name in ("low", "high") if name in table]
    return table[table[[value, *limits]].isna().any(axis=1) & (table[why] == "")]


@pytest.mark.parametrize(
    "damage",
    [
        constant, only_zeros_and_ones, some_missing, all_missing, perfect, five_events, no_events_in_two_folds,
        no_threshold, nobody_followed_so_long,
    ],
)  # fmt: skip
@pytest.mark.parametrize("endpoints", [HORIZON, {"dm": None}], ids=["horizon", "plain"])
def test_tables_of_damaged_input_contain_finite_numbers_or_reasons(damage, endpoints, tmp_path):
    run = draw(tmp_path, Plan(patients=70, endpoints=endpoints, modalities=("clinical",)))
    damage(run, np.random.default_rng(1))
    evaluate(run.evaluation_inputs, run.evaluation_outputs, SETTINGS, {"paper": ["age", "sex"]}, 1)
    tables = {name: read_table(path) for name, path in asdict(run.evaluation_outputs).items() if name != "facts"}
    for name, table in tables.items():
        numbers = table.select_dtypes("float64").to_numpy()
        assert not np.isinf(numbers).any(), name
    wanted = [("comparisons", "value"), ("decision", "net_benefit"), ("calibration", "observed"), ("delong", "auc")]
    for name, value in [*wanted, ("sample_size", "value")]:
        if name == "sample_size":
            assert not len(tables[name][tables[name]["value"].isna() & (tables[name]["why"] == "")])
        else:
            assert not len(missing_without_a_reason(tables[name], value, "why")), name
    for name in ("summary", "strata"):
        for metric in [column.removesuffix("_low") for column in tables[name] if column.endswith("_low")]:
            assert not len(missing_without_a_reason(tables[name], metric, f"{metric}_why")), (name, metric)
    folds = tables["folds"]
    for metric in [column.removesuffix("_folds") for column in tables["summary"] if column.endswith("_folds")]:
        assert ((folds[metric].isna()) == (folds[f"{metric}_why"] != "")).all(), metric
