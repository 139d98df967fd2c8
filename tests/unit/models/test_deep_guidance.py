"""Components of radiomics features as targets of the encoder."""

import numpy as np
import pandas as pd
import pytest

from metaswin.models.guidance import radiomics_components


def table(seed=0, rows=60):
    """Three hidden numbers behind twelve features with heavy tails."""
    random = np.random.default_rng(seed)
    hidden = random.standard_normal((rows, 3)) * [3, 2, 1]
    values = np.exp(hidden @ random.standard_normal((3, 12)))
    return hidden, pd.DataFrame(values, columns=[f"f{number}" for number in range(12)])


def test_components_when_three_numbers_lie_behind_the_features_then_they_are_found():
    hidden, features = table()
    found = radiomics_components(features, 3)
    assert found.shape == (60, 3)
    assert found.std(axis=0) == pytest.approx(np.ones(3), abs=1e-5)
    assert np.corrcoef(found, rowvar=False) == pytest.approx(np.eye(3), abs=1e-5)
    fitted = np.linalg.lstsq(found, hidden, rcond=None)[0]
    assert 1 - ((hidden - found @ fitted) ** 2).sum() / (hidden**2).sum() > 0.9


def test_components_when_a_feature_is_stretched_monotonically_or_turned_then_the_same():
    _, features = table()
    wanted = radiomics_components(features, 3)
    np.testing.assert_allclose(radiomics_components(features**3, 3), wanted, atol=1e-5)
    turned = features.assign(f0=-features["f0"])
    np.testing.assert_allclose(np.abs(radiomics_components(turned, 3)), np.abs(wanted), atol=1e-5)


def test_components_when_values_are_missing_then_finite_and_hardly_other():
    _, features = table()
    holes = features.mask(np.random.default_rng(1).random(features.shape) < 0.05)
    found, wanted = radiomics_components(holes, 2), radiomics_components(features, 2)
    assert np.isfinite(found).all()
    for column in range(2):
        assert abs(np.corrcoef(found[:, column], wanted[:, column])[0, 1]) > 0.9


def test_components_when_rows_or_features_are_few_then_fewer_or_none():
    _, features = table(rows=4)
    assert radiomics_components(features, 16).shape == (4, 3)
    constant = pd.DataFrame({"a": [1.0, 1.0, 1.0], "b": [np.nan] * 3})
    assert radiomics_components(constant, 16).shape == (3, 0)
