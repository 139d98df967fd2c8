"""Selections of the fits, the two sets, what a fit sees as tables, and no leak through them."""

import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from metaswin.cohort.folds import Folds, all_fits, leaky_training
from metaswin.config.features import RADIOMICS, HarmonisationSettings, SelectionSettings
from metaswin.core.files import read_table
from metaswin.features.fit_tables import SelectionInputs, fit_table, kept_features, select_features, selections
from metaswin.features.harmonisation import fit_harmoniser
from metaswin.features.matrix import wide

SETTINGS = SelectionSettings(trees=10, keep=3)
AUC = SelectionSettings(method="auc", keep_choices=[1, 3])
N, K = 40, 4


@pytest.fixture
def folds() -> pd.DataFrame:
    """Two repeats of 4 folds; patients 0 and 7 have no known label."""
    rng = np.random.default_rng(1)
    label = pd.array(rng.integers(0, 2, N), dtype="Int8")
    label[0] = label[7] = None
    outcome = pd.DataFrame({"patient": patients(), "label": label, "time": np.nan, "event": label})
    return pd.concat(
        [outcome.assign(repeat=repeat, fold=(np.arange(N) + repeat) % K) for repeat in range(2)], ignore_index=True
    )


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


def matrices(features: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {name: wide(features, name, patients()) for name in RADIOMICS}


def selected(
    features: pd.DataFrame, table: pd.DataFrame, repeat: int = 0, training=None, settings=SETTINGS
) -> pd.DataFrame:
    """Selections of every fit of a repeat."""
    folds = Folds.of(table, repeat)
    return selections(matrices(features), folds.labels, training or folds.training(), settings, seed=3)


def run(
    folder: Path,
    features: pd.DataFrame,
    folds: pd.DataFrame,
    used: pd.DataFrame | None = None,
    settings=SETTINGS,
    **options,
):
    """`select_features` of repeat 1; the folder of its outputs."""
    folder.mkdir()
    used = pd.DataFrame({"patient": patients()}) if used is None else used
    for name, table in [("features", features), ("folds", folds), ("used", used)]:
        table.to_parquet(folder / f"in-{name}.parquet")
    inputs = SelectionInputs(*(str(folder / f"in-{name}.parquet") for name in ("features", "folds", "used")))
    tables = {(fit, name): str(folder / f"{fit}-{name}.parquet") for fit in all_fits(K) for name in RADIOMICS}
    own = str(folder / "selection.parquet"), str(folder / "volume.parquet")
    select_features(inputs, *own, tables, "dm", 1, settings, 3, **options)
    return folder


def test_wide_contains_the_regions_of_its_set_in_the_order_of_the_patients(features: pd.DataFrame) -> None:
    rows = ["p05", "p01", "not-there"]
    tumor = wide(features, "radiomics", rows)
    assert tumor.columns.tolist() == [f"tumor__original_f_{i}" for i in range(5)]
    assert tumor.index.tolist() == rows
    assert tumor.loc["not-there"].isna().all()
    assert tumor.loc["p05", "tumor__original_f_2"] == features.loc[5, "original_f_2"]
    rings = wide(features, "peri_radiomics", rows)
    assert {name.split("__")[0] for name in rings} == {"ring_0_10mm", "ring_10_20mm"}
    assert rings.loc["p01"].isna().sum() == 5


def test_wide_has_no_column_for_a_feature_that_a_region_never_has(features: pd.DataFrame) -> None:
    features.loc[features["region"] == "tumor", "original_f_1"] = np.nan
    assert "tumor__original_f_1" not in wide(features, "radiomics", patients())
    assert wide(features[features["region"] == "nodes"], "radiomics", patients()).shape == (N, 0)


def test_selections_cover_every_fit_and_set(features: pd.DataFrame, folds: pd.DataFrame) -> None:
    table = selected(features, folds)
    assert table.groupby(["fit", "modality"]).size().to_dict() == {
        (fit, name): 5 * regions for fit in all_fits(K) for name, regions in [("radiomics", 1), ("peri_radiomics", 2)]
    }
    assert (table.groupby(["fit", "modality"])["kept"].sum() == 3).all()
    missing = table[(table["step"] == "missing") & (table["modality"] == "radiomics")]
    assert not len(missing)


def test_selections_when_fits_are_chosen_then_the_same_as_among_all(
    features: pd.DataFrame, folds: pd.DataFrame
) -> None:
    everything, some = selected(features, folds), ["without-1-3", "without-2"]
    chosen = selected(features, folds, training=Folds.of(folds, 0).training(some))
    assert chosen["fit"].unique().tolist() == some
    for fit in some:
        a, b = (table[table["fit"] == fit].reset_index(drop=True) for table in (everything, chosen))
        pd.testing.assert_frame_equal(a, b)


@pytest.mark.parametrize("settings", [SETTINGS, AUC])
def test_selections_when_rows_of_excluded_folds_are_corrupted_then_nothing_changes(
    features: pd.DataFrame, folds: pd.DataFrame, settings: SelectionSettings
) -> None:
    clean = selected(features, folds, settings=settings)
    test = folds.loc[(folds["repeat"] == 0) & (folds["fold"] == 1), "patient"]
    unknown = folds.loc[folds["label"].isna(), "patient"]
    spoilt = features.copy()
    rows = spoilt["patient"].isin([*test, *unknown])
    spoilt.loc[rows, "original_f_0":"original_f_4"] = 1e9
    wrong = folds.copy()
    wrong.loc[wrong["patient"].isin(test), "label"] = 1
    changed = selected(spoilt, wrong, settings=settings)
    same = clean["fit"].isin(["without-1", "without-0-1", "without-1-2", "without-1-3"])
    pd.testing.assert_frame_equal(clean[same], changed[same], check_exact=True)
    for fit in set(clean["fit"]) - set(clean.loc[same, "fit"]):
        assert not clean[clean["fit"] == fit].equals(changed[changed["fit"] == fit])


def test_fit_table_contains_the_kept_features_unchanged_and_best_rank_first(
    features: pd.DataFrame, folds: pd.DataFrame
) -> None:
    table, matrix = selected(features, folds), wide(features, "peri_radiomics", patients())
    kept = kept_features(table, "without-1-3", "peri_radiomics")
    own = table[(table["fit"] == "without-1-3") & (table["modality"] == "peri_radiomics")].set_index("feature")
    assert own.loc[kept, "rank"].tolist() == [1, 2, 3]
    found = fit_table(matrix, kept, "without-1-3", "peri_radiomics", None)
    pd.testing.assert_frame_equal(found, matrix[kept])
    # A patient whose image has no such region, as in prediction: missing, not imputed.
    later = fit_table(pd.DataFrame(index=["new"]), kept, "without-1-3", "peri_radiomics", None)
    assert later.columns.tolist() == kept
    assert later.isna().all(axis=None)


def test_fit_table_when_harmonised_then_by_its_own_fit(features: pd.DataFrame, folds: pd.DataFrame) -> None:
    rows = pd.DataFrame({"batch": ["a", "b"] * (N // 2)}, index=pd.Index(patients(), name="patient"))
    data = matrices(features)
    harmoniser, _ = fit_harmoniser(data, Folds.of(folds, 0).training(), rows, HarmonisationSettings(method="combat"))
    kept = ["tumor__original_f_3", "tumor__original_f_1"]
    tables = {
        fit: fit_table(data["radiomics"], kept, fit, "radiomics", harmoniser) for fit in ("without-1", "without-1-3")
    }
    for fit, table in tables.items():
        pd.testing.assert_frame_equal(table, harmoniser.apply(data["radiomics"], fit, "radiomics")[kept])
    assert not np.allclose(*tables.values())
    assert not np.allclose(tables["without-1"], data["radiomics"][kept])


def test_select_features_when_written_then_selection_and_a_table_per_fit_and_set(
    features: pd.DataFrame, folds: pd.DataFrame, tmp_path: Path
) -> None:
    features = features.drop(features.index[features["patient"] == "p05"])
    folder = run(tmp_path / "run", features, folds)
    table = selected(features, folds, repeat=1)
    written = read_table(folder / "selection.parquet")
    assert (written["endpoint"] == "dm").all()
    assert (written["repeat"] == 1).all()
    pd.testing.assert_frame_equal(written.drop(columns=["endpoint", "repeat"]), table)
    for fit in all_fits(K):
        for name, count in [("radiomics", "5"), ("peri_radiomics", "10")]:
            path = folder / f"{fit}-{name}.parquet"
            expected = wide(features, name, patients())[kept_features(table, fit, name)]
            found = read_table(path).set_index("patient")
            pd.testing.assert_frame_equal(found, expected, check_index_type=False)
            assert found.loc["p05"].isna().all()
            assert pq.read_schema(path).metadata[b"candidates"].decode() == count


def test_select_features_by_auc_then_each_fit_sees_the_number_that_its_own_training_rows_choose(
    features: pd.DataFrame, folds: pd.DataFrame, tmp_path: Path
) -> None:
    known = features["patient"].isin(folds.loc[folds["label"] == 1, "patient"])
    features["original_f_3"] += 2 * known
    folder = run(tmp_path / "run", features, folds, settings=AUC)
    table = selected(features, folds, repeat=1, settings=AUC)
    written = read_table(folder / "selection.parquet")
    pd.testing.assert_frame_equal(written.drop(columns=["endpoint", "repeat"]), table)
    for fit in all_fits(K):
        tumor = read_table(folder / f"{fit}-radiomics.parquet").set_index("patient")
        assert tumor.columns[0] == "tumor__original_f_3"
        rings = read_table(folder / f"{fit}-peri_radiomics.parquet").set_index("patient")
        expected = wide(features, "peri_radiomics", patients())[kept_features(table, fit, "peri_radiomics")]
        pd.testing.assert_frame_equal(rings, expected, check_index_type=False)
    assert set(table.groupby(["fit", "modality"])["kept"].sum()) == {1, 3}


@pytest.mark.parametrize("settings", [SETTINGS, AUC])
def test_select_features_when_run_twice_then_the_same_bytes(
    features: pd.DataFrame, folds: pd.DataFrame, tmp_path: Path, settings: SelectionSettings
) -> None:
    one, two = (run(tmp_path / name, features, folds, settings=settings) for name in ("one", "two"))
    names = sorted(path.name for path in one.iterdir())
    assert len(names) == 3 + 2 + 2 * len(all_fits(K))
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_select_features_when_a_set_is_not_there_then_its_tables_have_patients_only(
    features: pd.DataFrame, folds: pd.DataFrame, tmp_path: Path
) -> None:
    folder = run(tmp_path / "run", features[features["region"] == "tumor"], folds)
    path = folder / "without-0-3-peri_radiomics.parquet"
    assert read_table(path).columns.tolist() == ["patient"]
    assert read_table(path)["patient"].tolist() == patients()
    assert pq.read_schema(path).metadata[b"candidates"] == b"0"
    assert set(read_table(folder / "selection.parquet")["modality"]) == {"radiomics"}


def test_select_features_when_leaky_then_every_fit_selects_on_all_known_rows(
    features: pd.DataFrame, folds: pd.DataFrame, tmp_path: Path
) -> None:
    assert inspect.signature(select_features).parameters["leaky"].default is False
    written = read_table(run(tmp_path / "run", features, folds, leaky=True) / "selection.parquet")
    rows = leaky_training(Folds.of(folds, 1))
    expected = selected(features, folds, repeat=1, training=rows)
    pd.testing.assert_frame_equal(written.drop(columns=["endpoint", "repeat"]), expected)
    per_fit = [table.drop(columns="fit").reset_index(drop=True) for _, table in written.groupby("fit")]
    for other in per_fit[1:]:
        pd.testing.assert_frame_equal(per_fit[0], other)


def test_volume_when_measured_then_of_the_images_otherwise_of_the_features(
    features: pd.DataFrame, folds: pd.DataFrame, tmp_path: Path
) -> None:
    used = pd.DataFrame({"patient": patients(), "volume_tumor_mm3": [np.nan, *range(1, N)]})
    found = read_table(run(tmp_path / "images", features, folds, used) / "volume.parquet")
    assert found["patient"].tolist() == patients()[1:]
    assert found["volume_tumor_mm3"].tolist() == list(range(1, N))
    imported = features.assign(original_shape_MeshVolume=np.where(features["region"] == "tumor", 7.0, 8.0))
    found = read_table(run(tmp_path / "imported", imported, folds) / "volume.parquet")
    assert found["volume_tumor_mm3"].tolist() == [7.0] * N
    assert not len(read_table(run(tmp_path / "neither", features, folds) / "volume.parquet"))
