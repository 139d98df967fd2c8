"""What a user meets first: a fresh clone, mistakes in the configuration, the default profile."""

import time

from metaswin.config.load import NO_DATA


def test_all_when_nothing_is_configured_then_one_message_within_ten_seconds(snakemake, tmp_path):
    start = time.monotonic()
    run = snakemake(tmp_path, None, "all")
    assert run.code == 1
    assert time.monotonic() - start < 10
    for line in NO_DATA.splitlines():
        assert line.strip() in run.text
    assert "Traceback" not in run.text


def test_plain_snakemake_when_called_in_the_repository_then_the_default_profile_is_loaded(snakemake, tmp_path):
    assert "profiles/default" in snakemake(tmp_path, None, "all").text


def test_config_when_it_has_several_mistakes_then_all_are_told_before_anything_runs(snakemake, tmp_path):
    (tmp_path / "c.csv").write_text("patient_id,age,dm\nA,5,1\n")
    config = {
        "data": {"source": "clinical"},
        "clinical": {"table": "c.csv", "columns": {"agee": "baseline"}},
        "endpoints": {"dm": {"column": "dmm"}},
        "fusion": {"modalities": ["clinical"]},
        "fold": {"k": 3},
    }
    run = snakemake(tmp_path, config, "all")
    assert run.code == 1
    assert "unknown key fold; did you mean 'folds'?" in run.text
    del config["fold"]
    run = snakemake(tmp_path, config, "all")
    assert "did you mean 'age'?" in run.text
    assert "did you mean 'dm'?" in run.text
    assert "Traceback" not in run.text
    assert not (tmp_path / "results").exists()
