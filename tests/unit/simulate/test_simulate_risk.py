"""The population and its risk: stated AUCs, hazards, event times."""

import numpy as np
import pytest
from scipy.integrate import quad
from sklearn.metrics import roc_auc_score

from metaswin.simulate import risk
from metaswin.simulate.options import preset_options
from metaswin.simulate.population import SITES, STREAM_COHORT, draw_patients, draw_uniforms


def drawn(options, n):
    uniforms = draw_uniforms(STREAM_COHORT, options.seed, n)
    return draw_patients(uniforms, options), uniforms


def aucs(preset, **changes):
    options = preset_options(preset, draws=200_000, **changes)
    return risk.population_aucs(options, risk.baseline(options))


def test_reference_preset_has_the_stated_aucs():
    found = aucs("reference")
    assert found["true risk"] == pytest.approx(0.80, abs=0.005)
    for modality in ("clinical", "radiomics", "peritumoral"):
        assert 0.62 <= found[modality] <= 0.70
    assert found["scanner"] == pytest.approx(0.5, abs=0.01)


def test_null_preset_has_nothing_to_predict():
    assert all(auc == pytest.approx(0.5, abs=1e-9) for auc in aucs("null").values())


def test_volume_only_preset_has_nothing_beyond_volume():
    found = aucs("volume-only")
    assert found["volume"] > 0.7
    assert found["radiomics"] == pytest.approx(found["volume"], abs=1e-6)
    assert found["clinical"] == pytest.approx(0.5, abs=0.01)
    assert found["peritumoral"] == pytest.approx(0.5, abs=0.01)


def test_batch_preset_lets_the_scanner_predict():
    assert 0.58 < aucs("batch")["scanner"] < 0.70


def test_demo_preset_has_a_strong_risk_that_volume_does_not_explain():
    found = aucs("demo")
    assert found["true risk"] == pytest.approx(0.952, abs=0.005)
    assert found["radiomics"] == pytest.approx(0.889, abs=0.01)
    assert found["volume"] == pytest.approx(0.649, abs=0.01)


def test_the_demo_cohort_of_the_makefile_has_twenty_known_events():
    options = preset_options("demo", n=40, seed=1)
    patients, uniforms = drawn(options, options.n)
    outcome = risk.draw_outcome(patients, uniforms, options, risk.baseline(options))
    assert ((outcome.dm_event == 1) & (outcome.dm_time_days <= 730)).sum() == 20


@pytest.mark.parametrize("prevalence", [0.05, 0.22, 0.5])
def test_baseline_gives_the_wanted_prevalence(prevalence):
    options = preset_options("reference", prevalence=prevalence)
    patients, _ = drawn(options, 100_000)
    assert risk.true_risk(patients, options, risk.baseline(options)).mean() == pytest.approx(prevalence, abs=0.004)


def test_cumulative_incidence_agrees_with_integrated_hazards():
    a1, a2, k = 0.3, 0.1, risk.SHAPE

    def density(t):
        return a1 * k * t ** (k - 1) * np.exp(-(a1 + a2) * t**k)

    expected = quad(density, 0, 2.0)[0]
    assert risk.cumulative_incidence(np.array([a1]), np.array([a2]))[0] == pytest.approx(expected, rel=1e-6)


def test_drawn_labels_without_censoring_agree_with_true_risk():
    options = preset_options("reference", loss_rate=0.0)
    patients, uniforms = drawn(options, 100_000)
    base = risk.baseline(options)
    everyone_followed = {**uniforms, "administrative": np.ones(len(patients))}
    outcome = risk.draw_outcome(patients, everyone_followed, options, base)
    label = (outcome.dm_event == 1) & (outcome.dm_time_days <= 730)
    probability = risk.true_risk(patients, options, base)
    assert label.mean() == pytest.approx(probability.mean(), abs=0.005)
    assert roc_auc_score(label, probability) == pytest.approx(risk.weighted_auc(probability, probability), abs=0.006)
    high = probability > 0.5
    assert label[high].mean() == pytest.approx(probability[high].mean(), abs=0.015)


def test_outcome_times_are_consistent():
    options = preset_options("reference")
    patients, uniforms = drawn(options, 20_000)
    outcome = risk.draw_outcome(patients, uniforms, options, risk.baseline(options))
    assert outcome.followup_days.min() >= 1
    assert (outcome.dm_time_days <= outcome.followup_days).all()
    assert (outcome.dm_time_days == outcome.followup_days)[outcome.dm_event == 0].all()
    lost_early = (outcome.followup_days < 730) & (outcome.death_event == 0) & (outcome.dm_event == 0)
    assert 0.02 < lost_early.mean() < 0.3


@pytest.mark.parametrize("ties", [False, True])
def test_weighted_auc_of_labels_is_the_ordinary_auc(ties):
    rng = np.random.default_rng(0)
    score = rng.integers(0, 5, 500).astype(float) if ties else rng.standard_normal(500)
    label = (score + rng.standard_normal(500) > 1).astype(float)
    assert risk.weighted_auc(score, label) == pytest.approx(roc_auc_score(label, score))


def test_weighted_auc_of_probabilities_is_the_expected_one():
    # Two rows: events .8 and .2. Pairs: .8*.8 concordant, .2*.2 discordant, ties within a row count half.
    expected = (0.8 * 0.8 + 0.5 * (0.8 * 0.2 + 0.2 * 0.8)) / 1.0
    assert risk.weighted_auc(np.array([2.0, 1.0]), np.array([0.8, 0.2])) == pytest.approx(expected)


@pytest.mark.parametrize("correlation", [-0.4, 0.0, 0.7])
def test_texture_has_the_wanted_correlation_with_volume(correlation):
    patients, _ = drawn(preset_options("reference", texture_volume_correlation=correlation), 50_000)
    assert np.corrcoef(patients.texture, patients.volume)[0, 1] == pytest.approx(correlation, abs=0.02)
    for latent in (patients.texture, patients.volume, patients.peritumoral):
        assert latent.std() == pytest.approx(1, abs=0.02)


def test_patients_are_the_same_for_any_n():
    options = preset_options("reference")
    few, many = drawn(options, 5)[0], drawn(options, 500)[0]
    assert np.array_equal(few.texture, many.texture[:5])
    assert np.array_equal(few.age, many.age[:5])
    assert np.array_equal(few.scanner, many.scanner[:5])


def test_unknown_primaries_have_nodes_and_no_t_stage():
    patients, _ = drawn(preset_options("reference", unknown_primary=0.1), 5_000)
    unknown = patients.site == len(SITES)
    assert unknown.mean() == pytest.approx(0.1, abs=0.02)
    assert patients.n_stage[unknown].min() == 1
    assert (patients.t_stage[unknown] == 0).all()
    assert patients.t_stage[~unknown].min() == 1


def test_subtypes_restrict_the_sites():
    patients, _ = drawn(preset_options("reference", subtypes=("larynx", "nasopharynx")), 2_000)
    assert set(np.array(SITES)[patients.site]) == {"larynx", "nasopharynx"}
