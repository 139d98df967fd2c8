"""Compute Shapley values of modalities and of single features on the logit scale."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from metaswin.features.encoder import ModalityEncoder
from metaswin.models.fusion import FittedClassifier

# Modalities whose columns are shown individually. Single dimensions of deep features cannot be interpreted.
SHOWN = ("clinical", "radiomics", "peri_radiomics", "anatomy")


@dataclass(frozen=True)
class FeatureGroups:
    """Define groups of the encoded columns of a feature set.

    Attributes
    ----------
    names : list of tuple of str
        ``(modality,)`` or ``(modality, column)``.
    owner : ndarray of int, shape (encoded columns,)
        Number of the group of each encoded column.
    """

    names: list[tuple[str, ...]]
    owner: np.ndarray

    @classmethod
    def of(cls, names: Sequence[tuple[str, ...]]) -> "FeatureGroups":
        """Group columns by these names; columns of the same name form one group."""
        distinct = list(dict.fromkeys(names))
        return cls(distinct, np.array([distinct.index(name) for name in names], dtype=int))


def modality_name(modality: str) -> str:
    """Return the name without the clinical set: ``clinical`` for ``clinical:<set>``, otherwise `modality`."""
    return modality.split(":")[0]


def modality_groups(encoders: Mapping[str, ModalityEncoder]) -> FeatureGroups:
    """Make one group per modality."""
    return FeatureGroups.of(
        [(modality_name(modality),) for modality, encoder in encoders.items() for _ in encoder.outputs]
    )


def column_groups(encoders: Mapping[str, ModalityEncoder]) -> FeatureGroups:
    """Make one group per table column: the one-hot columns of a category, or a number and its missing flag.

    A modality that is not in `SHOWN` stays one group.
    """
    names: list[tuple[str, ...]] = []
    for modality, encoder in encoders.items():
        name = modality_name(modality)
        for column in encoder.columns:
            group = (name, column.name) if name in SHOWN else (name,)
            names += [group] * len(column.outputs)
    return FeatureGroups.of(names)


Logit = Callable[[np.ndarray], np.ndarray]
BATCH = 64  # rows, or masks of one row, evaluated at once


@dataclass(frozen=True)
class ShapleyValues:
    """Store Shapley values.

    Attributes
    ----------
    groups : FeatureGroups
    values : ndarray, shape (rows, groups)
        Contributions. The logit of a row is `base` plus its contributions.
    base : float
        Mean logit of the background.
    """

    groups: FeatureGroups
    values: np.ndarray
    base: float


def logit_of(classifier: FittedClassifier, widths: list[int]) -> Logit:
    """Return the recalibrated logit of a classifier as a function of encoded rows (modalities side by side)."""
    ends = np.cumsum(widths)[:-1]

    def logit(inputs: np.ndarray) -> np.ndarray:
        modalities = np.split(inputs, ends, axis=1)
        return (
            classifier.recalibration.intercept + classifier.recalibration.slope * classifier.model.logits(modalities)[0]
        )

    return logit


def exact_shapley(logit: Logit, rows: np.ndarray, background: np.ndarray, groups: FeatureGroups) -> ShapleyValues:
    """Compute exact values from all coalitions of the groups (Shapley 1953), for a small number of groups.

    This is our own code, because shap's ExactExplainer compiles for seconds in each job. A test compares the two.

    Parameters
    ----------
    logit : callable
        Logits of encoded rows.
    rows, background : ndarray, shape (., encoded columns)
    groups : FeatureGroups
    """
    count = len(groups.names)
    worth = np.stack([_worth(logit, rows, background, code >> groups.owner & 1 == 1) for code in range(2**count)])
    values = np.zeros((len(rows), count))
    for code in range(2**count):
        size = code.bit_count()
        for group in range(count):
            if not code >> group & 1:
                weight = 1 / (count * comb(count - 1, size))
                values[:, group] += weight * (worth[code | 1 << group] - worth[code])
    return ShapleyValues(groups, values, float(logit(background).mean()))


def _worth(logit: Logit, rows: np.ndarray, background: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the mean logit of each row over the background, which replaces the columns that are not `known`.

    This is the interventional value function (Janzing, Minorics and Bloebaum 2020, AISTATS): v(S) is the mean over
    the background of f(x_S, b_rest). The columns of one group are always known together.
    """
    parts = []
    for first in range(0, len(rows), BATCH):
        mixed = np.where(known, rows[first : first + BATCH, None], background)
        parts.append(logit(mixed.reshape(-1, rows.shape[1])).reshape(mixed.shape[:2]).mean(axis=1))
    return np.concatenate([np.zeros(0), *parts])


def sampled_shapley(
    logit: Logit, rows: np.ndarray, background: np.ndarray, groups: FeatureGroups, permutations: int, seed: int
) -> ShapleyValues:
    """Compute values from random orders of the groups, each used forwards and backwards.

    The values add up to the logit exactly. They are exact if the logit has no interaction of three or more groups
    (Mitchell et al. 2022, JMLR 23:43, antithetic sampling). They are those of shap's PermutationExplainer, with its
    random numbers; shap itself imports and compiles for six seconds in each job. A test compares the two.
    """
    random = np.random.RandomState(seed)
    values = np.zeros((len(rows), len(groups.names)))
    for row, found in zip(rows, values, strict=True):
        order = np.arange(len(groups.names))
        for _ in range(permutations):
            random.shuffle(order)
            # Groups become known in this order, and unknown again in the same order.
            place = np.argsort(order)
            steps = np.arange(2 * len(order) + 1)[:, None]
            known = (steps > place) & (steps <= place + len(order))
            gains = np.diff(_worths(logit, row, background, known[:, groups.owner]))
            found[order] += gains[: len(order)] - gains[len(order) :]
    return ShapleyValues(groups, values / (2 * permutations), float(logit(background).mean()))


def _worths(logit: Logit, row: np.ndarray, background: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the mean logit of one row for each mask of `known`, shape (masks, encoded columns)."""
    parts = []
    for first in range(0, len(known), BATCH):
        mixed = np.where(known[first : first + BATCH, None], row, background)
        parts.append(logit(mixed.reshape(-1, len(row))).reshape(mixed.shape[:2]).mean(axis=1))
    return np.concatenate(parts)
