"""The configuration: defaults, schema, and every mistake told at once."""

import re
from pathlib import Path

import pytest

from metaswin.config import load as loading
from metaswin.config.check import check_consistency
from metaswin.config.document import generated_files
from metaswin.config.load import NO_DATA, load
from metaswin.config.model import Config
from metaswin.config.read import REMOVED, read_config
from metaswin.core.errors import UserError
from metaswin.running.input_files import check_files


@pytest.fixture
def clinical_only(tmp_path):
    """A valid configuration on a small clinical table."""
    path = tmp_path / "clinical.csv"
    path.write_text("patient_id,Age,Sex,dm\nA,61,Male,1\n")
    return {
        "data": {"source": "clinical"},
        "clinical": {"table": str(path), "columns": {"Age": "baseline", "Sex": "baseline", "dm": "outcome"}},
        "endpoints": {"dm": {"column": "dm"}},
        "fusion": {"modalities": ["clinical"]},
    }


def messages(raw):
    with pytest.raises(UserError) as caught:
        load(raw, check_files)
    return str(caught.value)


def test_config_file_when_read_then_it_names_every_default_and_no_other(repository):
    written = read_config(repository / "config/config.yaml")
    assert written == Config().model_dump(mode="json")


@pytest.mark.parametrize("path", ["config/config.yaml", "workflow/schemas/config.schema.json"])
def test_generated_file_equals_the_output_of_the_settings_models(repository, path):
    assert (repository / path).read_text() == generated_files()[path], "run `make schema`"


@pytest.mark.parametrize(
    "example",
    ["radcure-clinical", "radcure-staging", "soft-tissue-sarcoma", "head-and-neck", "head-neck-pet-ct-clinical"],
)
def test_example_when_loaded_without_its_data_then_it_is_consistent(repository, example):
    raw = read_config(repository / f"config/examples/{example}.yaml")
    assert load(raw).data.source in ("clinical", "dicom")


def test_demo_when_loaded_then_it_is_consistent(repository):
    assert load(read_config(repository / "config/demo.yaml")).endpoints


def test_load_when_nothing_is_set_then_says_how_to_begin():
    assert messages({}) == NO_DATA


def test_load_when_there_are_two_folds_then_the_message_requires_three(clinical_only):
    """A fit that leaves out both folds would see nobody."""
    assert "folds.k: Input should be greater than or equal to 3 (found 2)" in messages(
        {**clinical_only, "folds": {"k": 2}}
    )


def by_centre(raw, by="Centre", **folds):
    clinical = raw["clinical"]
    columns = {**clinical["columns"], "Centre": "baseline"}
    sets = {"paper": [next(iter(clinical["columns"]))]}
    return {**raw, "clinical": {**clinical, "columns": columns, "sets": sets}, "folds": {"by": by, **folds}}


def test_load_when_folds_are_centres_then_other_settings_of_folds_are_refused(clinical_only):
    assert load(by_centre(clinical_only)).folds.by == "Centre"
    assert load(by_centre(clinical_only, k=5, repeats=1)).folds.k == 5  # the defaults, as config.yaml states them
    text = messages(by_centre(clinical_only, k=4, stratify=["Centre"]))
    assert "the centres of 'Centre' (folds.by) are the folds, so k and stratify cannot be set; delete them" in text


def test_load_when_folds_by_is_not_a_baseline_column_then_it_is_named(clinical_only):
    assert "folds.by: column 'Hospital' has no role in clinical.columns" in messages(
        by_centre(clinical_only, "Hospital")
    )


def test_load_when_folds_by_is_a_predictor_then_the_set_is_named(clinical_only):
    raw = by_centre(clinical_only)
    raw["clinical"]["sets"]["paper"].append(" Centre")
    assert "folds.by: column 'Centre' is in the clinical set 'paper', but the level of the test rows" in messages(raw)


def test_load_when_folds_by_is_the_manufacturer_then_dicom_is_needed(clinical_only):
    text = messages(by_centre(clinical_only, "manufacturer"))
    assert "folds.by: 'manufacturer' is read from DICOM headers, but data.source is clinical" in text


def test_load_when_valid_then_returns_the_config(clinical_only):
    assert load(clinical_only, check_files).clinical.columns["Age"].role == "baseline"


def test_load_when_keys_are_unknown_then_all_are_reported_with_suggestions(clinical_only):
    text = messages({**clinical_only, "fold": {"k": 3}, "deep": {"epoch": 5}, "seed": -1})
    assert "unknown key fold; did you mean 'folds'?" in text
    assert "unknown key deep.epoch; did you mean 'epochs'?" in text
    assert "seed: Input should be greater than or equal to 0 (found -1)" in text


def test_load_when_a_setting_was_removed_then_it_says_what_to_do(clinical_only, monkeypatch):
    removed = {"evaluation.nri": "Delete this line", "fusion.old": "Move it"}
    monkeypatch.setattr(loading, "REMOVED", removed)
    text = messages({**clinical_only, "evaluation": {"nri": False}, "fusion": {"old": {"a": 1}, "deep_score": "x"}})
    assert "evaluation.nri is no longer a setting. Delete this line" in text
    assert "fusion.old is no longer a setting. Move it" in text
    assert "unknown key" not in text
    monkeypatch.setitem(removed, "fusion.deep_score=x", "Take cross-fitted")
    text = messages({**clinical_only, "fusion": {"deep_score": "x"}})
    assert "fusion.deep_score: 'x' is no longer a choice. Take cross-fitted" in text


def test_load_when_a_setting_was_renamed_then_the_new_name_is_given(clinical_only):
    text = messages(
        {**clinical_only, "fusion": {"arms": "auto", "headline_arm": "all"}, "survival": {"arms": "auto"},
         "evaluation": {"headline_head": "network"}, "controls": {"permutation": {"heads": ["logistic"]}},
         "pictures": {}, "report": {"pictures": 0}}
    )  # fmt: skip
    for key, name in [
        ("fusion.arms", "feature_sets"),
        ("fusion.headline_arm", "primary_feature_set"),
        ("survival.arms", "feature_sets"),
        ("evaluation.headline_head", "primary_classifier"),
        ("controls.permutation.heads", "classifiers"),
        ("pictures", "qc_images"),
        ("report.pictures", "qc_images"),
    ]:
        assert re.search(rf"^\W*{re.escape(key)} is no longer a setting\. Rename .* {name}", text, re.MULTILINE), key


def test_removed_settings_when_compared_with_the_model_then_none_exists():
    def exists(key):
        model = Config
        for part in key.partition("=")[0].split("."):
            if part not in model.model_fields:
                return False
            model = model.model_fields[part].annotation
        return "=" not in key

    assert [key for key in REMOVED if exists(key)] == []


def test_load_when_columns_are_absent_then_the_nearest_is_suggested(clinical_only):
    clinical_only["clinical"]["columns"]["age"] = "baseline"
    clinical_only["endpoints"]["dm"] = {"column": "d m"}
    text = messages(clinical_only)
    assert "has no column 'age'; did you mean 'Age'?" in text
    assert re.search(r"endpoints\.dm: .* has no column 'd m'; did you mean 'dm'\?", text)


def test_load_when_an_outcome_is_a_predictor_then_it_stops(clinical_only):
    clinical_only["clinical"]["sets"] = {"wrong": ["Age", "dm"]}
    assert "clinical.sets.wrong: column 'dm' has the role outcome" in messages(clinical_only)
    del clinical_only["clinical"]["sets"]
    clinical_only["clinical"]["columns"]["dm"] = "baseline"
    assert "endpoints.dm: column 'dm' is an outcome here but has the role baseline" in messages(clinical_only)


def test_load_when_paths_are_absent_then_keys_and_paths_are_named(clinical_only, tmp_path):
    clinical_only["data"] = {"source": "dicom", "dicom": str(tmp_path / "none")}
    clinical_only["clinical"]["table"] = str(tmp_path / "none.csv")
    text = messages(clinical_only)
    assert f"data.dicom: no folder {tmp_path / 'none'}" in text
    assert f"clinical.table: no file {tmp_path / 'none.csv'}" in text


def test_load_when_root_is_given_then_relative_paths_start_there(clinical_only, tmp_path):
    clinical_only["data"]["root"] = str(tmp_path)
    clinical_only["clinical"]["table"] = "clinical.csv"
    assert Path(load(clinical_only, check_files).clinical.table) == tmp_path / "clinical.csv"


def test_load_when_strata_have_no_role_then_reported(clinical_only):
    clinical_only["evaluation"] = {"strata": ["Sx"]}
    assert "evaluation.strata: column 'Sx' has no role in clinical.columns; did you mean 'Sex'?" in messages(
        clinical_only
    )


def test_load_when_the_confirmatory_set_or_a_band_is_unknown_then_reported(clinical_only):
    clinical_only["evaluation"] = {"confirmatory_clinical_set": "stagin", "bands": {"Age": [60]}}
    clinical_only["clinical"]["sets"] = {"staging": ["Age"]}
    text = messages(clinical_only)
    assert "evaluation.confirmatory_clinical_set: there is no set 'stagin'; did you mean 'staging'?" in text
    assert "evaluation.bands: 'Age' is not among evaluation.strata" in text


def test_load_when_bands_are_not_ascending_then_reported(clinical_only):
    clinical_only["evaluation"] = {"strata": ["Age"], "bands": {"Age": [65, 50]}}
    assert "bands of Age must be in ascending order" in messages(clinical_only)


def test_load_when_strata_name_the_scanner_then_only_images_have_it(clinical_only):
    clinical_only["evaluation"] = {"strata": ["scanner"]}
    assert "evaluation.strata: column 'scanner' has no role in clinical.columns" in messages(clinical_only)


def test_load_when_radiomics_names_an_unknown_ring_then_reported(repository):
    raw = read_config(repository / "config/demo.yaml")
    raw["radiomics"] = {"regions": ["tumor", "ring_0_5mm"]}
    with pytest.raises(UserError, match=r"radiomics\.regions: unknown region 'ring_0_5mm'; did you mean 'ring_0_10mm'"):
        load(raw)


def test_load_when_organs_that_thresholds_do_not_segment_are_named_then_reported(repository):
    raw = read_config(repository / "config/demo.yaml")
    raw["patches"] = {**raw["patches"], "organ_groups": {"jaw": ["mandible"]}}
    with pytest.raises(UserError, match=r"organ_groups\.jaw: organs\.backend threshold does not segment 'mandible'"):
        load(raw)


def test_export_when_a_feature_is_not_extracted_then_the_nearest_is_named():
    names = ["original_firstorder_Mean", "original_firstorder_Men", "wavelet-LLL_glcm_Idm"]
    settings = {"image_types": ["Original"]}
    raw = {"export": {"features": names}, "radiomics": settings, "data": {"source": "dicom"}}
    config = Config.model_validate(raw)
    found = [message for message in check_consistency(config) if message.startswith("export")]
    assert len(found) == 2
    assert "'original_firstorder_Men' is not extracted" in found[0]
    assert "did you mean 'original_firstorder_Me" in found[0]
    assert "'wavelet-LLL_glcm_Idm' is not extracted" in found[1]
