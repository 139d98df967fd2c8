"""Compute the targets of radiomics-guided training: principal components of the training rows' radiomics features."""

import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata


def radiomics_components(features: pd.DataFrame, count: int) -> np.ndarray:
    """Return the first principal components of the features, as targets that the encoder learns to predict.

    Each feature is replaced by its normal scores (van der Waerden: the normal quantiles of its ranks), because many
    radiomics features have heavy tails. Missing values are replaced by the mean. Every component is scaled to variance
    1, and its sign is fixed by its largest loading, so that the result does not depend on the linear algebra library.

    Only the rows of `features` are read. The function has no other input, in particular no outcome. A network that is
    trained on the result has therefore used only images of these patients.

    Parameters
    ----------
    features : DataFrame, shape (patients, features)
        Training rows only; NaN where a feature is missing.
    count : int
        Number of components; fewer are returned if the rows have fewer.

    Returns
    -------
    ndarray of float32, shape (patients, components)
        Without a column if no feature varies.
    """
    values = features.to_numpy(dtype=float)
    known = ~np.isnan(values)
    varies = np.array([len(np.unique(column[there])) > 1 for column, there in zip(values.T, known.T, strict=True)])
    if not varies.any():
        return np.empty((len(values), 0), dtype=np.float32)
    values, known = values[:, varies], known[:, varies]
    ranks = rankdata(values, axis=0, nan_policy="omit")
    scores = np.where(known, norm.ppf(ranks / (known.sum(axis=0) + 1)), 0.0)
    scores = np.where(known, scores - scores.mean(axis=0), 0.0)
    scores /= scores.std(axis=0)
    left, singular, right = np.linalg.svd(scores - scores.mean(axis=0), full_matrices=False)
    there = singular > singular[0] * 1e-6
    largest = np.take_along_axis(right, np.abs(right).argmax(axis=1)[:, None], axis=1)[:, 0]
    components = (left * np.sign(largest))[:, there][:, :count] * np.sqrt(len(values))
    return components.astype(np.float32)
