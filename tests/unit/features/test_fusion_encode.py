"""Encoding of raw columns."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaswin.features.encoder import LIMIT, ModalityEncoder, RegionFlag, fit_encoder


def encoded(train, kinds, rows, min_rows=1):
    encoder = fit_encoder(pd.DataFrame(train), kinds, min_rows)
    return pd.DataFrame(encoder.transform(pd.DataFrame(rows)), columns=encoder.outputs)


def test_number_when_scaled_then_by_mean_and_deviation_of_the_training_rows():
    # Mean 3, population deviation sqrt(2).
    result = encoded({"age": [1.0, 2, 3, 4, 5]}, {"age": "numeric"}, {"age": [3.0, 5.0]})
    assert result["age"].tolist() == pytest.approx([0.0, 2 / np.sqrt(2)])
    assert list(result) == ["age"]


def test_number_when_missing_in_training_then_median_and_flag():
    # Observed 0, 2, 10: median 2, so mean 3.5 and variance (3.5² + 1.5² + 6.5² + 1.5²) / 4 = 14.75.
    result = encoded({"x": [0, 2, 10, np.nan]}, {"x": "numeric"}, {"x": [np.nan, 3.5]})
    assert result["x"].tolist() == pytest.approx([-1.5 / np.sqrt(14.75), 0])
    assert result["x=missing"].tolist() == [1, 0]


def test_number_when_missing_later_only_then_median_without_flag():
    result = encoded({"x": [0.0, 2, 10]}, {"x": "numeric"}, {"x": [np.nan, 2.0]})
    assert list(result) == ["x"]
    assert result["x"][0] == result["x"][1]


def test_number_when_far_outside_then_cut():
    result = encoded({"x": [0.0, 1, 2]}, {"x": "numeric"}, {"x": [1e9, -np.inf, -1e9]})
    assert result["x"].tolist() == [LIMIT, 0, -LIMIT]


@pytest.mark.parametrize("value", [0.0, 7.0, 0.1, 1e17])
def test_number_when_constant_in_training_then_zero_there_and_finite_elsewhere(value):
    result = encoded({"x": [value] * 7}, {"x": "numeric"}, {"x": [value, value + 1]})
    assert result["x"][0] == pytest.approx(0, abs=1e-9)
    assert np.isfinite(result["x"][1])


def test_number_without_a_training_value_is_omitted():
    result = encoded({"x": [np.nan, np.nan], "y": [0.0, 1]}, {"x": "numeric", "y": "numeric"}, {"x": [1], "y": [1]})
    assert list(result) == ["y"]


def test_log_when_volume_then_ratios_count_and_zero_is_missing():
    result = encoded({"v": [1.0, 10, 100, 0]}, {"v": "log"}, {"v": [10.0, 100, 1000, -5]})
    steps = np.diff(result["v"].iloc[:3])
    assert steps[0] == pytest.approx(steps[1])
    assert result["v=missing"].tolist() == [0, 0, 0, 1]


def test_category_when_case_and_blanks_differ_then_one_level():
    result = encoded({"site": ["Nasal Cavity", "nasal cavity ", "Larynx"]}, {"site": "category"}, {"site": [" LARYNX"]})
    assert list(result) == ["site=larynx", "site=nasal cavity", "site=unknown"]
    assert result.iloc[0].tolist() == [1, 0, 0]


def test_category_when_missing_unseen_rare_or_called_unknown_then_unknown():
    train = {"t": ["T1", "T1", "T2", "T2", "T4", None, "Unknown"]}
    result = encoded(train, {"t": "category"}, {"t": ["T3", None, "T4", "unknown", " ", np.nan]}, min_rows=2)
    assert list(result) == ["t=t1", "t=t2", "t=unknown"]
    assert result["t=unknown"].tolist() == [1] * 6


def test_category_when_never_missing_in_training_then_it_has_an_unknown_level_too():
    result = encoded({"t": ["a", "b"]}, {"t": "category"}, {"t": ["c"]})
    assert result["t=unknown"].tolist() == [1]


def test_encoder_when_a_column_is_absent_then_it_is_missing():
    encoder = fit_encoder(pd.DataFrame({"x": [1.0, 2], "t": ["a", "b"]}), {"x": "numeric", "t": "category"}, 1)
    values = encoder.transform(pd.DataFrame(index=["p"]))
    assert values.tolist() == [[0, 0, 0, 1]]


def test_features_when_regions_are_missing_then_medians_and_one_flag_for_each_region():
    train = {
        "tumor__a": [0.0, 2, 10, np.nan],
        "tumor__b": [1.0, 2, 3, 4],
        "ring_0_10mm__a": [0.0, 2, 10, np.nan],
        "ring_0_10mm__b": [1.0, 2, 3, np.nan],
    }
    later = {**{name: [np.nan, 1.0] for name in train}, "ring_0_10mm__b": [np.nan, np.nan]}
    kinds = dict.fromkeys(train, "feature")
    result = encoded(train, kinds, later)
    # The tumour is there in every training row, though one value is missing: no flag, and no flag for a single column.
    assert list(result) == [*train, "ring_0_10mm__missing"]
    # Observed 0, 2, 10: median 2, so mean 3.5 and variance 14.75, as for any number.
    assert result["tumor__a"].tolist() == pytest.approx([-1.5 / np.sqrt(14.75), -2.5 / np.sqrt(14.75)])
    # The region is missing where none of its columns has a value.
    assert result["ring_0_10mm__missing"].tolist() == [1, 0]
    assert encoded(train, kinds, train)["ring_0_10mm__missing"].tolist() == [0, 0, 0, 1]


def test_features_when_a_region_is_missing_later_only_then_medians_without_a_flag():
    result = encoded({"tumor__a": [0.0, 2, 10]}, {"tumor__a": "feature"}, {"tumor__a": [np.nan, 2.0]})
    assert list(result) == ["tumor__a"]
    assert result["tumor__a"][0] == result["tumor__a"][1]


def test_features_when_a_column_has_no_training_value_then_region_flag_ignores_it():
    train = {"ring__a": [np.nan, np.nan, np.nan], "ring__b": [1.0, 2, np.nan]}
    rows = {"ring__a": [5.0], "ring__b": [np.nan]}
    result = encoded(train, dict.fromkeys(train, "feature"), rows)
    assert list(result) == ["ring__b", "ring__missing"]
    assert result["ring__missing"].tolist() == [1]


def test_features_when_columns_are_absent_then_region_is_missing_also_after_json():
    train = pd.DataFrame({"ring__a": [1.0, np.nan, 3], "ring__b": [1.0, np.nan, 3]})
    encoder = fit_encoder(train, dict.fromkeys(train, "feature"), 1)
    assert encoder.columns[-1] == RegionFlag("ring", ("ring__a", "ring__b"))
    again = ModalityEncoder.from_json(json.loads(json.dumps(encoder.as_json())))
    assert again == encoder
    assert again.transform(pd.DataFrame(index=["p"]))[:, -1].tolist() == [1]


finite = st.floats(-1e100, 1e100, allow_subnormal=False).map(lambda x: 0.0 if abs(x) < 1e-100 else x)
numbers = st.lists(st.one_of(st.sampled_from([None, np.nan, np.inf]), finite), min_size=1, max_size=20)
words = st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=1, max_size=20)


@given(numbers, numbers, words, words)
def test_encoder_when_any_values_then_finite_bounded_and_the_same_after_json(train_x, rows_x, train_t, rows_t):
    def table(x, t):
        size = min(len(x), len(t))
        x = pd.Series(x[:size], dtype="float64")
        return pd.DataFrame({"x": x, "v": x, "t": pd.Series(t[:size], dtype=object)})

    encoder = fit_encoder(table(train_x, train_t), {"x": "numeric", "v": "log", "t": "category"}, 1)
    rows = table(rows_x, rows_t)
    values = encoder.transform(rows)
    assert values.shape == (len(rows), len(encoder.outputs))
    assert np.isfinite(values).all()
    assert np.abs(values).max(initial=0) <= LIMIT
    onehot = [name.startswith("t=") for name in encoder.outputs]
    assert (values[:, onehot].sum(axis=1) == 1).all()
    again = ModalityEncoder.from_json(json.loads(json.dumps(encoder.as_json())))
    assert np.array_equal(again.transform(rows), values)
