"""Local binary patterns in 3D: PyRadiomics' stored values, and what is known of the sphere and its harmonics."""

import json

import numpy as np
import pytest
from radiomics_lbp3d import CASES, VALUES, case

from metaswin.core.errors import UserError
from metaswin.radiomics.engine.spheres import harmonics, icosphere, spherical_patterns
from metaswin.radiomics.features import extract_features

EXPECTED = json.loads(VALUES.read_text(encoding="utf-8"))
# The patterns of twelve points are so symmetric that many values are equal but for rounding, and the 10th or 90th
# percentile lies among them: the last bit of the processor's mathematical functions decides which values this feature
# counts. Both results have been seen: the stored one of PyRadiomics, and this one on an AMD EPYC.
OTHER_ROUNDING = {("twelve points", "lbp-3D-m2_firstorder_RobustMeanAbsoluteDeviation"): 0.4020858930932687}


@pytest.mark.parametrize("name", CASES)
def test_extract_features_of_lbp3d_are_the_values_pyradiomics_gave(name: str) -> None:
    found = extract_features(*case(name))
    assert list(found) == list(EXPECTED[name])
    assert len(found) >= 3 * (18 + 16 + 5)
    for feature, value in EXPECTED[name].items():
        allowed = [value, OTHER_ROUNDING.get((name, feature), value)]
        assert any(found[feature] == pytest.approx(v, rel=1e-6, abs=1e-9, nan_ok=True) for v in allowed), feature


def test_icosphere_has_its_points_on_the_sphere_each_once() -> None:
    for subdivision, count in enumerate((12, 42, 162, 642)):
        points = icosphere(subdivision, 2.5)
        assert len(np.unique(points.round(9), axis=0)) == len(points) == count
        assert np.linalg.norm(points, axis=1) == pytest.approx(2.5)
        assert points.mean(axis=0) == pytest.approx(0, abs=1e-12)


def test_harmonics_of_low_degree_are_those_of_the_textbook_with_the_angles_swapped() -> None:
    points = icosphere(2, 1.0)
    basis, degrees = harmonics(points, 1.0, 3)
    assert degrees.tolist() == [0, 1, 1, 1, 2, 2, 2, 2, 2]
    azimuth = np.arccos(points[:, 2])
    polar = np.arctan2(points[:, 1], points[:, 0])
    assert basis[:, 0] == pytest.approx(0.5 / np.sqrt(np.pi))
    assert basis[:, 2] == pytest.approx(np.sqrt(0.75 / np.pi) * np.cos(polar))
    tilted = np.sqrt(0.375 / np.pi) * np.abs(np.sin(polar)) * np.exp(1j * azimuth)
    assert basis[:, 3] == pytest.approx(-tilted)
    assert basis[:, 1] == pytest.approx(tilted.conj())
    assert basis[:, 6] == pytest.approx(np.sqrt(5 / np.pi) / 4 * (3 * np.cos(polar) ** 2 - 1))


def test_patterns_of_a_peak_and_of_a_pit_have_all_samples_below_or_above() -> None:
    image = np.zeros((9, 9, 9))
    image[4, 4, 4] = 10.0
    inside = image > 0
    peak = dict(spherical_patterns(image, inside))
    pit = dict(spherical_patterns(-image, inside))
    assert list(peak) == ["lbp-3D-m1", "lbp-3D-m2", "lbp-3D-k"]
    assert peak["lbp-3D-m1"] == pytest.approx(0)
    # All 42 samples: the coefficient of degree 0 is 42 Y, its part 42 Y² at each of the 42 points, with Y² = 1 / 4 π.
    assert pit["lbp-3D-m1"] == pytest.approx(42**1.5 / (4 * np.pi))


def test_patterns_of_a_flat_neighbourhood_have_no_kurtosis_and_extraction_says_so() -> None:
    volume, label, parameters = case("defaults")
    with pytest.raises(UserError, match=r"lbp-3D-k has \d+ of \d+ voxels without a finite value"):
        extract_features(volume * 0 + 5, label, parameters)


def test_extract_features_when_a_sphere_is_impossible_then_it_says_what_is_possible() -> None:
    volume, label, parameters = case("defaults")
    with pytest.raises(UserError) as error:
        extract_features(volume, label, parameters, lbp3DLevels=1, lbp3DIcosphereRadius=0)
    assert "lbp3DLevels: 1; it takes a whole number of at least 2" in str(error.value)
    assert "lbp3DIcosphereRadius: 0; it takes a number above 0" in str(error.value)
