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


class GroupMasker:
    """Mask groups for shap: columns of unknown groups are replaced by those of each row of the background.

    This is the interventional value function (Janzing, Minorics and Bloebaum 2020, AISTATS): v(S) is the mean over
    the background of f(x_S, b_rest). The columns of one category are always masked together.

    Parameters
    ----------
    groups : FeatureGroups
    background : ndarray, shape (rows, encoded columns)
    """

    immutable_outputs = True
    clustering = None

    def __init__(self, groups: FeatureGroups, background: np.ndarray) -> None:
        self.groups, self.background = groups, background
        self.shape = (len(background), len(groups.names))

    def __call__(self, mask: np.ndarray, row: np.ndarray) -> tuple[np.ndarray]:
        return (np.where(mask[self.groups.owner], row, self.background),)

    def mask_shapes(self, row: np.ndarray) -> list[tuple[int]]:
        return [(len(self.groups.names),)]


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
    """Return the mean logit of each row over the background, which replaces the columns that are not `known`."""
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
    (Mitchell et al. 2022, JMLR 23:43, antithetic sampling; shap's PermutationExplainer).
    """
    from shap import PermutationExplainer

    explainer = PermutationExplainer(logit, GroupMasker(groups, background), seed=seed)
    evaluations = permutations * (2 * len(groups.names) + 1)
    found = explainer(rows, max_evals=evaluations, batch_size=BATCH, silent=True)
    return ShapleyValues(groups, found.values, float(logit(background).mean()))
