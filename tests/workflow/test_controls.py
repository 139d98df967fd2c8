"""Controls that are switched off are named."""

import copy

from clinical_cohort import CONFIG, write_cohort
from planned import rules_to_run


def test_controls_when_left_out_then_nothing_of_them_runs_and_the_table_says_so(snakemake, tmp_path):
    write_cohort(tmp_path / "clinical.csv")
    config = copy.deepcopy(CONFIG)
    config["controls"] = {"leaky": False, "permuted": False}
    config["folds"] = {"k": 3}
    run = snakemake(tmp_path, config, "controls")
    assert run.code == 0, run.text[-3000:]
    assert "permute_outcome" not in rules_to_run(run.text)
    table = run.table("evaluation/controls.parquet").set_index(["endpoint", "control"])
    assert table.loc[("ever", "permuted"), "note"] == "turned off by the setting controls.permuted: false"
    assert table.loc[("year", "leaky"), "auc_why"] == "not applicable: no feature set uses radiomics"
    assert table["auc"].isna().all()
