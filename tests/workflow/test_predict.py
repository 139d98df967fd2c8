"""A finished run frozen, and patients predicted by it through the same stages, as a user does."""

import json
import shutil

import highdicom
import pandas as pd
import pytest
import yaml
from bundle_run import fitted, freeze_run

from metaswin.cli import main
from metaswin.prediction.bundle import read_bundle

EVERYTHING = "clinical+radiomics+peri_radiomics+deep"


@pytest.fixture(scope="module")
def bundled(snakemake, cohort, small):
    """The run of the shared cohort with its bundle."""
    run = snakemake(cohort, small, "bundle")
    assert run.code == 0, run.text[-5000:]
    return run


def predict(bundle, data, output, *arguments):
    """`metaswin predict`; a category too rare to be known counts as missing."""
    table = ["--clinical", str(data / "clinical.csv")]
    given = ["--bundle", str(bundle), "--input", str(data / "dicom"), *table, "--output", str(output)]
    return main(["predict", *given, "--lenient", "--cores", "2", *arguments])


@pytest.mark.long
def test_predict_when_patients_are_held_out_then_a_member_equals_the_run(bundled, cohort, tmp_path):
    out = tmp_path / "out"
    folder = out / "results/predictions"
    assert predict(cohort / "results/bundle.zip", cohort / "data", out) == 0
    ensemble = pd.read_csv(folder / "predictions.csv").set_index("patient")
    assert (ensemble["training_cohort"] == "was in the training cohort").all()
    assert (ensemble["members"] == 3).all()
    assert (ensemble["range_low"] <= ensemble["risk"]).all()
    pages = sorted((folder / "patients").glob("*.html"))
    assert len(pages) == 8
    assert all("data:image/png" in page.read_text() for page in pages)

    run = bundled.table("evaluation/predictions.parquet")
    run = run[run["feature_set"] == EVERYTHING]
    for fold in range(3):
        assert predict(cohort / "results/bundle.zip", cohort / "data", out, "--member", f"0,{fold}") == 0
        own = pd.read_parquet(folder / "members.parquet")
        held_out = own.merge(run, on=["patient", "repeat", "fold", "classifier"], suffixes=("", "_run"))
        known = set(run.loc[run["fold"] == fold, "patient"])
        assert len(held_out) == 2 * len(known)  # two classifiers
        assert set(held_out["patient"]) == known
        assert (held_out["probability"] - held_out["probability_run"]).abs().max() <= 1e-6
        member = pd.read_csv(folder / "predictions.csv").set_index("patient")
        assert set(member.index[member["training_cohort"] == "held out by this member"]) == known


@pytest.mark.long
def test_predict_when_no_table_is_given_then_feature_sets_without_clinical_predict(
    snakemake, bundled, cohort, tmp_path
):
    chosen = next(path for path in sorted((cohort / "data/dicom").iterdir()) if path.is_dir())
    shutil.copytree(chosen, tmp_path / "dicom" / chosen.name)
    bundle, out = cohort / "results/bundle", tmp_path / "out"
    arguments = ["--bundle", str(bundle), "--input", str(tmp_path / "dicom"), "--output", str(out)]
    assert main(["predict", *arguments]) == 0
    table = pd.read_csv(out / "results/predictions/predictions.csv")
    assert "clinical" in table.loc[0, "missing"]
    assert "clinical" not in table.loc[0, "feature_set"]

    run = snakemake(out, yaml.safe_load((out / "predict.yaml").read_text()), "--", "export")
    assert run.code == 0, run.text[-5000:]
    (path,) = (out / "private/export").glob("*/report.dcm")
    (group,) = highdicom.sr.srread(path).content.get_image_measurement_groups()
    found = {item.name.meaning: item.value for item in group.get_measurements()}
    assert found["Predicted risk"] == pytest.approx(table.loc[0, "risk"])
    fingerprint = json.loads((out / "results/predictions/facts.json").read_text())["bundle"]
    assert fingerprint == read_bundle(bundle).fingerprint
    assert fingerprint.encode() in path.read_bytes()


def test_bundle_when_made_then_it_is_sound_and_holds_no_id_and_no_path(bundled, cohort):
    bundle = read_bundle(cohort / "results/bundle")
    assert bundle.members("dm") == [(0, 0), (0, 1), (0, 2)]
    for path in bundle.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"SIM-0" not in content, path
            assert str(cohort).encode() not in content, path


def test_predict_when_run_on_a_table_of_features_then_it_predicts_and_validates(tmp_path):
    """The whole command, on tables: Snakemake, every stage that tables have, then the external validation."""
    frozen = freeze_run(fitted(tmp_path), tmp_path)
    run = frozen.run
    long = run.features[run.features["patient"].isin(frozen.test)].drop(columns="voxels")
    wide = long.pivot(index="patient", columns="region")
    wide.columns = [f"{region}__{name}" for name, region in wide.columns]
    wide.rename_axis("patient_id").to_csv(tmp_path / "features.csv")
    clinical = run.clinical[run.clinical["patient"].isin(frozen.test)].rename(columns={"patient": "patient_id"})
    labels = run.folds[run.folds["repeat"] == 1].set_index("patient")["label"]
    clinical = clinical.assign(metastasis=labels[clinical["patient_id"]].astype("Int64").to_numpy())
    # A table of another hospital: other names of columns, `;`, and settings that say what they are.
    clinical.rename(columns={"patient_id": "case", "age": "Alter"}).to_csv(
        tmp_path / "clinical.csv", index=False, sep=";"
    )
    own = {
        "clinical": {"id": "case", "columns": {"age": {"column": "Alter"}}},
        "endpoints": {"dm": {"column": "metastasis"}},
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(own))
    arguments = ["--bundle", frozen.bundle.parent / "bundle.zip", "--input", tmp_path / "features.csv", "--lenient"]
    arguments += ["--settings", tmp_path / "own.yaml"]
    arguments += ["--clinical", tmp_path / "clinical.csv", "--output", tmp_path / "out", "--member", "1,0"]
    assert main(["predict", *map(str, arguments)]) == 0
    table = pd.read_csv(tmp_path / "out/results/predictions/predictions.csv").set_index("patient")
    wanted = frozen.fold_predictions()
    wanted = wanted[wanted["classifier"] == "network"].set_index("patient")["probability"]
    pd.testing.assert_series_equal(table["risk"], wanted[table.index], check_names=False, atol=1e-6, rtol=0)
    assert main(["validate", "--output", str(tmp_path / "out")]) == 0
    metrics = pd.read_csv(tmp_path / "out/results/validation/metrics.csv").set_index("metric")
    assert 0 <= metrics.loc["auc", "value"] <= 1
    assert json.loads((tmp_path / "out/results/validation/facts.json").read_text())["endpoints"][0]["sets"]
    assert yaml.safe_load((tmp_path / "out/predict.yaml").read_text())["predict"]["member"] == "1,0"

    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    both = [str(tmp_path / "out"), str(tmp_path / "copy")]
    assert main(["validate", "--output", *both, "--pooled", str(tmp_path / "pooled")]) == 0
    assert "Pooled: risk of" in (tmp_path / "pooled/validation.html").read_text()
    assert set(pd.read_csv(tmp_path / "pooled/pooled.csv")["metric"]) >= {"auc", "observed_expected"}
