"""Mistakes of the harmonisation section, told before anything runs."""

import pytest

from metaswin.config.load import load
from metaswin.core.errors import UserError

COLUMNS = {
    "age": "baseline",
    "centre": "baseline",
    "dose": "treatment",
    "dm": "outcome",
    "days": "time",
    "note": "ignore",
}


def messages(harmonisation, source="dicom"):
    """What `load` says of a configuration with this section."""
    data = {"source": source, "dicom": "d", "features": "f"}
    endpoint = {"horizon_days": 100, "followup": "days", "event": {"column": "dm", "time": "when"}}
    raw = {
        "data": data,
        "clinical": {"table": "c.csv", "columns": COLUMNS},
        "endpoints": {"dm": endpoint},
        "harmonisation": {"method": "combat", **harmonisation},
    }
    if source == "clinical":
        raw["fusion"] = {"modalities": ["clinical"]}
    try:
        load(raw)
    except UserError as error:
        return str(error)
    return "fine"


@pytest.mark.parametrize("batch", ["manufacturer", "kernel", "centre", " centre "])
def test_load_when_the_batch_is_of_the_scanner_or_baseline_then_it_is_fine(batch):
    assert messages({"batch": batch, "covariates": ["age", "dose"]}) == "fine"


@pytest.mark.parametrize("outcome", ["dm", "days", "when"])
@pytest.mark.parametrize("key", ["batch", "covariates"])
def test_load_when_the_outcome_is_named_then_it_is_refused_with_the_reason(key, outcome):
    text = messages({key: [outcome] if key == "covariates" else outcome})
    assert f"harmonisation.{key}: {outcome!r} is an outcome" in text
    assert "would contain information about the outcome" in text


def test_load_when_columns_are_unknown_then_all_are_reported():
    text = messages({"batch": "center", "covariates": ["note", "manufacturer", "agee"]})
    assert "harmonisation.batch: 'center' has no role in clinical.columns" in text
    assert "did you mean 'centre'?" in text
    assert "harmonisation.covariates: 'note' has the role ignore" in text
    assert "harmonisation.covariates: 'manufacturer' has no role" in text
    assert "did you mean 'age'?" in text


def test_load_when_the_batch_is_a_covariate_too_then_reported():
    assert "'centre' is the batch itself" in messages({"batch": "centre", "covariates": ["centre"]})


def test_load_when_features_are_imported_then_the_scanner_is_not_known():
    assert "harmonisation.batch: 'manufacturer' has no role" in messages({}, source="features")
    assert messages({"batch": "centre"}, source="features") == "fine"


def test_load_when_there_are_no_features_then_reported():
    assert "has no features to harmonise" in messages({}, source="clinical")
    assert messages({"method": "none", "batch": "anything"}, source="clinical") == "fine"
