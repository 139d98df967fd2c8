"""Names of the patch's channels: jobs that read patches need no image library for them."""

from metaswin.patches.settings import PatchesSettings


def channel_names(settings: PatchesSettings) -> list[str]:
    """Names of the channels in their order."""
    return ["ct", "tumor", "ring", *settings.organ_groups]
