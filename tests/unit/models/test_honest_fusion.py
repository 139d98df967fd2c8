"""Which network scores the rows that fusion is fitted on: each mode, its leaks and its optimism."""

import numpy as np
import pandas as pd
import pytest
from fusion_run import PLACE, draw

from metaswin.cohort.folds import Folds
from metaswin.core.files import read_table, write_json
from metaswin.evaluation.optimism import OptimismInputs, deep_aucs, measure_optimism
from metaswin.models.classifiers import fit_logistics

MODES = ["cross-fitted", "in-sample"]


def in_mode(run, mode, feature_sets=("deep", "clinical+deep", "radiomics"), primary="clinical+deep"):
    run.settings = {
        **run.settings,
        "deep_score": mode,
        "feature_sets": list(feature_sets),
        "primary_feature_set": primary,
    }
    return run


def files(run):
    models = {path.name: path.read_bytes() for path in sorted(run.output("models").iterdir())}
    return {**models, "fits": run.output("fits.json").read_bytes()}


@pytest.mark.parametrize("mode", MODES)
def test_fold_when_test_rows_are_corrupted_then_what_is_fitted_stays_in_every_mode(tmp_path, mode):
    clean, broken = (in_mode(draw(tmp_path / name), mode) for name in ("clean", "broken"))
    test = set(broken.folds.loc[broken.test, "patient"])
    for name in ("clinical", "used", "features", "deep"):
        table = getattr(broken, name)
        rows = table["patient"].isin(test)
        for column in table.select_dtypes("float64"):
            table.loc[rows, column] = 1e4
    flipped = broken.folds["patient"].isin(test) & broken.folds["label"].notna()
    broken.folds.loc[flipped, "label"] = 1 - broken.folds.loc[flipped, "label"]
    assert files(clean.fit()) == files(broken.fit())


def over_fitted(run, seed):
    """Scores of a hardly penalised regression on 80 columns of noise: cross-fitted and in-sample."""
    noise = np.random.default_rng(seed).normal(size=(60, 80))
    rows = Folds.of(run.folds, PLACE.repeat).outer(PLACE.fold)
    scores = {mode: np.empty(60) for mode in MODES}
    for fit in rows.fits:
        fitted, scored = rows.fitted(fit), rows.scored(fit)
        logits = fit_logistics([noise[fitted]], rows.label[fitted], [1e-2]).logits([noise])[0]
        scores["cross-fitted"][scored] = logits[scored]
        if fit == rows.final:
            scores["in-sample"] = logits
    return {mode: pd.DataFrame({"patient": rows.patients, "score": values}) for mode, values in scores.items()}


def test_optimism_when_the_network_learned_noise_then_far_larger_in_sample(tmp_path):
    gaps = {}
    for mode in MODES:
        values = []
        for seed in range(3):
            run = in_mode(draw(tmp_path / f"{mode}-{seed}", seed=seed), mode, feature_sets=["deep"], primary="deep")
            run.deep = over_fitted(run, seed)[mode].assign(role="train")
            run.fit()
            write_json(run.folder / "folds.json", {"name": PLACE.endpoint})
            inputs = OptimismInputs(
                predictions=[str(run.output("predictions.parquet"))],
                fits=[str(run.output("fits.json"))],
                folds=[run.path("folds")],
                facts=[str(run.folder / "folds.json")],
                deep=[],
            )
            measure_optimism(inputs, str(run.folder / "optimism.parquet"), "swin")
            table = read_table(run.folder / "optimism.parquet").set_index("classifier").loc["logistic"]
            assert table["deep_score"] == mode
            values.append(table["auc_train"] - table["auc_test"])
        gaps[mode] = np.mean(values)
    assert gaps["in-sample"] > 0.3
    assert gaps["in-sample"] > gaps["cross-fitted"] + 0.2


def test_deep_aucs_when_counted_by_hand_then_each_network_is_ranked_apart():
    folds = pd.DataFrame(
        {
            "patient": [*"abcdefgh"],
            "label": pd.array([0, 1, 0, 1, 0, 1, None, 1], dtype="Int8"),
            "time": np.nan,
            "event": np.nan,
            "repeat": 0,
            "fold": [0, 0, 1, 1, 2, 2, 2, 2],
        }
    )
    features = pd.DataFrame(
        {
            "patient": [*"abcdefgh"],
            # Test: right. Fold 1: wrong, and far above fold 2, whose pairs are one right, one tied.
            "score": [0.0, 1.0, 99.0, 98.0, 1.0, 2.0, 5.0, 1.0],
            "score_seen": [np.nan, np.nan, 0.0, 1.0, 0.0, 1.0, np.nan, 1.0],
        }
    )
    rows = Folds.of(folds, 0).outer(0)
    found = deep_aucs(features, rows, "cross-fitted")
    assert found == {"auc_train": 1.0, "auc_inner": (0 + 0.75) / 2, "auc_test": 1.0, "why": ""}
    alone = deep_aucs(features, rows, "in-sample")
    assert alone["auc_inner"] is None
    assert alone["why"] == "auc_inner: all networks were trained on all training rows"
    events = folds.assign(label=folds["label"].where(folds["fold"] != 0, 1))
    one = deep_aucs(features, Folds.of(events, 0).outer(0), "cross-fitted")
    assert (one["auc_test"], one["why"]) == (None, "auc_test: one outcome only")
