"""PyRadiomics parameter files: which image types, which features, which settings."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metaswin.errors import UserError, several
from metaswin.radiomics.names import FEATURES

# Settings and their defaults where an extraction is not voxel-based; None: not asked for.
DEFAULTS: dict[str, Any] = {
    "minimumROIDimensions": 2,
    "minimumROISize": None,
    "geometryTolerance": None,
    "correctMask": False,
    "additionalInfo": True,
    "label": 1,
    "label_channel": 0,
    "binWidth": 25,
    "binCount": None,
    "normalize": False,
    "normalizeScale": 1,
    "removeOutliers": None,
    "resampledPixelSpacing": None,
    "interpolator": "sitkBSpline",
    "padDistance": 5,
    "distances": [1],
    "force2D": False,
    "force2Ddimension": 0,
    "resegmentRange": None,
    "resegmentMode": "absolute",
    "resegmentShape": False,
    "preCrop": False,
    "sigma": [],
    "start_level": 0,
    "level": 1,
    "wavelet": "coif1",
    "gradientUseSpacing": True,
    "lbp2DRadius": 1,
    "lbp2DSamples": 8,
    "lbp2DMethod": "uniform",
    "lbp3DLevels": 2,
    "lbp3DIcosphereRadius": 1,
    "lbp3DIcosphereSubdivision": 1,
    "voxelArrayShift": 0,
    "symmetricalGLCM": True,
    "weightingNorm": None,
    "gldm_a": 0,
}
TYPES = ("Original", "LoG", "Wavelet", "Square", "SquareRoot", "Logarithm", "Exponential", "Gradient", "LBP2D", "LBP3D")
SECTIONS = ("setting", "imageType", "featureClass", "voxelSetting")
# Read and without effect: they are for feature maps, or for texts beside the features.
WITHOUT_EFFECT = ("shape2D",)


@dataclass(frozen=True)
class Parameters:
    """What a parameter file asks for.

    Attributes
    ----------
    settings : dict
        All of `DEFAULTS`, with the file's values.
    image_types : dict
        Image type → settings of its own.
    features : dict
        Class → features.
    """

    settings: dict[str, Any] = field(default_factory=lambda: dict(DEFAULTS))
    image_types: dict[str, dict[str, Any]] = field(default_factory=lambda: {"Original": {}})
    features: dict[str, list[str]] = field(default_factory=lambda: {name: list(FEATURES[name]) for name in FEATURES})


def read_parameters(source: str | Path | Mapping | None, overrides: Mapping[str, Any] | None = None) -> Parameters:
    """Read a parameter file.

    Parameters
    ----------
    source : path, mapping or None
        YAML or JSON file as PyRadiomics reads it, or its content. None: PyRadiomics' defaults.
    overrides : mapping, optional
        Settings that take precedence.

    Raises
    ------
    UserError
        All that is unknown in the file, with what is near.
    """
    content, where = _load(source)
    wrong = _unknown("section", content, SECTIONS)
    settings = {**(content.get("setting") or {}), **(overrides or {})}
    wrong += _unknown("setting", settings, DEFAULTS)
    types = {name: own or {} for name, own in (content.get("imageType") or {"Original": {}}).items()}
    wrong += _unknown("image type", types, TYPES)
    for name, own in types.items():
        wrong += [f"{name}: {message}" for message in _unknown("setting", own, DEFAULTS)]
    classes = content.get("featureClass") or dict.fromkeys(FEATURES)
    wrong += _unknown("feature class", classes, (*FEATURES, *WITHOUT_EFFECT))
    features = {}
    for name, wanted in classes.items():
        if name in FEATURES:
            wrong += [f"{name}: {message}" for message in _unknown("feature", wanted or (), FEATURES[name])]
            features[name] = list(wanted or FEATURES[name])
    if "shape2D" in classes and settings.get("force2D"):
        wrong.append("feature class shape2D is not offered; use PyRadiomics for it")
    if "LoG" in types and not (types["LoG"].get("sigma") or settings.get("sigma")):
        wrong.append("image type LoG needs its setting sigma (mm), for example sigma: [1.0, 3.0]")
    if "LBP3D" in types:
        wrong += _wrong_sphere({**DEFAULTS, **settings, **types["LBP3D"]})
    if wrong:
        raise several(f"{where} cannot be used:", wrong)
    return Parameters({**DEFAULTS, **settings}, types, features)


def _wrong_sphere(settings: Mapping[str, Any]) -> list[str]:
    """What is wrong with the settings of LBP3D; with one level PyRadiomics fails too."""
    lowest = {"lbp3DLevels": 2, "lbp3DIcosphereSubdivision": 0}
    wrong = [
        f"setting {name}: {settings[name]!r}; a whole number from {least} on"
        for name, least in lowest.items()
        if not isinstance(settings[name], int) or settings[name] < least
    ]
    if settings["lbp3DIcosphereRadius"] <= 0:
        wrong.append(f"setting lbp3DIcosphereRadius: {settings['lbp3DIcosphereRadius']!r}; it must be above 0 (voxels)")
    return wrong


def _load(source: str | Path | Mapping | None) -> tuple[dict, str]:
    if source is None:
        return {}, "These settings"
    if isinstance(source, Mapping):
        return dict(source), "These settings"
    import yaml

    path = Path(source)
    if not path.is_file():
        raise UserError(f"There is no parameter file {path}; name a YAML or JSON file as PyRadiomics reads it")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is neither YAML nor JSON: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no sections; a parameter file has some of {', '.join(SECTIONS)}")
    return content, str(path)


def _unknown(what: str, names: Any, known: Any) -> list[str]:
    messages = []
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            messages.append(f"unknown {what} {name!r}; {hint}")
    return messages
