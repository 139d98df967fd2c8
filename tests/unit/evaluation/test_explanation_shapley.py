"""Shapley values against closed forms, shap's own explainers and brute force."""

from itertools import permutations

import numpy as np
import pytest

from metaswin.config.models import NetworkSettings
from metaswin.evaluation.shapley import (
    FeatureGroups,
    column_groups,
    exact_shapley,
    logit_of,
    modality_groups,
    sampled_shapley,
)
from metaswin.features.encoder import CategoryColumn, ModalityEncoder, NumericColumn
from metaswin.models.classifiers import Logistics, fit_networks
from metaswin.models.fusion import FittedClassifier
from metaswin.models.thresholds import Recalibration

WIDTHS = [4, 3, 1]
GROUPS = FeatureGroups.of([("a",)] * 4 + [("b",)] * 3 + [("c",)])
SINGLE = FeatureGroups.of([(str(i),) for i in range(8)])


class GroupMasker:
    """Mask groups for shap: columns of unknown groups are replaced by those of each row of the background."""

    immutable_outputs = True
    clustering = None

    def __init__(self, groups, background):
        self.groups, self.background = groups, background
        self.shape = (len(background), len(groups.names))

    def __call__(self, mask, row):
        return (np.where(mask[self.groups.owner], row, self.background),)

    def mask_shapes(self, row):
        return [(len(self.groups.names),)]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 8)), rng.normal(1, 2, size=(20, 8))


@pytest.fixture(scope="module")
def linear():
    coef = np.random.default_rng(1).normal(size=8)
    classifier = FittedClassifier(
        Logistics({"coef": coef[None], "intercept": np.array([0.4])}), Recalibration(-0.3, 1.7), 0.5
    )
    return 1.7 * coef, logit_of(classifier, WIDTHS)


@pytest.fixture(scope="module")
def network():
    """A trained network with interactions of all three modalities."""
    rng = np.random.default_rng(2)
    modalities = [rng.normal(size=(80, width)) for width in WIDTHS]
    label = (modalities[0][:, 0] * modalities[1][:, 0] * modalities[2][:, 0] + rng.normal(size=80) > 0).astype(float)
    settings = NetworkSettings(steps=60, ensemble=2)
    return logit_of(
        FittedClassifier(fit_networks(modalities, label, [0.1], settings, 5), Recalibration(0.1, 0.8), 0.5), WIDTHS
    )


def brute_force(logit, row, background, groups):
    """Mean marginal contribution over all orders of the groups."""
    count = len(groups.names)
    values = np.zeros(count)
    orders = list(permutations(range(count)))

    def worth(known):
        return logit(np.where(np.isin(groups.owner, list(known)), row, background)).mean()

    for order in orders:
        known = set()
        for group in order:
            before = worth(known)
            known.add(group)
            values[group] += (worth(known) - before) / len(orders)
    return values


def test_modalities_when_model_is_linear_then_coefficient_times_distance_from_mean(data, linear):
    rows, background = data
    coef, logit = linear
    each = coef * (rows - background.mean(axis=0))
    wanted = np.stack([each[:, :4].sum(axis=1), each[:, 4:7].sum(axis=1), each[:, 7]], axis=1)
    np.testing.assert_allclose(exact_shapley(logit, rows, background, GROUPS).values, wanted, atol=1e-9)


def test_columns_when_model_is_linear_then_one_permutation_is_exact_and_equals_shap(data, linear):
    import shap

    rows, background = data
    coef, logit = linear
    found = sampled_shapley(logit, rows, background, SINGLE, permutations=1, seed=1)
    np.testing.assert_allclose(found.values, coef * (rows - background.mean(axis=0)), atol=1e-9)
    intercept = float(logit(np.zeros((1, 8)))[0])
    theirs = shap.LinearExplainer((coef, intercept), shap.maskers.Independent(background, max_samples=99))(rows)
    np.testing.assert_allclose(found.values, theirs.values, atol=1e-9)
    assert found.base == pytest.approx(float(theirs.base_values[0]))


def test_modalities_when_the_model_is_a_network_then_equal_to_brute_force_and_shap(data, network):
    import shap

    rows, background = data
    found = exact_shapley(network, rows, background, GROUPS).values
    wanted = [brute_force(network, row, background, GROUPS) for row in rows]
    np.testing.assert_allclose(found, wanted, atol=1e-9)
    theirs = shap.ExactExplainer(network, GroupMasker(GROUPS, background))(rows, silent=True)
    np.testing.assert_allclose(found, theirs.values, atol=1e-9)


def test_columns_when_the_model_is_a_network_then_they_are_near_the_exact_ones(data, network):
    rows, background = data
    exact = exact_shapley(network, rows, background, SINGLE).values
    sampled = sampled_shapley(network, rows, background, SINGLE, permutations=40, seed=1).values
    assert np.abs(sampled - exact).max() < 0.1 * np.abs(exact).max()


@pytest.mark.parametrize(("groups", "draws"), [(SINGLE, 1), (SINGLE, 5), (GROUPS, 2)])
def test_columns_when_the_model_is_a_network_then_equal_to_shap_with_the_same_orders(data, network, groups, draws):
    import shap

    rows, background = data
    found = sampled_shapley(network, rows, background, groups, permutations=draws, seed=3).values
    explainer = shap.PermutationExplainer(network, GroupMasker(groups, background), seed=3)
    theirs = explainer(rows, max_evals=draws * (2 * len(groups.names) + 1), silent=True)
    np.testing.assert_allclose(found, theirs.values, atol=1e-12)


@pytest.mark.parametrize("way", [lambda *a: exact_shapley(*a), lambda *a: sampled_shapley(*a, 1, 1)])
def test_contributions_plus_base_equal_the_logit(data, network, way):
    rows, background = data
    found = way(network, rows, background, GROUPS)
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), network(rows), atol=1e-6)


def test_modalities_when_there_is_one_then_it_has_the_whole_contribution(data, network):
    rows, background = data
    found = exact_shapley(network, rows, background, FeatureGroups.of([("all",)] * 8))
    np.testing.assert_allclose(found.values[:, 0], network(rows) - found.base, atol=1e-9)


def test_columns_when_drawn_again_with_the_same_seed_then_the_same(data, network):
    rows, background = data
    first, again = (sampled_shapley(network, rows, background, SINGLE, 2, seed=9).values for _ in range(2))
    np.testing.assert_array_equal(first, again)


ENCODERS = {
    "clinical:paper": ModalityEncoder(
        (NumericColumn("age", False, 60, 60, 9, True), CategoryColumn("sex", ("f", "m"))),
    ),
    "radiomics": ModalityEncoder((NumericColumn("tumor__a", False, 0, 0, 1, False),)),
    "deep": ModalityEncoder(tuple(NumericColumn(f"d{i:03d}", False, 0, 0, 1, False) for i in range(3))),
}


def test_feature_groups_of_columns_have_one_group_per_category_and_one_for_deep():
    groups = column_groups(ENCODERS)
    assert groups.names == [("clinical", "age"), ("clinical", "sex"), ("radiomics", "tumor__a"), ("deep",)]
    np.testing.assert_array_equal(groups.owner, [0, 0, 1, 1, 1, 2, 3, 3, 3])


def test_feature_groups_of_modalities_contain_every_encoded_column():
    groups = modality_groups(ENCODERS)
    assert groups.names == [("clinical",), ("radiomics",), ("deep",)]
    np.testing.assert_array_equal(groups.owner, [0, 0, 0, 0, 0, 1, 2, 2, 2])
