"""Embeddings of an encoder from DICOM to a bundle, and new patients with the same encoder."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from clinical_cohort import CONFIG, write_cohort

from metaswin.cli import main
from metaswin.core.files import file_hash, read_json

PRIMARY = "clinical+embedding"


@pytest.fixture(scope="module")
def finished(snakemake, small, cohort):
    """A bundle of models of clinical columns and the outputs of a tiny encoder."""
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Conv3d(1, 6, 3, stride=2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool3d(1))
    encoder = torch.nn.Sequential(layers, torch.nn.Flatten()).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces a successor of TorchScript
        torch.jit.trace(encoder, torch.zeros(1, 1, 16, 16, 16)).save(str(cohort / "encoder.pt"))
    fusion = small["fusion"] | {
        "modalities": ["clinical", "embedding"],
        "feature_sets": ["clinical:paper", "clinical:staging", "embedding", "all"],
        "embedding_components": 2,
    }
    config = small | {
        "deep": {"enabled": False},
        "embedding": {"model": str(cohort / "encoder.pt"), "size": [16, 16, 16], "spacing": [3, 3, 3]},
        "fusion": fusion,
        "stability": {"enabled": False},
        "survival": {"enabled": False},
        "harmonisation": {"method": "none"},
    }
    run = snakemake(cohort, config, "bundle", "explanation")
    assert run.code == 0, run.text[-5000:]
    return run


@pytest.mark.long
def test_embedding_when_finished_then_every_patient_has_one_and_it_joins_the_feature_sets(finished):
    table = finished.table("features/embedding.parquet")
    assert table.shape == (8, 7)
    assert table.notna().all(axis=None)
    predictions = finished.table("models/dm/as-is/r0/fold-0/fusion/predictions.parquet")
    assert set(predictions["feature_set"]) == {"clinical:paper", "clinical:staging", "embedding", PRIMARY}
    shares = finished.table("explanation/dm/shap_modalities.parquet")
    assert set(shares["modality"]) == {"clinical", "embedding"}


@pytest.mark.long
def test_bundle_when_it_predicts_a_test_fold_then_the_predictions_of_the_run(finished):
    folder = finished.folder
    bundle = read_json(folder / "results/bundle/bundle.json")
    assert bundle["embedding"]["sha256"] == file_hash(folder / "encoder.pt")
    (folder / "own.yaml").write_text(yaml.safe_dump({"embedding": {"model": str(folder / "encoder.pt")}}))
    arguments = ["--bundle", folder / "results/bundle.zip", "--input", folder / "data/dicom", "--member", "0,0"]
    arguments += ["--clinical", folder / "data/clinical.csv", "--output", folder / "new", "--cores", "2"]
    # One woman in the cohort: her sex counts as unknown in the models, as in the run.
    arguments += ["--settings", folder / "own.yaml", "--lenient"]
    assert main(["predict", *map(str, arguments)]) == 0
    found = pd.read_csv(folder / "new/results/predictions/predictions.csv", dtype={"patient": str})
    found = found.set_index("patient")["risk"]
    table = finished.table("models/dm/as-is/r0/fold-0/fusion/predictions.parquet")
    table = table[(table["feature_set"] == PRIMARY) & (table["classifier"] == "network") & (table["part"] == "test")]
    wanted = table.set_index("patient")["probability"]
    pd.testing.assert_series_equal(found[wanted.index], wanted, check_names=False, atol=1e-6, rtol=0)
    assert not (folder / "new/results/patches").exists()


def test_table_when_there_are_no_images_then_it_is_imported_and_joins_the_clinical_columns(snakemake, tmp_path):
    write_cohort(tmp_path / "clinical.csv")
    patients = pd.read_csv(tmp_path / "clinical.csv")["patient_id"]
    values = np.random.default_rng(0).normal(size=(len(patients), 5))
    table = pd.DataFrame(values, columns=list("abcde")).assign(patient_id=patients)
    table.drop(index=4).to_csv(tmp_path / "embeddings.csv", index=False)
    fusion = CONFIG["fusion"] | {"modalities": ["clinical", "embedding"], "embedding_components": 2}
    config = CONFIG | {
        "embedding": {"table": "embeddings.csv"},
        "endpoints": {"ever": {"column": "dm"}},
        "folds": {"k": 3},
        "fusion": fusion | {"feature_sets": ["clinical:paper", "clinical:staging", "all"]},
    }
    run = snakemake(tmp_path, config, "fusion")
    assert run.code == 0, run.text[-5000:]
    assert run.table("features/embedding_problems.parquet")["patient"].tolist() == [patients[4]]
    predictions = run.table("models/ever/as-is/r0/fold-0/fusion/predictions.parquet")
    joined = predictions[predictions["feature_set"] == PRIMARY]
    assert joined["probability"].notna().all()
    assert joined["patient"].nunique() == len(patients)
