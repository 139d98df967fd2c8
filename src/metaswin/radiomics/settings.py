"""Define the settings of radiomics."""

import difflib
import re
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, field_validator

from metaswin.core.settings import Settings
from metaswin.radiomics.names import FEATURES, IMAGE_TYPES, REFUSED_IMAGE_TYPES

CLASSES = ["shape", "firstorder", "glcm", "glrlm", "glszm", "gldm"]
REGIONS = ("tumor", "primary", "nodes", "rings")
RING = re.compile(r"ring_\d+(\.\d+)?_\d+(\.\d+)?mm")


class RadiomicsSettings(Settings):
    """Radiomics features: by default 14 of shape and 86 on each of 18 images, 1562 per region.

    The defaults are a reconstruction of the paper's count from PyRadiomics' published CT example settings; the paper
    does not name its image types.
    """

    engine: Literal["metaswin", "pyradiomics"] = Field(
        default="metaswin",
        description="metaswin or pyradiomics: equal values, metaswin is faster (docs/radiomics.md).",
    )
    crop: Literal["patient", "per-region"] = Field(
        default="patient",
        description="Where filters run. patient: once on the patient's crop; per-region: on each region's box and 5 "
        "voxels, as PyRadiomics' own execute() does it.",
    )
    regions: list[str] = Field(
        default=["tumor", "primary", "nodes", "rings"],
        description="tumor, primary, nodes, and rings for all rings or ring_<from>_<to>mm for one.",
    )
    bin_width: float = Field(default=25.0, gt=0, description="Width of a bin of grey values (HU).")
    bin_count: int | None = Field(
        default=None,
        ge=1,
        description="Number of bins between minimum and maximum of the region; null: bins of bin_width.",
    )
    voxel_array_shift: float = Field(
        default=1000.0,
        description="Added before the energy features (HU), so that no voxel of a CT is negative.",
    )
    image_types: list[str] = Field(
        default=list(IMAGE_TYPES[:7]), min_length=1, description=f"Any of {', '.join(IMAGE_TYPES)}."
    )
    log_sigma: list[Annotated[float, Field(gt=0)]] = Field(
        default=[1.0, 2.0, 3.0, 4.0, 5.0], description="Widths of the Laplacian of Gaussian (mm)."
    )
    wavelet: str = Field(default="coif1", description="Any discrete wavelet of PyWavelets.")
    feature_classes: list[str] = Field(default=CLASSES, min_length=1, description=f"Any of {', '.join(CLASSES)}.")
    omit_features: list[str] = Field(
        default=["glcm_SumAverage", "glcm_MCC"], description="Features to omit, as <class>_<feature>."
    )
    min_voxels: int = Field(default=8, ge=1, description="A region with fewer voxels has no features.")
    max_grey_levels: int = Field(
        default=2000, ge=2, description="A region that spans more bins in an image has no features there."
    )

    @field_validator("regions")
    @classmethod
    def _known_regions(cls, value: list[str]) -> list[str]:
        return _known("region", [name for name in value if not RING.fullmatch(name)], REGIONS, value)

    @field_validator("image_types")
    @classmethod
    def _known_image_types(cls, value: list[str]) -> list[str]:
        for name in value:
            if name in REFUSED_IMAGE_TYPES:
                raise ValueError(f"image type {name!r} is not offered: {REFUSED_IMAGE_TYPES[name]}; remove it")
        return _known("image type", value, IMAGE_TYPES, value)

    @field_validator("feature_classes")
    @classmethod
    def _known_classes(cls, value: list[str]) -> list[str]:
        return _known("feature class", value, FEATURES, value)

    @field_validator("omit_features")
    @classmethod
    def _known_features(cls, value: list[str]) -> list[str]:
        return _known("feature", value, [f"{c}_{name}" for c, names in FEATURES.items() for name in names], value)

    @field_validator("log_sigma")
    @classmethod
    def _distinct_sigma(cls, value: list[float]) -> list[float]:
        if len(set(value)) < len(value):
            raise ValueError(f"each sigma may be named once, found {value}")
        return value

    @field_validator("wavelet")
    @classmethod
    def _known_wavelet(cls, value: str) -> str:
        if value != "coif1":
            import pywt

            _known("wavelet", [value], pywt.wavelist(kind="discrete"), [value])
        return value


def _known(what: str, names: list[str], allowed: Iterable[str], value: list[str]) -> list[str]:
    """Return `value`; raise ValueError if one of `names` is not allowed or if `value` contains a name twice."""
    allowed = list(allowed)
    for name in names:
        if name not in allowed:
            near = difflib.get_close_matches(name, allowed, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(allowed)}"
            raise ValueError(f"unknown {what} {name!r}; {hint}")
    twice = sorted({name for name in value if value.count(name) > 1})
    if twice:
        raise ValueError(f"{what} named twice: {', '.join(twice)}; name each once")
    return value
