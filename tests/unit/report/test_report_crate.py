"""The RO-Crate of a run: what its profiles demand, and what it must not contain."""

import json
import os
import re
from hashlib import sha256

import pytest
from rocrate.rocrate import ROCrate

from metaswin.config.load import load
from metaswin.core.errors import UserError
from metaswin.report.crate import PROFILES, CrateInputs, pack_crate, times_of, without_places
from metaswin.report.files import portable


@pytest.fixture(scope="module")
def crate(tmp_path_factory):
    """A crate of made-up files below a folder with a name that must not appear."""
    folder = tmp_path_factory.mktemp("of-Smith")
    texts = {
        "code/Snakefile": "rule all:",
        "code/workflow/rules/report.smk": "rule report:",
        "code/requirements.txt": "numpy==2.4.6",
        "results/report/report.html": "<html></html>",
        "results/report/figures/roc-dm.svg": "<svg/>",
        "results/report/tables/patients-dm.csv": "patient,fold\nSmith,0\n",
        "results/report/tables/pr-dm.csv": "recall,precision\n0.5,0.5\n",
        "results/cohort/used.parquet": "Smith",
        "results/benchmarks/report.tsv": "s\th:m:s\n3.0\t0:00:03\n",
        "results/benchmarks/train/fold-0.tsv": "s\th:m:s\n7.5\t0:00:07\n",
        "clinical.csv": "patient_id,dm\nSmith,1\n",
    }
    paths = {name: folder / name for name in texts}
    for name, text in texts.items():
        paths[name].parent.mkdir(parents=True, exist_ok=True)
        paths[name].write_text(text)
    os.utime(paths["results/benchmarks/report.tsv"], (1_000_000_000, 1_000_000_000))
    os.utime(paths["results/benchmarks/train/fold-0.tsv"], (999_999_990, 999_999_990))
    config = load(
        {
            "data": {"source": "clinical"},
            "clinical": {"table": str(paths["clinical.csv"]), "columns": {"age": "baseline", "dm": "outcome"}},
            "endpoints": {"dm": {"column": "dm"}},
            "fusion": {"modalities": ["clinical"]},
            "deep": {"pretrained": str(folder / "weights.pt")},
        }
    )
    names = [name for name in texts if name.startswith("code/")]
    inputs = CrateInputs(
        workflow=[str(paths[name]) for name in names],
        report=str(paths["results/report/report.html"]),
        figures=[str(paths["results/report/figures/roc-dm.svg"])],
        tables=[str(path) for name, path in paths.items() if "/tables/" in name],
        given={"clinical table": str(paths["clinical.csv"])},
        computed=[str(paths["results/cohort/used.parquet"])],
    )
    made = folder / "results/ro-crate"
    for _ in range(2):  # the second replaces the first
        pack_crate(inputs, made, portable(config.model_dump(mode="json")))
    return made


@pytest.fixture(scope="module")
def read(crate):
    return ROCrate(crate)


def test_crate_when_read_back_then_it_meets_the_requirements_of_the_profiles(read):
    assert {profile.id for profile in read.root_dataset["conformsTo"]} == set(PROFILES)
    assert read.root_dataset["license"]
    assert "https://w3id.org/ro/crate/1.1" in str(read.metadata["conformsTo"])
    workflow = read.mainEntity
    assert {"File", "SoftwareSourceCode", "ComputationalWorkflow"} == set(workflow.type)
    assert workflow["programmingLanguage"].type == "ComputerLanguage"
    (action,) = [entity for entity in read.contextual_entities if entity.type == "CreateAction"]
    assert action["instrument"] == workflow
    assert read.root_dataset["mentions"] == action
    for parameter in (workflow["input"], workflow["output"]):
        assert parameter.type == "FormalParameter"
        assert parameter["additionalType"] == "File"
        assert parameter["workExample"] in read.data_entities
        assert parameter["workExample"]["exampleOfWork"] == parameter
    assert {entity.id for entity in action["result"]} >= {"report/report.html", "report/tables/pr-dm.csv"}
    assert {software["name"] for software in workflow["softwareRequirements"]} >= {"Python", "snakemake", "numpy"}


def test_crate_when_read_back_then_it_has_each_file_with_its_hash_and_the_times(crate, read):
    files = [entity for entity in read.data_entities if entity.id != "./"]
    described = {entity.id for entity in files}
    assert described == {p.relative_to(crate).as_posix() for p in crate.rglob("*") if p.is_file()} - {read.metadata.id}
    assert all(entity["sha256"] == sha256((crate / entity.id).read_bytes()).hexdigest() for entity in files)
    action = read.get("#run")
    assert (action["startTime"], action["endTime"]) == ("2001-09-09T01:46:22+00:00", "2001-09-09T01:46:40+00:00")
    outside = {entity["name"]: entity["sha256"] for entity in action["object"] if "sha256" in entity}
    assert outside["clinical table"] == sha256(b"patient_id,dm\nSmith,1\n").hexdigest()


def test_crate_when_searched_then_it_contains_no_path_and_no_patient(crate):
    texts = {path.name: path.read_text() for path in crate.rglob("*") if path.is_file()}
    assert "patients-dm.csv" not in texts
    assert not [name for name, text in texts.items() if "Smith" in text]
    assert json.loads(texts["settings.json"])["deep"]["pretrained"] == "set"


def test_settings_that_name_files_are_removed_from_the_crate():
    config = portable(load({"data": {"source": "dicom", "dicom": "/x"}, **MINIMAL}).model_dump(mode="json"))
    config["organs"]["masks"]["pattern"] = "/home/smith/{patient}/{organ}.nii.gz"
    config["images"]["nnunet"]["model_folder"] = "models/smith"
    kept = json.dumps(without_places(config))
    assert not re.search(r'"[^"]*\w/\w[^"]*"', kept.replace("N/A", ""))
    assert config["images"]["nnunet"]["model_folder"] == "models/smith"  # the argument is unchanged


MINIMAL = {
    "clinical": {"table": "c.csv", "columns": {"age": "baseline", "dm": "outcome"}},
    "endpoints": {"dm": {"column": "dm"}},
}


def test_times_when_nothing_was_measured_then_the_error_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="run the workflow"):
        times_of(tmp_path)
