"""The real TotalSegmentator with stand-in weights: labels where the HU says, once, and kept."""

import hashlib
import inspect
import json
import signal
import subprocess
import time

import numpy as np
import pytest
from images_dicom import grid
from organs_phantom import blocks, command, drawn, predict, write_images
from pydantic import ValidationError

from metaswin.config.imaging import OPEN_TASKS, TISSUES, OrgansSettings, TotalSegmentatorSettings
from metaswin.config.structures import WEIGHT_FOLDERS, model, needed_models, organ_ids, structures
from metaswin.core.errors import UserError
from metaswin.imaging.weights import CHECKPOINT, missing_weights, prepare_weights, required
from metaswin.simulate.weights import bands, write_standin

ON = grid(size=(32, 32, 24), spacing=(3.0, 3.0, 3.0))
FAST = {"tasks": ["total"], "fast": True, "structures": [], "device": "cpu", "threads": 1}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Stand-ins for `total` at 3 mm."""
    folder = tmp_path_factory.mktemp("weights")
    write_standin(folder, 297)
    return folder


@pytest.fixture(scope="module")
def batch(weights, tmp_path_factory):
    """Two phantoms drawn in one batch: folder, expected label maps, what the job wrote, its log."""
    folder = tmp_path_factory.mktemp("batch")
    labels = list(bands(model(297)))
    expected = {}
    for patient, chosen in [("P1", labels[:12]), ("P2", labels[12:])]:
        hu, expected[patient] = blocks(ON, 297, chosen)
        write_images(folder / "images" / patient, ON, hu)
    found, log = predict([folder / "images/P1", folder / "images/P2"], folder, **FAST, weights=str(weights))
    return folder, expected, found, log


def test_predict_when_phantoms_then_every_label_exactly_where_the_hu_says(batch):
    folder, expected, found, _ = batch
    for patient, labels in expected.items():
        np.testing.assert_array_equal(drawn(folder, found[patient]["key"]), labels)


def test_predict_when_two_patients_then_one_load_and_no_telemetry(batch):
    _, _, _, log = batch
    assert log.count("TotalSegmentator was loaded") == 1
    assert "usage statistics" not in log


def test_predict_when_everything_is_in_the_store_then_nothing_is_loaded(batch, weights):
    folder, _, found, _ = batch
    kept = folder / "store" / f"{found['P2']['key']}.nii.gz"
    written = kept.stat().st_mtime_ns
    again, log = predict([folder / "images/P2"], folder, **FAST, weights=str(weights))
    assert again == {"P2": found["P2"]}
    assert "was loaded" not in log
    assert kept.stat().st_mtime_ns == written


def test_catalogue_when_compared_with_totalsegmentator_then_the_folders_it_downloads():
    from totalsegmentator.libs import download_pretrained_weights

    source = inspect.getsource(download_pretrained_weights)
    assert [folder for folder, _ in WEIGHT_FOLDERS.values() if f'"{folder}"' not in source] == []


def test_catalogue_when_tasks_differ_then_ids_stay_and_one_name_has_one_id():
    ids = organ_ids()
    assert len(set(ids.values())) == len(ids)
    assert min(ids.values()) == len(TISSUES) + 1
    assert [ids[name] for name in structures("total")] == list(range(6, 123))
    assert "skull" in structures("total")
    assert "skull" in structures("craniofacial_structures")
    assert all(set(structures(task)) <= set(ids) for task in OPEN_TASKS)


def test_needed_models_when_head_and_neck_then_no_ribs_and_the_rough_model():
    settings = TotalSegmentatorSettings()
    numbers = needed_models(settings.tasks, settings.fast, settings.structures)
    assert numbers == [291, 292, 293, 294, 298, 775, 776, 778, 779]
    assert needed_models(["total"], True, []) == [297]


def test_missing_weights_when_absent_damaged_or_foreign_then_all_reported_with_fix(tmp_path):
    settings = TotalSegmentatorSettings(tasks=["total", "headneck_muscles"], fast=True, weights=str(tmp_path))
    whole = write_standin(tmp_path, 297)
    (write_standin(tmp_path, 778) / CHECKPOINT).unlink()
    dataset = write_standin(tmp_path, 779) / "dataset.json"
    dataset.write_text(json.dumps({"labels": {"background": 0, "spleen": 1}}))
    (message,) = missing_weights(settings)
    assert "3 of 4 models cannot be used" in message
    assert str(tmp_path) in message
    assert "Dataset298_TotalSegmentator_total_6mm_1559subj: not found" in message
    assert "Dataset778_headneck_muscles_part1_492subj: incomplete: no fold_0/checkpoint_final.pth" in message
    assert "Dataset779_headneck_muscles_part2_492subj: dataset.json has 1 labels" in message
    assert "metaswin weights fetch" in message
    assert "copy its weights folder" in message
    assert "backend: threshold" in message
    assert [w.folder for w in required(settings) if not w.problem] == [whole]


def test_prepare_weights_when_whole_then_hashes_and_when_cut_short_then_all_reported(tmp_path):
    settings = TotalSegmentatorSettings(tasks=["headneck_muscles"], weights=str(tmp_path / "weights"))
    numbers = needed_models(settings.tasks, settings.fast, settings.structures)
    folders = [write_standin(tmp_path / "weights", number) for number in numbers]
    output = tmp_path / "weights.json"
    prepare_weights(output, settings)
    found = json.loads(output.read_text())
    assert sorted(found) == sorted(folder.parent.name for folder in folders)
    checkpoint = folders[0] / CHECKPOINT
    assert found[folders[0].parent.name] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()

    output.unlink()
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    (folders[1] / "dataset.json").write_text("{")
    with pytest.raises(UserError) as told:
        prepare_weights(output, settings)
    assert f"{folders[0].parent.name}: " in str(told.value)
    assert f"{folders[1].parent.name}: dataset.json cannot be read" in str(told.value)
    assert f"remove the folder {folders[0].parent}, then metaswin weights fetch" in str(told.value)
    assert not output.exists()


def test_settings_when_a_task_is_licensed_then_a_number_is_asked_for():
    with pytest.raises(ValidationError, match="face has no open licence"):
        OrgansSettings(totalsegmentator={"tasks": ["total", "face"]})
    assert OrgansSettings(totalsegmentator={"tasks": ["face"], "license": "aca_1"}).backend == "totalsegmentator"
    with pytest.raises(ValidationError, match="no task 'heart'"):
        OrgansSettings(totalsegmentator={"tasks": ["heart"]})


def test_segmenter_when_weights_are_missing_then_nothing_is_imported(tmp_path):
    from metaswin.imaging.totalsegmentator import segmenter

    with (
        pytest.raises(UserError, match="metaswin weights fetch"),
        segmenter(TotalSegmentatorSettings(weights=str(tmp_path))),
    ):
        pass


@pytest.mark.long
def test_predict_when_killed_between_patients_then_the_finished_one_is_not_redone(weights, tmp_path):
    labels = list(bands(model(297)))
    images = [tmp_path / f"images/P{number}" for number in range(4)]
    for number, folder in enumerate(images):
        write_images(folder, ON, blocks(ON, 297, labels[number : number + 8])[0])
    settings = {**FAST, "weights": str(weights)}
    call = command(images, tmp_path / "batch.json", tmp_path / "store", **settings)
    process = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (kept := sorted((tmp_path / "store").glob("[!.]*.nii.gz"))):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "batch.json").exists()
    times = {path: path.stat().st_mtime_ns for path in kept}
    found, log = predict(images, tmp_path, **settings)
    assert len(found) == 4
    assert log.count("drawn in") == 4 - len(kept)
    assert {path: path.stat().st_mtime_ns for path in kept} == times


@pytest.mark.long
@pytest.mark.parametrize(
    ("direction", "size"),
    [
        ((1, 0, 0, 0, 0.966, -0.259, 0, 0.259, 0.966), (32, 32, 24)),  # a gantry tilted by 15 degrees
        ((0, 0, -1, 1, 0, 0, 0, -1, 0), (24, 32, 32)),  # stored as sagittal slices
        ((1, 0, 0, 0, 1, 0, 0, 0, 1), (32, 32, 9)),  # a CT of a few slices of the neck
    ],
)
def test_predict_when_oblique_sagittal_or_short_then_labels_lie_where_the_hu_says(weights, tmp_path, direction, size):
    axes = np.reshape(direction, (3, 3))
    exact = axes / np.linalg.norm(axes, axis=0)
    on = grid(size=size, spacing=(3.0, 3.0, 3.0), direction=tuple(exact.ravel()))
    labels = list(bands(model(297)))[: 8 if size[2] < 16 else 16]
    hu, expected = blocks(on, 297, labels)
    write_images(tmp_path / "images/P1", on, hu)
    found, _ = predict([tmp_path / "images/P1"], tmp_path, **FAST, weights=str(weights))
    np.testing.assert_array_equal(drawn(tmp_path, found["P1"]["key"]), expected)


@pytest.mark.long
def test_predict_when_cropped_around_the_tumour_then_the_labels_there_are_the_same(weights, tmp_path):
    hu, expected = blocks(ON, 297, list(bands(model(297)))[:12])
    lesion = (slice(5, 8), slice(5, 8), slice(5, 8))
    write_images(tmp_path / "images/P1", ON, hu, lesion)
    found, _ = predict([tmp_path / "images/P1"], tmp_path, **FAST, weights=str(weights), crop_margin=12.0)
    box = (slice(1, 12),) * 3
    outside = np.ones(ON.shape, dtype=bool)
    outside[box] = False
    labels = drawn(tmp_path, found["P1"]["key"])
    np.testing.assert_array_equal(labels[box], expected[box])
    assert not labels[outside].any()


@pytest.mark.long
@pytest.mark.parametrize(
    ("task", "number"),
    [("head_glands_cavities", 775), ("headneck_bones_vessels", 776), ("headneck_muscles", 779)],
)
def test_predict_when_a_task_of_the_head_then_labels_lie_where_the_hu_says(tmp_path, task, number):
    on = grid(size=(40, 40, 24), spacing=(0.75, 0.75, 1.0))
    for needed in needed_models([task], False, []):
        write_standin(tmp_path / "weights", needed)
    # The rough model turns every band of HU into some landmark, so that the crop holds all of the phantom.
    hu, expected = blocks(on, number, list(bands(model(number)))[:10])
    write_images(tmp_path / "images/P1", on, hu)
    settings = {"tasks": [task], "device": "cpu", "threads": 1, "weights": str(tmp_path / "weights")}
    found, _ = predict([tmp_path / "images/P1"], tmp_path, **settings)
    np.testing.assert_array_equal(drawn(tmp_path, found["P1"]["key"]), expected)
