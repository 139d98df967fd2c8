"""How often Snakemake looks at the jobs that wait: once for each job that ends, however many they are."""

import copy

import pytest
from clinical_cohort import CONFIG, write_cohort

JOBS = 12  # two endpoints, two repeats, three folds


def looks(run):
    """How often jobs were chosen while some waited, of what Snakemake says with --verbose."""
    assert run.code == 0, run.text
    assert run.text.count("(Rule: train_fusion)") == JOBS
    return run.text.count("Ready jobs:")


@pytest.mark.long
def test_waiting_jobs_when_others_end_then_checked_once_per_job_unless_rate_is_set(snakemake, tmp_path):
    write_cohort(tmp_path / "clinical.csv")
    config = copy.deepcopy(CONFIG)
    config["folds"] = {"k": 3, "repeats": 2}
    prepared = snakemake(tmp_path, config, "folds")
    assert prepared.code == 0, prepared.text
    force = ["--forcerun", "train_fusion", "--verbose"]
    ours = looks(snakemake(tmp_path, config, *force, "--", "fusion"))
    limited = looks(snakemake(tmp_path, config, *force, "--max-jobs-per-timespan", "50/1s", "--", "fusion"))
    assert ours <= JOBS + 3
    assert limited > 2 * ours
