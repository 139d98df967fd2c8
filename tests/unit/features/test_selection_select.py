"""Selection on training rows: each step by hand, what must hold always, and no look at test rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from metaswin.config.features import SelectionSettings
from metaswin.core.errors import UserError
from metaswin.features.selection import COLUMNS, own_auc, select

FAST = SelectionSettings(trees=20)
AUC = SelectionSettings(method="auc", keep_choices=[2, 5, 20])


def matrix(columns: dict[str, list[float]]) -> pd.DataFrame:
    length = len(next(iter(columns.values())))
    index = pd.Index([f"p{i:02d}" for i in range(length)], name="patient")
    return pd.DataFrame({f"tumor__{name}": values for name, values in columns.items()}, index=index, dtype=float)


def random_case(seed: int, rows: int = 60, columns: int = 40) -> tuple[pd.DataFrame, pd.Series]:
    """Correlated features with holes; the label depends on the first."""
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(rows, 6))
    values = latent @ rng.normal(size=(6, columns)) + 0.3 * rng.normal(size=(rows, columns))
    label = (values[:, 0] + rng.normal(size=rows) > 0).astype(int)
    label[:2] = [0, 1]
    values[rng.random(values.shape) < 0.03] = np.nan
    features = matrix({f"f{i:02d}": values[:, i] for i in range(columns)})
    return features, pd.Series(label, index=features.index)


def steps(table: pd.DataFrame) -> dict[str, str]:
    return dict(zip(table["feature"].str.removeprefix("tumor__"), table["step"], strict=True))


def test_select_drops_each_feature_at_the_expected_step() -> None:
    informative = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    features = matrix(
        {
            "holes": [np.nan, np.nan, np.nan, 3, 1, 2, 5, 4, 0, 7],
            "flat": [5] * 10,
            "flat_but_for_rounding": [5 + 1e-15 * i for i in range(10)],
            "signal": informative,
            "copy": [np.exp(x) for x in informative],
            "noise": [3, 9, 0, 7, 1, 8, 4, 2, 6, 5],
            "few_holes": [np.nan, 2, 8, 1, 7, 3, 9, 0, 5, np.nan],
        }
    )
    label = pd.Series([0] * 5 + [1] * 5, index=features.index)
    table = select(features, label, features.index.tolist(), SelectionSettings(trees=50, keep=1), seed=1)
    assert table.columns.tolist() == COLUMNS
    assert table["feature"].tolist() == features.columns.tolist()
    assert steps(table) == {
        "holes": "missing",
        "flat": "constant",
        "flat_but_for_rounding": "constant",
        "signal": "correlated",
        "copy": "kept",
        "noise": "rank",
        "few_holes": "rank",
    }
    rows = table.set_index("feature")
    assert rows.loc["tumor__holes", "reason"] == "missing in 30.0% of the training rows"
    assert rows.loc["tumor__signal", "reason"] == "Spearman 1.000 with tumor__copy"
    assert rows.loc["tumor__copy", "rank"] == 1
    assert rows["importance"].sum() == pytest.approx(1)


def test_select_when_missing_is_just_at_the_limit_then_the_feature_stays() -> None:
    features = matrix({"at": [np.nan] * 2 + list(range(8)), "other": [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]})
    label = pd.Series([0, 1] * 5, index=features.index)
    assert steps(select(features, label, features.index.tolist(), FAST, 0))["at"] == "kept"


def test_select_when_a_feature_has_no_value_then_it_is_missing_whatever_the_limit() -> None:
    features = matrix({"none": [np.nan] * 6, "some": [1, 2, 3, 4, 5, 6]})
    label = pd.Series([0, 1] * 3, index=features.index)
    table = select(features, label, features.index.tolist(), SelectionSettings(trees=5, max_missing=1.0), 0)
    assert steps(table) == {"none": "missing", "some": "kept"}


def test_select_correlation_drops_the_one_more_correlated_with_all() -> None:
    # a-b and b-c are correlated beyond the limit, a-c is not: b, in the middle, goes and both others stay.
    rng = np.random.default_rng(5)
    a, c = rng.normal(size=200), rng.normal(size=200)
    features = matrix({"a": a, "b": a + c, "c": c})
    label = pd.Series([0, 1] * 100, index=features.index)
    table = select(features, label, features.index.tolist(), SelectionSettings(trees=5, max_correlation=0.6), 0)
    assert steps(table) == {"a": "kept", "b": "correlated", "c": "kept"}


def test_select_correlation_when_all_are_equal_then_the_first_name_stays() -> None:
    values = [3.0, 1, 2, 5, 4, 6]
    features = matrix({"z": values, "m": [-v for v in values], "a": [v**3 for v in values]})
    label = pd.Series([0, 1] * 3, index=features.index)
    table = select(features, label, features.index.tolist(), FAST, 0)
    assert steps(table) == {"z": "correlated", "m": "correlated", "a": "kept"}


@given(seed=st.integers(0, 10_000), limit=st.sampled_from([0.5, 0.8, 0.95]))
@settings(max_examples=25, deadline=None)
def test_select_leaves_no_pair_beyond_the_limit_and_each_dropped_has_a_partner(seed: int, limit: float) -> None:
    features, label = random_case(seed)
    table = select(features, label, features.index.tolist(), FAST.model_copy(update={"max_correlation": limit}), 0)
    values = features.fillna(features.median())
    correlation = pd.DataFrame(np.abs(spearmanr(values).statistic), features.columns, features.columns)
    left = table.loc[table["step"].isin(["rank", "kept"]), "feature"]
    among = correlation.loc[left, left].to_numpy() - np.eye(len(left))
    assert among.max() <= limit + 1e-9
    for row in table[table["step"] == "correlated"].itertuples():
        partner = row.reason.split(" with ")[1]
        assert partner in set(left)
        assert correlation.loc[row.feature, partner] > limit
    assert table["kept"].sum() == min(len(left), 36)
    assert sorted(table["rank"].dropna()) == list(range(1, len(left) + 1))


def test_select_does_not_depend_on_the_order_of_columns_or_rows_but_for_the_forest() -> None:
    features, label = random_case(3)
    train = features.index.tolist()
    there = select(features, label, train, FAST, 0).set_index("feature")
    back = select(features.iloc[::-1, ::-1], label.iloc[::-1], train, FAST, 0).set_index("feature")
    before_forest = ["missing", "constant", "correlated"]
    same = there["step"].where(there["step"].isin(before_forest), "left")
    assert (same == back["step"].where(back["step"].isin(before_forest), "left").reindex(same.index)).all()


def test_select_when_values_are_stretched_monotonically_then_same_features_are_kept() -> None:
    features, label = random_case(4)
    features = features.fillna(0)
    there = select(features, label, features.index.tolist(), FAST, 0)
    huge = select(np.exp(features * 20) * 1e30, label, features.index.tolist(), FAST, 0)
    pd.testing.assert_frame_equal(there, huge)


@pytest.mark.parametrize("method", [FAST, AUC])
def test_select_when_test_rows_and_their_labels_are_corrupted_then_nothing_changes(method) -> None:
    features, label = random_case(11)
    train = features.index[::2].tolist()
    test = features.index[1::2]
    clean = select(features, label, train, method, 0)
    spoilt, wrong = features.copy(), label.astype(float)
    spoilt.loc[test] = np.random.default_rng(0).normal(1e6, 1e6, (len(test), features.shape[1]))
    spoilt.loc[test[0]] = np.nan
    wrong.loc[test] = np.nan
    pd.testing.assert_frame_equal(clean, select(spoilt, wrong, train, method, 0))
    shuffled = label.copy()
    shuffled.loc[train] = label.loc[train].to_numpy()[::-1]
    assert not clean["importance"].equals(select(features, shuffled, train, method, 0)["importance"])


def test_select_when_there_is_one_outcome_then_user_error() -> None:
    features, label = random_case(0)
    with pytest.raises(UserError, match=r"one outcome only among 60 training rows.*folds\.k lower \(3 or more\)"):
        select(features, label * 0, features.index.tolist(), FAST, 0)


def test_select_when_the_set_has_no_feature_then_the_table_is_empty() -> None:
    _, label = random_case(0)
    table = select(pd.DataFrame(index=label.index), label, label.index.tolist(), FAST, 0)
    assert table.shape == (0, len(COLUMNS))


def test_select_finds_the_feature_that_carries_the_label() -> None:
    rng = np.random.default_rng(8)
    values = rng.normal(size=(120, 60))
    features = matrix({f"f{i:02d}": values[:, i] for i in range(60)})
    label = pd.Series((values[:, 17] > 0.5).astype(int), index=features.index)
    table = select(features, label, features.index.tolist(), SelectionSettings(trees=100), 0)
    assert table["kept"].sum() == 36
    assert table.loc[table["rank"] == 1, "feature"].item() == "tumor__f17"


def weak_signals(informative: int, strength: float, rows: int = 300) -> tuple[pd.DataFrame, pd.Series]:
    """40 independent features; the log odds are `strength` times the sum of the first ones."""
    rng = np.random.default_rng(2)
    values = rng.normal(size=(rows, 40))
    odds = strength * values[:, :informative].sum(axis=1)
    features = matrix({f"f{i:02d}": values[:, i] for i in range(40)})
    return features, pd.Series((rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(int), index=features.index)


def test_own_auc_is_that_of_scikit_learn_in_the_better_direction_and_heeds_ties() -> None:
    rng = np.random.default_rng(1)
    values, target = rng.integers(0, 6, (50, 8)).astype(float), rng.integers(0, 2, 50)
    auc = np.array([roc_auc_score(target, column) for column in values.T])
    assert own_auc(values, target) == pytest.approx(np.maximum(auc, 1 - auc))
    assert (auc < 0.5).any()


def test_select_by_auc_ranks_by_the_auc_on_the_training_rows_ties_by_name() -> None:
    label = pd.Series([0] * 4 + [1] * 4, index=matrix({"x": [0] * 8}).index)
    features = matrix(
        {
            "weak": [0, 1, 6, 7, 2, 3, 4, 5],
            "zz_inverse": [8, 7, 6, 4, 5, 3, 2, 1],
            "strong": [6, 1, 0, 3, 4, 7, 2, 5],
            "aa_inverse": [5, 8, 7, 6, 1, 2, 4, 3],
        }
    )
    settings = SelectionSettings(method="auc", keep_choices=[2], max_correlation=1.0)
    table = select(features, label, features.index.tolist(), settings, 0).set_index("feature")
    assert table["importance"].tolist() == [0.5, 15 / 16, 0.75, 1.0]
    assert table["rank"].tolist() == [4, 2, 3, 1]
    assert table["kept"].tolist() == [False, True, False, True]
    assert table["step"].tolist() == ["rank", "kept", "rank", "kept"]
    equal = features.assign(tumor__weak=features["tumor__strong"].to_numpy()[[1, 0, 3, 2, 6, 5, 4, 7]])
    ranks = select(equal, label, features.index.tolist(), settings, 0).set_index("feature")["rank"]
    assert ranks[["tumor__strong", "tumor__weak"]].tolist() == [3, 4]


@pytest.mark.parametrize(("informative", "strength", "number"), [(2, 1.0, 2), (20, 0.6, 20)])
def test_select_by_auc_keeps_as_many_features_as_carry_the_label(informative, strength, number) -> None:
    features, label = weak_signals(informative, strength)
    table = select(features, label, features.index.tolist(), AUC, 0)
    assert table["kept"].sum() == number
    kept = table.loc[table["kept"], "feature"].str[-2:].astype(int)
    assert (kept < informative).mean() >= 0.8


def test_select_by_auc_when_repeated_then_the_same_and_the_order_of_the_choices_does_not_matter() -> None:
    features, label = random_case(6)
    train = features.index.tolist()
    first = select(features, label, train, AUC, 3)
    shuffled = AUC.model_copy(update={"keep_choices": [20, 2, 5, 5]})
    for again in (AUC, shuffled):
        pd.testing.assert_frame_equal(first, select(features, label, train, again, 3), check_exact=True)


def test_select_by_auc_when_there_are_fewer_features_than_choices_then_all_may_stay() -> None:
    features, label = weak_signals(2, 2.0)
    settings = SelectionSettings(method="auc", keep_choices=[50, 90])
    assert select(features, label, features.index.tolist(), settings, 0)["kept"].sum() == 40


def test_select_by_auc_when_there_is_one_event_then_the_smallest_number() -> None:
    features, label = random_case(0)
    table = select(features, (np.arange(60) == 7) + 0 * label, features.index.tolist(), AUC, 0)
    assert table["kept"].sum() == 2
