"""Published signatures through a whole run: scores, baselines in the tables and the report, no fitting."""

import pandas as pd
import pytest
import yaml
from planned import rules_to_run

from metaswin.core.files import read_json

pytestmark = pytest.mark.long

OWN = {
    "title": "Own risk",
    "citation": "a test",
    "outcome": "distant metastasis",
    "distant_metastasis": True,
    "checked": "a test",
    "region": "tumor",
    "extraction": {"setting": {"resampledPixelSpacing": [2, 2, 2]}},
    "features": [{"name": "original_shape_MeshVolume", "coefficient": 0.0001}],
    "intercept": -2,
}


def test_signatures_are_baselines_of_a_run_and_learn_nothing_from_the_outcome(snakemake, cohort, small, tmp_path):
    table = pd.read_csv(cohort / "data/clinical.csv", dtype=str)
    table.to_csv(tmp_path / "clinical.csv", index=False)
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(OWN))
    config = {
        **small,
        "data": {"source": "dicom", "dicom": str(cohort / "data/dicom")},
        "clinical": {**small["clinical"], "table": "clinical.csv"},
        "signatures": ["tumour-volume", "bhklab-aerts", str(tmp_path / "own.yaml")],
        "deep": {"enabled": False},
        "stability": {"enabled": False},
        "anatomy": {"enabled": False},
        "controls": {"leaky": False, "shuffled": False, "permuted": False},
        "evaluation": {"min_cell_events": 1, "bootstrap": 100},
        "fusion": {"clinical_set": "paper", "network": {"steps": 5, "ensemble": 1, "penalties": [0.5, 5.0]}},
    }
    run = snakemake(tmp_path, config, "report")
    assert run.code == 0, run.text[-3000:]

    scores = run.table("features/signatures.parquet")
    scores = scores[scores["feature"] == "score"].pivot(index="patient", columns="signature", values="value")
    used = run.table("cohort/used.parquet").set_index("patient")
    assert scores.index.tolist() == sorted(used.index)
    assert list(scores) == ["bhklab-aerts", "own", "tumour-volume"]
    assert scores.notna().all().all()
    # cm³ on voxels of 1 mm, against the mm³ of the regions on voxels of 3 mm.
    volumes = used["volume_tumor_mm3"] / 1000
    assert scores["tumour-volume"].corr(volumes, method="spearman") > 0.9
    assert (scores["tumour-volume"] / volumes).between(0.7, 1.3).all()

    predictions = run.table("evaluation/predictions.parquet")
    kept = predictions[predictions["feature_set"] == "signature:tumour-volume"].set_index("patient")
    pd.testing.assert_series_equal(
        kept["probability"].sort_index(), scores["tumour-volume"].sort_index(), check_names=False
    )
    summary = run.table("evaluation/summary.parquet").set_index("feature_set")
    assert summary.loc["signature:tumour-volume", "auc"] >= 0
    assert pd.isna(summary.loc["signature:tumour-volume", "brier"])
    assert "trained on no outcome" in summary.loc["signature:tumour-volume", "brier_why"]
    assert summary.loc["signature:own", "brier"] > 0
    against = set(run.table("evaluation/comparisons.parquet")["against"])
    assert {"signature:tumour-volume", "signature:bhklab-aerts", "signature:own"} <= against
    (facts,) = read_json(tmp_path / "results/evaluation/facts.json")["endpoints"]
    assert [signature["missing"] for signature in facts["signatures"]] == [0, 0, 0]
    page = (tmp_path / "results/report/report.html").read_text()
    assert "Signature: Tumour volume" in page
    assert str(tmp_path) not in page

    # Another outcome: the scores are not computed again.
    table["dm"] = table["dm"].map({"0": "1", "1": "0"})
    table.to_csv(tmp_path / "clinical.csv", index=False)
    again = rules_to_run(snakemake(tmp_path, config, "--dry-run", "signatures").text)
    assert "extract_signatures" not in again
