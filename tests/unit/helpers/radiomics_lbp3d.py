"""Images and parameters of the reference values of LBP3D, and how they were made.

PyRadiomics computes LBP3D only with scipy below 1.17 and trimesh; with a newer scipy it returns nothing and raises no
error. Its values were therefore made once, in an environment of their own, and stored beside this file:

    python -m venv lbp && lbp/bin/pip install "numpy==2.2.6" "scipy==1.14.1" "trimesh==5.2.0" setuptools
    lbp/bin/pip install "pyradiomics-bhklab==3.1.4"
    lbp/bin/python tests/unit/radiomics_lbp3d.py
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

VALUES = Path(__file__).with_suffix(".json")
SHAPE = (14, 18, 20)
Z, Y, X = np.indices(SHAPE)
BALL = ((Z - 6) / 5) ** 2 + ((Y - 8) / 6) ** 2 + ((X - 9) / 7) ** 2 < 1
FIRST = {"firstorder": [], "glszm": [], "ngtdm": []}


def texture() -> np.ndarray:
    """Whole numbers, smooth: the same on every machine."""
    noise = np.random.default_rng(3).integers(-1000, 1000, SHAPE)
    shifts = [(a, b, c) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)]
    return sum(np.roll(noise, shift, (0, 1, 2)) for shift in shifts)


def image(kind: str) -> np.ndarray:
    """Image of a case, shape (z, y, x)."""
    whole = texture()
    return {
        "fractions": (whole / 64).astype(np.float32),
        "int16": (whole // 27).astype(np.int16),
        "plateaus": (whole // 27 // 40 * 40).astype(np.int16),
        "float64": whole / 37.0,
    }[kind]


# Name → image, mask, settings, feature classes (empty: all features of the class).
CASES: dict[str, tuple[str, np.ndarray, dict[str, Any], dict[str, list]]] = {
    "defaults": ("fractions", BALL, {"binWidth": 1}, {**FIRST, "glcm": [], "glrlm": [], "gldm": []}),
    "a count of bins": ("fractions", BALL & (X % 5 > 0), {"binCount": 16}, {**FIRST, "glcm": []}),
    "whole numbers, at the border": ("int16", (Z < 4) & (Y > 9), {"binWidth": 0.5}, FIRST),
    "plateaus, a wider sphere": (
        "plateaus",
        BALL,
        {"binWidth": 2, "lbp3DLevels": 3, "lbp3DIcosphereRadius": 2, "lbp3DIcosphereSubdivision": 2},
        FIRST,
    ),
    "twelve points": ("float64", BALL, {"binWidth": 0.25, "lbp3DIcosphereSubdivision": 0}, FIRST),
    "re-segmented": ("int16", BALL, {"binWidth": 1, "resegmentRange": [-100, 80]}, FIRST),
    "resampled": ("fractions", BALL, {"binWidth": 1, "resampledPixelSpacing": [1.2, 1.2, 1.5]}, FIRST),
}


def case(name: str) -> tuple[sitk.Image, sitk.Image, dict[str, Any]]:
    """Image, mask and the content of a parameter file."""
    kind, mask, settings, classes = CASES[name]
    volume = sitk.GetImageFromArray(image(kind))
    volume.SetSpacing((0.9, 0.9, 2.0))
    label = sitk.GetImageFromArray(mask.astype(np.uint8))
    label.CopyInformation(volume)
    setting = {"additionalInfo": False, **settings}
    return volume, label, {"setting": setting, "imageType": {"LBP3D": {}}, "featureClass": classes}


def main() -> None:
    """Compute the reference values with PyRadiomics and store them."""
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    found = {}
    for name in CASES:
        volume, label, parameters = case(name)
        values = RadiomicsFeatureExtractor(parameters).execute(volume, label)
        found[name] = {feature: float(value) for feature, value in values.items()}
        assert found[name], "PyRadiomics returned nothing: scipy is too new, or trimesh is not there"
    VALUES.write_text(json.dumps(found, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
