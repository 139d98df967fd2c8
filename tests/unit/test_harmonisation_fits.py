"""Harmonisation of a fold: fitted on training rows, the same in selection and fusion, counted, saved."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fusion_run import SETS, FoldRun, draw
from metaswin.harmonisation.fold import harmonise_fold
from metaswin.selection.apply import apply_selection
from metaswin.selection.fold import select_fold, training_parts

from metaswin.errors import UserError
from metaswin.files import read_json, write_table
from metaswin.fusion.modalities import load_sources
from metaswin.harmonisation.fitted import load_harmoniser
from metaswin.harmonisation.settings import HarmonisationSettings
from metaswin.selection.matrix import wide
from metaswin.selection.settings import SelectionSettings

MAKERS = ["SIEMENS", "GE", "Philips"]
SETTINGS = HarmonisationSettings(method="combat", covariates=["age", "sex"])
SCANNED = ["original_firstorder_F1", "original_firstorder_F2"]


def cohort(folder: Path) -> FoldRun:
    """The cohort of `fusion_run`, scanned by three makers that shift two features, by a rare one, or by none known."""
    run = draw(folder, n=120)
    maker = np.random.default_rng(8).permutation(np.repeat(np.array(MAKERS, dtype=object), 40))
    maker[40:60:4] = "Canon"
    maker[[70, 71]] = None
    run.used = run.used.assign(manufacturer=maker)
    shift = (
        run.features["patient"].map(dict(zip(run.used["patient"], maker, strict=True))).map({"GE": 4, "Philips": -3})
    )
    for name in SCANNED:
        run.features[name] += shift.fillna(0)
    return run


def paths(run: FoldRun) -> dict[str, str]:
    """Inputs and outputs of the harmonisation as files."""
    names = ("features", "folds", "used", "clinical", "selection", "deep")
    found = {name: str(run.folder / f"{name}.parquet") for name in names}
    found |= {
        "harmonisation": str(run.folder / "facts.json"),
        "harmonisation_values": str(run.folder / "v.safetensors"),
    }
    return {**found, "rows": str(run.folder / "rows.parquet")}


def harmonise(run: FoldRun, settings: HarmonisationSettings = SETTINGS) -> dict[str, str]:
    """Write the tables, harmonise repeat 1, fold 0, and select."""
    files = paths(run)
    metadata = {"roles": '{"age": "baseline", "sex": "baseline", "n stage": "baseline"}'}
    metadata["kinds"] = '{"age": "numeric", "sex": "category", "n stage": "category"}'
    for name in ("features", "folds", "used", "deep"):
        write_table(files[name], getattr(run, name))
    write_table(files["clinical"], run.clinical, metadata)
    outputs = {"facts": files["harmonisation"], "values": files["harmonisation_values"], "rows": files["rows"]}
    harmonise_fold(files, outputs, 1, 0, settings)
    few = SelectionSettings(trees=10, keep=3)
    select_fold(files["features"], files["folds"], files["selection"], 1, 0, few, 3, harmonisation=files)
    return files


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return cohort(tmp_path_factory.mktemp("harmonised"))


@pytest.fixture(scope="module")
def files(run):
    return harmonise(run)


def matrix(run: FoldRun, feature_set: str = "radiomics") -> pd.DataFrame:
    return wide(run.features, feature_set, sorted(run.used["patient"]))


def train_of(run: FoldRun, part: str) -> list[str]:
    return training_parts(run.folds[run.folds["repeat"] == 1].set_index("patient").sort_index(), 0)[part]


def test_harmoniser_when_applied_to_its_training_rows_then_makers_agree_and_test_rows_follow(run, files):
    found = load_harmoniser(files).apply(matrix(run), "outer", "radiomics")
    maker = run.used.set_index("patient")["manufacturer"]
    test = set(run.folds.loc[run.test, "patient"])
    column = f"tumor__{SCANNED[0]}"
    for rows in (train_of(run, "outer"), sorted(test)):
        before, after = (table.loc[rows, column].groupby(maker).mean()[MAKERS] for table in (matrix(run), found))
        assert np.ptp(before) > 5
        assert np.ptp(after) < 1.5
    alone = maker.index[maker.isna() | (maker == "Canon")]
    pd.testing.assert_frame_equal(found.loc[alone], matrix(run).loc[alone])


def test_facts_when_written_then_batches_are_counted_by_training_rows_of_each_part(run, files):
    facts = read_json(files["harmonisation"])
    maker = run.used.set_index("patient")["manufacturer"]
    for part in ("outer", "inner-1"):
        train = train_of(run, part)
        assert facts["parts"][part]["batches"] == maker[train].str.casefold().value_counts().to_dict()
        assert facts["parts"][part]["fitted"] == ["ge", "philips", "siemens"]
        assert facts["parts"][part]["without_batch"] == maker[train].isna().sum()
        assert facts["parts"][part]["sets"]["radiomics"] == {"harmonised": 6, "left_alone": {}}


def test_rows_when_written_then_each_patient_has_a_state_in_each_part(run, files):
    rows = pd.read_parquet(files["rows"])
    maker = run.used.set_index("patient")["manufacturer"]
    outer = rows[rows["part"] == "outer"].set_index("patient")
    assert len(outer) == 120
    assert outer["training"].sum() == len(train_of(run, "outer"))
    assert (outer.loc[maker.index[maker.isna()], "state"] == "missing").all()
    assert (outer.loc[maker.index[maker.isin(MAKERS)], "state"] == "harmonised").all()
    canon = maker.index[maker == "Canon"]
    seen = set(canon) & set(train_of(run, "outer"))
    assert (outer.loc[canon, "state"] == ("few" if seen else "unseen")).all()


def test_fusion_when_harmonised_then_it_sees_the_values_the_selection_saw(run, files):
    harmoniser = load_harmoniser(files)
    sources = load_sources(sorted(run.used["patient"]), files, SETS)
    selection = pd.read_parquet(files["selection"])
    for part in ("outer", "inner-0"):
        chosen = selection[(selection["part"] == part) & (selection["set"] == "peri_radiomics")]
        expected = apply_selection(harmoniser.apply(matrix(run, "peri_radiomics"), part, "peri_radiomics"), chosen)
        pd.testing.assert_frame_equal(sources.table("peri_radiomics", part)[0], expected)
        train = train_of(run, part)
        harmonised = harmoniser.apply(matrix(run, "peri_radiomics"), part, "peri_radiomics").loc[train]
        medians = chosen[chosen["kept"]].set_index("feature")["median"]
        pd.testing.assert_series_equal(
            medians, harmonised[medians.index].median(), check_names=False, check_index_type=False
        )
    parts = [sources.table("radiomics", part)[0].iloc[:, 0] for part in ("outer", "inner-0")]
    assert not np.array_equal(*(part.to_numpy() for part in parts))
    volume = sources.table("volume", "outer")[0]["volume_tumor_mm3"]
    pd.testing.assert_series_equal(volume, run.used.set_index("patient")["volume_tumor_mm3"])


def test_fusion_when_it_is_not_given_the_harmonisation_of_its_selection_then_it_stops(run, files):
    with pytest.raises(ValueError, match="selected with harmonisation and are read without it"):
        load_sources(sorted(run.used["patient"]), {**files, "harmonisation": None}, SETS)


def test_harmonisation_when_test_rows_are_corrupted_then_fit_and_selection_stay_byte_for_byte(run, files, tmp_path):
    other = cohort(tmp_path)
    test = set(other.folds.loc[other.test, "patient"])
    unknown = set(other.folds.loc[other.folds["label"].isna(), "patient"])
    rng = np.random.default_rng(5)
    rows = other.features["patient"].isin(test | unknown)
    numbers = other.features.columns.drop(["patient", "region", "voxels"])
    other.features.loc[rows, numbers] = rng.normal(size=(rows.sum(), len(numbers))) * 1e6
    other.used.loc[other.used["patient"].isin(test), "manufacturer"] = "GE"
    other.clinical.loc[other.clinical["patient"].isin(test), "age"] = 1e9
    other.clinical.loc[other.clinical["patient"].isin(test), "sex"] = "never seen"
    flipped = other.folds["patient"].isin(test) & other.folds["label"].notna()
    other.folds.loc[flipped, "label"] = 1 - other.folds.loc[flipped, "label"]
    corrupted = harmonise(other)
    for name in ("harmonisation", "harmonisation_values", "selection"):
        assert Path(corrupted[name]).read_bytes() == Path(files[name]).read_bytes()


def test_harmonisation_when_training_labels_change_then_the_fit_stays(run, files, tmp_path):
    other = cohort(tmp_path)
    other.folds["label"] = 1 - other.folds["label"]
    flipped = harmonise(other)
    assert Path(flipped["harmonisation_values"]).read_bytes() == Path(files["harmonisation_values"]).read_bytes()


def test_harmonisation_when_run_again_then_the_same_bytes(run, files, tmp_path):
    again = harmonise(cohort(tmp_path))
    for name in ("harmonisation", "harmonisation_values", "rows"):
        assert Path(again[name]).read_bytes() == Path(files[name]).read_bytes()


def test_harmonisation_when_there_is_no_such_column_then_it_says_which_there_are(tmp_path):
    run = cohort(tmp_path)
    with pytest.raises(UserError, match=r"no column 'centre'; known: .*manufacturer"):
        harmonise(run, HarmonisationSettings(method="combat", batch="centre"))
    with pytest.raises(UserError, match=r"harmonisation.covariates: 'label' is no baseline or treatment column"):
        harmonise(run, HarmonisationSettings(method="combat", covariates=["label"]))
