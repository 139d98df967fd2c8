"""Compute the features of GLRLM, GLSZM and GLDM, which count by grey level and size and share their formulas.

Formulas: PyRadiomics' documentation of the three classes; Galloway 1975, Thibault et al. 2013, Sun and Wee 1983.
"""

import numpy as np

from metaswin.radiomics.engine.compiled import kernel

# Names of each class's values in the order of `_one_matrix`; None if the class has no such feature.
NAMES: dict[str, tuple[str | None, ...]] = {
    "glrlm": (
        "ShortRunEmphasis",
        "LongRunEmphasis",
        "GrayLevelNonUniformity",
        "GrayLevelNonUniformityNormalized",
        "RunLengthNonUniformity",
        "RunLengthNonUniformityNormalized",
        "RunPercentage",
        "GrayLevelVariance",
        "RunVariance",
        "RunEntropy",
        "LowGrayLevelRunEmphasis",
        "HighGrayLevelRunEmphasis",
        "ShortRunLowGrayLevelEmphasis",
        "ShortRunHighGrayLevelEmphasis",
        "LongRunLowGrayLevelEmphasis",
        "LongRunHighGrayLevelEmphasis",
    ),
    "glszm": (
        "SmallAreaEmphasis",
        "LargeAreaEmphasis",
        "GrayLevelNonUniformity",
        "GrayLevelNonUniformityNormalized",
        "SizeZoneNonUniformity",
        "SizeZoneNonUniformityNormalized",
        "ZonePercentage",
        "GrayLevelVariance",
        "ZoneVariance",
        "ZoneEntropy",
        "LowGrayLevelZoneEmphasis",
        "HighGrayLevelZoneEmphasis",
        "SmallAreaLowGrayLevelEmphasis",
        "SmallAreaHighGrayLevelEmphasis",
        "LargeAreaLowGrayLevelEmphasis",
        "LargeAreaHighGrayLevelEmphasis",
    ),
    "gldm": (
        "SmallDependenceEmphasis",
        "LargeDependenceEmphasis",
        "GrayLevelNonUniformity",
        None,  # equals the first-order Uniformity
        "DependenceNonUniformity",
        "DependenceNonUniformityNormalized",
        None,  # always 1
        "GrayLevelVariance",
        "DependenceVariance",
        "DependenceEntropy",
        "LowGrayLevelEmphasis",
        "HighGrayLevelEmphasis",
        "SmallDependenceLowGrayLevelEmphasis",
        "SmallDependenceHighGrayLevelEmphasis",
        "LargeDependenceLowGrayLevelEmphasis",
        "LargeDependenceHighGrayLevelEmphasis",
    ),
}


def size_features(kind: str, matrices: np.ndarray, grey: np.ndarray, sizes: np.ndarray) -> dict[str, float]:
    """Return the features of a class, averaged over matrices.

    Parameters
    ----------
    kind : str
        ``glrlm``, ``glszm`` or ``gldm``.
    matrices : array, shape (levels, sizes, matrices)
        Counts. GLRLM has one matrix per direction, the other classes have one. Without a matrix the features are NaN.
    grey, sizes : arrays of float64
        Grey level of each row, and size of each column.
    """
    if matrices.shape[2] == 0:
        values = np.full(len(NAMES[kind]), np.nan)
    else:
        values = np.mean([_one_matrix(matrices, a, grey, sizes) for a in range(matrices.shape[2])], axis=0)
    return {name: float(value) for name, value in zip(NAMES[kind], values, strict=True) if name}


@kernel
def _one_matrix(matrices, a, grey, sizes):
    eps = 2.0**-52
    rows, columns = matrices.shape[0], matrices.shape[1]
    by_grey = np.zeros(rows)
    by_size = np.zeros(columns)
    total = 0.0
    for i in range(rows):
        for j in range(columns):
            count = np.float64(matrices[i, j, a])
            by_grey[i] += count
            by_size[j] += count
            total += count
    entropy = 0.0
    low_low = low_high = high_low = high_high = 0.0
    for i in range(rows):
        g2 = grey[i] * grey[i]
        for j in range(columns):
            count = np.float64(matrices[i, j, a])
            if count != 0.0:
                s2 = sizes[j] * sizes[j]
                share = count / total
                entropy -= share * np.log2(share + eps)
                low_low += count / (g2 * s2)
                low_high += count * g2 / s2
                high_low += count * s2 / g2
                high_high += count * (s2 * g2)
    grey_squares = grey_mean = low_grey = high_grey = 0.0
    for i in range(rows):
        grey_squares += by_grey[i] * by_grey[i]
        grey_mean += by_grey[i] / total * grey[i]
        low_grey += by_grey[i] / (grey[i] * grey[i])
        high_grey += by_grey[i] * (grey[i] * grey[i])
    grey_variance = 0.0
    for i in range(rows):
        grey_variance += by_grey[i] / total * (grey[i] - grey_mean) ** 2
    size_squares = size_mean = small = large = voxels = 0.0
    for j in range(columns):
        size_squares += by_size[j] * by_size[j]
        size_mean += by_size[j] / total * sizes[j]
        small += by_size[j] / (sizes[j] * sizes[j])
        large += by_size[j] * (sizes[j] * sizes[j])
        voxels += by_size[j] * sizes[j]
    size_variance = 0.0
    for j in range(columns):
        size_variance += by_size[j] / total * (sizes[j] - size_mean) ** 2
    return np.array(
        [
            small / total,
            large / total,
            grey_squares / total,
            grey_squares / total**2,
            size_squares / total,
            size_squares / total**2,
            total / voxels,
            grey_variance,
            size_variance,
            entropy,
            low_grey / total,
            high_grey / total,
            low_low / total,
            low_high / total,
            high_low / total,
            high_high / total,
        ]
    )
