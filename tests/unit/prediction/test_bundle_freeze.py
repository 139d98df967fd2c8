"""A run frozen: nothing of the patients in it, the same bytes for the same run, fitted on training rows only."""

import json
import shutil

import numpy as np
import pytest
from bundle_run import PRIMARY, fitted, freeze_run, member_files
from safetensors import safe_open

from metaswin.config.prediction import BundleSettings
from metaswin.core.errors import UserError
from metaswin.core.files import read_table, write_table
from metaswin.prediction.bundle import read_bundle
from metaswin.prediction.member import MemberFiles, freeze_member


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frozen")
    return freeze_run(fitted(folder), folder)


def test_bundle_when_searched_then_no_id_and_no_path_is_found(frozen):
    patients = [patient.encode() for patient in frozen.run.clinical["patient"]]
    for path in frozen.bundle.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"/secret/place" not in content, path
            assert str(frozen.run.folder).encode() not in content, path
            assert not [patient for patient in patients if patient in content], path


def test_bundle_when_listed_then_there_is_json_safetensors_and_the_card_only(frozen):
    assert {path.suffix for path in frozen.bundle.rglob("*") if path.is_file()} == {".json", ".safetensors", ".md"}
    for path in frozen.bundle.rglob("*.safetensors"):
        with safe_open(path, framework="np") as file:
            assert list(file.keys())


def test_bundle_when_frozen_twice_then_the_bytes_are_equal(frozen, tmp_path):
    again = freeze_run(fitted(tmp_path), tmp_path)
    assert again.read().fingerprint == frozen.read().fingerprint
    assert (tmp_path / "bundle.zip").read_bytes() == (frozen.bundle.parent / "bundle.zip").read_bytes()


def test_bundle_when_read_then_it_knows_feature_sets_members_and_training_patients(frozen):
    bundle = frozen.read()
    feature_sets = bundle.feature_sets("dm")
    assert feature_sets[0].name == PRIMARY
    assert {feature_set.name for feature_set in feature_sets} >= {"clinical:paper", "radiomics", "peri_radiomics"}
    assert not {"volume", "clinical:staging"} & {feature_set.name for feature_set in feature_sets}
    assert bundle.members("dm") == [(1, 0)]
    assert bundle.folds_of("dm", "P000") == [1, 0]
    assert bundle.folds_of("dm", "P999") is None
    assert bundle.endpoints["dm"]["columns"] == {"age": "numeric", "sex": "category"}
    assert (bundle.endpoints["dm"]["patients"], bundle.endpoints["dm"]["unknown"]) == (60, 2)


def test_bundle_when_read_then_the_order_of_groups_of_organs_is_that_of_the_config(frozen):
    """Channels of the network follow it."""
    assert list(frozen.read().config["patches"]["organ_groups"])[-2:] == ["zinc", "air"]


def test_card_states_training_performance_and_that_it_is_not_a_medical_device(frozen):
    text = (frozen.bundle / "CARD.md").read_text()
    for words in (
        "not a medical device",
        "Licence: not stated",
        "training cohort has 60 patients",
        "0.500 (0.500 to 0.500)",
    ):
        assert words in text


def test_bundle_when_one_byte_changes_then_it_is_refused(frozen, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(frozen.bundle, copy)
    path = next(copy.rglob("reference.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"dm/r1-f0/reference\.safetensors was changed"):
        read_bundle(copy)


def test_reference_when_test_rows_are_corrupted_then_it_stays_byte_by_byte(frozen, tmp_path):
    run = fitted(tmp_path)
    patients = run.folds.loc[run.test & (run.folds["repeat"] == 1), "patient"]
    run.clinical.loc[run.clinical["patient"].isin(patients), "age"] = 999.0
    run.features.loc[run.features["patient"].isin(patients), "original_firstorder_F0"] = -1e6
    run.folds.loc[run.test, "label"] = 1
    again = freeze_run(run, tmp_path)
    for name in (
        "reference.safetensors",
        "selection.json",
        f"feature_sets/{PRIMARY}.json",
        f"feature_sets/{PRIMARY}.safetensors",
    ):
        path = f"dm/r1-f0/{name}"
        assert (again.bundle / path).read_bytes() == (frozen.bundle / path).read_bytes(), path
    scores = [json.loads((one.bundle / "dm/scores.json").read_text()) for one in (again, frozen)]
    assert scores[0] == scores[1]


def test_member_when_its_predictions_differ_from_those_of_the_fold_then_not_frozen(frozen, tmp_path):
    run, bundle = frozen.run, frozen.read()
    predictions = read_table(run.output("predictions.parquet"))
    predictions["probability"] = np.minimum(predictions["probability"] + 1e-3, 1)
    write_table(tmp_path / "other.parquet", predictions)
    files = MemberFiles(**member_files(run) | {"predictions": str(tmp_path / "other.parquet")})
    with pytest.raises(RuntimeError, match="does not reproduce"):
        freeze_member(
            tmp_path / "m", files, run.folds, (1, 0), run.path("clinical"), None, None, run.sets,
            bundle.feature_sets("dm"), BundleSettings(), 3,
        )  # fmt: skip
