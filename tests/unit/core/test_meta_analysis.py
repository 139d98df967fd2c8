"""Random-effects meta-analysis against published and exact answers."""

import numpy as np
import pytest
from scipy import stats

from metaswin.core.meta_analysis import random_effects

# Thirteen trials of the BCG vaccine (Colditz et al. 1994): cases and others, vaccinated and not.
BCG = np.array([
    [4, 119, 11, 128], [6, 300, 29, 274], [3, 228, 11, 209], [62, 13536, 248, 12619], [33, 5036, 47, 5761],
    [180, 1361, 372, 1079], [8, 2537, 10, 619], [505, 87886, 499, 87892], [29, 7470, 45, 7232], [17, 1699, 65, 1600],
    [186, 50448, 141, 27197], [5, 2493, 3, 2338], [27, 16886, 29, 17825],
])  # fmt: skip


def test_bcg_trials_when_pooled_then_reml_gives_the_published_values():
    """Log relative risk -.7145 and variance .3132 (Viechtbauer 2010, J Stat Softw 36(3)); limits by the formulas."""
    a, b, c, d = BCG.T.astype(float)
    estimates = np.log(a / (a + b) / (c / (c + d)))
    errors = np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))
    found = random_effects(estimates, errors, 0.95)
    assert found.mean == pytest.approx(-0.7145, abs=1e-4)
    assert found.tau**2 == pytest.approx(0.3132, abs=1e-4)
    weights = 1 / (errors**2 + found.tau**2)
    q = np.sum(weights * (estimates - found.mean) ** 2) / 12
    assert q > 1
    assert found.error == pytest.approx(np.sqrt(q / weights.sum()))
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, 12) * found.error)
    half = stats.t.ppf(0.975, 11) * np.sqrt(found.tau**2 + found.error**2)
    assert found.predicted == pytest.approx((found.mean - half, found.mean + half))


def test_equal_errors_when_pooled_then_tau_is_what_exceeds_them():
    """With equal errors REML is the sample variance less the error variance."""
    estimates = np.array([0.2, 0.9, 1.4, 0.1, 2.0])
    found = random_effects(estimates, np.full(5, 0.3), 0.9)
    assert found.mean == pytest.approx(estimates.mean())
    assert found.tau**2 == pytest.approx(estimates.var(ddof=1) - 0.09, rel=1e-5)
    assert found.error == pytest.approx(estimates.std(ddof=1) / np.sqrt(5), rel=1e-5)


def test_homogeneous_estimates_when_pooled_then_tau_is_zero_and_the_error_is_that_of_the_weights():
    found = random_effects([1.0, 1.0, 1.01], [0.5, 0.5, 0.5], 0.95)
    assert found.tau == 0
    assert found.error == pytest.approx(0.5 / np.sqrt(3))
    assert found.predicted is None


@pytest.mark.parametrize(("estimates", "errors"), [([1.0], [0.1]), ([1.0, 2.0], [0.1, 0.0])])
def test_too_few_estimates_or_no_error_when_pooled_then_it_is_refused(estimates, errors):
    with pytest.raises(ValueError, match="two or more, with variances above 0"):
        random_effects(estimates, errors, 0.95)
