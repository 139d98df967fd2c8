"""Settings of the time-to-event stage."""

from typing import Literal

from pydantic import Field

from metaswin.fusion.settings import NetworkSettings
from metaswin.settings import Settings


class SurvivalSettings(Settings):
    """The hazard head and its evaluation; for endpoints with a horizon and ``deaths: nonevent``.

    `arms: auto` fits the headline arm, each clinical set and volume; otherwise a list of arms as in `fusion.arms`.
    `intervals` is the highest number of time intervals; fewer where metastases are few. `groups` risk groups are
    cut at quantiles of inner out-of-fold risks of the training rows.
    """

    enabled: bool = True
    arms: Literal["auto"] | list[str] = "auto"
    intervals: int = Field(default=10, ge=1)
    groups: int = Field(default=3, ge=2, le=4)
    calibration_bins: int = Field(default=5, ge=2)
    network: NetworkSettings = NetworkSettings()
