"""Check the fusion section of a configuration before anything runs."""

from typing import TYPE_CHECKING

from metaswin.errors import UserError
from metaswin.fusion.arms import arm_names, clinical_sets, headline, parse_arm, suggestion, used_modalities
from metaswin.fusion.settings import MODALITIES

if TYPE_CHECKING:
    from metaswin.config.model import Config


def check_arms(config: "Config") -> list[str]:
    """Mistakes in the arms and clinical sets of a configuration, one message each."""
    settings, sets = config.fusion, clinical_sets(config.clinical)
    messages = [
        f"clinical.sets: the name {name!r} holds one of + : = /; use letters, digits, - and _"
        for name in sets
        if set(name) & set("+:=/")
    ]
    if settings.clinical_set is not None and settings.clinical_set not in sets:
        return [
            *messages,
            f"fusion.clinical_set: there is no set {settings.clinical_set!r}{suggestion(settings.clinical_set, sets)}",
        ]
    modalities, has_volume = available(config), config.data.source != "clinical"
    if not used_modalities(settings, modalities) and settings.arms == "auto" and not has_volume:
        return [
            *messages,
            f"fusion.modalities: data.source {config.data.source} has {', '.join(modalities) or 'none'} "
            f"(found {', '.join(settings.modalities) or 'none'}); add one of these",
        ]
    arms = []
    for name in arm_names(settings, modalities, sets, has_volume):
        try:
            arms.append(parse_arm(name, settings, modalities, sets, has_volume))
        except UserError as error:
            messages.append(str(error))
    if not arms and not messages:
        messages.append("fusion.arms: the list is empty; name at least one arm, or auto")
    if not messages:
        try:
            headline(settings, arms, modalities, sets)
        except UserError as error:
            messages.append(str(error))
    return messages


def available(config: "Config") -> list[str]:
    """Modalities the data source can have; rings of an imported table of features are seen in the table only."""
    images = config.data.source in ("dicom", "nifti")
    rings = bool(config.regions.rings) and any(name.startswith("ring") for name in config.radiomics.regions)
    has = {
        "clinical": bool(clinical_sets(config.clinical)),
        "radiomics": config.data.source == "features" or (images and "tumor" in config.radiomics.regions),
        "peri_radiomics": config.data.source == "features" or (images and rings),
        "deep": images and config.deep.enabled,
        "anatomy": images and config.anatomy.enabled,
    }
    return [modality for modality in MODALITIES if has[modality]]
