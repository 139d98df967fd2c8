"""Snakemake's own report of a finished run: captions, categories and labels of the report, its figures and tables."""

import copy
import zipfile

import pytest
from clinical_cohort import CONFIG, write_cohort

SMALL = {
    "endpoints": {"ever": {"column": "dm"}},
    "folds": {"k": 3},
    "controls": {"permuted": False},
}


@pytest.mark.long
def test_snakemake_report_contains_page_figures_and_captioned_tables(snakemake, tmp_path):
    write_cohort(tmp_path / "clinical.csv", n=40)
    config = {**copy.deepcopy(CONFIG), **SMALL}
    finished = snakemake(tmp_path, config, "all")
    assert finished.code == 0, finished.text[-3000:]
    made = snakemake(tmp_path, config, "--report", str(tmp_path / "report.zip"), "--", "all")
    assert made.code == 0, made.text[-3000:]
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        names = archive.namelist()
        text = "".join(
            archive.read(name).decode("utf-8", "replace") for name in names if name.endswith((".html", ".js"))
        )
    data = [name.rsplit("/", 1)[-1] for name in names]
    assert {"report.html", "roc-ever.svg", "decision-ever.svg", "baseline-ever.csv", "checklists.csv"} <= set(data)
    for category in ("Report", "Figures", "Tables"):
        assert category in text
    assert "vertical averages over the test folds" in text
    assert "the excluded patients" in text
    assert "decision curves" in text
