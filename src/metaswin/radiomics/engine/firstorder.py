"""Compute first-order features of the grey values of a region with PyRadiomics' definitions."""

import numpy as np

from metaswin.radiomics.engine.compiled import kernel

EPS = 2.0**-52


def firstorder_features(values: np.ndarray, counts: np.ndarray, shift: float, voxel_volume: float) -> dict[str, float]:
    """Return the features of a region.

    Parameters
    ----------
    values : array, shape (voxels,)
        Grey values of the region.
    counts : array of int64, shape (levels,)
        Number of voxels of each grey level, for entropy and uniformity.
    shift : float
        Number that is added before the energy features are computed.
    voxel_volume : float
        Volume of a voxel (mm³).
    """
    ordered = np.sort(values)
    ordered = ordered.astype(np.float64)
    values = values.astype(np.float64)
    n = len(values)
    mean = np.add.reduce(values) / n
    low, quarter, median, three_quarters, high = (_percentile(ordered, share) for share in (10, 25, 50, 75, 90))
    m2, m3, m4, deviation, energy = _moments(values, mean, float(shift))
    middle = ordered[np.searchsorted(ordered, low, "left") : np.searchsorted(ordered, high, "right")]
    # If the region has two voxels, both are outside this range.
    robust = np.mean(np.abs(middle - np.mean(middle))) if len(middle) else np.nan
    share = counts / counts.sum()
    scale = 1.0 if m2 == 0 else m2
    return {
        "10Percentile": low,
        "90Percentile": high,
        "Energy": energy,
        "Entropy": float(-np.sum(share * np.log2(share + EPS))),
        "InterquartileRange": three_quarters - quarter,
        "Kurtosis": m4 / scale**2,
        "Maximum": float(ordered[-1]),
        "MeanAbsoluteDeviation": deviation,
        "Mean": float(mean),
        "Median": median,
        "Minimum": float(ordered[0]),
        "Range": float(ordered[-1] - ordered[0]),
        "RobustMeanAbsoluteDeviation": float(robust),
        "RootMeanSquared": float(np.sqrt(energy / n)),
        "Skewness": m3 / scale**1.5,
        "TotalEnergy": energy * voxel_volume,
        "Uniformity": float(np.sum(share**2)),
        "Variance": m2,
    }


def _percentile(ordered: np.ndarray, share: float) -> float:
    """Return a percentile by linear interpolation.

    The result is rounded as in numpy (from the nearer end), because the percentiles are compared with grey values.
    """
    place = share / 100 * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    part = place - below
    a, b = ordered[below], ordered[above]
    return float(b - (b - a) * (1 - part) if part >= 0.5 else a + (b - a) * part)


@kernel
def _moments(values, mean, shift):
    """Return the central moments 2 to 4, the mean absolute deviation and the sum of squares of the shifted values."""
    m2 = m3 = m4 = deviation = energy = 0.0
    for value in values:
        d = value - mean
        square = d * d
        m2 += square
        m3 += square * d
        m4 += square * square
        deviation += abs(d)
        shifted = value + shift
        energy += shifted * shifted
    n = len(values)
    return m2 / n, m3 / n, m4 / n, deviation / n, energy
