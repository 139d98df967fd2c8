"""Compute features of the neighbouring grey tone difference matrix (Amadasun and King 1989) as PyRadiomics does."""

import numpy as np


def ngtdm_features(counts: np.ndarray, differences: np.ndarray, grey: np.ndarray) -> dict[str, float]:
    """Return the features of a region.

    Parameters
    ----------
    counts : array, shape (levels,)
        Number of voxels of each grey level.
    differences : array, shape (levels,)
        Sum of the absolute differences between the level of these voxels and the mean level of their neighbours.
    grey : array, shape (levels,)
        The grey levels that occur.
    """
    i = grey.astype(np.float64)
    n = counts.sum()
    p = counts / n
    levels = len(grey)
    weighted = float(np.sum(p * differences))
    spread = (i[:, None] - i) ** 2
    contrast = float(np.sum(np.outer(p, p) * spread) * differences.sum() / n)
    ip = i * p
    swing = float(np.sum(np.abs(ip[:, None] - ip)))
    pairs = p[:, None] + p
    ps = p * differences
    total = float(differences.sum())
    return {
        "Busyness": weighted / swing if swing != 0 else 0.0,
        "Coarseness": 1 / weighted if weighted != 0 else 1e6,
        "Complexity": float(np.sum(np.abs(i[:, None] - i) * (ps[:, None] + ps) / pairs) / n),
        "Contrast": contrast / (levels * (levels - 1)) if levels > 1 else 0.0,
        "Strength": float(np.sum(pairs * spread) / total) if total != 0 else 0.0,
    }
