"""Compute what a network learns: principal components of radiomics features, and the head that starts from them."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm, rankdata

from metaswin.cohort.outcomes import METASTASIS
from metaswin.models.hazard_network import interval_cuts, states

# 1/C of the regression of the outcome on the predicted components, which are standardised.
HEAD_PENALTY = 10.0
# Largest number of time intervals of this regression.
INTERVALS = 6
# The indicators of the intervals are this large, so that the penalty hardly shrinks the baseline hazards.
BASELINE_SCALE = 10.0


@dataclass(frozen=True)
class Targets:
    """Hold what the network of one fit learns about its rows.

    Attributes
    ----------
    labels : ndarray of float, shape (n,)
        0, 1 or NaN (unknown).
    time, event : ndarray of float, shape (n,)
        Days, and 0 censored, 1 metastasis, 2 death; NaN if unknown, or if the endpoint has no times.
    components : ndarray of float32, shape (n, components)
        See `radiomics_components`; no column if the encoder learns only the outcome.
    """

    labels: np.ndarray
    time: np.ndarray
    event: np.ndarray
    components: np.ndarray

    @classmethod
    def of_labels(cls, labels: np.ndarray) -> "Targets":
        """Return targets without times and components."""
        unknown = np.full(len(labels), np.nan)
        return cls(np.asarray(labels, float), unknown, unknown, np.empty((len(labels), 0), dtype=np.float32))

    @property
    def labelled(self) -> np.ndarray:
        """Rows with a known label, as a mask."""
        return ~np.isnan(self.labels)

    def fingerprint(self) -> str:
        """Return a hash of the values, which distinguishes training sets."""
        found = hashlib.blake2b(digest_size=16)
        for values in (self.labels, self.time, self.event, self.components):
            found.update(np.ascontiguousarray(values).tobytes())
        return found.hexdigest()

    def of(self, rows: np.ndarray) -> "Targets":
        """Return the targets of some rows."""
        return Targets(self.labels[rows], self.time[rows], self.event[rows], self.components[rows])


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


def head_weights(predicted: np.ndarray, targets: Targets) -> tuple[np.ndarray, float]:
    """Return the weights of the predicted components and the intercept of the logit.

    If every labelled row has a time, the weights are those of a discrete-time hazard model of metastasis: a logistic
    regression with one observation for each row and time interval in which the row was at risk (Tutz & Schmid 2016,
    Modeling Discrete Time-to-Event Data, chapters 3 and 8; a death ends the time at risk). It learns from the times of
    the events and from rows that were censored before the label is known. Otherwise, the weights are those of a
    logistic regression of the label. The intercept makes the mean probability of the labelled rows equal to their
    prevalence.

    Parameters
    ----------
    predicted : ndarray, shape (n, components)
        Predictions of the encoder for the training rows.
    targets : Targets
        Of the same rows. Both labels are present.
    """
    from sklearn.linear_model import LogisticRegression

    labelled = targets.labelled
    centre, spread = predicted.mean(axis=0), predicted.std(axis=0) + 1e-6
    values = (predicted - centre) / spread
    followed = ~np.isnan(targets.time) & ~np.isnan(targets.event)
    if followed[labelled].all():
        time, event = targets.time[followed], targets.event[followed]
        cuts = interval_cuts(time, event, time[event == METASTASIS].max(), INTERVALS)
        state = states(time, event, cuts)
        row, interval = np.nonzero(state >= 0)
        inputs = np.column_stack([values[followed][row], BASELINE_SCALE * np.eye(len(cuts))[interval]])
        outcome = state[row, interval] == METASTASIS
    else:
        inputs = np.column_stack([values[labelled], np.full(labelled.sum(), BASELINE_SCALE)])
        outcome = targets.labels[labelled] == 1
    model = LogisticRegression(C=1 / HEAD_PENALTY, fit_intercept=False, max_iter=10_000).fit(inputs, outcome)
    weights = model.coef_[0, : values.shape[1]] / spread
    score, prevalence = predicted[labelled] @ weights, targets.labels[labelled].mean()
    reach = np.abs(score).max() + 30
    return weights, float(brentq(lambda offset: expit(score + offset).mean() - prevalence, -reach, reach))
