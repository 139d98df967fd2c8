"""What a user meets first: a fresh clone, mistakes in the configuration, the default profile."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from planned import rules_to_run

from metaswin.config.load import NO_DATA, load
from metaswin.config.read import read_configs
from metaswin.core.files import write_json
from metaswin.imaging.weights import FILES, required
from metaswin.running.launch import snakemake_command

METASWIN = [sys.executable, "-c", "import sys; from metaswin.cli import main; sys.exit(main())"]
EXAMPLES = {
    "radcure-clinical": ["config/examples/radcure-clinical.yaml"],
    "radcure-staging": ["config/examples/radcure-staging.yaml"],
    "head-neck-pet-ct-clinical": ["config/examples/head-neck-pet-ct-clinical.yaml"],
    "soft-tissue-sarcoma": ["config/examples/soft-tissue-sarcoma.yaml"],
    "head-and-neck": ["config/examples/head-and-neck.yaml"],
    "demo": ["config/demo.yaml"],
    "demo-organs": ["config/demo.yaml", "config/demo-organs.yaml"],
}
# Not a run: settings for `metaswin predict` and `validate`, see tests/unit/prediction/test_predict_call.py.
OF_NEW_PATIENTS = "config/examples/hn-pet-ct.yaml"


@pytest.fixture(scope="module")
def unconfigured(snakemake, tmp_path_factory):
    """A call without a configuration."""
    return snakemake(tmp_path_factory.mktemp("unconfigured"), None, "all")


def test_all_when_nothing_is_configured_then_one_message_and_no_plan(unconfigured):
    run = unconfigured
    assert run.code == 1
    for line in NO_DATA.splitlines():
        assert line.strip() in run.text
    assert "Traceback" not in run.text


def test_plain_snakemake_when_called_in_repository_then_default_profile_is_loaded(unconfigured):
    assert "profiles/default" in unconfigured.text


def test_config_when_it_has_several_errors_then_all_are_reported_before_the_run(snakemake, tmp_path):
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


def stand_in(folder: Path, configs: list[Path]) -> None:
    """What a configuration names, as far as the check before a run looks at it."""
    config = load(read_configs(configs))
    names = {config.clinical.id, *config.clinical.columns, config.ingest.series.treatment_start}
    for endpoint in config.endpoints.values():
        names |= {*endpoint.columns, endpoint.start}
    names = {config.clinical.sources.get(name, name) for name in names - {None}}
    table = folder / config.clinical.table
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([sorted(names), ["1"] * len(names)])
    if config.data.source == "dicom":
        (folder / config.data.dicom).mkdir(parents=True)
    if config.data.source == "dicom" and config.organs.backend == "totalsegmentator":
        settings = config.organs.totalsegmentator
        for weights in required(settings.model_copy(update={"weights": str(folder / settings.weights)})):
            for name in FILES:
                write_json(weights.folder / name, {"labels": {name: i for i, name in weights.model.labels.items()}})


def test_examples_when_listed_then_none_is_forgotten(repository):
    listed = {repository / path for paths in EXAMPLES.values() for path in paths}
    others = {repository / "config/config.yaml", repository / OF_NEW_PATIENTS}
    assert listed | others == {*repository.glob("config/*.yaml"), *repository.glob("config/examples/*.yaml")}


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_when_planned_by_metaswin_run_then_its_report_is_among_the_jobs(repository, starter, tmp_path, example):
    configs = [repository / path for path in EXAMPLES[example]]
    stand_in(tmp_path, configs)
    arguments = ["--dryrun", "--directory", str(tmp_path), "--configfile", *map(str, configs), "--", "all"]
    _python, _m, _snakemake, *options = snakemake_command(arguments)
    code, text = starter.run(options, 600)
    if len(configs) > 1:
        # The command itself, once.
        done = subprocess.run([*METASWIN, "run", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert rules_to_run(done.stdout) == rules_to_run(text)
    assert code == 0, text
    assert {"build_cohort", "report"} <= set(rules_to_run(text))
