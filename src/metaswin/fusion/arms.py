"""Arms: which modalities are joined and compared."""

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations

from metaswin.clinical.settings import ClinicalSettings
from metaswin.errors import UserError
from metaswin.fusion.settings import MODALITIES, FusionSettings

CLINICAL = "clinical:"


@dataclass(frozen=True)
class Arm:
    """What one arm joins.

    Attributes
    ----------
    name : str
        ``radiomics``, ``clinical+radiomics``, ``volume``, ``clinical:<set>``.
    blocks : tuple of str
        ``clinical:<set>``, ``radiomics``, ``peri_radiomics``, ``deep``, ``volume``, in this order.
    """

    name: str
    blocks: tuple[str, ...]


def clinical_sets(settings: ClinicalSettings) -> dict[str, list[str]]:
    """Named clinical sets; without any in the config, all baseline columns make the set ``baseline``."""
    if settings.sets:
        return {name: list(columns) for name, columns in settings.sets.items()}
    baseline = [name for name, column in settings.columns.items() if column.role == "baseline"]
    return {"baseline": baseline} if baseline else {}


def default_set(settings: FusionSettings, sets: Collection[str]) -> str | None:
    """The set of the modality ``clinical``."""
    return settings.clinical_set or next(iter(sets), None)


def expand_arms(
    settings: FusionSettings, modalities: Sequence[str], sets: Collection[str], has_volume: bool
) -> list[Arm]:
    """Arms to fit, each once.

    Parameters
    ----------
    settings : FusionSettings
    modalities : sequence of str
        Modalities of `MODALITIES` that the data have; only those that `settings` asks for are used.
    sets : collection of str
        Names of the clinical sets, in the config's order.
    has_volume : bool
        Whether tumour volumes are known.

    Returns
    -------
    list of Arm
        The modality ``clinical`` alone is named ``clinical:<set>``. Arms that join the same are one: with two
        modalities "all" is their pair, and with one it is that modality.

    Raises
    ------
    UserError
        If `settings` names an arm that cannot be made of these data.
    """
    names = arm_names(settings, modalities, sets, has_volume)
    arms = {arm.blocks: arm for arm in (parse_arm(name, settings, modalities, sets, has_volume) for name in names)}
    return list(arms.values())


def headline(settings: FusionSettings, arms: Sequence[Arm], modalities: Sequence[str], sets: Collection[str]) -> Arm:
    """The arm that answers the question: the one of `arms` that joins what ``headline_arm`` names.

    Raises
    ------
    UserError
        If it is not among `arms`.
    """
    wanted = parse_arm(settings.headline_arm, settings, modalities, sets, has_volume=True).blocks
    for arm in arms:
        if arm.blocks == wanted:
            return arm
    raise UserError(
        f"fusion.headline_arm: {settings.headline_arm!r} is not among the arms of this run; choose one of "
        f"{', '.join(arm.name for arm in arms)}"
    )


def used_modalities(settings: FusionSettings, modalities: Sequence[str]) -> list[str]:
    """Modalities that the data have and the settings ask for, in the order of `MODALITIES`."""
    return [modality for modality in MODALITIES if modality in modalities and modality in settings.modalities]


def arm_names(
    settings: FusionSettings, modalities: Sequence[str], sets: Collection[str], has_volume: bool
) -> list[str]:
    """Names of the arms before those that join the same are made one."""
    if settings.arms != "auto":
        return list(settings.arms)
    used = used_modalities(settings, modalities)
    names = [*used, *("+".join(pair) for pair in combinations(used, 2)), *(["all"] if used else [])]
    if "anatomy" in modalities and "anatomy" not in used:
        names.append("anatomy")
    if has_volume:
        names.append("volume")
    if "clinical" in used:
        names += [CLINICAL + name for name in sets]
    return names


def parse_arm(
    name: str, settings: FusionSettings, modalities: Sequence[str], sets: Collection[str], has_volume: bool
) -> Arm:
    """The arm a name means, see `expand_arms`; a `UserError` where there is no such arm."""
    used = used_modalities(settings, modalities)
    standard = default_set(settings, sets)
    blocks = set()
    for part in used if name.strip() == "all" else [part.strip() for part in name.split("+")]:
        known = [*MODALITIES, "volume", "all", *(CLINICAL + key for key in sets)]
        if part not in known or part == "all":
            raise UserError(f"fusion: unknown arm {name!r}: there is no {part!r}{suggestion(part, known)}")
        if part.split(":")[0] not in [*modalities, *(["volume"] if has_volume else [])]:
            have = [*modalities, *(["volume"] if has_volume else [])]
            raise UserError(f"fusion: the arm {name!r} needs {part}, but these data have {', '.join(have) or 'none'}")
        blocks.add(f"{CLINICAL}{standard}" if part == "clinical" else part)
    if not blocks:
        raise UserError(f"fusion: the arm {name!r} has no modality; fusion.modalities has none that these data have")
    ordered = tuple(sorted(blocks, key=_order))
    short = ["clinical" if block == f"{CLINICAL}{standard}" else block for block in ordered]
    return Arm("+".join(short) if len(ordered) > 1 else ordered[0], ordered)


def _order(block: str) -> tuple[int, str]:
    return [*MODALITIES, "volume"].index(block.split(":")[0]), block


def suggestion(word: str, known: Collection[str]) -> str:
    """``; did you mean …?`` when something near is known, else what is known."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known) or 'none'}"
