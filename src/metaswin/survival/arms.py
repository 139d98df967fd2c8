"""Arms of the hazard head: the headline, tumour volume and each clinical set."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Literal

from metaswin.errors import UserError
from metaswin.fusion.arms import CLINICAL, Arm, clinical_sets, expand_arms, parse_arm, used_modalities
from metaswin.fusion.check import available
from metaswin.fusion.settings import FusionSettings

if TYPE_CHECKING:
    from metaswin.config.model import Config


def hazard_arms(
    wanted: Literal["auto"] | Sequence[str],
    fusion: FusionSettings,
    modalities: Sequence[str],
    sets: Collection[str],
    has_volume: bool,
) -> list[Arm]:
    """Arms that the hazard head fits, each once.

    Parameters
    ----------
    wanted : "auto" or sequence of str
        ``survival.arms``.
    fusion, modalities, sets, has_volume
        See `metaswin.fusion.arms.expand_arms`.

    Raises
    ------
    UserError
        If an arm cannot be made of these data.
    """
    names = list(wanted) if wanted != "auto" else _standard(fusion, modalities, sets, has_volume)
    return expand_arms(fusion.model_copy(update={"arms": names}), modalities, sets, has_volume)


def check_hazard_arms(config: "Config") -> list[str]:
    """Mistakes in ``survival.arms``, one message each."""
    settings = config.survival
    if not settings.enabled or settings.arms == "auto":
        return []
    if not settings.arms:
        return ["survival.arms: the list is empty; name at least one arm, or auto"]
    sets, has_volume = clinical_sets(config.clinical), config.data.source != "clinical"
    messages = []
    for name in settings.arms:
        try:
            parse_arm(name, config.fusion, available(config), sets, has_volume)
        except UserError as error:
            messages.append(str(error).replace("fusion:", "survival.arms:", 1))
    return messages


def _standard(fusion: FusionSettings, modalities: Sequence[str], sets: Collection[str], has_volume: bool) -> list[str]:
    clinical = "clinical" in used_modalities(fusion, modalities)
    return [
        fusion.headline_arm,
        *(["volume"] if has_volume else []),
        *(CLINICAL + name for name in sets if clinical),
    ]
