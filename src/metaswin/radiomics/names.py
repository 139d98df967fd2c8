"""List the names of image types, feature classes and features without loading PyRadiomics.

A test compares them with the names that PyRadiomics offers and with those of an extraction.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metaswin.radiomics.settings import RadiomicsSettings

IMAGE_TYPES = ("Original", "LoG", "Wavelet", "Square", "SquareRoot", "Logarithm", "Exponential", "Gradient")

# Further image types of PyRadiomics, and the reasons why they are refused.
REFUSED_IMAGE_TYPES = {
    "LBP2D": "its ten grey levels all fall into one bin of the usual widths",
    "LBP3D": "its maps depend on the region, and a dozen grey levels fall into one or two bins of the usual widths",
}

WAVELET_BANDS = ("LLH", "LHL", "LHH", "HLL", "HLH", "HHL", "HHH", "LLL")

# Features of each class in PyRadiomics' order. Features that it marks as deprecated are omitted, as in PyRadiomics.
FEATURES: dict[str, tuple[str, ...]] = {
    "shape": (
        "Elongation",
        "Flatness",
        "LeastAxisLength",
        "MajorAxisLength",
        "Maximum2DDiameterColumn",
        "Maximum2DDiameterRow",
        "Maximum2DDiameterSlice",
        "Maximum3DDiameter",
        "MeshVolume",
        "MinorAxisLength",
        "Sphericity",
        "SurfaceArea",
        "SurfaceVolumeRatio",
        "VoxelVolume",
    ),
    "firstorder": (
        "10Percentile",
        "90Percentile",
        "Energy",
        "Entropy",
        "InterquartileRange",
        "Kurtosis",
        "Maximum",
        "MeanAbsoluteDeviation",
        "Mean",
        "Median",
        "Minimum",
        "Range",
        "RobustMeanAbsoluteDeviation",
        "RootMeanSquared",
        "Skewness",
        "TotalEnergy",
        "Uniformity",
        "Variance",
    ),
    "glcm": (
        "Autocorrelation",
        "ClusterProminence",
        "ClusterShade",
        "ClusterTendency",
        "Contrast",
        "Correlation",
        "DifferenceAverage",
        "DifferenceEntropy",
        "DifferenceVariance",
        "Id",
        "Idm",
        "Idmn",
        "Idn",
        "Imc1",
        "Imc2",
        "InverseVariance",
        "JointAverage",
        "JointEnergy",
        "JointEntropy",
        "MCC",
        "MaximumProbability",
        "SumAverage",
        "SumEntropy",
        "SumSquares",
    ),
    "glrlm": (
        "GrayLevelNonUniformity",
        "GrayLevelNonUniformityNormalized",
        "GrayLevelVariance",
        "HighGrayLevelRunEmphasis",
        "LongRunEmphasis",
        "LongRunHighGrayLevelEmphasis",
        "LongRunLowGrayLevelEmphasis",
        "LowGrayLevelRunEmphasis",
        "RunEntropy",
        "RunLengthNonUniformity",
        "RunLengthNonUniformityNormalized",
        "RunPercentage",
        "RunVariance",
        "ShortRunEmphasis",
        "ShortRunHighGrayLevelEmphasis",
        "ShortRunLowGrayLevelEmphasis",
    ),
    "glszm": (
        "GrayLevelNonUniformity",
        "GrayLevelNonUniformityNormalized",
        "GrayLevelVariance",
        "HighGrayLevelZoneEmphasis",
        "LargeAreaEmphasis",
        "LargeAreaHighGrayLevelEmphasis",
        "LargeAreaLowGrayLevelEmphasis",
        "LowGrayLevelZoneEmphasis",
        "SizeZoneNonUniformity",
        "SizeZoneNonUniformityNormalized",
        "SmallAreaEmphasis",
        "SmallAreaHighGrayLevelEmphasis",
        "SmallAreaLowGrayLevelEmphasis",
        "ZoneEntropy",
        "ZonePercentage",
        "ZoneVariance",
    ),
    "gldm": (
        "DependenceEntropy",
        "DependenceNonUniformity",
        "DependenceNonUniformityNormalized",
        "DependenceVariance",
        "GrayLevelNonUniformity",
        "GrayLevelVariance",
        "HighGrayLevelEmphasis",
        "LargeDependenceEmphasis",
        "LargeDependenceHighGrayLevelEmphasis",
        "LargeDependenceLowGrayLevelEmphasis",
        "LowGrayLevelEmphasis",
        "SmallDependenceEmphasis",
        "SmallDependenceHighGrayLevelEmphasis",
        "SmallDependenceLowGrayLevelEmphasis",
    ),
    "ngtdm": ("Busyness", "Coarseness", "Complexity", "Contrast", "Strength"),
}


def images_of(image_type: str, settings: "RadiomicsSettings") -> list[str]:
    """Return the names of the filtered images of one image type, in PyRadiomics' spelling and order."""
    if image_type == "LoG":
        return [f"log-sigma-{str(sigma).replace('.', '-')}-mm-3D" for sigma in settings.log_sigma]
    if image_type == "Wavelet":
        return [f"wavelet-{band}" for band in WAVELET_BANDS]
    return [image_type.lower()]


def enabled_features(feature_class: str, settings: "RadiomicsSettings") -> list[str]:
    """Return the names of the features of a class that are not omitted."""
    return [name for name in FEATURES[feature_class] if f"{feature_class}_{name}" not in settings.omit_features]


def ordered(chosen: list[str], known: tuple[str, ...]) -> list[str]:
    """Return the chosen names in the order of `known`; the user's order is ignored."""
    return [name for name in known if name in chosen]


def expected_features(settings: "RadiomicsSettings") -> list[str]:
    """Return the feature names of one region in order; shape occurs once, the other classes once per image."""
    classes = ordered(settings.feature_classes, tuple(FEATURES))
    names = [f"original_shape_{name}" for name in enabled_features("shape", settings)] if "shape" in classes else []
    for image_type in ordered(settings.image_types, IMAGE_TYPES):
        for image in images_of(image_type, settings):
            for feature_class in classes:
                if feature_class != "shape":
                    names += [f"{image}_{feature_class}_{name}" for name in enabled_features(feature_class, settings)]
    return names
