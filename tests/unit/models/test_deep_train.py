"""Training: resuming after a kill, leaks, early stopping, and features of a fold."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import deep_run
import numpy as np
import pytest
import torch
from deep_run import COUNT, SETTINGS, make_cohort, train
from patch_file import collected, spoil

from metaswin.config.models import DeepSettings
from metaswin.core.errors import UserError
from metaswin.core.files import read_json, read_table, write_table
from metaswin.models.backbones import build
from metaswin.models.deep_features import extract_features, load_network, score
from metaswin.models.guidance import Targets
from metaswin.models.patches import load_patch
from metaswin.models.training import Scratch, early_stopping_split, fit


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed(cohort, tmp_path_factory):
    """Folder of the network that leaves out fold 0, trained without a break."""
    return train(cohort, tmp_path_factory.mktemp("undisturbed"))


KILLED = """
import logging, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from deep_run import train

class Kill(logging.Handler):
    def emit(self, record):
        if record.getMessage().startswith("epoch 3 of 4"):
            os.kill(os.getpid(), signal.SIGKILL)

logging.getLogger("metaswin.models").addHandler(Kill())
logging.getLogger("metaswin.models").setLevel(logging.INFO)
train(Path(sys.argv[2]), Path(sys.argv[3]))
"""


@pytest.mark.long
def test_train_when_killed_after_the_third_epoch_then_resumes_and_ends_bit_for_bit(
    cohort, undisturbed, tmp_path, caplog
):
    arguments = [str(Path(deep_run.__file__).parent), str(cohort), str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "without-0").exists()
    (state,) = (tmp_path / "scratch/without-0").iterdir()
    assert torch.load(state, weights_only=True)["epoch"] == 4  # two that learn the components, two of four
    with caplog.at_level("INFO", logger="metaswin.models"):
        resumed = train(cohort, tmp_path)
    assert "resumed after epoch 4" in caplog.text
    for name in ("network.safetensors", "training.json"):
        assert (resumed / name).read_bytes() == (undisturbed / name).read_bytes()
    assert not list((tmp_path / "scratch").iterdir())


class Interrupt(logging.Handler):
    """Stands in for ctrl-C after an epoch."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def emit(self, record):
        if record.getMessage().startswith(self.after):
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("after", "every", "resumed_after"),
    [("pretraining epoch 2 of 2", 1, 1), ("epoch 1 of 4", 2, 2), ("epoch 3 of 4", 2, 4)],
)
def test_train_when_interrupted_then_resumes_and_ends_with_equal_bytes(
    cohort, undisturbed, tmp_path, caplog, after, every, resumed_after
):
    interrupt, logger = Interrupt(after), logging.getLogger("metaswin.models")
    settings = SETTINGS.model_copy(update={"checkpoint_every": every})
    caplog.set_level("INFO", logger="metaswin.models")
    logger.addHandler(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(cohort, tmp_path, settings=settings)
    finally:
        logger.removeHandler(interrupt)
    torch.rand(7)  # the generator is elsewhere by now
    resumed = train(cohort, tmp_path, settings=settings)
    assert f"resumed after epoch {resumed_after}" in caplog.text
    assert (resumed / "network.safetensors").read_bytes() == (undisturbed / "network.safetensors").read_bytes()


def spoil_features(cohort, folder, patients):
    """Copy the table of features; those of `patients` are other numbers."""
    table = read_table(cohort / "radiomics.parquet")
    columns = [name for name in table if name.startswith("original_")]
    table.loc[table["patient"].isin(patients), columns] *= -1000
    write_table(folder / "radiomics.parquet", table)


def test_train_when_test_rows_are_corrupted_then_the_network_is_the_same(cohort, undisturbed, tmp_path):
    folds = read_table(cohort / "folds.parquet")
    test = folds["fold"] == 0
    folds.loc[test, "label"] = 1 - folds.loc[test, "label"]
    folds.loc[test, "event"] = 2 - folds.loc[test, "event"]
    folds.loc[test, "time"] *= 3
    write_table(tmp_path / "folds.parquet", folds)
    unseen = folds.loc[test, "patient"].tolist()
    spoil(cohort / "patches.safetensors", tmp_path / "patches.safetensors", unseen)
    spoil_features(cohort, tmp_path, unseen)
    again = train(tmp_path, tmp_path / "out")
    assert (again / "network.safetensors").read_bytes() == (undisturbed / "network.safetensors").read_bytes()


def test_train_when_rows_of_two_held_out_folds_are_corrupted_then_the_same_network(cohort, tmp_path):
    settings = SETTINGS.model_copy(update={"epochs": 1})
    first = train(cohort, tmp_path / "first", "without-0-1", settings)
    folds = read_table(cohort / "folds.parquet")
    left_out = folds.loc[folds["fold"] != 2, "patient"].tolist()
    assert len(left_out) == 8
    shutil.copy(cohort / "folds.parquet", tmp_path)
    spoil(cohort / "patches.safetensors", tmp_path / "patches.safetensors", left_out)
    spoil_features(cohort, tmp_path, left_out)
    second = train(tmp_path, tmp_path / "second", "without-0-1", settings)
    assert (first / "network.safetensors").read_bytes() == (second / "network.safetensors").read_bytes()


def test_train_when_features_of_a_training_row_change_then_so_does_the_network(cohort, undisturbed, tmp_path):
    for name in ("patches.safetensors", "folds.parquet"):
        shutil.copy(cohort / name, tmp_path)
    spoil_features(cohort, tmp_path, ["P05"])
    other = train(tmp_path, tmp_path / "out")
    assert (other / "network.safetensors").read_bytes() != (undisturbed / "network.safetensors").read_bytes()


def test_train_when_features_of_an_unlabelled_training_row_change_then_so_does_the_network(
    cohort, undisturbed, tmp_path
):
    """The encoder learns the radiomics components of rows without a label too."""
    folds = read_table(cohort / "folds.parquet")
    unlabelled = folds.loc[folds["label"].isna(), "patient"].tolist()
    assert len(unlabelled) == 1
    for name in ("patches.safetensors", "folds.parquet"):
        shutil.copy(cohort / name, tmp_path)
    spoil_features(cohort, tmp_path, unlabelled)
    other = train(tmp_path, tmp_path / "out")
    assert (other / "network.safetensors").read_bytes() != (undisturbed / "network.safetensors").read_bytes()


def test_train_when_nothing_is_pretrained_then_unlabelled_rows_do_not_matter(cohort, tmp_path):
    settings = SETTINGS.model_copy(update={"components": 0, "epochs": 1})
    first = train(cohort, tmp_path / "first", settings=settings)
    for name in ("radiomics.parquet", "folds.parquet"):
        shutil.copy(cohort / name, tmp_path)
    folds = read_table(cohort / "folds.parquet")
    unlabelled = folds.loc[folds["label"].isna(), "patient"].tolist()
    spoil(cohort / "patches.safetensors", tmp_path / "patches.safetensors", unlabelled)
    second = train(tmp_path, tmp_path / "second", settings=settings)
    assert (first / "network.safetensors").read_bytes() == (second / "network.safetensors").read_bytes()


def test_train_when_only_the_head_learns_and_a_time_changes_then_so_does_the_network(cohort, tmp_path):
    settings = SETTINGS.model_copy(update={"epochs": 0})
    first = train(cohort, tmp_path / "first", settings=settings)
    for name in ("patches.safetensors", "radiomics.parquet"):
        shutil.copy(cohort / name, tmp_path)
    folds = read_table(cohort / "folds.parquet")
    folds.loc[10, "time"] = 30.0  # censored before the first metastasis of the training rows: out of the risk set
    write_table(tmp_path / "folds.parquet", folds)
    second = train(tmp_path, tmp_path / "second", settings=settings)
    assert (first / "network.safetensors").read_bytes() != (second / "network.safetensors").read_bytes()


def test_train_when_a_training_label_changes_then_so_does_the_network(cohort, undisturbed, tmp_path):
    for name in ("patches.safetensors", "radiomics.parquet"):
        shutil.copy(cohort / name, tmp_path)
    folds = read_table(cohort / "folds.parquet")
    folds.loc[5, "label"] = 1 - folds.loc[5, "label"]
    write_table(tmp_path / "folds.parquet", folds)
    other = train(tmp_path, tmp_path / "out")
    assert (other / "network.safetensors").read_bytes() != (undisturbed / "network.safetensors").read_bytes()


def test_train_when_the_training_data_are_the_same_then_the_existing_network_stays(
    cohort, undisturbed, tmp_path, caplog
):
    """A newcomer who is excluded changes neither the patches of the training rows nor their folds."""
    shutil.copytree(undisturbed, tmp_path / "without-0")
    written = tmp_path / "without-0/network.safetensors"
    os.utime(written, (1, 1))
    with caplog.at_level(logging.INFO, logger="metaswin.models"):
        train(cohort, tmp_path)
    assert "it is kept" in caplog.text
    assert written.stat().st_mtime > 1
    assert written.read_bytes() == (undisturbed / "network.safetensors").read_bytes()
    caplog.clear()
    other = train(cohort, tmp_path, settings=SETTINGS.model_copy(update={"epochs": 1}))
    assert "it is kept" not in caplog.text
    assert read_json(other / "training.json")["epochs"] == 1


def test_train_when_done_then_says_what_it_was_fitted_on(undisturbed):
    facts = read_json(undisturbed / "training.json")
    assert {key: facts[key] for key in ("endpoint", "repeat", "fit", "backbone")} == {
        "endpoint": "dm", "repeat": 0, "fit": "without-0", "backbone": "swin",
    }  # fmt: skip
    # Eight training rows, one of unknown label, one without a patch.
    assert (facts["rows"], facts["unlabelled_rows"], facts["events"]) == (6, 1, 3)
    assert (facts["stopping"], facts["epochs"], facts["best_epoch"]) == ("fixed", 4, 4)
    assert len(facts["losses"]) == 4
    assert (facts["components"], len(facts["pretraining_losses"])) == (3, 2)
    assert facts["pretrained"] is None
    assert float(load_network(undisturbed / "network.safetensors").prior) == 0.0


def test_train_when_one_class_is_left_then_user_error(cohort, tmp_path):
    for file in cohort.glob("*.nii.gz"):
        (tmp_path / file.name).write_bytes(file.read_bytes() if file.name in ("P04.nii.gz", "P06.nii.gz") else b"")
    collected(tmp_path)
    for name in ("folds", "radiomics"):
        write_table(tmp_path / f"{name}.parquet", read_table(cohort / f"{name}.parquet"))
    with pytest.raises(UserError, match="fit without-0, patients with a patch: found no event among 2 training rows"):
        train(tmp_path, tmp_path / "out")


def test_train_when_the_learning_rate_explodes_then_user_error(cohort, tmp_path):
    with pytest.raises(UserError, match=r"lower deep\.learning_rate"):
        train(cohort, tmp_path, settings=SETTINGS.model_copy(update={"learning_rate": 1e30}))
    with pytest.raises(UserError, match=r"lower deep\.pretrain_learning_rate"):
        train(cohort, tmp_path, settings=SETTINGS.model_copy(update={"pretrain_learning_rate": 1e30}))


def test_scratch_when_settings_differ_then_is_not_resumed_from(tmp_path):
    Scratch(tmp_path, {"epochs": 4}).save({"epoch": 2})
    assert Scratch(tmp_path, {"epochs": 5}).load() is None
    assert Scratch(tmp_path, {"epochs": 4}).load() == {"epoch": 2}


def test_scratch_when_the_file_is_damaged_then_starts_anew(tmp_path):
    scratch = Scratch(tmp_path, {"epochs": 4})
    scratch.path.write_bytes(b"half a fi")
    assert scratch.load() is None


def test_scratch_when_removed_then_states_of_other_settings_go_too(tmp_path):
    Scratch(tmp_path / "job", {"epochs": 4}).save({"epoch": 2})
    other = Scratch(tmp_path / "job", {"epochs": 5})
    other.remove()
    assert not (tmp_path / "job").exists()


def test_early_stopping_split_when_events_suffice_then_stratified_and_seeded():
    labels = np.array([1] * 50 + [0] * 150)
    settings = DeepSettings(early_stopping_fraction=0.2, early_stopping_events=10)
    train_rows, holdout = early_stopping_split(labels, settings, 1)
    assert labels[holdout].sum() == 10
    assert len(holdout) == 40
    assert sorted([*train_rows, *holdout]) == list(range(200))
    assert np.array_equal(early_stopping_split(labels, settings, 1)[1], holdout)
    assert not np.array_equal(early_stopping_split(labels, settings, 2)[1], holdout)


def test_early_stopping_split_when_events_are_too_few_then_none():
    labels = np.array([1] * 47 + [0] * 150)
    assert early_stopping_split(labels, DeepSettings(early_stopping_events=10), 1) is None


def test_fit_when_the_watched_loss_never_improves_then_stops_and_keeps_best_epoch(tmp_path):
    """Labels are noise: the loss of the rows watched rises soon, long before the last epoch."""
    random = np.random.default_rng(0)
    labels = np.array([0, 1] * 10)
    patches = torch.from_numpy(random.standard_normal((20, 3, 32, 32, 32))).half()
    settings = DeepSettings(
        resnet_depth=10, epochs=60, warmup_epochs=0, learning_rate=3e-3, patience=2, early_stopping_events=2
    )
    torch.manual_seed(0)
    network = build("resnet", settings, 3)
    training = fit(network, patches, Targets.of_labels(labels), settings, 1, Scratch(tmp_path, {}))
    assert training.stopping == "early"
    assert (training.holdout_rows, training.holdout_events) == (4, 2)
    assert training.best_epoch == 1 + int(np.argmin(training.holdout_losses))
    assert len(training.losses) == training.best_epoch + 2 < 60


def test_extract_features_when_cross_fitted_then_the_network_without_a_row_scores_it(cohort, undisturbed, tmp_path):
    settings = SETTINGS.model_copy(update={"epochs": 1})
    networks = {"without-0": str(undisturbed / "network.safetensors")}
    for fit_ in ("without-0-1", "without-0-2"):
        networks[fit_] = str(train(cohort, tmp_path, fit_, settings) / "network.safetensors")
    patches = str(cohort / "patches.safetensors")
    output = tmp_path / "features.parquet"
    extract_features(patches, str(cohort / "folds.parquet"), networks, str(output), 0, 0, SETTINGS)
    table = read_table(output).set_index("patient")
    assert table.columns.tolist() == ["role", "score", "score_seen", *(f"d{number:03d}" for number in range(240))]
    assert table["role"].tolist() == ["test"] * 4 + ["train"] * 8
    for patient, left in [("P01", "without-0"), ("P04", "without-0-1"), ("P10", "without-0-2")]:
        value, _ = score(load_network(networks[left]), load_patch(patches, patient))
        assert table.loc[patient, "score"] == pytest.approx(value, abs=1e-5)
        _, pooled = score(load_network(networks["without-0"]), load_patch(patches, patient))
        assert table.loc[patient, "d000":].to_numpy(dtype=float) == pytest.approx(pooled.numpy(), abs=1e-4)
    assert table.loc["P11", "score":].isna().all()
    assert table.drop(index="P11").drop(columns="score_seen").notna().all().all()
    # Neither test rows nor the row of unknown label were seen.
    assert table.index[table["score_seen"].notna()].tolist() == ["P04", "P05", "P06", "P07", "P08", "P09"]
    value, _ = score(load_network(networks["without-0"]), load_patch(patches, "P04"))
    assert table.loc["P04", "score_seen"] == pytest.approx(value, abs=1e-5)


def test_extract_features_when_in_sample_then_the_final_network_scores_every_row(cohort, undisturbed, tmp_path):
    networks = {"without-0": str(undisturbed / "network.safetensors")}
    patches = str(cohort / "patches.safetensors")
    output = tmp_path / "features.parquet"
    extract_features(patches, str(cohort / "folds.parquet"), networks, str(output), 0, 0, SETTINGS, "in-sample")
    table = read_table(output).set_index("patient")
    assert table.index[table["score"].notna()].tolist() == [f"P{i:02d}" for i in range(11)]
    assert table.index[table["score_seen"].notna()].tolist() == [f"P{i:02d}" for i in (4, 5, 6, 7, 8, 9)]
    both = table["score_seen"].notna()
    assert (table.loc[both, "score"] == table.loc[both, "score_seen"]).all()
    assert table["d000"].notna().sum() == COUNT - 1


def test_training_facts_when_written_then_name_no_path(undisturbed, tmp_path_factory):
    text = (undisturbed / "training.json").read_text()
    assert str(tmp_path_factory.getbasetemp()) not in text
    assert json.loads(text)["device"] == "cpu"
