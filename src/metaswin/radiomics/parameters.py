"""Read PyRadiomics parameter files: image types, features and settings."""

import difflib
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metaswin.core.errors import UserError, several
from metaswin.radiomics.engine.deprecated import EQUAL
from metaswin.radiomics.engine.deprecated import FEATURES as DEPRECATED
from metaswin.radiomics.names import FEATURES

logger = logging.getLogger("metaswin.radiomics")

# Settings and their defaults for an extraction that is not voxel-based; None means not set.
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
# Numeric settings: kind, lowest value, and whether the lowest value is allowed. In a list, each number is checked.
NUMBERS: dict[str, tuple[type, float, bool]] = {
    "minimumROIDimensions": (int, 1, True),
    "minimumROISize": (int, 0, False),
    "geometryTolerance": (float, 0, False),
    "label": (int, 0, False),
    "label_channel": (int, 0, True),
    "binWidth": (float, 0, False),
    "binCount": (int, 0, False),
    "normalizeScale": (float, 0, False),
    "removeOutliers": (float, 0, False),
    "resampledPixelSpacing": (float, 0, True),
    "padDistance": (int, 0, True),
    "distances": (int, 0, False),
    "force2Ddimension": (int, 0, True),
    "resegmentRange": (float, -math.inf, True),
    "sigma": (float, 0, False),
    "start_level": (int, 0, True),
    "level": (int, 0, False),
    "lbp2DRadius": (float, 0, False),
    "lbp2DSamples": (int, 0, False),
    "lbp3DLevels": (int, 2, True),  # PyRadiomics fails with one level, too
    "lbp3DIcosphereRadius": (float, 0, False),
    "lbp3DIcosphereSubdivision": (int, 0, True),
    "voxelArrayShift": (float, -math.inf, True),
    "gldm_a": (int, 0, True),
}
LISTS = ("resampledPixelSpacing", "distances", "resegmentRange", "sigma")
CHOICES: dict[str, tuple[Any, ...]] = {
    "resegmentMode": ("absolute", "relative", "sigma"),
    "weightingNorm": (None, "manhattan", "euclidean", "infinity", "no_weighting"),
    "lbp2DMethod": ("default", "ror", "uniform", "var"),
    "force2Ddimension": (0, 1, 2),
    **{name: (True, False) for name, value in DEFAULTS.items() if isinstance(value, bool)},
}
# Feature classes that are accepted and not computed. Parameter files of PyRadiomics may name them.
WITHOUT_EFFECT = ("shape2D",)


@dataclass(frozen=True)
class Parameters:
    """Content of a parameter file.

    Attributes
    ----------
    settings : dict
        All settings of `DEFAULTS`, with the values of the file.
    image_types : dict
        Image type → its own settings.
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
        YAML or JSON file in PyRadiomics' format, or its content. None means PyRadiomics' defaults.
    overrides : mapping, optional
        Settings that take precedence.

    Raises
    ------
    UserError
        If the file is missing, is neither YAML nor JSON, or contains unknown names or invalid values. The message lists
        all unknown names, with similar known ones, and all invalid values.
    """
    content, where = _load(source)
    wrong = _unknown("section", content, SECTIONS)
    settings = {**(content.get("setting") or {}), **(overrides or {})}
    wrong += _unknown("setting", settings, DEFAULTS)
    types = {name: own or {} for name, own in (content.get("imageType") or {"Original": {}}).items()}
    wrong += _unknown("image type", types, TYPES)
    for name, own in types.items():
        wrong += [f"{name}: {message}" for message in _unknown("setting", own, DEFAULTS)]
    wrong += _wrong_values({**DEFAULTS, **settings})
    for name, own in types.items():
        wrong += [f"{name}: {message}" for message in _wrong_values(own)]
    classes = content.get("featureClass") or dict.fromkeys(FEATURES)
    wrong += _unknown("feature class", classes, (*FEATURES, *WITHOUT_EFFECT))
    features = {}
    for name, wanted in classes.items():
        if name in FEATURES:
            known = (*FEATURES[name], *DEPRECATED.get(name, ()), *EQUAL.get(name, ()))
            wrong += [f"{name}: {message}" for message in _unknown("feature", wanted or (), known)]
            features[name] = _known_features(name, list(wanted or ()))
    if "shape2D" in classes and settings.get("force2D"):
        wrong.append("feature class shape2D is not offered; use PyRadiomics for it")
    if "LoG" in types and not (types["LoG"].get("sigma") or settings.get("sigma")):
        wrong.append("image type LoG needs its setting sigma (mm), for example sigma: [1.0, 3.0]")
    wavelet = types.get("Wavelet", {}).get("wavelet", settings.get("wavelet", DEFAULTS["wavelet"]))
    if wavelet != DEFAULTS["wavelet"]:
        import pywt

        wrong += _unknown("wavelet", [wavelet], pywt.wavelist(kind="discrete"))
    if wrong:
        raise several(f"{where} cannot be used:", wrong)
    return Parameters({**DEFAULTS, **settings}, types, features)


def _wrong_values(settings: Mapping[str, Any]) -> list[str]:
    """Return messages for all settings that have an invalid value."""
    wrong = []
    for name, value in settings.items():
        if name in CHOICES and value not in CHOICES[name]:
            wrong.append(f"setting {name}: {value!r} is not one of {', '.join(map(str, CHOICES[name]))}")
        elif name in NUMBERS and not (value is None and DEFAULTS[name] is None):
            kind, lowest, allowed = NUMBERS[name]
            numbers = value if name in LISTS and isinstance(value, list | tuple) else [value]
            good = all(_is_number(n, kind) and (n > lowest or (allowed and n == lowest)) for n in numbers)
            if not good or (name in LISTS and numbers is not value):
                wanted = "whole number" if kind is int else "number"
                wanted = f"a list of {wanted}s" if name in LISTS else f"a {wanted}"
                limit = "" if lowest == -math.inf else f" of at least {lowest}" if allowed else f" above {lowest}"
                wrong.append(f"setting {name}: {value!r}; it takes {wanted}{limit}")
    return wrong


def _is_number(value: Any, kind: type) -> bool:
    return not isinstance(value, bool) and isinstance(value, int if kind is int else int | float)


def _known_features(kind: str, names: list[str]) -> list[str]:
    """Return the named features except those that PyRadiomics no longer computes; without names, all of the class."""
    equal = EQUAL.get(kind, {})
    for name in names:
        if name in equal:
            logger.warning("%s_%s is deprecated and omitted, as in PyRadiomics: it equals %s", kind, name, equal[name])
    return [name for name in names if name not in equal] if names else list(FEATURES[kind])


def _load(source: str | Path | Mapping | None) -> tuple[dict, str]:
    if source is None:
        return {}, "These settings"
    if isinstance(source, Mapping):
        return dict(source), "These settings"
    import yaml

    path = Path(source)
    if not path.is_file():
        raise UserError(f"There is no parameter file {path}; give a YAML or JSON file in PyRadiomics' format")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is neither YAML nor JSON: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} has no sections; expected one or more of {', '.join(SECTIONS)}")
    return content, str(path)


def _unknown(what: str, names: Any, known: Any) -> list[str]:
    messages = []
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            messages.append(f"unknown {what} {name!r}; {hint}")
    return messages
