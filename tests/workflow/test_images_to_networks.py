"""Six simulated patients from DICOM to features, pictures and deep scores; the whole way: test_end_to_end.py."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="module")
def finished(snakemake, small, cohort, tmp_path_factory):
    """The stages of images, with one network for each fold; two of the patients are not in the clinical table."""
    folder = tmp_path_factory.mktemp("images")
    shutil.copytree(cohort / "data/dicom", folder / "data/dicom")
    table = pd.read_csv(cohort / "data/clinical.csv", dtype=str)
    table.head(6).to_csv(folder / "data/clinical.csv", index=False)
    config = {**small, "fusion": {**small["fusion"], "deep_score": "in-sample"}}
    run = snakemake(folder, config, "radiomics", "pictures", "deep")
    assert run.code == 0, run.text[-5000:]
    return run


def test_patients_when_two_are_not_in_the_table_then_the_others_are_used(finished):
    assert finished.table("cohort/used.parquet")["patient"].nunique() == 6
    exclusions = finished.table("cohort/exclusions.parquet")
    assert (exclusions.loc[exclusions["excludes"], "code"] == "no-clinical-row").sum() == 2


def test_features_when_finished_then_tumour_and_ring_have_rows_and_pyradiomics_names(finished):
    features = finished.table("features/radiomics.parquet")
    assert {"tumor", "ring_0_10mm"} <= set(features["region"])
    assert "original_glcm_JointEntropy" in features
    tumor = features[features["region"] == "tumor"]
    assert len(tumor) == 6
    assert np.isfinite(tumor["original_firstorder_Mean"]).all()


def test_images_when_converted_then_no_header_text_but_scanner_facts_remains(finished):
    facts = json.loads(next((finished.folder / "results/images").glob("*/image.json")).read_text())
    assert facts["spacing"][0] > 0
    assert not {"PatientName", "PatientBirthDate", "StudyDate"} & set(facts)


def test_qc_images_when_finished_then_each_patient_has_a_small_one(finished):
    qc_images = sorted((finished.folder / "results/qc-images").glob("*.png"))
    assert len(qc_images) == 6
    assert all(0 < path.stat().st_size <= 60_000 for path in qc_images)


def test_networks_when_trained_then_one_for_each_fold_and_every_patient_has_its_score(finished):
    models = finished.folder / "results/models/dm/as-is/r0"
    networks = {path.relative_to(models).parts[0] for path in models.rglob("network.safetensors")}
    assert networks == {"without-0", "without-1", "without-2"}
    for fold in range(3):
        scores = finished.table(f"models/dm/as-is/r0/fold-{fold}/deep/swin/features.parquet")
        assert scores["patient"].nunique() == 6
        assert np.isfinite(scores["score"]).all()
