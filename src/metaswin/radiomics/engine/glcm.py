"""Compute features of the grey-level co-occurrence matrix, averaged over directions.

Formulas: PyRadiomics' documentation; Haralick et al. 1973.
"""

import numpy as np

from metaswin.radiomics.engine.compiled import kernel

NAMES = (
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
    "MaximumProbability",
    "SumAverage",
    "SumEntropy",
    "SumSquares",
)
EPS = 2.0**-52
# The symmetric form of MCC's matrix is used up to this value of eps / (row column).
NEGLIGIBLE = 2e-4


def glcm_features(pairs: np.ndarray, grey: np.ndarray, symmetric: bool, with_mcc: bool, line: bool) -> dict[str, float]:
    """Return the features of a region.

    Parameters
    ----------
    pairs : array, shape (levels, levels, directions)
        Counted (or weighted) pairs, each in one direction only.
    grey : array of int64, shape (levels,)
        Grey level of each row. The normalised features use the last one as the number of levels.
    symmetric : bool
        Whether to count each pair in both directions.
    with_mcc : bool
        Whether to compute MCC too. Its eigenvalues take most of the time.
    line : bool
        Whether the region extends along one axis only.
    """
    shares = _normalised(pairs, symmetric)
    if shares.shape[2] == 0:
        # No voxel has a neighbour. PyRadiomics' result for a region with one grey level then depends on the
        # directions that it tries.
        features = dict.fromkeys([*NAMES, "MCC"] if with_mcc else NAMES, np.nan)
        if len(grey) == 1 and line:
            features["InverseVariance"] = 0.0
        elif len(grey) == 1 and with_mcc:
            features["MCC"] = 1.0
        return features
    levels = grey.astype(np.float64)
    values = np.array([_one_direction(shares, a, levels, grey) for a in range(shares.shape[2])])
    with np.errstate(invalid="ignore"):
        means = _nanmean(values)
    features = dict(zip(NAMES, means.tolist(), strict=True))
    if with_mcc:
        features["MCC"] = _mcc(shares)
    return features


def _nanmean(values: np.ndarray) -> np.ndarray:
    """Return the mean over rows without NaN; numpy's function would warn where all values are NaN."""
    valid = ~np.isnan(values)
    return np.where(valid, values, 0).sum(axis=0) / valid.sum(axis=0)


def _normalised(pairs: np.ndarray, symmetric: bool) -> np.ndarray:
    """Return the probabilities of each direction that has pairs, shape (levels, levels, directions)."""
    matrix = pairs + pairs.transpose(1, 0, 2) if symmetric else pairs
    total = matrix.sum(axis=(0, 1))
    return matrix[:, :, total > 0] / total[total > 0].astype(np.float64)


@kernel
def _one_direction(shares, a, grey, whole):
    """Return the values of one direction in the order of `NAMES`.

    The sums run in PyRadiomics' order, because Imc1 and Imc2 are differences of nearly equal numbers.
    """
    eps = 2.0**-52
    n = len(grey)
    top = whole[n - 1]
    rows = np.zeros(n)
    columns = np.zeros(n)
    by_difference = np.zeros(top)
    by_sum = np.zeros(2 * top + 1)
    row_mean = column_mean = 0.0
    energy = joint_entropy = largest = autocorrelation = 0.0
    for i in range(n):
        for j in range(n):
            p = shares[i, j, a]
            if p != 0.0:
                rows[i] += p
                columns[j] += p
                row_mean += grey[i] * p
                column_mean += grey[j] * p
                by_difference[abs(whole[i] - whole[j])] += p
                by_sum[whole[i] + whole[j]] += p
                energy += p * p
                joint_entropy += p * np.log2(p + eps)
                largest = max(largest, p)
                autocorrelation += p * (grey[i] * grey[j])
    joint_entropy *= -1
    prominence = shade = tendency = contrast = row_variance = column_variance = covariance = 0.0
    cross_entropy = product_entropy = row_entropy = column_entropy = 0.0
    for i in range(n):
        row_entropy -= rows[i] * np.log2(rows[i] + eps)
        column_entropy -= columns[i] * np.log2(columns[i] + eps)
        di = grey[i] - row_mean
        for j in range(n):
            p = shares[i, j, a]
            product = rows[i] * columns[j]
            if product == 0.0:
                continue
            logarithm = np.log2(product + eps)
            product_entropy -= product * logarithm
            if p != 0.0:
                cross_entropy -= p * logarithm
                dj = grey[j] - column_mean
                both = grey[i] + grey[j] - row_mean - column_mean
                square = both * both
                tendency += p * square
                shade += p * (square * both)
                prominence += p * (square * square)
                contrast += p * (grey[i] - grey[j]) ** 2
                row_variance += p * (di * di)
                column_variance += p * (dj * dj)
                covariance += p * di * dj
    spread = np.sqrt(row_variance) * np.sqrt(column_variance)
    correlation = 1.0 if spread == 0 else covariance / (spread + eps)
    widest = max(row_entropy, column_entropy)
    imc1 = 0.0 if widest == 0 else (joint_entropy - cross_entropy) / widest
    imc2 = 0.0
    if product_entropy != joint_entropy:
        imc2 = np.sqrt(1 - np.exp(-2 * (product_entropy - joint_entropy)))
    difference_mean = difference_entropy = 0.0
    inverse = inverse_moment = inverse_moment_normalised = inverse_normalised = inverse_variance = 0.0
    for k in range(top):
        p = by_difference[k]
        if p != 0.0:
            difference_mean += k * p
            difference_entropy -= p * np.log2(p + eps)
            inverse += p / (1 + k)
            inverse_moment += p / (1 + k * k)
            inverse_moment_normalised += p / (1 + k * k / (top * top))
            inverse_normalised += p / (1 + k / top)
            if k > 0:
                inverse_variance += p / (k * k)
    difference_variance = 0.0
    for k in range(top):
        difference_variance += by_difference[k] * (k - difference_mean) ** 2
    sum_mean = sum_entropy = 0.0
    for k in range(2, 2 * top + 1):
        p = by_sum[k]
        if p != 0.0:
            sum_mean += k * p
            sum_entropy -= p * np.log2(p + eps)
    return np.array(
        [
            autocorrelation,
            prominence,
            shade,
            tendency,
            contrast,
            correlation,
            difference_mean,
            difference_entropy,
            difference_variance,
            inverse,
            inverse_moment,
            inverse_moment_normalised,
            inverse_normalised,
            imc1,
            imc2,
            inverse_variance,
            row_mean,
            energy,
            joint_entropy,
            largest,
            sum_mean,
            sum_entropy,
            row_variance,
        ]
    )


def _mcc(shares: np.ndarray) -> float:
    """Return the maximal correlation coefficient: the root of the second eigenvalue of Q, averaged over directions.

    Q[i, j] = sum over k of p[i, k] p[j, k] / (row[i] column[k] + eps). For a symmetric p, Q is similar to the square
    of a symmetric matrix, except for terms of the order of (eps / (row column))². The eigenvalues of that symmetric
    matrix are computed much faster.
    """
    if len(shares) < 2:
        return 1.0
    p = np.ascontiguousarray(shares.transpose(2, 0, 1))
    rows, columns = p.sum(axis=2), p.sum(axis=1)
    product = rows[:, :, None] * columns[:, None, :]
    if np.array_equal(p, p.transpose(0, 2, 1)) and NEGLIGIBLE * product[p > 0].min() >= EPS:
        roots = np.sort(np.abs(np.linalg.eigvalsh(p / np.sqrt(product + EPS))), axis=1)
        return float(np.mean(roots[:, -2]))
    q = np.zeros_like(p)
    for k in range(p.shape[1]):
        q += p[:, :, None, k] * p[:, None, :, k] / (rows[:, :, None] * columns[:, None, None, k] + EPS)
    roots = np.sqrt(np.sort(np.linalg.eigvals(q).astype(complex), axis=1)[:, -2])
    return float(np.nanmean(roots).real)
