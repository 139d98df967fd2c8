"""Eight simulated patients from DICOM to the report and the bundle, every stage real, and patients predicted by it.

One run for all of these tests; test_images_to_networks.py and test_clinical_only.py are its halves, in `make test`.
"""

import copy
import json
import os
import re
import shutil
import socket
import subprocess
import sys

import highdicom
import numpy as np
import pandas as pd
import pytest
import yaml
from planned import TARGETS, rules_to_run

from metaswin.cli import main
from metaswin.evaluation.permuted_folds import permuted_outcome
from metaswin.prediction.bundle import read_bundle

pytestmark = pytest.mark.long

EVERYTHING = "clinical+radiomics+peri_radiomics+deep"


@pytest.fixture(scope="module")
def finished(snakemake, without_network, cohort, small):
    """The finished run of the shared cohort, without a network where that can be had."""
    return snakemake(cohort, small, "all", "bundle", within=without_network)


def predict(bundle, data, output, *arguments):
    """`metaswin predict`; a category too rare to be known counts as missing."""
    table = ["--clinical", str(data / "clinical.csv")]
    given = ["--bundle", str(bundle), "--input", str(data / "dicom"), *table, "--output", str(output)]
    return main(["predict", *given, "--lenient", "--cores", "2", *arguments])


def test_run_when_finished_then_report_is_one_offline_file_with_every_feature_set(finished):
    assert finished.code == 0, finished.text[-5000:]
    html = (finished.folder / "results/report/report.html").read_text()
    assert not re.search(r'(src|href)="(https?:)?//', html)
    summary = finished.table("evaluation/summary.parquet")
    feature_sets = set(summary["feature_set"])
    assert {
        "clinical:paper",
        "radiomics",
        "peri_radiomics",
        "deep",
        "volume",
        "radiomics+deep",
        EVERYTHING,
    } <= feature_sets
    assert set(summary["classifier"]) == {"network", "logistic"}


def test_run_when_there_is_no_network_then_it_finishes(finished, without_network):
    if not without_network:
        pytest.skip("unshare --net is not allowed here: the run had the machine's network")
    with socket.create_server(("127.0.0.1", 0)) as server:
        ask = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 1)"
        assert subprocess.run([sys.executable, "-c", ask], check=False).returncode == 0
        asked = subprocess.run(
            [*without_network, sys.executable, "-c", ask], capture_output=True, text=True, check=False
        )
    assert "OSError" in asked.stderr
    assert finished.code == 0, finished.text[-5000:]


def test_kernels_are_prepared_before_features_and_a_lost_record_is_redone_alone(finished, snakemake, small):
    record = finished.folder / "results/prepared/kernels.json"
    tables = [*(finished.folder / "results/radiomics").glob("*.parquet")]
    assert record.stat().st_mtime < min(table.stat().st_mtime for table in tables)
    content = record.read_bytes()
    record.unlink()
    try:
        planned = rules_to_run(snakemake(finished.folder, small, "-n", "--", "prepare", "all").text)
        assert planned == {"prepare_kernels": 1, "prepare": 1, "all": 1}
    finally:
        record.write_bytes(content)


def test_predictions_when_finished_then_each_patient_is_tested_once_per_feature_set(finished):
    predictions = finished.table("evaluation/predictions.parquet")
    assert predictions.groupby(["feature_set", "classifier"])["patient"].nunique().eq(8).all()
    assert not predictions.duplicated(["feature_set", "classifier", "patient"]).any()
    assert predictions["probability"].between(0, 1).all()


def test_explanation_when_finished_then_every_modality_of_each_fold_and_maps_exist(finished):
    shares = finished.table("explanation/dm/shap_modalities.parquet")
    assert set(shares["modality"]) == set(EVERYTHING.split("+"))
    assert shares.groupby("fold")["share"].sum().round(9).eq(1).all()
    features = finished.table("explanation/dm/shap_features.parquet")
    assert set(features["modality"]) == {"clinical", "radiomics", "peri_radiomics"}
    assert features["folds"].between(1, 3).all()
    maps = json.loads((finished.folder / "results/explanation/dm/maps.json").read_text())["maps"]
    assert [entry["why"] for entry in maps] == ["highest risk", "most wrong"]
    for entry in maps:
        assert 0 < (finished.folder / "results/explanation/dm" / entry["file"]).stat().st_size <= 60_000


def test_public_zone_when_searched_then_no_path_of_the_data_is_found(finished):
    data = str(finished.folder / "data")
    for path in (finished.folder / "results").rglob("*"):
        if path.suffix in {".json", ".html", ".csv"}:
            assert data not in path.read_text(), path
        elif path.suffix == ".parquet":
            assert data not in pd.read_parquet(path).to_csv(), path


def test_controls_when_images_exist_then_every_control_has_its_feature_sets(finished):
    assert finished.code == 0, finished.text[-5000:]
    table = finished.table("evaluation/controls.parquet")
    feature_sets = {control: set(rows["feature_set"]) for control, rows in table.groupby("control")}
    assert feature_sets["leaky"] == feature_sets["shuffled"]
    assert {"radiomics", "peri_radiomics", "clinical+radiomics", "radiomics+deep", EVERYTHING} <= feature_sets["leaky"]
    assert not {"volume", "clinical:paper", "deep", "clinical+deep"} & feature_sets["leaky"]
    assert {"volume", "clinical:paper", "clinical:staging", "deep", "radiomics", EVERYTHING} <= feature_sets["permuted"]
    assert (table.loc[table["control"] == "permuted", "n"] == 3).all()
    assert table["note"].str.len().gt(0).all()
    assert not table[table["auc"].notna()][["as_is"]].isna().any(axis=None)


def test_shuffled_features_when_extracted_then_only_shape_and_histogram_stay(finished):
    keys = ["patient", "region"]
    real = finished.table("features/radiomics.parquet").set_index(keys)
    shuffled = finished.table("features/radiomics-shuffled.parquet").set_index(keys)
    assert real.index.equals(shuffled.index)
    same = [name for name in real if "_shape_" in name or name.startswith("original_firstorder")]
    np.testing.assert_allclose(real[same], shuffled[same], rtol=1e-9)
    assert not np.isclose(real["original_glcm_Contrast"], shuffled["original_glcm_Contrast"]).any()


def test_deep_when_permuted_once_then_the_networks_learned_from_the_permuted_labels(finished):
    folds = finished.table("folds/dm.parquet")
    permuted = finished.table("controls/dm/folds.parquet")
    expected = permuted_outcome(folds[["patient", "label", "time", "event"]], 20250828, "dm", 1)
    pd.testing.assert_frame_equal(permuted[["patient", "label"]], expected[["patient", "label"]])
    network = finished.folder / "results/models/dm/permuted/r0/without-0/deep/swin"
    trained = json.loads((network / "training.json").read_text())
    assert trained["events"] == int(permuted.loc[permuted["fold"] != 0, "label"].sum())


def test_permutations_when_collected_then_each_feature_set_has_each_of_them(finished):
    table = finished.table("evaluation/permutations.parquet")
    assert sorted(table["permutation"].unique()) == [0, 1, 2, 3]
    assert table.groupby(["feature_set", "classifier"]).size().eq(4).all()


def test_bundle_when_made_then_it_is_valid_and_contains_no_id_and_no_path(finished, cohort):
    bundle = read_bundle(cohort / "results/bundle")
    assert bundle.members("dm") == [(0, 0), (0, 1), (0, 2)]
    for path in bundle.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"SIM-0" not in content, path
            assert str(cohort).encode() not in content, path


def test_predict_when_patients_are_held_out_then_a_member_equals_the_run(finished, cohort, tmp_path):
    out = tmp_path / "out"
    folder = out / "results/predictions"
    assert predict(cohort / "results/bundle.zip", cohort / "data", out) == 0
    ensemble = pd.read_csv(folder / "predictions.csv").set_index("patient")
    assert (ensemble["training_cohort"] == "was in the training cohort").all()
    assert (ensemble["members"] == 3).all()
    assert (ensemble["range_low"] <= ensemble["risk"]).all()
    pages = sorted((folder / "patients").glob("*.html"))
    assert len(pages) == 8
    assert all("data:image/png" in page.read_text() for page in pages)

    run = finished.table("evaluation/predictions.parquet")
    run = run[run["feature_set"] == EVERYTHING]
    for fold in range(3):
        assert predict(cohort / "results/bundle.zip", cohort / "data", out, "--member", f"0,{fold}") == 0
        own = pd.read_parquet(folder / "members.parquet")
        held_out = own.merge(run, on=["patient", "repeat", "fold", "classifier"], suffixes=("", "_run"))
        known = set(run.loc[run["fold"] == fold, "patient"])
        assert len(held_out) == 2 * len(known)  # two classifiers
        assert set(held_out["patient"]) == known
        assert (held_out["probability"] - held_out["probability_run"]).abs().max() <= 1e-6
        member = pd.read_csv(folder / "predictions.csv").set_index("patient")
        assert set(member.index[member["training_cohort"] == "held out by this member"]) == known


def test_predict_when_no_table_is_given_then_feature_sets_without_clinical_predict(
    snakemake, finished, cohort, tmp_path
):
    chosen = next(path for path in sorted((cohort / "data/dicom").iterdir()) if path.is_dir())
    shutil.copytree(chosen, tmp_path / "dicom" / chosen.name)
    bundle, out = cohort / "results/bundle", tmp_path / "out"
    arguments = ["--bundle", str(bundle), "--input", str(tmp_path / "dicom"), "--output", str(out)]
    assert main(["predict", *arguments]) == 0
    table = pd.read_csv(out / "results/predictions/predictions.csv")
    assert "clinical" in table.loc[0, "missing"]
    assert "clinical" not in table.loc[0, "feature_set"]

    run = snakemake(out, yaml.safe_load((out / "predict.yaml").read_text()), "--", "export")
    assert run.code == 0, run.text[-5000:]
    (path,) = (out / "private/export").glob("*/report.dcm")
    (group,) = highdicom.sr.srread(path).content.get_image_measurement_groups()
    found = {item.name.meaning: item.value for item in group.get_measurements()}
    assert found["Predicted risk"] == pytest.approx(table.loc[0, "risk"])
    fingerprint = json.loads((out / "results/predictions/facts.json").read_text())["bundle"]
    assert fingerprint == read_bundle(bundle).fingerprint
    assert fingerprint.encode() in path.read_bytes()


def test_permutations_when_more_are_asked_for_then_full_batches_stay(finished, snakemake, small):
    config = copy.deepcopy(small)
    config["controls"]["permutation"]["n"] = 6
    planned = rules_to_run(snakemake(finished.folder, config, "-n", "--", "controls").text)
    # Batches 1-2 and 3 were there; 3-4 and 5-6 are to be made.
    assert planned["permute_outcome"] == 2
    assert not set(planned) & {"train_deep", "extract_shuffled", "train_fusion", "evaluate"}


def test_rerun_when_nothing_changed_then_nothing_to_do(finished, snakemake, small):
    assert "Nothing to be done" in snakemake(finished.folder, small, "-n", "--", "all").text


def test_stages_when_finished_then_each_can_still_be_planned(finished, snakemake, small):
    run = snakemake(finished.folder, small, "-n", "--", *TARGETS)
    assert run.code == 0, run.text


def test_rerun_when_a_later_stage_is_edited_then_images_and_radiomics_stay(finished, snakemake, small):
    planned = rules_to_run(
        snakemake(finished.folder, {**small, "selection": {"trees": 30, "keep": 4}}, "-n", "--", "all").text
    )
    # The run and the controls leaky and shuffled: one job for all fits of a repeat.
    assert planned["select_features"] == 3
    assert not set(planned) & {"convert_images", "extract_radiomics", "train_deep", "make_folds"}


@pytest.mark.parametrize(
    ("mode", "k", "networks"),
    [("cross-fitted", 3, 6), ("cross-fitted", 5, 15), ("in-sample", 3, 3), ("in-sample", 5, 5)],
)
def test_deep_score_when_its_mode_is_chosen_then_only_needed_networks_are_trained(
    finished, snakemake, small, mode, k, networks
):
    """Two outer folds share the network that leaves both out. One epoch more makes every network anew."""
    controls = dict.fromkeys(("leaky", "shuffled", "permuted"), False)
    changes = {"deep": {**small["deep"], "epochs": 3}, "fusion": {**small["fusion"], "deep_score": mode}}
    config = {**small, **changes, "folds": {"k": k}, "controls": controls}
    planned = rules_to_run(snakemake(finished.folder, config, "-n", "--", "all").text)
    assert planned["train_deep"] == networks
    assert planned["extract_deep_features"] == planned["train_fusion"] == k


def test_library_edit_when_touching_one_stage_then_only_what_depends_on_it_would_run(
    repository, finished, snakemake, small
):
    """The library and workflow are copied, one function of selection is edited there, and `-n` is asked."""
    copy = finished.folder / "copy"
    copy.mkdir()
    for name in ("Snakefile", "pyproject.toml", "workflow", "config", "profiles", "src"):
        source = repository / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)

    edited = {**os.environ, "PYTHONPATH": str(copy / "src")}

    def planned():
        return rules_to_run(
            snakemake(
                finished.folder,
                small,
                "-n",
                "--rerun-triggers",
                "params",
                "--",
                "all",
                repository=copy,
                env=edited,
            ).text
        )

    assert planned() == {}
    path = copy / "src/metaswin/features/selection.py"
    path.write_text(path.read_text() + "\n\ndef _added() -> int:\n    return 1\n")
    rules = planned()
    assert {"select_features", "train_fusion", "evaluate", "report"} <= set(rules)
    assert not set(rules) & {"index_dicom", "build_cohort", "convert_images", "extract_radiomics", "train_deep"}


def test_rerun_when_checkpoint_finds_no_change_then_no_feature_or_network_is_redone(finished, snakemake, small):
    (finished.folder / "data/dicom/readme.txt").write_text("not DICOM")
    permuted = [f"results/models/dm/permuted/r0/fold-{fold}/deep/swin/features.parquet" for fold in range(3)]
    run = snakemake(finished.folder, small, "fusion", *permuted)
    assert run.code == 0, run.text[-3000:]
    done = set(re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", run.text))
    assert {"index_dicom", "build_cohort", "train_fusion"} <= done
    rest = set(rules_to_run(snakemake(finished.folder, small, "-n", "--", "all").text))
    assert "report" in rest
    assert not (done | rest) & {
        "convert_images",
        "make_regions",
        "extract_radiomics",
        "extract_shuffled",
        "make_patches",
    }
    # Their jobs start, since folds and patches were written again, and keep the networks of the same rows.
    logs = sorted((finished.folder / "logs/train_deep").rglob("*.log"))
    assert len(logs) == run.text.count("(Rule: train_deep)") > 0
    assert all("was trained on the same rows and settings; it is kept" in log.read_text() for log in logs)


def test_patient_when_added_then_only_its_images_are_converted_and_refits_are_listed(
    finished, snakemake, small, capsys
):
    from metaswin.simulate.cohort import simulate_cohort
    from metaswin.simulate.options import SimulationOptions

    folder = finished.folder
    shutil.rmtree(folder / "copy", ignore_errors=True)
    simulate_cohort(folder / "more", SimulationOptions(n=9, seed=11, matrix=64, coverage=96, draws=2000), jobs=2)
    table = pd.read_csv(folder / "more/clinical.csv", dtype=str)
    known = {p.name for p in (folder / "data/dicom").iterdir()}
    for added in (folder / "more/dicom").iterdir():
        if added.name not in known:
            shutil.copytree(added, folder / "data/dicom" / added.name)
    table["dm"] = [str(i % 2) for i in range(len(table))]
    table.to_csv(folder / "data/clinical.csv", index=False)
    run = snakemake(folder, small, "images")
    assert run.code == 0, run.text[-3000:]
    assert run.text.count("(Rule: convert_images)") == 1
    assert (folder / "results/images/SIM-0009/ct.nii.gz").stat().st_size > 0
    assert main(["status", "-d", str(folder), "--configfile", str(folder / "config-under-test.yaml"), "--plan"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^images +9 +0 +9 ", shown, re.MULTILINE)
    assert "dm: 3 of 3 fold models are fitted on the current folds" in shown
    assert re.search(r"^  segment_organs +1$", shown, re.MULTILINE)
    assert re.search(r"^  close_cohort +1$", shown, re.MULTILINE)
    assert re.search(r"^Models: \d+ × train_fusion", shown, re.MULTILINE)
