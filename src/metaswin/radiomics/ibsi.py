"""Give the identifiers of the Image Biomarker Standardisation Initiative (IBSI) for PyRadiomics' features.

The identifiers are those of the IBSI reference manual (arXiv 1612.07003). DICOM uses them as codes of the scheme
``IBSI``; the meanings are those of DICOM where it has the code (CID 7467 to 7501), otherwise the manual's. The table
has the features whose values agree with IBSI's consensus (docs/ibsi.md). Kurtosis is not included: PyRadiomics' value
is that of IBSI + 3. The axis lengths are included: the factor between the definitions, √(1 − 1/n) for n voxels, is
negligible.
"""

# Class and name of a feature → identifier and meaning.
CODES: dict[str, tuple[str, str]] = {
    "shape_MeshVolume": ("RNU0", "Volume of Mesh"),
    "shape_VoxelVolume": ("YEKZ", "Volume from Voxel Summation"),
    "shape_SurfaceArea": ("C0JK", "Surface Area of Mesh"),
    "shape_SurfaceVolumeRatio": ("2PR5", "Surface to Volume Ratio"),
    "shape_Sphericity": ("QCFX", "Sphericity"),
    "shape_Maximum3DDiameter": ("L0JK", "Maximum 3D Diameter of a Mesh"),
    "shape_MajorAxisLength": ("TDIC", "Major Axis in 3D Length"),
    "shape_MinorAxisLength": ("P9VJ", "Minor Axis in 3D Length"),
    "shape_LeastAxisLength": ("7J51", "Least Axis in 3D Length"),
    "shape_Elongation": ("Q3CK", "Elongation"),
    "shape_Flatness": ("N17B", "Flatness"),
    "firstorder_Mean": ("Q4LE", "Mean intensity"),
    "firstorder_Variance": ("ECT3", "Intensity variance"),
    "firstorder_Skewness": ("KE2A", "Intensity skewness"),
    "firstorder_Median": ("Y12H", "Median intensity"),
    "firstorder_Minimum": ("1GSF", "Minimum intensity"),
    "firstorder_10Percentile": ("QG58", "10th intensity percentile"),
    "firstorder_90Percentile": ("8DWT", "90th intensity percentile"),
    "firstorder_Maximum": ("84IY", "Maximum intensity"),
    "firstorder_InterquartileRange": ("SALO", "Intensity interquartile range"),
    "firstorder_Range": ("2OJQ", "Intensity range"),
    "firstorder_MeanAbsoluteDeviation": ("4FUA", "Intensity-based mean absolute deviation"),
    "firstorder_RobustMeanAbsoluteDeviation": ("1128", "Intensity-based robust mean absolute deviation"),
    "firstorder_Energy": ("N8CA", "Intensity-based energy"),
    "firstorder_RootMeanSquared": ("5ZWQ", "Root mean square intensity"),
    "firstorder_Entropy": ("TLU2", "Intensity Histogram Entropy"),
    "firstorder_Uniformity": ("BJ5W", "Intensity Histogram Uniformity"),
    "glcm_MaximumProbability": ("GYBY", "Joint Maximum of GLCM"),
    "glcm_JointAverage": ("60VM", "Joint Average of GLCM"),
    "glcm_SumSquares": ("UR99", "Joint Variance of GLCM"),
    "glcm_JointEntropy": ("TU9B", "Joint Entropy of GLCM"),
    "glcm_DifferenceAverage": ("TF7R", "Difference Average of GLCM"),
    "glcm_DifferenceVariance": ("D3YU", "Difference Variance of GLCM"),
    "glcm_DifferenceEntropy": ("NTRS", "Difference Entropy of GLCM"),
    "glcm_SumAverage": ("ZGXS", "Sum Average of GLCM"),
    "glcm_SumEntropy": ("P6QZ", "Sum Entropy of GLCM"),
    "glcm_JointEnergy": ("8ZQL", "Angular Second Moment of GLCM"),
    "glcm_Contrast": ("ACUI", "Contrast of GLCM"),
    "glcm_Id": ("IB1Z", "Inverse Difference of GLCM"),
    "glcm_Idn": ("NDRX", "Normalized Inverse Difference of GLCM"),
    "glcm_Idm": ("WF0Z", "Inverse Difference Moment of GLCM"),
    "glcm_Idmn": ("1QCO", "Normalized Inverse Difference Moment of GLCM"),
    "glcm_InverseVariance": ("E8JP", "Inverse Variance of GLCM"),
    "glcm_Correlation": ("NI2N", "Correlation of GLCM"),
    "glcm_Autocorrelation": ("QWB0", "Autocorrelation of GLCM"),
    "glcm_ClusterTendency": ("DG8W", "Cluster Tendency of GLCM"),
    "glcm_ClusterShade": ("7NFM", "Cluster Shade of GLCM"),
    "glcm_ClusterProminence": ("AE86", "Cluster Prominence of GLCM"),
    "glcm_Imc1": ("R8DG", "First Measure of Information Correlation of GLCM"),
    "glcm_Imc2": ("JN9H", "Second Measure of Information Correlation of GLCM"),
    "glrlm_ShortRunEmphasis": ("22OV", "Short Runs Emphasis"),
    "glrlm_LongRunEmphasis": ("W4KF", "Long Runs Emphasis"),
    "glrlm_LowGrayLevelRunEmphasis": ("V3SW", "Low Gray Level Run Emphasis"),
    "glrlm_HighGrayLevelRunEmphasis": ("G3QZ", "High Gray Level Run Emphasis"),
    "glrlm_ShortRunLowGrayLevelEmphasis": ("HTZT", "Short Run Low Gray Level Emphasis"),
    "glrlm_ShortRunHighGrayLevelEmphasis": ("GD3A", "Short Run High Gray Level Emphasis"),
    "glrlm_LongRunLowGrayLevelEmphasis": ("IVPO", "Long Run Low Gray Level Emphasis"),
    "glrlm_LongRunHighGrayLevelEmphasis": ("3KUM", "Long Run High Gray Level Emphasis"),
    "glrlm_GrayLevelNonUniformity": ("R5YN", "Gray Level Nonuniformity in Runs"),
    "glrlm_GrayLevelNonUniformityNormalized": ("OVBL", "Normalized Gray Level Nonuniformity in Runs"),
    "glrlm_RunLengthNonUniformity": ("W92Y", "Run Length Nonuniformity"),
    "glrlm_RunLengthNonUniformityNormalized": ("IC23", "Normalized Run Length Nonuniformity"),
    "glrlm_RunPercentage": ("9ZK5", "Run Percentage"),
    "glrlm_GrayLevelVariance": ("8CE5", "Gray Level Variance in Runs"),
    "glrlm_RunVariance": ("SXLW", "Run Length Variance"),
    "glrlm_RunEntropy": ("HJ9O", "Run Entropy"),
    "glszm_SmallAreaEmphasis": ("5QRC", "Small Zone Emphasis"),
    "glszm_LargeAreaEmphasis": ("48P8", "Large Zone Emphasis"),
    "glszm_LowGrayLevelZoneEmphasis": ("XMSY", "Low Gray Level Zone Emphasis"),
    "glszm_HighGrayLevelZoneEmphasis": ("5GN9", "High Gray Level Zone Emphasis"),
    "glszm_SmallAreaLowGrayLevelEmphasis": ("5RAI", "Small Zone Low Gray Level Emphasis"),
    "glszm_SmallAreaHighGrayLevelEmphasis": ("HW1V", "Small Zone High Gray Level Emphasis"),
    "glszm_LargeAreaLowGrayLevelEmphasis": ("YH51", "Large Zone Low Gray Level Emphasis"),
    "glszm_LargeAreaHighGrayLevelEmphasis": ("J17V", "Large Zone High Gray Level Emphasis"),
    "glszm_GrayLevelNonUniformity": ("JNSA", "Gray Level Nonuniformity of Size Zone Counts"),
    "glszm_GrayLevelNonUniformityNormalized": ("Y1RO", "Normalized Gray Level Nonuniformity of Size Zone Counts"),
    "glszm_SizeZoneNonUniformity": ("4JP3", "Zone Size Nonuniformity"),
    "glszm_SizeZoneNonUniformityNormalized": ("VB3A", "Normalized Zone Size Nonuniformity"),
    "glszm_ZonePercentage": ("P30P", "Size Zone Percentage"),
    "glszm_GrayLevelVariance": ("BYLV", "Gray Level Variance in Size Zones"),
    "glszm_ZoneVariance": ("3NSA", "Zone Size Variance"),
    "glszm_ZoneEntropy": ("GU8N", "Zone Size Entropy"),
    "gldm_SmallDependenceEmphasis": ("SODN", "Low dependence emphasis"),
    "gldm_LargeDependenceEmphasis": ("IMOQ", "High dependence emphasis"),
    "gldm_LowGrayLevelEmphasis": ("TL9H", "Low grey level count emphasis"),
    "gldm_HighGrayLevelEmphasis": ("OAE7", "High grey level count emphasis"),
    "gldm_SmallDependenceLowGrayLevelEmphasis": ("EQ3F", "Low dependence low grey level emphasis"),
    "gldm_SmallDependenceHighGrayLevelEmphasis": ("JA6D", "Low dependence high grey level emphasis"),
    "gldm_LargeDependenceLowGrayLevelEmphasis": ("NBZI", "High dependence low grey level emphasis"),
    "gldm_LargeDependenceHighGrayLevelEmphasis": ("9QMG", "High dependence high grey level emphasis"),
    "gldm_GrayLevelNonUniformity": ("FP8K", "Grey level non-uniformity of NGLDM"),
    "gldm_DependenceNonUniformity": ("Z87G", "Dependence count non-uniformity"),
    "gldm_DependenceNonUniformityNormalized": ("OKJI", "Dependence count non-uniformity normalized"),
    "gldm_GrayLevelVariance": ("1PFV", "Grey level variance of NGLDM"),
    "gldm_DependenceVariance": ("DNX2", "Dependence count variance"),
    "gldm_DependenceEntropy": ("FCBV", "Dependence count entropy"),
    "ngtdm_Coarseness": ("QCDE", "Coarseness of NGTDM"),
    "ngtdm_Contrast": ("65HE", "Contrast of NGTDM"),
    "ngtdm_Busyness": ("NQ30", "Busyness of NGTDM"),
    "ngtdm_Complexity": ("HDEZ", "Complexity of NGTDM"),
    "ngtdm_Strength": ("1X9X", "Strength of NGTDM"),
}
UNITS = {
    "mm3": ("shape_MeshVolume", "shape_VoxelVolume"),
    "mm2": ("shape_SurfaceArea",),
    "/mm": ("shape_SurfaceVolumeRatio",),
    "mm": (
        "shape_Maximum3DDiameter", "shape_MajorAxisLength", "shape_MinorAxisLength", "shape_LeastAxisLength",
        "shape_Maximum2DDiameterColumn", "shape_Maximum2DDiameterRow", "shape_Maximum2DDiameterSlice",
    ),
    "[hnsf'U]": (
        "firstorder_Mean", "firstorder_Median", "firstorder_Minimum", "firstorder_Maximum", "firstorder_10Percentile",
        "firstorder_90Percentile", "firstorder_InterquartileRange", "firstorder_Range",
        "firstorder_MeanAbsoluteDeviation", "firstorder_RobustMeanAbsoluteDeviation", "firstorder_RootMeanSquared",
    ),
}  # fmt: skip


def ibsi_code(feature: str) -> tuple[str, str] | None:
    """Return identifier and meaning of a feature of the original image; None where IBSI has none.

    IBSI's identifiers name features of unfiltered images: a feature of a filtered image has none.
    """
    image, _, name = feature.partition("_")
    return CODES.get(name) if image == "original" else None


def unit(feature: str) -> str:
    """Return the unit of a feature of a CT in UCUM; ``1`` where it has none, or where a filter has changed it."""
    image, _, name = feature.partition("_")
    found = next((ucum for ucum, names in UNITS.items() if name in names), "1")
    return found if image == "original" else "1"
