"""Features that PyRadiomics calls deprecated: given only when a parameter file names them, from other features.

Formulas: PyRadiomics' documentation.
"""

from collections.abc import Mapping

import numpy as np

FEATURES: dict[str, tuple[str, ...]] = {
    "shape": ("Compactness1", "Compactness2", "SphericalDisproportion"),
    "firstorder": ("StandardDeviation",),
}
# Those for which PyRadiomics gives nothing any more, and what they are equal to.
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
    """The features of a class, and those deprecated ones that follow from them."""
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
