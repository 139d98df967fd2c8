"""MONAI's networks, imported without its optional packages."""

import subprocess
import sys

import pytest

from metaswin.models.monai_networks import absent

IMPORTED = """
import sys
import metaswin.models.deep_features
assert "monai.networks.nets" in sys.modules
print([name for name in ("matplotlib", "nibabel", "skimage", "scipy.signal", "sklearn") if name in sys.modules])
import scipy.signal, skimage, sklearn
assert None not in sys.modules.values()
"""


def test_networks_when_imported_then_optional_packages_are_not_and_can_be_later():
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_absent_when_left_by_an_error_then_packages_can_be_imported_again(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)

    def failing():
        with absent(["colorsys", "sys"]):
            assert sys.modules["sys"] is sys
            import colorsys

            colorsys.rgb_to_hls(0, 0, 0)

    with pytest.raises(ImportError, match="colorsys"):
        failing()
    import colorsys

    assert colorsys.rgb_to_hls
