"""Parts of a fold, and what is fitted on inner out-of-fold predictions."""

import numpy as np
import pandas as pd
import pytest

from metaswin.errors import UserError
from metaswin.fusion.fit import FoldRows, ThresholdRule, fit_head
from metaswin.fusion.logistic import Logistics, fit_logistics
from metaswin.fusion.suspicion import column_aucs

RULE = ThresholdRule()


def fold_rows(n=120, inner=4, seed=0):
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < 0.3).astype(float)
    label[[1, 10]] = np.nan
    return FoldRows([f"P{i}" for i in range(n)], label, np.where(np.arange(n) % 5 == 0, -1, np.arange(n) % inner))


def test_rows_when_read_then_parts_never_predict_what_they_are_fitted_on():
    table = pd.DataFrame(
        {
            "patient": ["d", "a", "b", "c", "e", "f"],
            "label": pd.array([0, 1, 0, None, 1, 1], dtype="Int8"),
            "repeat": 0,
            "fold": [0, 1, 1, 1, 0, 1],
            "inner_0": pd.array([None, 0, 1, 1, None, 1], dtype="Int8"),
            "inner_1": pd.array([0, None, None, None, 1, None], dtype="Int8"),
        }
    )
    extra = table.iloc[[0, 1]].assign(patient=["g", "h"], inner_0=pd.array([0, 0], dtype="Int8"), fold=1)
    rows = FoldRows.of(pd.concat([table, extra]), 0, 0)
    assert rows.patients == list("abcdefgh")
    assert rows.parts == ["outer", "inner-0", "inner-1"]
    named = {part: ["".join(np.array(rows.patients)[mask]) for mask in (rows.fitted(part), rows.predicted(part))]
             for part in rows.parts}  # fmt: skip
    assert named == {"outer": ["abfgh", "de"], "inner-0": ["bf", "agh"], "inner-1": ["agh", "bcf"]}


def test_rows_when_a_part_has_one_outcome_then_the_message_names_part_and_settings():
    table = pd.DataFrame({"patient": list("abcd"), "label": [1.0, 0, 0, 0], "repeat": 0, "fold": 1})
    table["inner_0"] = [0, 0, 1, 1]
    with pytest.raises(UserError, match=r"fold 0, part inner-0: no event among 2 .* folds.k or folds.inner"):
        FoldRows.of(table, 0, 0)


def test_head_when_it_over_fits_then_threshold_and_slope_come_from_rows_it_did_not_see():
    # 300 noise columns, hardly penalised: perfect on the rows it was fitted on, nothing elsewhere.
    rows = fold_rows()
    noise = np.random.default_rng(1).normal(size=(120, 300))
    blocks = {part: [noise] for part in rows.parts}
    fit = fit_head(lambda b, y, p, part: fit_logistics(b, y, p), blocks, rows, [1e-3], RULE, recalibrate=True)
    assert fit.auc_train == 1
    assert 0.2 < fit.auc_inner < 0.8
    # Recalibration takes the false confidence away.
    assert fit.recalibration.slope < 0.2
    known = rows.train
    assert fit.probability[known].mean() == pytest.approx(rows.label[known].mean(), abs=0.01)
    positive = fit.probability[known] >= fit.threshold
    assert positive.mean() < 1


def test_head_when_columns_are_noise_then_the_strongest_penalty_is_chosen_and_none_for_signal():
    rows = fold_rows(n=200)
    rng = np.random.default_rng(2)
    columns = rng.normal(size=(200, 60))
    noise = {part: [columns] for part in rows.parts}
    strong = rng.normal(size=(200, 1)) + 3 * np.nan_to_num(rows.label)[:, None]
    signal = {part: [strong] for part in rows.parts}
    penalties = [1e4, 0.01, 1.0]

    def penalty(blocks):
        return fit_head(lambda b, y, p, part: fit_logistics(b, y, p), blocks, rows, penalties, RULE, True).penalty

    assert penalty(noise) == 1e4
    assert penalty(signal) <= 1.0


def test_head_when_fitted_then_every_row_is_predicted_by_its_own_part():
    rows = fold_rows()
    column = np.arange(120.0)[:, None]
    seen = {}

    def fit(blocks, label, penalties, part):
        seen[part] = set(blocks[0][:, 0].astype(int))
        offset = 0 if part == "outer" else 1000 * (1 + int(part[-1]))
        return Logistics({"coef": np.zeros((len(penalties), 1)), "intercept": np.full(len(penalties), offset / 1e4)})

    fitted = fit_head(fit, {part: [column] for part in rows.parts}, rows, [1.0], RULE, recalibrate=False)
    logits = np.log(fitted.probability / (1 - fitted.probability))
    expected = np.where(rows.test, 0, 0.1 * (1 + rows.inner))
    assert logits == pytest.approx(expected, abs=1e-9)
    for part, rows_seen in seen.items():
        assert not rows_seen & set(np.flatnonzero(rows.predicted(part)))
        assert not rows_seen & set(np.flatnonzero(rows.test))


def test_head_when_recalibrated_then_ranks_of_test_rows_stay():
    rows = fold_rows()
    columns = np.random.default_rng(3).normal(size=(120, 4))
    blocks = {part: [columns] for part in rows.parts}
    plain, adjusted = (
        fit_head(lambda b, y, p, part: fit_logistics(b, y, p), blocks, rows, [1.0], RULE, recalibrate=on)
        for on in (False, True)
    )
    test = rows.test
    assert not np.allclose(plain.probability[test], adjusted.probability[test], atol=1e-3)
    assert (np.argsort(plain.probability[test]) == np.argsort(adjusted.probability[test])).all()
    # The same rows are positive.
    assert np.array_equal(plain.probability >= plain.threshold, adjusted.probability >= adjusted.threshold)


def test_suspicion_when_columns_know_the_outcome_then_their_auc_is_near_one():
    rng = np.random.default_rng(4)
    label = (rng.random(100) < 0.3).astype(float)
    inner = np.arange(100) % 4
    table = pd.DataFrame(
        {
            "after": np.where(label == 1, "Relapse " + pd.Series(rng.integers(0, 3, 100)).astype(str), "none"),
            "day": -label + rng.normal(size=100) * 0.01,
            "gap": pd.Series(rng.normal(size=100)).where(label == 0),
            "id": [f"id{i}" for i in range(100)],
            "age": rng.normal(size=100),
        }
    )
    kinds = {"after": "category", "day": "numeric", "gap": "numeric", "id": "category", "age": "numeric"}
    found = column_aucs(table, kinds, label, inner)
    assert found["after"] > 0.95
    assert found["day"] > 0.95
    assert found["gap"] > 0.95
    # As many levels as rows tell nothing.
    assert found["id"] <= 0.6
    assert 0.5 <= found["age"] < 0.65
