"""The fusion network and the reference regression."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from metaswin.config.models import NetworkSettings
from metaswin.models.classifiers import fit_logistics, fit_networks
from metaswin.models.thresholds import auc

FAST = NetworkSettings(ensemble=2)


def fit(modalities, label, penalties=(1.0,), settings=FAST, seed=0):
    return fit_networks(modalities, label, penalties, settings, seed)


def bernoulli(rng, logits):
    return (rng.random(len(logits)) < 1 / (1 + np.exp(-logits))).astype(float)


def noise(n, *widths, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(n, width)) for width in widths], bernoulli(rng, np.full(n, -0.8))


def test_networks_when_logits_are_computed_then_as_torch_computes_them():
    import torch
    from torch.nn import functional

    modalities, label = noise(50, 5, 1, 3)
    networks = fit(modalities, label, penalties=(0.1, 1.0))
    inputs = torch.from_numpy(np.concatenate(modalities, axis=1)) * torch.from_numpy(networks.weights["scale"]).double()
    expected = []
    for penalty in range(2):
        members = []
        for member in range(2):
            w = {k: torch.from_numpy(v[penalty, member]).double() for k, v in networks.weights.items() if k != "scale"}
            first = functional.gelu(inputs[:, :5] @ w["encoder0.weight"] + w["encoder0.bias"])
            third = functional.gelu(inputs[:, 6:] @ w["encoder2.weight"] + w["encoder2.bias"])
            hidden = torch.cat([first, inputs[:, 5:6], third], dim=1) @ w["hidden.weight"] + w["hidden.bias"]
            output = functional.gelu(hidden) @ w["output.weight"] + w["output.bias"] + inputs @ w["linear.weight"]
            members.append(output[:, 0])
        expected.append(torch.stack(members).mean(dim=0).numpy())
    assert networks.logits(modalities) == pytest.approx(np.stack(expected), rel=1e-9)


def test_training_when_batches_are_drawn_then_the_weights_are_those_of_torchs_optimiser():
    import torch

    from metaswin.models.mlp import train

    rows, penalties, settings = 40, (0.5, 5.0), NetworkSettings(steps=30, ensemble=2, batch_size=16, dropout=0.0)
    generator = torch.Generator().manual_seed(1)
    inputs, target = torch.randn((rows, 3), generator=generator), torch.randn(rows, generator=generator)
    start = {"linear.weight": torch.randn((4, 3, 1), generator=generator), "linear.bias": torch.zeros((4, 1, 1))}

    def loss_of(weights):
        def loss(chosen, dropped):
            found = dropped(inputs[chosen] @ weights["linear.weight"] + weights["linear.bias"])
            return (found[..., 0] - target[chosen]).square().mean(dim=1)

        return loss

    mine = {name: array.clone().requires_grad_() for name, array in start.items()}
    state = generator.get_state()
    found = train(mine, loss_of(mine), rows, penalties, settings, generator)

    generator.set_state(state)
    theirs = {name: array.clone().requires_grad_() for name, array in start.items()}
    optimiser = torch.optim.Adam(theirs.values(), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
    for _ in range(settings.steps):
        chosen = torch.randint(rows, (settings.batch_size,), generator=generator)
        penalty = torch.tensor([0.5, 0.5, 5.0, 5.0]) / (2 * rows)
        optimiser.zero_grad()
        errors = loss_of(theirs)(chosen, lambda values: values)
        (errors + penalty * theirs["linear.weight"].square().sum(dim=(1, 2))).sum().backward()
        optimiser.step()
        schedule.step()
    for name, array in theirs.items():
        np.testing.assert_allclose(found[name].reshape(array.shape), array.detach().numpy(), rtol=1e-5, atol=1e-7)
        assert not np.allclose(array.detach().numpy(), start[name].numpy(), atol=1e-3)


def test_networks_when_risk_is_linear_then_as_good_as_logistic_regression():
    rng = np.random.default_rng(2)
    inputs = rng.normal(size=(4000, 12))
    label = bernoulli(rng, inputs @ np.linspace(-0.6, 0.6, 12) - 1)
    train, test = slice(0, 1500), slice(1500, None)
    networks = fit([inputs[train, :6], inputs[train, 6:]], label[train])
    reference = LogisticRegression().fit(inputs[train], label[train]).decision_function(inputs[test])
    found = networks.logits([inputs[test, :6], inputs[test, 6:]])[0]
    assert auc(found, label[test]) > auc(reference, label[test]) - 0.01


def test_networks_when_modalities_interact_then_better_than_linear():
    rng = np.random.default_rng(3)
    modalities = [rng.normal(size=(3000, 1)), rng.normal(size=(3000, 1))]
    label = bernoulli(rng, 3 * modalities[0][:, 0] * modalities[1][:, 0])
    train, test = slice(0, 1500), slice(1500, None)
    settings = NetworkSettings(ensemble=2, steps=400)
    networks = fit([modality[train] for modality in modalities], label[train], (0.1,), settings)
    assert auc(networks.logits([modality[test] for modality in modalities])[0], label[test]) > 0.75


def test_networks_when_33_patients_and_800_features_then_logits_stay_below_four():
    modalities, label = noise(33, 12, 36, 36, 800)
    networks = fit(modalities, label, penalties=(12.0, 60.0))
    others, _ = noise(500, 12, 36, 36, 800, seed=9)
    logits = networks.logits(others)
    assert np.isfinite(logits).all()
    assert np.abs(logits).max() < 4
    # The stronger the penalty, the nearer to the prevalence.
    odds = np.log(label.mean() / (1 - label.mean()))
    away = np.abs(logits - odds).mean(axis=1)
    assert away[1] < away[0] < 1


def test_networks_when_the_penalty_is_huge_then_the_prevalence():
    modalities, label = noise(100, 8, 1)
    logits = fit(modalities, label, penalties=(1e6,)).logits(modalities)
    assert 1 / (1 + np.exp(-logits)) == pytest.approx(np.full((1, 100), label.mean()), abs=0.03)


def test_networks_when_a_penalty_is_fitted_beside_others_then_as_alone():
    modalities, label = noise(40, 6, 2)
    together = fit(modalities, label, penalties=(0.5, 5.0))
    alone = fit(modalities, label, penalties=(5.0,))
    assert together.logits(modalities)[1] == pytest.approx(alone.logits(modalities)[0], abs=1e-3)


@pytest.mark.parametrize("rows", [40, 400])
def test_networks_when_fitted_again_then_the_same_bits(rows):
    modalities, label = noise(rows, 6, 2)
    first, second, other = fit(modalities, label), fit(modalities, label), fit(modalities, label, seed=1)
    assert all(np.array_equal(first.weights[name], second.weights[name]) for name in first.weights)
    assert not np.array_equal(first.weights["hidden.weight"], other.weights["hidden.weight"])


def test_networks_when_no_column_at_all_then_the_prevalence():
    label = np.array([0.0] * 30 + [1.0] * 10)
    networks = fit([np.empty((40, 0))], label)
    assert 1 / (1 + np.exp(-networks.logits([np.empty((3, 0))]))) == pytest.approx(np.full((1, 3), 0.25), abs=0.02)


def test_logistics_when_fitted_then_one_per_penalty_as_scikit_learn_does():
    modalities, label = noise(80, 3, 2)
    found = fit_logistics(modalities, label, [0.5, 50.0])
    inputs = np.concatenate(modalities, axis=1)
    for i, penalty in enumerate([0.5, 50.0]):
        model = LogisticRegression(C=1 / penalty).fit(inputs, label)
        assert found.logits(modalities)[i] == pytest.approx(model.decision_function(inputs), abs=1e-4)


def test_logistics_when_no_column_at_all_then_the_prevalence():
    found = fit_logistics([np.empty((4, 0))], np.array([0.0, 0, 0, 1]), [1.0])
    assert found.logits([np.empty((2, 0))]) == pytest.approx(np.full((1, 2), np.log(1 / 3)))
