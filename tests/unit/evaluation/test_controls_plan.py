"""Which controls a configuration can have, and how permutations are cut into jobs."""

from pathlib import Path

import yaml

from metaswin.config.evaluation import PermutationSettings
from metaswin.config.load import load
from metaswin.config.model import Config
from metaswin.evaluation.control_plan import joins, permutation_batches, reasons


def test_controls_when_nothing_is_set_then_all_are_on_with_two_hundred_permutations():
    controls = Config().controls
    assert controls.leaky
    assert controls.shuffled
    assert controls.permuted
    assert controls.permutation.n == 200
    assert controls.permutation.deep == "once"


def test_batches_when_more_permutations_are_asked_for_then_full_ones_stay():
    few, more = (
        permutation_batches(PermutationSettings(n=5, batch=2)),
        permutation_batches(PermutationSettings(n=7, batch=2)),
    )
    assert few == {"000": [0, 1, 2], "001": [3, 4], "002": [5]}
    assert more == {**few, "002": [5, 6], "003": [7]}
    assert permutation_batches(PermutationSettings(n=1, batch=20)) == {"000": [0, 1]}


def example(repository: Path, name: str, **changes) -> Config:
    raw = yaml.safe_load((repository / f"config/{name}.yaml").read_text())
    return load({**raw, **changes})


def test_reasons_when_images_exist_then_none(repository):
    config = example(repository, "demo")
    assert reasons(config) == {}
    assert joins(config, "deep")


def test_reasons_when_there_is_only_a_clinical_table_then_no_radiomics_controls(repository):
    config = example(repository, "examples/radcure-clinical")
    assert set(reasons(config)) == {"leaky", "shuffled"}


def test_reasons_when_features_come_as_a_table_then_nothing_can_be_shuffled(repository):
    config = example(
        repository, "demo", data={"source": "features", "features": "features.csv"}, fusion={"feature_sets": "auto"}
    )
    assert set(reasons(config)) == {"shuffled"}


def test_reasons_when_all_feature_sets_are_deep_and_not_permuted_then_no_permutation(repository):
    fusion = {"feature_sets": ["deep"], "primary_feature_set": "deep"}
    config = example(repository, "demo", fusion=fusion, controls={"permutation": {"deep": "none"}})
    assert "permuted" in reasons(config)
    permuted = {"permutation": {"deep": "once"}}
    assert "permuted" not in reasons(example(repository, "demo", fusion=fusion, controls=permuted))
