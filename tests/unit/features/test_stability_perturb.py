"""Perturbed masks: what moves, by how much, and what the random numbers depend on."""

import numpy as np
import pytest

from metaswin.config.features import StabilitySettings
from metaswin.features.perturbation import MARGIN, RANDOM, contour_noise, perturbed_masks, signed_distance
from metaswin.features.subset import subset

ONLY_SHIFT = StabilitySettings(noise=0.0, shift=3.0, perturbations=4)
ONLY_NOISE = StabilitySettings(noise=1.0, shift=0.0, perturbations=4)


def sphere(radius: float = 10.0, spacing: float = 1.0, size: int = 40) -> np.ndarray:
    axes = (np.arange(size) - size / 2) * spacing
    return sum(axis**2 for axis in np.meshgrid(axes, axes, axes, indexing="ij")) <= radius**2


def masks(mask, settings, patient="P1", seed=1, spacing=1.0):
    """Masks by kind and number."""
    return {(kind, number): found for kind, number, found in perturbed_masks(mask, spacing, settings, patient, seed)}


def centre(mask):
    return np.argwhere(mask).mean(axis=0)


def test_signed_distance_when_cut_at_the_contour_then_the_mask_whatever_its_form():
    mask = np.random.default_rng(0).random((12, 13, 14)) < 0.4
    for spacing in (0.7, 1.0, 3.0):
        distance = signed_distance(mask, spacing)
        assert np.array_equal(distance < 0, mask)
        assert np.abs(distance).min() == pytest.approx(spacing / 2)


def test_masks_when_nothing_is_perturbed_then_all_are_the_drawn_one():
    still = StabilitySettings(noise=0.0, shift=0.0, margin=0.4, perturbations=2)
    found = masks(sphere(), still)
    assert list(found) == [(RANDOM, 0), (RANDOM, 1), (MARGIN, 0), (MARGIN, 1), (MARGIN, 2)]
    assert all(np.array_equal(mask, sphere()) for mask in found.values())


@pytest.mark.parametrize("spacing", [1.0, 2.0])
def test_masks_when_shrunk_and_grown_then_by_the_margin_in_mm(spacing):
    drawn = sphere(16.0, spacing)
    found = masks(drawn, StabilitySettings(margin=3.0, perturbations=2), spacing=spacing)
    radius = {number: (3 * found[MARGIN, number].sum() * spacing**3 / (4 * np.pi)) ** (1 / 3) for number in range(3)}
    assert np.array_equal(found[MARGIN, 1], drawn)
    assert radius[1] - radius[0] == pytest.approx(3.0, abs=0.4 * spacing)
    assert radius[2] - radius[1] == pytest.approx(3.0, abs=0.4 * spacing)
    assert not (found[MARGIN, 0] & ~drawn).any()
    assert not (drawn & ~found[MARGIN, 2]).any()


def test_masks_when_shifted_then_the_whole_moves_within_the_limit_and_keeps_its_size():
    found = masks(sphere(), ONLY_SHIFT)
    moves = np.array([centre(found[RANDOM, number]) - centre(sphere()) for number in range(4)])
    assert np.abs(moves).max() <= 3.1
    assert np.abs(moves).max() > 1
    assert len(np.unique(moves.round(1), axis=0)) == 4
    sizes = [found[RANDOM, number].sum() for number in range(4)]
    assert sizes == pytest.approx([sphere().sum()] * 4, rel=0.02)


def test_masks_when_the_noise_changes_then_the_shifts_stay():
    quiet, noisy = (masks(sphere(), ONLY_SHIFT.model_copy(update={"noise": noise})) for noise in (0.0, 0.1))
    for number in range(4):
        assert centre(noisy[RANDOM, number]) == pytest.approx(centre(quiet[RANDOM, number]), abs=0.25)
    assert any(not np.array_equal(noisy[RANDOM, number], quiet[RANDOM, number]) for number in range(4))


def test_masks_when_more_are_asked_for_then_the_first_stay():
    few, more = (masks(sphere(), ONLY_NOISE.model_copy(update={"perturbations": n})) for n in (2, 4))
    assert all(np.array_equal(few[RANDOM, number], more[RANDOM, number]) for number in range(2))


def test_masks_when_patient_or_seed_differ_then_others_and_otherwise_the_same():
    first = masks(sphere(), ONLY_NOISE)[RANDOM, 0]
    assert np.array_equal(masks(sphere(), ONLY_NOISE)[RANDOM, 0], first)
    assert not np.array_equal(masks(sphere(), ONLY_NOISE, patient="P2")[RANDOM, 0], first)
    assert not np.array_equal(masks(sphere(), ONLY_NOISE, seed=2)[RANDOM, 0], first)


@pytest.mark.parametrize("spacing", [1.0, 2.5])
def test_contour_noise_when_drawn_often_then_deviation_and_correlation_are_as_set(spacing):
    settings = StabilitySettings(noise=1.5, smoothness=5.0)
    fields = np.stack(
        [contour_noise((6, 20, 20), spacing, settings, np.random.default_rng(seed)) for seed in range(150)]
    )
    assert fields.std() == pytest.approx(1.5, rel=0.08)
    steps = round(5.0 / spacing)
    near, far = fields[:, 3, 2, 2], fields[:, 3, 2, 2 + steps]
    # White noise smoothed by a Gaussian of width s is correlated as exp(-d² / (4 s²)).
    assert np.corrcoef(near, far)[0, 1] == pytest.approx(np.exp(-0.25), abs=0.12)


def test_subset_when_a_patient_joins_then_one_member_changes_at_most():
    patients = [f"P{i:03d}" for i in range(60)]
    chosen = subset(patients, 20, 5)
    assert len(chosen) == 20
    assert chosen == sorted(chosen) == subset(patients[::-1], 20, 5)
    assert subset(patients, 20, 6) != chosen
    for name in ("P100", "P200", "P300", "P400"):
        assert len(set(subset([*patients, name], 20, 5)) - set(chosen)) <= 1
    assert subset(patients, 100, 5) == patients
