"""The hazard network: probabilities, likelihood, training, and what is saved."""

import numpy as np
import pandas as pd
import pytest
from survival_run import SavedHazard

from metaswin.config.models import NetworkSettings
from metaswin.features.encoder import fit_encoder
from metaswin.models.hazard import FittedHazard, incidence_at, save_hazard
from metaswin.models.hazard_network import HazardNetworks, fit_hazards, incidence, negative_log_likelihood, states

SMALL = NetworkSettings(steps=60, ensemble=2, penalties=[1.0, 30.0])
CUTS = np.array([100.0, 250.0, 500.0])


@pytest.fixture(scope="module")
def data():
    """Modalities of 5 and of 1 column, and states; the first column raises the risk of metastasis."""
    rng = np.random.default_rng(4)
    wide, narrow = rng.normal(size=(150, 5)), rng.normal(size=(150, 1))
    dm, death = rng.exponential(300 * np.exp(-1.2 * wide[:, 0])), rng.exponential(600, 150)
    lost = rng.uniform(50, 900, 150)
    time = np.minimum(np.minimum(dm, death), lost)
    event = np.select([dm == time, death == time], [1, 2], 0)
    return [wide, narrow], states(time, event, CUTS)


@pytest.fixture(scope="module")
def model(data):
    return fit_hazards(*data, CUTS, SMALL.penalties, SMALL, seed=7)


def test_incidence_equals_the_value_by_hand():
    hazards = np.array([[0.1, 0.2], [0.5, 0.0]])
    metastasis, death = incidence(hazards)
    assert metastasis == pytest.approx(np.array([0.1, 0.1 + 0.7 * 0.5]))
    assert death == pytest.approx(np.array([0.2, 0.2]))


def test_likelihood_when_by_hand_then_the_product_over_the_intervals_at_risk():
    hazards = np.array([[[0.1, 0.2], [0.3, 0.1]]] * 3)
    state = np.array([[0, 1], [2, -1], [0, 0]])
    expected = -np.log([0.7 * 0.3, 0.2, 0.7 * 0.6])
    assert negative_log_likelihood(hazards, state) == pytest.approx(expected)


def test_hazards_when_fitted_then_probabilities_and_incidence_rises_to_at_most_one(model, data):
    hazards = model.hazards(data[0])
    assert hazards.shape == (2, 150, 3, 2)
    assert hazards.min() > 0
    assert hazards.sum(axis=-1).max() < 1
    metastasis, death = incidence(hazards)
    assert np.all(np.diff(metastasis, axis=-1) > 0)
    assert (metastasis + death).max() < 1


def test_hazards_when_a_column_raises_them_then_found_and_shrunk_by_a_strong_penalty(model, data):
    risks = incidence(model.hazards(data[0]))[0][..., -1]
    correlations = [np.corrcoef(risk, data[0][0][:, 0])[0, 1] for risk in risks]
    assert min(correlations) > 0.6
    assert risks[1].std() < risks[0].std()


def test_hazards_when_trained_then_the_likelihood_is_better_than_without_predictors(model, data):
    modalities, state = data
    none = HazardNetworks(
        model.widths, {n: a * 0 if n not in ("base", "scale") else a for n, a in model.weights.items()}
    )
    ours, without = (negative_log_likelihood(m.hazards(modalities), state).mean(axis=1)[0] for m in (model, none))
    assert ours < without - 0.05


def test_networks_when_fitted_twice_then_the_same_and_not_with_another_seed(model, data):
    again = fit_hazards(*data, CUTS, SMALL.penalties, SMALL, seed=7)
    assert all(np.array_equal(model.weights[name], again.weights[name]) for name in model.weights)
    other = fit_hazards(*data, CUTS, SMALL.penalties, SMALL, seed=8)
    assert not np.array_equal(model.weights["hidden.weight"], other.weights["hidden.weight"])


def test_networks_when_a_modality_has_no_columns_then_all_rows_have_the_same_hazards(data):
    fitted = fit_hazards([np.empty((150, 0))], data[1], CUTS, [1.0], SMALL, seed=1)
    hazards = fitted.hazards([np.empty((4, 0))])[0]
    assert np.ptp(hazards, axis=0).max() == 0
    counts = [[np.mean(data[1][data[1][:, t] >= 0, t] == cause) for cause in (1, 2)] for t in range(3)]
    assert hazards[0] == pytest.approx(np.array(counts), abs=0.05)


def test_networks_when_rows_are_more_than_a_batch_then_they_train_too(data):
    settings = SMALL.model_copy(update={"batch_size": 32})
    fitted = fit_hazards(*data, CUTS, [1.0], settings, seed=1)
    assert np.isfinite(negative_log_likelihood(fitted.hazards(data[0]), data[1])).all()


def test_classifier_when_saved_then_its_files_give_the_same_predictions(model, data, tmp_path):
    table = pd.DataFrame(data[0][0], columns=list("abcde"))
    encoder = fit_encoder(table, dict.fromkeys(table, "numeric"), 1)
    fitted = fit_hazards([encoder.transform(table)], data[1], CUTS, [2.0], SMALL, seed=2)
    classifier = FittedHazard("clinical:paper", {"clinical:paper": encoder}, fitted, CUTS, 250.0, (0.2, 0.4))
    save_hazard(tmp_path, classifier)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clinical=paper.json", "clinical=paper.safetensors"]
    saved = SavedHazard(tmp_path, "clinical:paper")
    expected = incidence(fitted.hazards([encoder.transform(table)])[0])[0]
    assert np.array_equal(saved.metastasis({"clinical:paper": table}), expected)
    assert (saved.cuts, saved.horizon, saved.thresholds) == (CUTS.tolist(), 250.0, [0.2, 0.4])


def test_incidence_when_between_cuts_then_on_a_straight_line():
    curve = np.array([[0.1, 0.3]])
    found = incidence_at(curve, np.array([10.0, 30.0]), np.array([0.0, 5.0, 10.0, 20.0, 30.0]))
    assert found == pytest.approx(np.array([[0.0, 0.05, 0.1, 0.2, 0.3]]))


def test_incidence_when_beyond_the_last_cut_then_refused():
    with pytest.raises(ValueError, match="day 31 lies beyond the last cut 30"):
        incidence_at(np.array([[0.1, 0.3]]), np.array([10.0, 30.0]), np.array([31.0]))
