"""Random-effects meta-analysis against published numbers and an independent computation."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, t

from metaswin.evaluation.meta_analysis import pool

# Trials of BCG against tuberculosis (Colditz et al. 1994, JAMA 271:698-702): cases and others, vaccinated and not.
TRIALS = np.array(
    [
        (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761),
        (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232),
        (17, 1699, 65, 1600), (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825),
    ],
    dtype="float64",
)  # fmt: skip


@pytest.fixture(scope="module")
def trials():
    """Log risk ratios and their standard errors."""
    a, b, c, d = TRIALS.T
    return np.log(a / (a + b) / (c / (c + d))), np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))


def restricted_likelihood(tau2, values, errors):
    """By definition: the likelihood of k - 1 contrasts, which do not depend on the mean."""
    k = len(values)
    contrasts = np.linalg.qr(np.column_stack([np.ones(k), np.eye(k)[:, 1:]]))[0][:, 1:]
    covariance = contrasts.T @ np.diag(errors**2 + tau2) @ contrasts
    return multivariate_normal(np.zeros(k - 1), covariance).logpdf(contrasts.T @ values)


def test_pool_when_trials_are_published_then_the_numbers_are_those_of_metafor(trials):
    """Viechtbauer 2010 (J Stat Softw 36(3)): REML, tau² .3132, I² 92.22 %, Q 152.2330, mean -0.7145."""
    found = pool(*trials, 0.95)
    assert found.k == 13
    assert found.value == pytest.approx(-0.7145, abs=5e-5)
    assert found.tau2 == pytest.approx(0.3132, abs=5e-5)
    assert found.i2 == pytest.approx(0.9222, abs=5e-5)
    assert found.q == pytest.approx(152.2330, abs=5e-5)
    assert found.p < 1e-4


@pytest.mark.parametrize("seed", range(4))
def test_pool_when_computed_by_definition_then_it_is_the_same(seed):
    rng = np.random.default_rng(seed)
    errors = rng.uniform(0.1, 0.5, 3 + seed)
    values = rng.normal(0.8, 0.4, len(errors)) + errors * rng.normal(size=len(errors))
    found = pool(values, errors, 0.9)
    best = minimize(
        lambda tau: -restricted_likelihood(tau[0] ** 2, values, errors), [0.3], method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-12},
    )  # fmt: skip
    assert found.tau2 == pytest.approx(best.x[0] ** 2, abs=1e-4)
    weights = 1 / (errors**2 + found.tau2)
    mean = np.sum(weights * values) / np.sum(weights)
    spread = np.sum(weights * (values - mean) ** 2) / (len(values) - 1)
    half = t.ppf(0.95, len(values) - 1) * np.sqrt(max(1, spread) / np.sum(weights))
    assert (found.low, found.value, found.high) == pytest.approx((mean - half, mean, mean + half))
    reach = t.ppf(0.95, len(values) - 2) * np.sqrt(found.tau2 + found.se**2)
    assert (found.predicted_low, found.predicted_high) == pytest.approx((mean - reach, mean + reach))


def test_pool_when_cohorts_are_alike_then_no_variance_between_and_no_interval_of_nothing():
    found = pool([0.7, 0.7, 0.7], [0.2, 0.2, 0.2], 0.95)
    assert (found.tau2, found.i2) == (0, 0)
    assert found.q == pytest.approx(0, abs=1e-12)
    # The variance is that of known weights, not 0.
    assert found.se == pytest.approx(0.2 / np.sqrt(3))


def test_pool_when_there_are_two_cohorts_then_no_prediction_interval():
    found = pool([0.2, 1.0], [0.2, 0.3], 0.95)
    assert found.predicted_low is None
    assert found.predicted_high is None
    assert found.low < 0.2 < 1.0 < found.high


@pytest.mark.parametrize(("values", "errors"), [([1.0], [0.1]), ([1.0, np.inf], [0.1, 0.1]), ([1.0, 2.0], [0.1, 0.0])])
def test_pool_when_estimates_cannot_be_used_then_an_error(values, errors):
    with pytest.raises(ValueError, match="2 or more finite estimates"):
        pool(values, errors, 0.95)
