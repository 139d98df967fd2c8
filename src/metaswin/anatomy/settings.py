"""Settings of the anatomy table."""

from metaswin.settings import Settings


class AnatomySettings(Settings):
    """What is measured of the organs.

    `structures` are organs, tissues or groups of ``organs.groups``; one that a patient's organ masks do not have
    is missing for that patient. The modality `anatomy` is made of them.
    """

    enabled: bool = True
    structures: list[str] = ["bone", "air", "glands", "vessels", "nerves"]
