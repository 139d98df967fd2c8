"""Which features are stable: known answers, few patients, missing values, no leak, and what selection makes of it."""

import numpy as np
import pandas as pd
import pytest

from metaswin.cohort.fits import all_fits, left_out
from metaswin.cohort.folds import Folds
from metaswin.config.features import RADIOMICS, SelectionSettings, StabilitySettings
from metaswin.config.load import load
from metaswin.core.errors import UserError
from metaswin.core.files import read_json, read_table, write_table
from metaswin.features.fit_tables import selections
from metaswin.features.matrix import wide
from metaswin.features.perturbation_table import collect_stability
from metaswin.features.selection import select
from metaswin.features.stability import (
    COLUMNS,
    icc_1_1,
    icc_2_1,
    judge_stability,
    measured,
    stability_table,
    unstable_features,
)

SETTINGS = StabilitySettings(perturbations=4)
PATIENTS = [f"P{i:02d}" for i in range(40)]
KINDS = [*(("random", number) for number in range(4)), *(("margin", number) for number in range(3))]


def perturbed(patients=PATIENTS, seed=0) -> pd.DataFrame:
    """Three features of the tumour and a ring.

    ``steady`` withstands everything, ``noisy`` no random mask, ``growing`` changes with the size of the mask only.
    """
    rng = np.random.default_rng(seed)
    truth = {region: rng.normal(size=(len(patients), 3)) for region in ("tumor", "ring_0_10mm")}
    rows = []
    for region, values in truth.items():
        for kind, number in KINDS:
            table = pd.DataFrame(values + 0.05 * rng.normal(size=values.shape), columns=["steady", "noisy", "growing"])
            if kind == "random":
                table["noisy"] += 2 * rng.normal(size=len(patients))
            else:
                table["growing"] += 3 * (number - 1)
            rows.append(table.assign(patient=patients, region=region, kind=kind, number=number, voxels=100))
    return pd.concat(rows, ignore_index=True)


def judged(table, training=None, settings=SETTINGS):
    return stability_table(measured(table, settings.perturbations), training or {"without-0": PATIENTS}, settings)


def test_table_when_features_are_known_then_only_the_stable_is_kept_with_reasons():
    table = judged(perturbed())
    assert table.columns.tolist() == COLUMNS
    assert set(table["modality"]) == {"radiomics", "peri_radiomics"}
    for modality, region in (("radiomics", "tumor"), ("peri_radiomics", "ring_0_10mm")):
        rows = table[table["modality"] == modality].set_index("feature")
        assert rows["kept"].to_dict() == {
            f"{region}__steady": True,
            f"{region}__noisy": False,
            f"{region}__growing": False,
        }
        assert rows["judged"].all()
        assert "random masks of 40 patients" in rows.at[f"{region}__noisy", "reason"]
        assert "shrunk and grown masks of 40 patients" in rows.at[f"{region}__growing", "reason"]
    unstable = unstable_features(table, "without-0", "radiomics")
    assert list(unstable) == ["tumor__noisy", "tumor__growing"]
    assert unstable["tumor__noisy"].startswith("ICC 0.1")


def test_table_when_computed_then_the_icc_of_the_fit_s_patients():
    data = perturbed()
    train = PATIENTS[5:25]
    row = judged(data, {"without-0": PATIENTS, "without-0-1": train})
    row = row[(row["fit"] == "without-0-1") & (row["feature"] == "tumor__noisy")].iloc[0]
    chosen = data[(data["region"] == "tumor") & data["patient"].isin(train)]
    for kind, function, name in (("random", icc_1_1, "random"), ("margin", icc_2_1, "margin")):
        values = chosen[chosen["kind"] == kind].pivot(index="patient", columns="number", values="noisy").to_numpy()
        found = function(values[:, :, None])
        assert (row[f"icc_{name}"], row[f"low_{name}"]) == pytest.approx((found.icc[0], found.low[0]))
    assert row["patients"] == 20
    assert row["low"] == min(row["low_random"], row["low_margin"]) == row["low_random"]
    assert row["icc"] == row["icc_random"]


def test_table_when_few_training_patients_are_perturbed_then_all_are_kept_unjudged():
    table = judged(perturbed(), {"without-0": PATIENTS, "without-0-1": PATIENTS[:9]})
    inner = table[table["fit"] == "without-0-1"]
    assert inner["kept"].all()
    assert not inner["judged"].any()
    assert inner["reason"].eq("not judged: perturbed masks of 9 training patients, fewer than 10").all()
    assert not table.loc[table["fit"] == "without-0", "kept"].all()


def test_table_when_a_perturbation_is_missing_then_the_region_omits_that_patient():
    data = perturbed()
    lost = (data["patient"] == "P03") & (data["region"] == "tumor") & (data["kind"] == "margin") & (data["number"] == 0)
    table = judged(data[~lost])
    assert table.loc[table["modality"] == "radiomics", "patients"].eq(39).all()
    assert table.loc[table["modality"] == "peri_radiomics", "patients"].eq(40).all()
    nobody = judged(data[~((data["kind"] == "random") & (data["number"] == 2) & (data["region"] == "tumor"))])
    assert nobody.loc[nobody["modality"] == "radiomics", "patients"].eq(0).all()
    assert nobody.loc[nobody["modality"] == "radiomics", "kept"].all()


def test_table_when_a_feature_is_the_same_in_all_patients_then_it_is_not_judged():
    table = judged(perturbed().assign(steady=3.0)).set_index("feature")
    assert table.at["tumor__steady", "reason"] == "not judged: the same in all patients"
    assert table.at["tumor__steady", "kept"]
    assert np.isnan(table.at["tumor__steady", "icc"])


def test_table_when_there_are_no_rows_then_it_is_empty_and_nothing_is_unstable():
    table = judged(perturbed().iloc[:0])
    assert table.columns.tolist() == COLUMNS
    assert unstable_features(table, "without-0", "radiomics") == {}


def test_collect_when_tables_are_joined_then_sorted_whatever_their_order(tmp_path):
    data = perturbed(PATIENTS[:3])
    for number, (_, rows) in enumerate(data.sample(frac=1, random_state=1).groupby("patient")):
        rows.to_parquet(tmp_path / f"{number}.parquet")
    for lost in (3, 4):
        data.iloc[:0].to_parquet(tmp_path / f"{lost}.parquet")
    pd.DataFrame({"patient": list("01235")}).to_parquet(tmp_path / "used.parquet")
    for order in ((0, 1, 2, 3, 4), (4, 3, 2, 1, 0)):
        collect_stability(
            [str(tmp_path / f"{i}.parquet") for i in order], str(tmp_path / "used.parquet"),
            str(tmp_path / f"all{order[0]}.parquet"), str(tmp_path / "facts.json"),
        )  # fmt: skip
    assert read_json(tmp_path / "facts.json") == {"drawn": 5, "excluded": ["4"]}
    joined = pd.read_parquet(tmp_path / "all0.parquet")
    assert (tmp_path / "all0.parquet").read_bytes() == (tmp_path / "all4.parquet").read_bytes()
    assert joined[["patient", "region"]].apply(tuple, axis=1).is_monotonic_increasing
    assert len(joined) == len(data)


@pytest.fixture
def cohort():
    """Features and folds of the same patients; fold f are patients 10 f to 10 f + 9, and P35 has no known label."""
    data = perturbed()
    features = data[(data["kind"] == "margin") & (data["number"] == 1)].drop(columns=["kind", "number"])
    index = np.arange(40)
    label = pd.array(index % 2, dtype="Int8")
    label[35] = None
    folds = pd.DataFrame({"patient": PATIENTS, "label": label, "time": np.nan, "event": label})
    return features, folds.assign(repeat=0, fold=index // 10)


def selected(features, table, stability=None, keep=3):
    """Selections of every fit."""
    folds = Folds.of(table, 0)
    matrices = {name: wide(features, name, folds.patients) for name in RADIOMICS}
    few = SelectionSettings(trees=10, keep=keep)
    return selections(matrices, folds.labels, folds.training(), few, seed=1, stability=stability)


def test_selection_when_features_are_unstable_then_marked_so_and_never_selected(cohort):
    features, folds = cohort
    table = judged(perturbed(), Folds.of(folds, 0).training())
    found = selected(features, folds, table)
    for fit in all_fits(4):
        rows = found[(found["fit"] == fit) & (found["modality"] == "radiomics")].set_index("feature")
        assert rows["step"].to_dict() == {
            "tumor__steady": "kept",
            "tumor__noisy": "unstable",
            "tumor__growing": "unstable",
        }
        assert "lower limit" in rows.at["tumor__noisy", "reason"]
        assert rows["kept"].sum() == 1
    assert (selected(features, folds)["step"] == "kept").all()


def test_judge_when_a_repeat_is_judged_then_every_fit_on_its_training_patients(cohort, tmp_path):
    _, folds = cohort
    other = folds.assign(repeat=1, fold=np.roll(folds["fold"], 3))
    write_table(tmp_path / "perturbed.parquet", perturbed())
    write_table(tmp_path / "folds.parquet", pd.concat([other, folds]))
    paths = [str(tmp_path / f"{name}.parquet") for name in ("perturbed", "folds", "stability")]
    judge_stability(*paths, "dm", 0, SETTINGS)
    table = read_table(paths[2])
    assert table[["endpoint", "repeat"]].drop_duplicates().values.tolist() == [["dm", 0]]
    expected = judged(perturbed(), Folds.of(folds, 0).training())
    pd.testing.assert_frame_equal(table.drop(columns=["endpoint", "repeat"]), expected)
    assert table.groupby("fit")["patients"].max().to_dict() == {
        fit: 40 - 10 * len(left_out(fit)) - (3 not in left_out(fit)) for fit in all_fits(4)
    }


def test_select_when_an_unstable_feature_has_a_stable_copy_then_the_copy_is_kept():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 3))
    values[:, 1] = values[:, 0] + 0.01 * rng.normal(size=40)
    features = pd.DataFrame(values, index=PATIENTS, columns=["tumor__a", "tumor__b", "tumor__c"])
    label = pd.Series(np.arange(40) % 2, index=PATIENTS)
    plain = select(features, label, PATIENTS, SelectionSettings(trees=10), seed=1).set_index("feature")["kept"]
    loser = plain.index[~plain][0]
    winner = {"tumor__a": "tumor__b", "tumor__b": "tumor__a"}[loser]
    other = select(features, label, PATIENTS, SelectionSettings(trees=10), seed=1, unstable={winner: "ICC 0.2"})
    other = other.set_index("feature")
    assert other.at[winner, "step"] == "unstable"
    assert other.at[loser, "step"] == "kept"


def test_stability_when_rows_of_a_fold_are_corrupted_then_fits_without_it_stay(cohort):
    features, folds = cohort
    data, training = perturbed(), Folds.of(folds, 0).training()
    table = judged(data, training)
    chosen = selected(features, folds, table, keep=2)
    corrupted = data["patient"].isin(PATIENTS[:10])
    spoilt, wrong = data.copy(), folds.copy()
    numbers = ["steady", "noisy", "growing"]
    spoilt.loc[corrupted, numbers] = np.random.default_rng(3).normal(size=(corrupted.sum(), 3))
    wrong.loc[:9, "label"] = 1 - wrong.loc[:9, "label"]
    again = judged(spoilt, Folds.of(wrong, 0).training())
    chosen_again = selected(features, wrong, again, keep=2)
    without = judged(data[~corrupted], training)
    for fit in all_fits(4):
        own, new = table[table["fit"] == fit], again[again["fit"] == fit]
        if 0 in left_out(fit):
            pd.testing.assert_frame_equal(own, new)
            pd.testing.assert_frame_equal(
                own.reset_index(drop=True), without[without["fit"] == fit].reset_index(drop=True)
            )
            pd.testing.assert_frame_equal(chosen[chosen["fit"] == fit], chosen_again[chosen_again["fit"] == fit])
        else:
            assert not own.equals(new)


def test_load_when_the_grid_cannot_show_the_perturbations_then_reported():
    raw = {
        "data": {"source": "dicom", "dicom": "d"},
        "clinical": {"table": "c.csv", "columns": {"age": "baseline", "dm": "outcome"}},
        "endpoints": {"dm": {"column": "dm"}},
    }
    assert load(raw).stability.enabled
    coarse = {**raw, "regions": {"spacing": 2.0, "crop_margin": 3.0}}
    with pytest.raises(UserError, match=r"stability\.margin: 1 mm is at most half a voxel") as caught:
        load(coarse)
    assert "regions.crop_margin: perturbed masks may extend 5 mm beyond the drawn masks" in str(caught.value)
    assert load({**coarse, "stability": {"enabled": False}})
