"""Strata: levels, the bootstrap against brute force, and counts that single nobody out."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaswin.evaluation.strata import Pairs, cells, levels, stratified, suppressed


def test_levels_are_cut_at_the_bands_with_the_cut_above():
    found = levels(pd.Series([40.0, 50, 64.9, 65, np.nan]), [50, 65])
    assert found.tolist() == ["< 50", "50 to < 65", "50 to < 65", "≥ 65", "missing"]


def test_cells_go_from_the_lowest_band_to_missing():
    table = pd.DataFrame({"age": [70.0, 101, 9, 55, np.nan]}, index=list("abcde"))
    found = [level for _, level, _ in cells(table, {"age": [10, 60, 100]})]
    assert found == ["< 10", "10 to < 60", "60 to < 100", "≥ 100", "missing"]


def test_strata_of_the_scanner_come_from_the_images_and_clinical_columns_go_first():
    clinical = pd.DataFrame({"site": ["x", "y"], "kernel": ["k", "k"]}, index=["a", "b"])
    used = pd.DataFrame({"manufacturer": ["SIEMENS", None], "kernel": ["B30f", "B31f"]}, index=["a", "b"])
    found = stratified(clinical, used, ["site", "scanner", "kernel"])
    assert list(found) == ["site", "scanner", "kernel"]
    assert levels(found["scanner"]).tolist() == ["SIEMENS", "missing"]
    assert found["kernel"].tolist() == ["k", "k"]


def test_pairs_interval_equals_a_bootstrap_of_all_pairs_with_the_same_draws():
    rng = np.random.default_rng(5)
    n, draws = 40, 200
    rows = pd.DataFrame({"patient": [f"p{i:02d}" for i in range(n)] * 2, "repeat": [0] * n + [1] * n})
    label = (rng.random(n) < 0.4).astype(float)
    rows["label"], rows["fold"] = np.tile(label, 2), rng.integers(0, 2, 2 * n)
    scores, weight = rng.integers(0, 6, 2 * n) / 5, rng.random(2 * n) + 0.5
    found = Pairs(rows, draws, np.random.default_rng(8)).estimate(scores, weight, 0.9)

    generator = np.random.default_rng(8)
    counts = np.zeros((draws, n))
    for group in (np.flatnonzero(label == 1), np.flatnonzero(label == 0)):
        counts[:, group] = generator.multinomial(len(group), np.full(len(group), 1 / len(group)), size=draws)
    counts = np.vstack([np.ones(n), counts])
    hits, total = np.zeros(draws + 1), np.zeros(draws + 1)
    for i in range(2 * n):
        for j in range(2 * n):
            same = rows["repeat"][i] == rows["repeat"][j] and rows["fold"][i] == rows["fold"][j]
            if same and rows["label"][i] == 1 and rows["label"][j] == 0:
                pair = counts[:, i % n] * counts[:, j % n] * weight[i] * weight[j]
                hits += pair * (np.sign(scores[i] - scores[j]) + 1) / 2
                total += pair
    values = hits / total
    assert found.value == pytest.approx(values[0])
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values[1:], [0.05, 0.95])))


def test_pairs_of_ties_only_have_a_half_and_no_interval():
    rows = pd.DataFrame({"patient": list("abcdef"), "repeat": 0, "fold": 0, "label": [1.0, 1, 1, 0, 0, 0]})
    found = Pairs(rows, 100, np.random.default_rng(1)).estimate(np.full(6, 0.3), np.ones(6), 0.95)
    assert (found.value, found.low, found.why) == (0.5, None, "all draws have the same value")


def test_shown_counts_hide_small_counts_and_counts_that_reveal_them():
    assert suppressed([40, 3, 22], 5) == ["40", "<5", "≥5"]
    assert suppressed([40, 3, 2, 22], 5) == ["40", "<5", "<5", "22"]
    assert suppressed([40, 22], 5) == ["40", "22"]


def test_shown_counts_hide_a_count_whose_complement_is_small():
    # 18 of 20 leaves two; 7 of 30 is told only as far as the rest allows.
    assert suppressed([18, 7, 9], 5, of=[20, 30, 30]) == ["≥16", "≥5", "9"]


def test_shown_counts_when_all_are_zero_then_zero():
    assert suppressed([0, 0], 5) == ["0", "0"]


@given(st.lists(st.integers(0, 60), min_size=2, max_size=8), st.integers(2, 6))
def test_suppression_never_lets_one_hidden_count_follow_from_the_total(counts, least):
    found = suppressed(counts, least)
    hidden = [text for text in found if not text.isdigit()]
    assert len(hidden) != 1 or len(counts) == 1
    for text, count in zip(found, counts, strict=True):
        assert not text.isdigit() or int(text) == count
        assert not (text.isdigit() and 0 < count < least)
        assert not text.startswith("≥") or count >= int(text[1:])
