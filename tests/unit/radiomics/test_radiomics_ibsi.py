"""Consensus values of the image biomarker standardisation initiative (IBSI-1), on its two phantoms."""

import tarfile
from pathlib import Path

import pytest
from radiomics_ibsi import CONFIGURATIONS, CONSENSUS, features, levels_counted_from, matches

pytestmark = pytest.mark.shared
# What depends on the number of a grey level, and not on differences of levels only.
NUMBERED = (
    "glcm_JointAverage",
    "glcm_SumAverage",
    "glcm_Autocorrelation",
    "ngtdm_Busyness",
    *(name for name in CONSENSUS.index if "LowGrayLevel" in name or "HighGrayLevel" in name),
)


@pytest.fixture(scope="module")
def phantoms(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with both phantoms."""
    archives = sorted((shared_data / "ibsi").glob("ibsi1-*-phantom.tar.xz"))
    if len(archives) < 2:
        pytest.skip("the IBSI phantoms are not there: ibsi/ibsi1-ct-phantom.tar.xz and ibsi1-digital-phantom.tar.xz")
    folder = tmp_path_factory.mktemp("ibsi")
    for archive in archives:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    return folder


def beside_consensus(found: dict[str, float], configuration: str) -> list[str]:
    """Names of the features outside the consensus' tolerance."""
    assert len(found) == len(CONSENSUS) == 102
    expected = CONSENSUS[[configuration, f"{configuration} tolerance"]]
    return [name for name, value, tolerance in expected.itertuples() if not matches(found[name], value, tolerance)]


@pytest.mark.parametrize("configuration", [name for name in CONFIGURATIONS if name != "C"])
def test_ibsi_phantom_has_all_consensus_values(phantoms: Path, configuration: str) -> None:
    assert beside_consensus(features(phantoms, configuration), configuration) == []


def test_ibsi_phantom_when_configuration_c_counts_from_the_range_then_all_consensus(
    phantoms: Path,
) -> None:
    # PyRadiomics numbers levels from the region's minimum (-939 HU), IBSI from the lower end of the range (-1000 HU).
    assert sorted(beside_consensus(features(phantoms, "C"), "C")) == sorted(NUMBERED)
    with levels_counted_from(-1000):
        assert beside_consensus(features(phantoms, "C"), "C") == []
