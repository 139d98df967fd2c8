"""Which network scores the rows that fusion is fitted on: each mode, its leaks and its optimism."""

import numpy as np
import pandas as pd
import pytest
from fusion_run import draw

from metaswin.errors import UserError
from metaswin.evaluation.optimism import deep_aucs, measure_optimism
from metaswin.files import read_json, read_table, write_table
from metaswin.fusion.fit import FoldRows
from metaswin.fusion.logistic import fit_logistics

MODES = ["cross-fitted", "inner-validation", "in-sample"]


def in_mode(run, mode, arms=("deep", "clinical+deep", "radiomics"), headline="clinical+deep"):
    run.settings = {**run.settings, "deep_score": mode, "arms": list(arms), "headline_arm": headline}
    if mode == "inner-validation":
        labels = run.folds[run.folds["repeat"] == 1].set_index("patient")["inner_0"]
        seen = (run.deep["patient"].map(labels).fillna(0) != 0).to_numpy()
        run.deep.loc[seen, "score"] = np.nan
    return run


def files(run):
    models = {path.name: path.read_bytes() for path in sorted(run.output("models").iterdir())}
    return {**models, "fits": run.output("fits.json").read_bytes()}


def test_held_out_when_asked_then_inner_fold_0_is_dealt_anew_and_the_rest_of_the_training_rows_is_gone():
    patients = [f"P{i:02d}" for i in range(20)]
    inner = np.array([-1, -1, *[0] * 10, *[1] * 4, *[2] * 4])
    label = np.array([1.0, 0, *[1] * 3, *[0] * 6, np.nan, *[0, 1] * 4])
    rows = FoldRows(patients, label, inner).held_out(seed=1)
    assert rows.patients == patients[:12]
    assert rows.test.tolist() == [True] * 2 + [False] * 10
    assert rows.parts == ["outer", "inner-0", "inner-1", "inner-2"]
    for part in rows.parts[1:]:
        left_out = rows.label[rows.predicted(part)]
        assert (np.nansum(left_out == 1), np.nansum(left_out == 0)) == (1, 2)
    assert rows.inner.tolist() == FoldRows(patients, label, inner).held_out(seed=1).inner.tolist()


def test_held_out_when_few_events_then_as_many_inner_folds_as_events():
    label = np.array([1.0, 1, 0, 0, 0, 0, 1, 0])
    rows = FoldRows([*"abcdefgh"], label, np.array([0, 0, 0, 0, 0, 1, 2, -1])).held_out(seed=1)
    assert rows.parts == ["outer", "inner-0", "inner-1"]


def test_held_out_when_one_event_then_the_message_names_the_settings():
    rows = FoldRows([*"abcde"], np.array([1.0, 0, 0, 1, 0]), np.array([0, 0, 0, 1, 1]))
    with pytest.raises(UserError, match=r"found 1 events and 2 non-events.*folds\.inner.*cross-fitted"):
        rows.held_out(seed=1)


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


def test_fold_when_inner_validation_then_arms_with_deep_learn_from_inner_fold_0_alone(tmp_path):
    run, other = (in_mode(draw(tmp_path / name), "inner-validation") for name in ("run", "other"))
    rows = other.folds["repeat"] == 1
    outside = rows & other.folds["inner_0"].fillna(0).ne(0) & other.folds["label"].notna()
    other.folds.loc[outside, "label"] = 1 - other.folds.loc[outside, "label"]
    first, second = files(run.fit()), files(other.fit())
    for arm in ("deep", "clinical+deep"):
        assert first[f"{arm}.safetensors"] == second[f"{arm}.safetensors"]
        assert first[f"{arm}.json"] == second[f"{arm}.json"]
    assert first["radiomics.safetensors"] != second["radiomics.safetensors"]
    fits = read_json(run.output("fits.json"))
    known = run.folds[rows & run.folds["inner_0"].eq(0) & run.folds["label"].notna()]
    assert fits["arms"]["deep"]["network"]["n_train"] == len(known)
    assert fits["deep_score"] == "inner-validation"
    predicted = read_table(run.output("predictions.parquet"))
    inner = predicted[(predicted["arm"] == "deep") & (predicted["part"] == "inner")]
    assert set(inner["patient"]) == set(run.folds.loc[rows & run.folds["inner_0"].eq(0), "patient"])


def test_fold_when_inner_validation_then_features_are_those_selected_without_inner_fold_0(tmp_path):
    run = in_mode(draw(tmp_path), "inner-validation", arms=["radiomics+deep"], headline="radiomics+deep").fit()
    [columns] = {tuple(f["columns"]) for f in read_json(run.output("fits.json"))["arms"]["radiomics+deep"].values()}
    # fusion_run: part inner-0 keeps features 0 and 2.
    assert columns[:2] == ("tumor__original_firstorder_F0", "tumor__original_firstorder_F2")


def over_fitted(run, seed):
    """Scores of a hardly penalised regression on 80 columns of noise: cross-fitted and in-sample."""
    noise = np.random.default_rng(seed).normal(size=(60, 80))
    rows = FoldRows.of(run.folds, 1, 0)
    scores = {mode: np.empty(60) for mode in ("cross-fitted", "in-sample")}
    for part in rows.parts:
        fitted = rows.fitted(part)
        logits = fit_logistics([noise[fitted]], rows.label[fitted], [1e-2]).logits([noise])[0]
        scores["cross-fitted"][rows.predicted(part)] = logits[rows.predicted(part)]
        if part == "outer":
            scores["in-sample"] = logits
    return {mode: pd.DataFrame({"patient": rows.patients, "score": values}) for mode, values in scores.items()}


def test_optimism_when_the_network_learned_noise_then_far_larger_in_sample_than_cross_fitted(tmp_path):
    gaps = {}
    for mode in ("cross-fitted", "in-sample"):
        values = []
        for seed in range(3):
            run = in_mode(draw(tmp_path / f"{mode}-{seed}", seed=seed), mode, arms=["deep"], headline="deep")
            run.deep = over_fitted(run, seed)[mode].assign(role="train")
            run.fit()
            folds = read_table(run.folder / "folds.parquet")
            place = run.folder / "models/dm/as-is/r1-f0/fusion"
            place.parent.mkdir(parents=True)
            run.output("fits.json").parent.rename(place)
            write_table(run.folder / "dm.parquet", folds)
            inputs = {
                "predictions": [str(place / "predictions.parquet")],
                "fits": [str(place / "fits.json")],
                "folds": [str(run.folder / "dm.parquet")],
                "deep": [],
            }
            measure_optimism(inputs, str(run.folder / "optimism.parquet"), "swin")
            table = read_table(run.folder / "optimism.parquet").set_index("head").loc["logistic"]
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
            "repeat": 0,
            "fold": [0, 0, 1, 1, 1, 1, 1, 1],
            "inner_0": pd.array([None, None, 0, 0, 1, 1, 1, 1], dtype="Int8"),
        }
    )
    features = pd.DataFrame(
        {
            "patient": [*"abcdefgh"],
            # Test: right. Inner fold 0: wrong, and far above inner fold 1, whose pairs are one right, one tied.
            "score": [0.0, 1.0, 99.0, 98.0, 1.0, 2.0, 5.0, 1.0],
            "score_seen": [np.nan, np.nan, 0.0, 1.0, 0.0, 1.0, np.nan, 1.0],
        }
    )
    found = deep_aucs(features, folds, 0, 0, "cross-fitted")
    assert found == {"auc_train": 1.0, "auc_inner": (0 + 0.75) / 2, "auc_test": 1.0, "why": ""}
    alone = deep_aucs(features, folds, 0, 0, "in-sample")
    assert alone["auc_inner"] is None
    assert alone["why"] == "auc_inner: no network has left out a training row"
    one = deep_aucs(features, folds.assign(label=folds["label"].where(folds["fold"] == 1, 1)), 0, 0, "cross-fitted")
    assert (one["auc_test"], one["why"]) == (None, "auc_test: one outcome only")
