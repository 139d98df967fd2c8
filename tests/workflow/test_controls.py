"""Controls run with the rest, and one that is left out is named."""

import copy
import json

import numpy as np
import pandas as pd
import pytest
import test_clinical_only
from planned import rules_to_run

from metaswin.controls.permute import permuted_outcome

JOINED = "clinical+radiomics+peri_radiomics+deep"


@pytest.fixture(scope="module")
def finished(snakemake, cohort, small):
    """The finished run of the shared cohort."""
    return snakemake(cohort, small, "all")


def test_controls_when_images_are_there_then_every_control_has_its_arms(finished):
    assert finished.code == 0, finished.text[-5000:]
    table = finished.table("evaluation/controls.parquet")
    arms = {control: set(rows["arm"]) for control, rows in table.groupby("control")}
    assert arms["leaky"] == arms["shuffled"]
    assert {"radiomics", "peri_radiomics", "clinical+radiomics", "radiomics+deep", JOINED} <= arms["leaky"]
    assert not {"volume", "clinical:paper", "deep", "clinical+deep"} & arms["leaky"]
    assert {"volume", "clinical:paper", "clinical:staging", "deep", "radiomics", JOINED} <= arms["permuted"]
    assert (table.loc[table["control"] == "permuted", "n"] == 3).all()
    assert table["note"].str.len().gt(0).all()
    assert not table[table["auc"].notna()][["as_is"]].isna().any(axis=None)


def test_shuffled_features_when_extracted_then_shape_and_histogram_stay_and_texture_does_not(finished):
    keys = ["patient", "region"]
    real = finished.table("features/radiomics.parquet").set_index(keys)
    shuffled = finished.table("features/radiomics-shuffled.parquet").set_index(keys)
    assert real.index.equals(shuffled.index)
    same = [name for name in real if "_shape_" in name or name.startswith("original_firstorder")]
    np.testing.assert_allclose(real[same], shuffled[same], rtol=1e-9)
    assert not np.isclose(real["original_glcm_Contrast"], shuffled["original_glcm_Contrast"]).any()


def test_deep_when_permuted_once_then_the_networks_learned_from_the_permuted_labels(finished):
    folds = finished.table("folds/dm.parquet")
    permuted = finished.table("controls/dm/folds.parquet")
    expected = permuted_outcome(folds[["patient", "label", "time", "event"]], 20250828, "dm", 1)
    pd.testing.assert_frame_equal(permuted[["patient", "label"]], expected[["patient", "label"]])
    network = finished.folder / "results/models/dm/permuted/r0-f0/deep/swin/outer"
    trained = json.loads((network / "training.json").read_text())
    assert trained["events"] == int(permuted.loc[permuted["fold"] != 0, "label"].sum())


def test_permutations_when_collected_then_each_arm_has_each_of_them(finished):
    table = finished.table("evaluation/permutations.parquet")
    assert sorted(table["permutation"].unique()) == [0, 1, 2, 3]
    assert table.groupby(["arm", "head"]).size().eq(4).all()


def test_permutations_when_more_are_asked_for_then_full_batches_stay(finished, snakemake, small):
    config = copy.deepcopy(small)
    config["controls"]["permutation"]["n"] = 6
    planned = rules_to_run(snakemake(finished.folder, config, "-n", "--", "controls").text)
    # Batches 1-2 and 3 were there; 3-4 and 5-6 are to be made.
    assert planned["permute_outcome"] == 2
    assert not set(planned) & {"train_deep", "extract_shuffled", "train_fusion", "evaluate"}


def test_controls_when_left_out_then_nothing_of_them_runs_and_the_table_says_so(snakemake, tmp_path):
    test_clinical_only.write_cohort(tmp_path / "clinical.csv")
    config = copy.deepcopy(test_clinical_only.CONFIG)
    config["controls"] = {"leaky": False, "permuted": False}
    run = snakemake(tmp_path, config, "controls")
    assert run.code == 0, run.text[-3000:]
    assert "permute_outcome" not in rules_to_run(run.text)
    table = run.table("evaluation/controls.parquet").set_index(["endpoint", "control"])
    assert table.loc[("ever", "permuted"), "note"] == "left out by the setting controls.permuted: false"
    assert table.loc[("year", "leaky"), "auc_why"] == "not applicable: no arm uses radiomics"
    assert table["auc"].isna().all()
