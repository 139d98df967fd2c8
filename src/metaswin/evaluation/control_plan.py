"""Determine which controls a configuration allows."""

from typing import TYPE_CHECKING

from metaswin.config.evaluation import PermutationSettings
from metaswin.config.feature_sets import FeatureSet, available, clinical_sets, expand_feature_sets
from metaswin.config.features import RADIOMICS

if TYPE_CHECKING:
    from metaswin.config.model import Config


def permutation_batches(settings: PermutationSettings) -> dict[str, list[int]]:
    """Return the permutations of each batch; the first batch also contains the unpermuted outcome (0).

    Except for the last batch, a batch contains the same permutations for any `n`. A larger `n` adds jobs.
    """
    numbers = range(1, settings.n + 1)
    found = {
        f"{first // settings.batch:03d}": list(numbers[first : first + settings.batch])
        for first in range(0, settings.n, settings.batch)
    }
    found["000"] = [0, *found["000"]]
    return found


def joins(config: "Config", modality: str) -> bool:
    """Return whether a feature set of the configuration uses a modality."""
    return any(modality in feature_set.modalities for feature_set in _feature_sets(config))


def reasons(config: "Config") -> dict[str, str]:
    """Return the controls that this configuration cannot have, with the reasons."""
    found = {}
    if not any(joins(config, modality) for modality in RADIOMICS):
        found = dict.fromkeys(("leaky", "shuffled"), "no feature set uses radiomics")
    elif config.data.source not in ("dicom", "nifti"):
        found = {"shuffled": "it needs images, but the features came from a table"}
    if not permutes_deep(config) and all("deep" in feature_set.modalities for feature_set in _feature_sets(config)):
        found["permuted"] = (
            "every feature set uses deep scores, which controls.permutation.deep or fusion.deep_score excludes from "
            "this control"
        )
    return found


def permutes_deep(config: "Config") -> bool:
    """Return whether feature sets with `deep` are refitted on permuted outcomes.

    The scores of the same networks are used in all permutations. Therefore every row must be predicted by a network
    that was not trained on it.
    """
    return config.controls.permutation.deep == "once" and config.fusion.deep_score == "cross-fitted"


def _feature_sets(config: "Config") -> list[FeatureSet]:
    return expand_feature_sets(
        config.fusion, available(config), clinical_sets(config.clinical), config.data.source != "clinical"
    )
