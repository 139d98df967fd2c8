"""What a configuration lets the controls do."""

from typing import TYPE_CHECKING

from metaswin.config.evaluation import PermutationSettings
from metaswin.config.feature_sets import FeatureSet, available, clinical_sets, expand_feature_sets
from metaswin.config.features import RADIOMICS

if TYPE_CHECKING:
    from metaswin.config.model import Config


def permutation_batches(settings: PermutationSettings) -> dict[str, list[int]]:
    """Batch → its permutations; the first one holds the unpermuted outcome (0) too.

    Batch b holds the same permutations whatever `n` is, but for the last one: a larger `n` adds jobs.
    """
    numbers = range(1, settings.n + 1)
    found = {
        f"{first // settings.batch:03d}": list(numbers[first : first + settings.batch])
        for first in range(0, settings.n, settings.batch)
    }
    found["000"] = [0, *found["000"]]
    return found


def joins(config: "Config", modality: str) -> bool:
    """Whether some feature set of a configuration uses a modality."""
    return any(modality in feature_set.modalities for feature_set in _feature_sets(config))


def reasons(config: "Config") -> dict[str, str]:
    """Controls that this configuration cannot have → why."""
    found = {}
    if not any(joins(config, modality) for modality in RADIOMICS):
        found = dict.fromkeys(("leaky", "shuffled"), "no feature set uses radiomics")
    elif config.data.source not in ("dicom", "nifti"):
        found = {"shuffled": "it needs images, and these features came as a table"}
    if not permutes_deep(config) and all("deep" in feature_set.modalities for feature_set in _feature_sets(config)):
        found["permuted"] = (
            "every feature set uses deep scores, which controls.permutation.deep or fusion.deep_score excludes from it"
        )
    return found


def permutes_deep(config: "Config") -> bool:
    """Whether feature sets with `deep` are refitted on permuted outcomes.

    One network's scores serve in all permutations: they must be scores of rows that it has not seen, for every row.
    """
    return config.controls.permutation.deep == "once" and config.fusion.deep_score == "cross-fitted"


def _feature_sets(config: "Config") -> list[FeatureSet]:
    return expand_feature_sets(
        config.fusion, available(config), clinical_sets(config.clinical), config.data.source != "clinical"
    )
