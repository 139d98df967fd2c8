"""Signature files: those that are shipped, names and mistakes of the user, the score by hand."""

import copy
import math
from pathlib import Path

import pytest
import yaml

from metaswin.config.load import load
from metaswin.config.signatures import Signature, find_signatures, load_signatures, read_signature
from metaswin.core.errors import UserError
from metaswin.running.input_files import check_files

OWN = {
    "title": "Own 2026",
    "citation": "Nobody 2026",
    "outcome": "distant metastasis",
    "distant_metastasis": True,
    "checked": "a test",
    "region": "primary",
    "extraction": {"setting": {"binWidth": 25}, "imageType": {"Original": {}, "LoG": {"sigma": [2.0]}}},
    "features": [
        {"name": "original_shape_MeshVolume", "coefficient": 0.5, "mean": 10, "sd": 4},
        {"name": "log-sigma-2-0-mm-3D_firstorder_Mean", "times": {"original_shape_SurfaceArea": -1}, "coefficient": 3},
    ],
    "intercept": -1.5,
}


@pytest.fixture
def shipped(repository) -> Path:
    return repository / "config/signatures"


def written(folder: Path, content: dict, name: str = "own.yaml") -> str:
    path = folder / name
    path.write_text(yaml.safe_dump(content))
    return str(path)


def configuration(**changes) -> dict:
    return {
        "data": {"source": "dicom", "dicom": "."},
        "clinical": {"table": "clinical.csv", "columns": {"age": "baseline", "dm": "outcome"}},
        "endpoints": {"dm": {"column": "dm"}},
        "organs": {"backend": "threshold"},
        **changes,
    }


def test_shipped_signatures_are_valid_and_say_what_was_checked(shipped):
    names = sorted(path.stem for path in shipped.glob("*.yaml"))
    assert names == ["aerts-2014", "bhklab-aerts", "tumour-volume"]
    for signature in load_signatures(names, shipped).values():
        assert len(signature.checked) > 100
        # None was trained on distant metastasis: discrimination only, at any horizon.
        assert signature.no_risk(None)
        assert signature.no_risk(730.5)


def test_score_by_hand():
    signature = Signature(**OWN)
    values = {
        "original_shape_MeshVolume": 18.0,
        "log-sigma-2-0-mm-3D_firstorder_Mean": 6.0,
        "original_shape_SurfaceArea": 9.0,
    }
    # -1.5 + .5 (18 - 10) / 4 + 3 * 6 / 9
    assert signature.score(values) == pytest.approx(-1.5 + 1.0 + 2.0)
    assert math.isnan(signature.score({**values, "original_shape_SurfaceArea": 0.0}))
    assert math.isnan(signature.score({"original_shape_MeshVolume": 18.0}))


def test_parameters_compute_what_the_formula_needs():
    assert Signature(**OWN).parameters["featureClass"] == {
        "shape": ["MeshVolume", "SurfaceArea"],
        "firstorder": ["Mean"],
    }


@pytest.mark.parametrize(
    ("changes", "horizon", "why"),
    [
        ({}, None, ""),
        ({"horizon_days": 730.5}, 730, ""),
        (
            {"horizon_days": 730.5},
            1826,
            "the signature has a horizon of 730.5 days, the endpoint a horizon of 1826 days",
        ),
        ({}, 730, "the signature has no horizon"),
        ({"intercept": None}, None, "intercept of the signature is not published"),
        ({"distant_metastasis": False, "outcome": "death"}, None, "trained on death"),
    ],
)
def test_score_is_a_risk_of_the_same_outcome_and_horizon_only(changes, horizon, why):
    found = Signature(**{**OWN, **changes}).no_risk(horizon)
    assert (why in found) if why else found == ""


def test_names_when_unknown_then_the_nearest_is_proposed(shipped):
    _, messages = find_signatures(["aerts2014"], shipped)
    assert messages == ["signatures: unknown signature 'aerts2014'; did you mean 'aerts-2014'?"]


def test_names_when_a_path_then_the_file_of_the_user(shipped, tmp_path):
    found, messages = find_signatures([written(tmp_path, OWN), "tumour-volume"], shipped)
    assert messages == []
    assert list(found) == ["own", "tumour-volume"]


def test_names_when_wrong_then_every_error_is_reported(shipped, tmp_path):
    bad = written(tmp_path, OWN, "my own.yaml")
    with pytest.raises(UserError) as error:
        load_signatures(["tumour-volume", "tumour-volume", str(tmp_path / "none.yaml"), bad], shipped)
    text = str(error.value)
    assert "'tumour-volume' is named twice" in text
    assert "none.yaml (looked from" in text
    assert "may contain only letters, digits, - . and _" in text


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("region", "lung", "region: Input should be 'tumor', 'primary' or 'nodes' (found 'lung')"),
        ("cofficient", 1, "unknown key cofficient"),
        ("features", [], "features: List should have at least 1 item"),
        ("intercept", "low", "intercept: Input should be a valid number"),
        ("extraction", {"setting": {"binwidth": 25}}, "unknown setting 'binwidth'; did you mean 'binWidth'?"),
        ("extraction", {"featureClass": {}}, "extraction: featureClass is taken from the features"),
        (
            "extraction",
            {"imageType": {"Original": {}}},
            "extraction.imageType does not contain the image 'log-sigma-2-0-mm-3D'",
        ),
        (
            "features",
            [{"name": "original_glrlm_GrayLevelNonUniformit", "coefficient": 1}],
            "has no feature 'GrayLevelNonUniformit'; did you mean 'GrayLevelNonUniformity'?",
        ),
        (
            "features",
            [{"name": "Energy", "coefficient": 1}],
            "'Energy' is not the name of a feature; expected <image>_<class>_<feature>",
        ),
        ("features", [{"name": "original_shape_MeshVolume", "coefficient": 1, "sd": 0}], "features.0.sd"),
    ],
)
def test_file_when_wrong_then_the_message_has_file_key_found_and_expected(tmp_path, key, value, message):
    path = written(tmp_path, {**OWN, key: value})
    with pytest.raises(UserError) as error:
        read_signature(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)


def test_file_when_a_key_is_missing_then_it_is_named(tmp_path):
    content = copy.deepcopy(OWN)
    del content["checked"]
    with pytest.raises(UserError, match="checked: Field required"):
        read_signature(written(tmp_path, content))


def test_configuration_when_the_source_has_no_images_then_an_error_before_the_run():
    raw = configuration(data={"source": "features", "features": "features.csv"}, signatures=["aerts-2014"])
    with pytest.raises(UserError, match=r"data\.source features has no images from which signatures can be computed"):
        load(raw)


def test_configuration_when_a_name_is_wrong_then_reported_with_all_other_errors(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        load(configuration(signatures=["tumor-volume"]), check_files)
    assert "unknown signature 'tumor-volume'; did you mean 'tumour-volume'?" in str(error.value)
    assert "clinical.csv" in str(error.value)
