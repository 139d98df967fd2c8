"""Check the stability section of a configuration before anything runs."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metaswin.config.model import Config


def check_stability(config: "Config") -> list[str]:
    """Perturbations that the grid of the regions cannot show or has no room for, one message each."""
    settings, regions = config.stability, config.regions
    if not settings.enabled:
        return []
    messages = []
    if settings.margin <= regions.spacing / 2:
        messages.append(
            f"stability.margin: {settings.margin:g} mm is no more than half a voxel (regions.spacing "
            f"{regions.spacing:g} mm), so that no mask would shrink or grow; set it to {regions.spacing:g} or more"
        )
    if settings.reach > regions.crop_margin:
        messages.append(
            f"regions.crop_margin: perturbed masks reach {settings.reach:g} mm beyond the drawn ones, but the crop "
            f"ends {regions.crop_margin:g} mm around the regions; set it to {settings.reach:g} or more, or set "
            "stability.enabled to false"
        )
    return messages
