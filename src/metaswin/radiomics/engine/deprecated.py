"""Compute PyRadiomics' deprecated features from other features.

They are computed only if a parameter file names them. Formulas: PyRadiomics' documentation.
"""

from collections.abc import Mapping

import numpy as np

FEATURES: dict[str, tuple[str, ...]] = {
    "shape": ("Compactness1", "Compactness2", "SphericalDisproportion"),
    "firstorder": ("StandardDeviation",),
}
# Deprecated features that PyRadiomics no longer computes, and the features that they are equal to.
EQUAL: dict[str, dict[str, str]] = {
    "glcm": {
        "Dissimilarity": "DifferenceAverage",
        "Homogeneity1": "Id",
        "Homogeneity2": "Idm",
        "SumVariance": "ClusterTendency",
    },
    "gldm": {"GrayLevelNonUniformityNormalized": "firstorder Uniformity", "DependencePercentage": "1, always"},
}


def with_deprecated(kind: str, values: Mapping[str, float]) -> dict[str, float]:
    """Return the features of a class and the deprecated ones that follow from them."""
    if kind == "firstorder":
        return {**values, "StandardDeviation": float(np.sqrt(values["Variance"]))}
    if kind != "shape":
        return dict(values)
    volume, area = values["MeshVolume"], values["SurfaceArea"]
    return {
        **values,
        "Compactness1": volume / (area**1.5 * np.sqrt(np.pi)),
        "Compactness2": 36 * np.pi * volume**2 / area**3,
        "SphericalDisproportion": float(np.divide(area, (36 * np.pi * volume**2) ** (1 / 3))),
    }
