"""A dry-run of every way in, every stage and every profile; of the example configurations: test_start.py."""

import shutil

import pytest
from planned import TARGETS, rules_to_run

from metaswin.simulate.weights import write_standin


@pytest.mark.parametrize("source", ["dicom", "nifti", "features", "clinical"])
def test_source_when_dry_run_then_only_its_rules_are_planned(snakemake, small, unread, tmp_path, source):
    shutil.copytree(unread / "data", tmp_path / "data")
    (tmp_path / "sheet.csv").write_text("patient_id,image,primary,nodes\nSIM-0001,a.nii.gz,b.nii.gz,\n")
    (tmp_path / "features.csv").write_text("patient_id,original_shape_VoxelVolume\nSIM-0001,5\n")
    data = {"source": source, "dicom": "data/dicom", "sheet": "sheet.csv", "features": "features.csv"}
    changed = {"clinical": {"fusion": {"modalities": ["clinical"]}, "harmonisation": {}}}.get(source, {"fusion": {}})
    if source == "features":
        changed["harmonisation"] = {"method": "combat", "batch": "site"}
    if source in ("features", "clinical"):  # only images know their scanner
        changed["evaluation"] = {**small["evaluation"], "strata": ["sex"]}
    run = snakemake(tmp_path, {**small, "data": data, **changed}, "-n", "--", "all", "cohort")
    assert run.code == 0, run.text
    planned = set(rules_to_run(run.text))
    assert {"all", "cohort"} <= planned
    assert ("index_dicom" in planned) is (source == "dicom")
    assert {"match_patients", "make_qc", "build_cohort"} <= set(planned)


@pytest.mark.parametrize("backbone", ["resnet", "densenet"])  # of the small configuration: swin
def test_backbone_when_chosen_by_one_key_then_the_dry_run_is_clean(snakemake, small, unread, backbone):
    config = {**small, "deep": {**small["deep"], "backbone": backbone}}
    assert snakemake(unread, config, "-n", "--", "all").code == 0


def test_survival_when_an_endpoint_has_a_horizon_then_it_can_be_planned(snakemake, small, unread, tmp_path):
    (tmp_path / "data").symlink_to(unread / "data")
    event = {"column": "dm", "time": "dm_time_days"}
    endpoints = {"dm_2y": {"horizon_days": 730, "followup": "followup_days", "event": event}}
    planned = rules_to_run(snakemake(tmp_path, {**small, "endpoints": endpoints}, "-n", "--", "survival").text)
    assert {"match_patients", "make_qc", "build_cohort"} <= set(planned)


def test_stages_when_named_as_targets_then_each_can_be_planned(snakemake, small, unread, tmp_path):
    (tmp_path / "data").symlink_to(unread / "data")
    run = snakemake(tmp_path, small, "-n", "--", *TARGETS)
    assert run.code == 0, run.text
    assert set(TARGETS) <= set(rules_to_run(run.text))


def test_prepare_when_no_patient_is_known_yet_then_it_is_planned_from_the_start(snakemake, small, unread, tmp_path):
    (tmp_path / "data").symlink_to(unread / "data")
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
def test_profile_when_named_then_the_run_can_be_planned(snakemake, small, unread, tmp_path, profile):
    if profile == "apptainer" and shutil.which("apptainer") is None:
        pytest.skip("no apptainer on this machine: Snakemake does not plan without it")
    (tmp_path / "data").symlink_to(unread / "data")
    run = snakemake(tmp_path, small, "-n", "--profile", f"profiles/{profile}", "--", "all")
    assert run.code == 0, run.text
    assert "build_cohort" in rules_to_run(run.text)
