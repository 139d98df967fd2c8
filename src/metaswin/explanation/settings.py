"""Settings of the explanation."""

from typing import Literal

from pydantic import Field

from metaswin.settings import Settings


class OcclusionSettings(Settings):
    """A cube of edge `cube` (mm) is hidden in steps of `step` (mm), wherever it meets tumour or ring.

    ``hide: ct`` makes the CT in the cube plain (the middle of its window) and leaves the masks as they are; ``all``
    takes tumour, ring and organs out of the cube too.
    """

    cube: float = Field(default=20.0, gt=0)
    step: float = Field(default=10.0, gt=0)
    hide: Literal["ct", "all"] = "ct"
    batch_size: int = Field(default=8, ge=1)


class ExplanationSettings(Settings):
    """Shapley values of the headline arm in each fold, and maps of its deep network.

    `background` training rows stand for "not known"; at most `patients` held-out rows of a fold are explained.
    `permutations` orders of the features (each forwards and backwards) are drawn for the values of single features;
    those of modalities are exact. Occlusion maps are made of `maps` patients: half of them those of the highest
    risk, half the most wrong; 0 makes none.
    """

    background: int = Field(default=100, ge=1)
    patients: int = Field(default=200, ge=1)
    permutations: int = Field(default=2, ge=1)
    maps: int = Field(default=6, ge=0)
    occlusion: OcclusionSettings = OcclusionSettings()
