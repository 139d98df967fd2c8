"""A dry-run of every way in, and of every example configuration."""

import shutil

import pandas as pd
import pytest
import yaml
from planned import rules_to_run

from metaswin.config.imaging import TotalSegmentatorSettings
from metaswin.config.model import Config
from metaswin.config.structures import needed_models
from metaswin.simulate.weights import write_standin


def columns_of(raw):
    """Every column of the clinical table that a configuration names."""
    config = Config.model_validate(raw)
    names = [config.clinical.id, *config.clinical.columns, config.ingest.series.treatment_start]
    for endpoint in config.endpoints.values():
        names.append(endpoint.start)
    return [name for name in dict.fromkeys(names) if name]


@pytest.mark.parametrize("example", ["head-and-neck", "soft-tissue-sarcoma", "radcure-clinical"])
def test_example_when_its_data_are_there_then_a_dry_run_is_clean(repository, snakemake, tmp_path, example):
    raw = yaml.safe_load((repository / f"config/examples/{example}.yaml").read_text())
    (tmp_path / "dicom").mkdir()
    pd.DataFrame(columns=columns_of(raw)).to_csv(tmp_path / raw["clinical"]["table"], index=False)
    if example == "head-and-neck":
        organs = TotalSegmentatorSettings(**raw["organs"]["totalsegmentator"])
        for number in needed_models(organs.tasks, organs.fast, organs.structures):
            write_standin(tmp_path / organs.weights, number)
    run = snakemake(tmp_path, raw, "-n", "--", "all")
    assert run.code == 0, run.text
    assert "build_cohort" in rules_to_run(run.text)


@pytest.mark.parametrize("source", ["dicom", "nifti", "features", "clinical"])
@pytest.mark.parametrize("target", ["all", "cohort"])
def test_source_when_dry_run_then_only_its_rules_are_planned(snakemake, small, cohort, tmp_path, source, target):
    shutil.copytree(cohort / "data", tmp_path / "data", ignore=shutil.ignore_patterns("dicom"))
    (tmp_path / "data/dicom").mkdir()
    (tmp_path / "sheet.csv").write_text("patient_id,image,primary,nodes\nSIM-0001,a.nii.gz,b.nii.gz,\n")
    (tmp_path / "features.csv").write_text("patient_id,original_shape_VoxelVolume\nSIM-0001,5\n")
    data = {"source": source, "dicom": "data/dicom", "sheet": "sheet.csv", "features": "features.csv"}
    changed = {"clinical": {"fusion": {"modalities": ["clinical"]}, "harmonisation": {}}}.get(source, {"fusion": {}})
    if source == "features":
        changed["harmonisation"] = {"method": "combat", "batch": "site"}
    if source in ("features", "clinical"):  # only images know their scanner
        changed["evaluation"] = {**small["evaluation"], "strata": ["sex"]}
    run = snakemake(tmp_path, {**small, "data": data, **changed}, "-n", "--", target)
    assert run.code == 0, run.text
    planned = set(rules_to_run(run.text))
    assert ("index_dicom" in planned) is (source == "dicom")
    assert {"match_patients", "make_qc", "build_cohort"} <= set(planned)


@pytest.mark.parametrize("backbone", ["swin", "resnet", "densenet"])
def test_backbone_when_chosen_by_one_key_then_the_dry_run_is_clean(snakemake, small, cohort, backbone):
    config = {**small, "deep": {**small["deep"], "backbone": backbone}}
    assert snakemake(cohort, config, "-n", "--", "all").code == 0


def test_survival_when_an_endpoint_has_a_horizon_then_it_can_be_planned(snakemake, small, cohort, tmp_path):
    shutil.copytree(cohort / "data", tmp_path / "data")
    event = {"column": "dm", "time": "dm_time_days"}
    endpoints = {"dm_2y": {"horizon_days": 730, "followup": "followup_days", "event": event}}
    planned = rules_to_run(snakemake(tmp_path, {**small, "endpoints": endpoints}, "-n", "--", "survival").text)
    assert {"match_patients", "make_qc", "build_cohort"} <= set(planned)


@pytest.mark.parametrize(
    "target",
    [
        "ingest",
        "qc",
        "images",
        "organs",
        "anatomy",
        "regions",
        "export",
        "cohort",
        "pictures",
        "prepare",
        "radiomics",
        "patches",
        "folds",
        "stability",
        "harmonisation",
        "selection",
        "deep",
        "backbones",
        "fusion",
        "evaluation",
        "survival",
        "controls",
        "explanation",
        "report",
        "bundle",
    ],
)
def test_stage_when_named_as_target_then_it_can_be_planned(snakemake, small, cohort, target):
    run = snakemake(cohort, small, "-n", "--", target)
    assert run.code == 0, run.text


def test_prepare_when_nobody_is_known_yet_then_it_is_planned_from_the_start(snakemake, small, cohort, tmp_path):
    (tmp_path / "data").symlink_to(cohort / "data")
    write_standin(tmp_path / "weights", 297)
    drawn = {"tasks": ["total"], "structures": [], "fast": True, "device": "cpu", "weights": "weights"}
    organs = {"backend": "totalsegmentator", "totalsegmentator": drawn}
    planned = rules_to_run(snakemake(tmp_path, {**small, "organs": organs}, "-n", "--", "all").text)
    assert "predict_organs" not in planned
    assert {name: planned.get(name) for name in ("prepare_kernels", "prepare_weights")} == {
        "prepare_kernels": 1,
        "prepare_weights": 1,
    }


@pytest.mark.parametrize("profile", ["default", "gpu", "slurm", "apptainer"])
def test_profile_when_named_then_the_run_can_be_planned(snakemake, small, cohort, tmp_path, profile):
    if profile == "apptainer" and shutil.which("apptainer") is None:
        pytest.skip("no apptainer on this machine: Snakemake does not plan without it")
    (tmp_path / "data").symlink_to(cohort / "data")
    run = snakemake(tmp_path, small, "-n", "--profile", f"profiles/{profile}", "--", "all")
    assert run.code == 0, run.text
    assert "build_cohort" in rules_to_run(run.text)
