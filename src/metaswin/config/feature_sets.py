"""Determine the feature sets, which are the joined modalities, of the fusion and of the hazard models."""

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

from metaswin.config.cohort import ClinicalSettings
from metaswin.config.models import MODALITIES, FusionSettings
from metaswin.core.errors import UserError

if TYPE_CHECKING:
    from metaswin.config.model import Config


CLINICAL = "clinical:"


@dataclass(frozen=True)
class FeatureSet:
    """Define one feature set.

    Attributes
    ----------
    name : str
        ``radiomics``, ``clinical+radiomics``, ``volume``, ``clinical:<set>``.
    modalities : tuple of str
        ``clinical:<set>``, ``radiomics``, ``peri_radiomics``, ``deep``, ``embedding``, ``anatomy``, ``volume``, in
        this order.
    """

    name: str
    modalities: tuple[str, ...]


def clinical_sets(settings: ClinicalSettings) -> dict[str, list[str]]:
    """Return the named clinical sets; without any in the configuration, all baseline columns form ``baseline``."""
    if settings.sets:
        return {name: list(columns) for name, columns in settings.sets.items()}
    baseline = [name for name, column in settings.columns.items() if column.role == "baseline"]
    return {"baseline": baseline} if baseline else {}


def default_set(settings: FusionSettings, sets: Collection[str]) -> str | None:
    """Return the clinical set of the modality ``clinical``."""
    return settings.clinical_set or next(iter(sets), None)


def expand_feature_sets(
    settings: FusionSettings, modalities: Sequence[str], sets: Collection[str], has_volume: bool
) -> list[FeatureSet]:
    """Return the feature sets to fit, each once.

    Parameters
    ----------
    settings : FusionSettings
    modalities : sequence of str
        Modalities of `MODALITIES` that the data have. Only those in `settings` are used.
    sets : collection of str
        Names of the clinical sets, in the order of the configuration.
    has_volume : bool
        Whether tumour volumes are known.

    Returns
    -------
    list of FeatureSet
        The modality ``clinical`` alone is named ``clinical:<set>``. Feature sets that join the same modalities occur
        once. For example, "all" equals the pair of modalities if there are two, and the modality if there is one.

    Raises
    ------
    UserError
        If `settings` names a feature set that these data do not allow.
    """
    names = feature_set_names(settings, modalities, sets, has_volume)
    feature_sets = {
        feature_set.modalities: feature_set
        for feature_set in (parse_feature_set(name, settings, modalities, sets, has_volume) for name in names)
    }
    return list(feature_sets.values())


def primary_feature_set(
    settings: FusionSettings, feature_sets: Sequence[FeatureSet], modalities: Sequence[str], sets: Collection[str]
) -> FeatureSet:
    """Return the feature set of `feature_sets` that joins the modalities of the setting ``fusion.primary_feature_set``.

    Raises
    ------
    UserError
        If it is not among `feature_sets`.
    """
    wanted = parse_feature_set(settings.primary_feature_set, settings, modalities, sets, has_volume=True).modalities
    for feature_set in feature_sets:
        if feature_set.modalities == wanted:
            return feature_set
    raise UserError(
        f"fusion.primary_feature_set: {settings.primary_feature_set!r} is not among the feature sets of this run; "
        f"choose one of {', '.join(feature_set.name for feature_set in feature_sets)}"
    )


def used_modalities(settings: FusionSettings, modalities: Sequence[str]) -> list[str]:
    """Return the modalities that are in the data and in the settings, in the order of `MODALITIES`."""
    return [modality for modality in MODALITIES if modality in modalities and modality in settings.modalities]


def feature_set_names(
    settings: FusionSettings, modalities: Sequence[str], sets: Collection[str], has_volume: bool
) -> list[str]:
    """Return the names of the feature sets, which may join the same modalities."""
    if settings.feature_sets != "auto":
        return list(settings.feature_sets)
    used = used_modalities(settings, modalities)
    names = [*used, *("+".join(pair) for pair in combinations(used, 2)), *(["all"] if used else [])]
    if "anatomy" in modalities and "anatomy" not in used:
        names.append("anatomy")
    if has_volume:
        names.append("volume")
    if "clinical" in used:
        names += [CLINICAL + name for name in sets]
    return names


def parse_feature_set(
    name: str, settings: FusionSettings, modalities: Sequence[str], sets: Collection[str], has_volume: bool
) -> FeatureSet:
    """Return the feature set of a name, see `expand_feature_sets`; raise `UserError` if there is none."""
    used = used_modalities(settings, modalities)
    standard = default_set(settings, sets)
    joined = set()
    for part in used if name.strip() == "all" else [part.strip() for part in name.split("+")]:
        known = [*MODALITIES, "volume", "all", *(CLINICAL + key for key in sets)]
        if part not in known or part == "all":
            raise UserError(f"fusion: unknown feature set {name!r}: there is no {part!r}{suggestion(part, known)}")
        if part.split(":")[0] not in [*modalities, *(["volume"] if has_volume else [])]:
            have = [*modalities, *(["volume"] if has_volume else [])]
            raise UserError(
                f"fusion: the feature set {name!r} needs {part}, but these data have {', '.join(have) or 'none'}"
            )
        joined.add(f"{CLINICAL}{standard}" if part == "clinical" else part)
    if not joined:
        raise UserError(
            f"fusion: the feature set {name!r} has no modality; fusion.modalities has none that these data have"
        )
    ordered = tuple(sorted(joined, key=_order))
    short = ["clinical" if modality == f"{CLINICAL}{standard}" else modality for modality in ordered]
    return FeatureSet("+".join(short) if len(ordered) > 1 else ordered[0], ordered)


def _order(modality: str) -> tuple[int, str]:
    return [*MODALITIES, "volume"].index(modality.split(":")[0]), modality


def suggestion(word: str, known: Collection[str]) -> str:
    """Return ``; did you mean …?`` if a similar word is known, otherwise all known words."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known) or 'none'}"


def check_feature_sets(config: "Config") -> list[str]:
    """Return one message per error in the feature sets and clinical sets of a configuration."""
    settings, sets = config.fusion, clinical_sets(config.clinical)
    messages = [
        f"clinical.sets: the name {name!r} contains one of + : = /; use letters, digits, - and _"
        for name in sets
        if set(name) & set("+:=/")
    ]
    if settings.clinical_set is not None and settings.clinical_set not in sets:
        return [
            *messages,
            f"fusion.clinical_set: there is no set {settings.clinical_set!r}{suggestion(settings.clinical_set, sets)}",
        ]
    modalities, has_volume = available(config), config.data.source != "clinical"
    if not used_modalities(settings, modalities) and settings.feature_sets == "auto" and not has_volume:
        return [
            *messages,
            f"fusion.modalities: data.source {config.data.source} has {', '.join(modalities) or 'none'} "
            f"(found {', '.join(settings.modalities) or 'none'}); add one of these",
        ]
    feature_sets = []
    for name in feature_set_names(settings, modalities, sets, has_volume):
        try:
            feature_sets.append(parse_feature_set(name, settings, modalities, sets, has_volume))
        except UserError as error:
            messages.append(str(error))
    if not feature_sets and not messages:
        messages.append("fusion.feature_sets: the list is empty; name at least one feature set, or auto")
    if not messages:
        try:
            primary_feature_set(settings, feature_sets, modalities, sets)
        except UserError as error:
            messages.append(str(error))
    return messages


def available(config: "Config") -> list[str]:
    """Return the modalities that the data source can have; rings of an imported table are found only in the table."""
    images = config.data.source in ("dicom", "nifti")
    rings = bool(config.regions.rings) and any(name.startswith("ring") for name in config.radiomics.regions)
    has = {
        "clinical": bool(clinical_sets(config.clinical)),
        "radiomics": config.data.source == "features" or (images and "tumor" in config.radiomics.regions),
        "peri_radiomics": config.data.source == "features" or (images and rings),
        "deep": images and config.deep.enabled,
        "embedding": config.embedding.table is not None or (images and config.embedding.model is not None),
        "anatomy": images and config.anatomy.enabled,
    }
    return [modality for modality in MODALITIES if has[modality]]


def hazard_feature_sets(
    wanted: Literal["auto"] | Sequence[str],
    fusion: FusionSettings,
    modalities: Sequence[str],
    sets: Collection[str],
    has_volume: bool,
) -> list[FeatureSet]:
    """Return the feature sets of the hazard model, each once.

    Parameters
    ----------
    wanted : "auto" or sequence of str
        ``survival.feature_sets``.
    fusion, modalities, sets, has_volume
        See `metaswin.config.feature_sets.expand_feature_sets`.

    Raises
    ------
    UserError
        If these data do not allow a feature set.
    """
    names = list(wanted) if wanted != "auto" else _standard(fusion, modalities, sets, has_volume)
    return expand_feature_sets(fusion.model_copy(update={"feature_sets": names}), modalities, sets, has_volume)


def check_hazard_feature_sets(config: "Config") -> list[str]:
    """Return one message per error in ``survival.feature_sets``."""
    settings = config.survival
    if not settings.enabled or settings.feature_sets == "auto":
        return []
    if not settings.feature_sets:
        return ["survival.feature_sets: the list is empty; name at least one feature set, or auto"]
    sets, has_volume = clinical_sets(config.clinical), config.data.source != "clinical"
    messages = []
    for name in settings.feature_sets:
        try:
            parse_feature_set(name, config.fusion, available(config), sets, has_volume)
        except UserError as error:
            messages.append(str(error).replace("fusion:", "survival.feature_sets:", 1))
    return messages


def _standard(fusion: FusionSettings, modalities: Sequence[str], sets: Collection[str], has_volume: bool) -> list[str]:
    clinical = "clinical" in used_modalities(fusion, modalities)
    return [
        fusion.primary_feature_set,
        *(["volume"] if has_volume else []),
        *(CLINICAL + name for name in sets if clinical),
    ]
