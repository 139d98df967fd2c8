"""A finished run frozen, and patients of tables predicted by it, as a user does; of images: test_end_to_end.py."""

import json
import shutil

import pandas as pd
import yaml
from bundle_run import fitted, freeze_run

from metaswin.cli import main


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
