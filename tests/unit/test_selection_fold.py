"""Parts of a fold, the two sets, applying a selection, and no leak through the tables."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from metaswin.selection.apply import apply_selection
from metaswin.selection.fold import select_fold, selections, training_parts

from metaswin.selection.matrix import wide
from metaswin.selection.settings import SelectionSettings

SETTINGS = SelectionSettings(trees=10, keep=3)
N = 40


@pytest.fixture
def folds() -> pd.DataFrame:
    """Two repeats of 4 folds with 2 inner folds; patients 0 and 7 have no known label."""
    rng = np.random.default_rng(1)
    label = pd.array(rng.integers(0, 2, N), dtype="Int8")
    label[0] = label[7] = None
    parts = []
    for repeat in range(2):
        fold = (np.arange(N) + repeat) % 4
        table = pd.DataFrame({"patient": patients(), "label": label, "repeat": repeat, "fold": fold})
        for f in range(4):
            table[f"inner_{f}"] = pd.array(np.where(fold == f, None, np.arange(N) // 4 % 2), dtype="Int8")
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def features() -> pd.DataFrame:
    """Five features of four regions; the second ring is missing in patients 1 to 3, the nodes in most."""
    rng = np.random.default_rng(2)
    parts = []
    for region, ids in [
        ("tumor", patients()),
        ("nodes", patients()[:5]),
        ("ring_0_10mm", patients()),
        ("ring_10_20mm", [*patients()[:1], *patients()[4:]]),
    ]:
        part = pd.DataFrame(rng.normal(size=(len(ids), 5)), columns=[f"original_f_{i}" for i in range(5)])
        parts.append(part.assign(patient=ids, region=region, voxels=100))
    return pd.concat(parts, ignore_index=True)


def patients() -> list[str]:
    return [f"p{i:02d}" for i in range(N)]


def test_wide_holds_the_regions_of_its_set_in_the_order_of_the_patients(features: pd.DataFrame) -> None:
    rows = ["p05", "p01", "not-there"]
    tumor = wide(features, "radiomics", rows)
    assert tumor.columns.tolist() == [f"tumor__original_f_{i}" for i in range(5)]
    assert tumor.index.tolist() == rows
    assert tumor.loc["not-there"].isna().all()
    assert tumor.loc["p05", "tumor__original_f_2"] == features.loc[5, "original_f_2"]
    rings = wide(features, "peri_radiomics", rows)
    assert {name.split("__")[0] for name in rings} == {"ring_0_10mm", "ring_10_20mm"}
    assert rings.loc["p01"].isna().sum() == 5


def test_wide_when_a_region_never_has_a_feature_then_there_is_no_such_column(features: pd.DataFrame) -> None:
    features.loc[features["region"] == "tumor", "original_f_1"] = np.nan
    assert "tumor__original_f_1" not in wide(features, "radiomics", patients())
    assert wide(features[features["region"] == "nodes"], "radiomics", patients()).shape == (N, 0)


def test_training_parts_are_known_labels_outside_the_fold_and_the_inner_fold(folds: pd.DataFrame) -> None:
    table = folds[folds["repeat"] == 1].set_index("patient")
    parts = training_parts(table, 2)
    assert list(parts) == ["outer", "inner-0", "inner-1"]
    expected = [p for i, p in enumerate(patients()) if (i + 1) % 4 != 2 and i not in (0, 7)]
    assert parts["outer"] == expected
    assert parts["inner-0"] == [p for p in expected if int(p[1:]) // 4 % 2 != 0]
    assert set(parts["inner-0"]) | set(parts["inner-1"]) == set(expected)
    assert not set(parts["inner-0"]) & set(parts["inner-1"])


def test_selections_cover_every_part_and_set(features: pd.DataFrame, folds: pd.DataFrame) -> None:
    table = selections(features, folds, 0, 1, SETTINGS, seed=3)
    counts = table[table["step"] != "flag"].groupby(["part", "set"]).size()
    assert counts.to_dict() == {
        (part, name): 5 * regions
        for part in ("outer", "inner-0", "inner-1")
        for name, regions in [("radiomics", 1), ("peri_radiomics", 2)]
    }
    assert (table.groupby(["part", "set"])["kept"].sum() == 3).all()


def test_select_fold_writes_the_same_table_twice(features: pd.DataFrame, folds: pd.DataFrame, tmp_path: Path) -> None:
    features.to_parquet(tmp_path / "features.parquet")
    folds.to_parquet(tmp_path / "folds.parquet")
    for name in ("one", "two"):
        select_fold(
            str(tmp_path / "features.parquet"), str(tmp_path / "folds.parquet"), str(tmp_path / name), 1, 0, SETTINGS, 3
        )
    one = pd.read_parquet(tmp_path / "one")
    pd.testing.assert_frame_equal(one, pd.read_parquet(tmp_path / "two"))
    pd.testing.assert_frame_equal(one, selections(features, folds, 1, 0, SETTINGS, 3))


def test_selections_when_test_rows_are_corrupted_then_nothing_changes(
    features: pd.DataFrame, folds: pd.DataFrame
) -> None:
    clean = selections(features, folds, 0, 1, SETTINGS, seed=3)
    test = folds.loc[(folds["repeat"] == 0) & (folds["fold"] == 1), "patient"]
    unknown = folds.loc[folds["label"].isna(), "patient"]
    spoilt = features.copy()
    rows = spoilt["patient"].isin([*test, *unknown])
    spoilt.loc[rows, "original_f_0":"original_f_4"] = 1e9
    wrong = folds.copy()
    wrong.loc[wrong["patient"].isin(test), "label"] = 1
    pd.testing.assert_frame_equal(clean, selections(spoilt, wrong, 0, 1, SETTINGS, seed=3))
    inner = folds.loc[(folds["repeat"] == 0) & (folds["inner_1"] == 0), "patient"]
    spoilt = features.copy()
    spoilt.loc[spoilt["patient"].isin(inner), "original_f_0":"original_f_4"] = 1e9
    changed = selections(spoilt, folds, 0, 1, SETTINGS, seed=3)
    pd.testing.assert_frame_equal(clean[clean["part"] == "inner-0"], changed[changed["part"] == "inner-0"])
    assert not clean["median"].equals(changed["median"])


def test_apply_selection_imputes_by_training_medians_and_flags_missing_regions(features: pd.DataFrame) -> None:
    matrix = wide(features, "peri_radiomics", patients())
    label = pd.Series([0, 1] * (N // 2), index=matrix.index)
    folds = pd.DataFrame({"patient": patients(), "label": label.to_numpy(), "repeat": 0, "fold": 1, "inner_0": 0})
    folds.loc[:9, "fold"] = 0
    folds.loc[[12, 13], "inner_0"] = 1
    features = features[~((features["region"] == "ring_10_20mm") & features["patient"].isin(["p20", "p21"]))]
    table = selections(features, folds, 0, 0, SelectionSettings(trees=10), seed=3)
    chosen = table[(table["part"] == "outer") & (table["set"] == "peri_radiomics")]
    flags = chosen[chosen["step"] == "flag"]
    assert flags["feature"].tolist() == ["ring_10_20mm__missing"]
    assert flags["reason"].tolist() == ["region missing in 6.7% of the training rows"]
    assert not flags["kept"].any()
    matrix = wide(features, "peri_radiomics", patients())
    applied = apply_selection(matrix, chosen)
    kept = chosen[chosen["kept"]].sort_values("rank")["feature"].tolist()
    assert applied.columns.tolist() == [*kept, "ring_10_20mm__missing"]
    assert applied.notna().all(axis=None)
    lacking = ["p01", "p02", "p03", "p20", "p21"]
    assert applied.index[applied["ring_10_20mm__missing"] == 1].tolist() == lacking
    far = [name for name in kept if name.startswith("ring_10_20mm")]
    medians = matrix.loc[[f"p{i}" for i in range(10, N)], far].median()
    assert far
    assert (applied.loc[lacking, far] == medians).all(axis=None)
    there = applied.index.difference(lacking)
    pd.testing.assert_frame_equal(applied.loc[there, kept], matrix.loc[there, kept])


def test_apply_selection_when_a_later_patient_lacks_a_region_then_the_medians_stand_in(features: pd.DataFrame) -> None:
    matrix = wide(features, "radiomics", patients())
    folds = pd.DataFrame({"patient": patients(), "label": [0, 1] * (N // 2), "repeat": 0, "fold": 1, "inner_0": 0})
    folds.loc[0, "fold"] = 0
    folds.loc[[12, 13], "inner_0"] = 1
    table = selections(features, folds, 0, 0, SETTINGS, seed=3)
    chosen = table[(table["part"] == "outer") & (table["set"] == "radiomics")]
    applied = apply_selection(pd.DataFrame(index=["new"]), chosen)
    kept = chosen[chosen["kept"]].sort_values("rank")
    assert applied.loc["new"].to_dict() == dict(zip(kept["feature"], kept["median"], strict=True))
    assert matrix.shape[1] == len(chosen)


def test_apply_selection_when_given_two_parts_then_it_refuses(features: pd.DataFrame, folds: pd.DataFrame) -> None:
    table = selections(features, folds, 0, 1, SETTINGS, seed=3)
    with pytest.raises(ValueError, match="one part and one set"):
        apply_selection(wide(features, "radiomics", patients()), table)
