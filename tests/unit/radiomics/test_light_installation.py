"""The light installation: radiomics features without the packages of the workflow."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import yaml
from scipy import ndimage
from wheels import build_wheel

from metaswin import cli
from metaswin.core import provenance
from metaswin.radiomics.features import extract_features

# Whose modules metaswin does not import by itself: decoders that pydicom finds, an executor that Snakemake finds.
PLUG_INS = {"pyjpegls", "pylibjpeg-openjpeg", "snakemake-executor-plugin-slurm"}
ABSENT = ["torch", "monai", "totalsegmentator", "snakemake", "sklearn", "jinja2"]
FILTERS = ("Original", "Wavelet", "Square", "Logarithm", "Gradient", "LBP2D", "LBP3D")
PARAMETERS = {
    "setting": {"binWidth": 20, "resampledPixelSpacing": [1, 1, 1]},
    "imageType": {**{name: {} for name in FILTERS}, "LoG": {"sigma": [1.5]}},
}
FUNCTION = """
import json, sys
from metaswin.radiomics import extract_features
print(json.dumps(extract_features(*sys.argv[1:])))
"""
FOUND = "import importlib.util, sys; print([name for name in sys.argv[1:] if importlib.util.find_spec(name)])"


def plain(name):
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=!~; ]", name)[0]).lower()


def test_package_when_imported_then_no_compiler_and_the_function_only_when_asked_for():
    code = "import sys, metaswin.radiomics.settings as s; assert 'numba' not in sys.modules\n"
    code += "from metaswin.radiomics import extract_features, names; assert 'numba' in sys.modules\n"
    code += "import metaswin.radiomics.features as f; assert f.extract_features is extract_features\n"
    code += "import metaswin.radiomics as r; assert not hasattr(r, 'extract')"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_dependencies_when_a_script_imports_only_the_settings_then_engine_is_absent(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import metaswin.radiomics.settings\n")
    found = {file.relative_to(provenance.ROOT).as_posix() for file in provenance.dependencies(script)}
    assert {"radiomics/__init__.py", "radiomics/settings.py"} <= found
    assert "radiomics/features.py" not in found


def test_extra_when_compared_with_the_project_then_the_cli_checks_each_package(repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    wanted = {plain(name) for name in project["optional-dependencies"]["workflow"]} - PLUG_INS
    modules = packages_distributions()
    assert {plain(name) for module in cli.EXTRA for name in modules[module]} & wanted == wanted
    assert len(cli.EXTRA) == len(wanted)
    assert not wanted & {plain(name) for name in project["dependencies"]}


@pytest.mark.parametrize("arguments", [["run", "--help"], ["predict", "--bundle", "b", "--input", "i", "--output", "o"],
    ["validate", "--output", "o", "--outcomes", "t"], ["simulate", "--out", "o"], ["weights", "list"], ["doctor"],
    ["fetch", "--idc", "c", "--out", "o"], ["push", "--dicomweb", "u"], ["init"], ["status"],
    ["problems"], ["schema"]])  # fmt: skip
def test_command_when_workflow_packages_are_absent_then_one_sentence_names_the_extra(monkeypatch, capsys, arguments):
    monkeypatch.setattr(cli, "EXTRA", ("json", "no_such_package"))
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err == (
        f"`metaswin {arguments[0]}` needs Python packages that are not installed (no_such_package): "
        'install them with `pip install "metaswin[workflow]"`\n'
    )


@pytest.fixture
def case(tmp_path):
    """Paths of a small image, its mask and a parameter file with filters of every library."""
    rng = np.random.default_rng(8)
    image = sitk.GetImageFromArray((40 + 300 * ndimage.gaussian_filter(rng.normal(size=(12, 20, 22)), 1)).astype("f4"))
    image.SetSpacing((1.2, 1.2, 2.0))
    z, y, x = np.indices((12, 20, 22))
    ball = ((z - 6) / 4) ** 2 + ((y - 10) / 7) ** 2 + ((x - 11) / 8) ** 2 < 1
    mask = sitk.GetImageFromArray(ball.astype(np.uint8))
    mask.CopyInformation(image)
    paths = [tmp_path / name for name in ("image.nrrd", "mask.nii.gz", "parameters.yaml")]
    sitk.WriteImage(image, paths[0])
    sitk.WriteImage(mask, paths[1])
    paths[2].write_text(yaml.safe_dump(PARAMETERS))
    return paths


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Applying `local_binary_pattern` to floating-point images:UserWarning")
def test_wheel_when_installed_without_the_extra_then_features_equal_the_full_install(repository, tmp_path, case):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def call(*command, **more):
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, **more)

    light = tmp_path / "light"
    subprocess.run([sys.executable, "-m", "venv", light], check=True)
    pip = (light / "bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    asked = call(*pip, "--dry-run", "--no-deps", "--retries", "1", "--timeout", "20", "pyyaml")
    if asked.returncode:
        pytest.skip(f"no package index can be reached, so that nothing can be installed: {asked.stderr.strip()[-300:]}")
    installed = call(*pip, build_wheel(repository, tmp_path))
    assert installed.returncode == 0, installed.stderr

    assert call(light / "bin/python", "-c", FOUND, *ABSENT, check=True).stdout.strip() == "[]"
    expected = extract_features(*case)
    image, mask, parameters = case
    done = call(light / "bin/metaswin", "radiomics", image, mask, "-p", parameters, "-o", "features.parquet")
    assert done.returncode == 0, done.stderr
    by_command = pd.read_parquet(tmp_path / "features.parquet").drop(columns=["image", "mask"]).iloc[0].to_dict()
    by_function = json.loads(call(light / "bin/python", "-c", FUNCTION, *case, check=True).stdout)
    assert len(expected) > 1000
    for found in (by_command, by_function):
        assert list(found) == list(expected)
        np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-9, atol=0)

    refused = call(light / "bin/metaswin", "run", "--cores", "1")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert re.fullmatch(r'`metaswin run` needs .*`pip install "metaswin\[workflow\]"`\n', refused.stderr)
