"""Features of one image and one mask: PyRadiomics' untouched execute(), its parameter files, input that is bad."""

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import SimpleITK as sitk
from radiomics.featureextractor import RadiomicsFeatureExtractor
from scipy import ndimage

from metaswin.cli import main
from metaswin.core.errors import UserError
from metaswin.radiomics.features import extract_features
from metaswin.radiomics.names import FEATURES
from metaswin.radiomics.parameters import read_parameters

ALL = {name: list(features) for name, features in FEATURES.items()}


@pytest.fixture(scope="module")
def case() -> tuple[sitk.Image, sitk.Image]:
    """A CT-like image of thick slices with oblique axes, and a mask with labels 1 and 3."""
    rng = np.random.default_rng(5)
    image = sitk.GetImageFromArray(
        (40 + 300 * ndimage.gaussian_filter(rng.normal(size=(14, 24, 26)), (0.6, 1.2, 1.2))).astype(np.int16)
    )
    image.SetSpacing((0.9, 0.9, 2.5))
    image.SetOrigin((-10.0, 20.5, 100.0))
    image.SetDirection((1, 0, 0, 0, 0.8, -0.6, 0, 0.6, 0.8))
    z, y, x = np.indices((14, 24, 26))
    labels = np.zeros((14, 24, 26), np.uint8)
    labels[((z - 6) / 4) ** 2 + ((y - 11) / 8) ** 2 + ((x - 12) / 9) ** 2 < 1] = 1
    labels[10:13, 20:23, 20:25] = 3
    mask = sitk.GetImageFromArray(labels)
    mask.CopyInformation(image)
    return image, mask


FILTERS = {
    name: {} for name in ("Original", "Wavelet", "Square", "SquareRoot", "Logarithm", "Exponential", "Gradient")
} | {"LoG": {"sigma": [1.0, 2.5]}}
PARAMETERS: dict[str, dict[str, Any]] = {
    "all filters, resampled": {
        "setting": {"resampledPixelSpacing": [1, 1, 1], "voxelArrayShift": 1000},
        "imageType": FILTERS,
    },
    "in plane only, linear": {"setting": {"resampledPixelSpacing": [1.5, 1.5, 0], "interpolator": "sitkLinear"}},
    "own grid, cropped": {
        "setting": {"preCrop": True, "padDistance": 3},
        "imageType": {"LoG": {"sigma": [2.0]}, "Square": {}},
    },
    "normalised": {"setting": {"normalize": True, "normalizeScale": 100, "removeOutliers": 2.0, "binWidth": 5}},
    "absolute range": {"setting": {"resegmentRange": [-50, 150]}},
    "relative range": {"setting": {"resegmentRange": [0.1], "resegmentMode": "relative"}},
    "sigma range": {"setting": {"resegmentRange": [-2, 2], "resegmentMode": "sigma", "resegmentShape": True}},
    "another label, flat": {
        "setting": {"label": 3, "force2D": True, "force2Ddimension": 0},
        "imageType": {"Wavelet": {}},
    },
    "a count of bins": {"setting": {"binCount": 16, "distances": [1, 2]}, "imageType": {"Original": {"binCount": 32}}},
    "patterns": {"setting": {"force2D": True, "label": 1}, "imageType": {"LBP2D": {"binWidth": 1}}},
}


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.filterwarnings("ignore:Applying `local_binary_pattern` to floating-point images:UserWarning")
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::DeprecationWarning")
def test_extract_features_of_a_parameter_file_are_those_of_execute(
    case: tuple[sitk.Image, sitk.Image], name: str, tmp_path: Path
) -> None:
    parameters = {"imageType": {"Original": {}}, "featureClass": ALL} | PARAMETERS[name]
    path = tmp_path / "parameters.yaml"
    path.write_text(json.dumps(parameters))  # JSON is YAML
    extractor = RadiomicsFeatureExtractor(str(path), additionalInfo=False)
    expected = {feature: float(np.real(value)) for feature, value in extractor.execute(*case).items()}
    found = extract_features(*case, path)
    assert list(found) == list(expected)
    assert len(expected) >= 14 + 93
    for feature, value in expected.items():
        assert found[feature] == pytest.approx(value, rel=1e-6, abs=1e-9, nan_ok=True), feature


def test_extract_features_without_parameters_are_pyradiomics_defaults(case: tuple[sitk.Image, sitk.Image]) -> None:
    expected = RadiomicsFeatureExtractor(additionalInfo=False).execute(*case)
    found = extract_features(*case)
    assert found.keys() == expected.keys()
    assert found["original_glcm_MCC"] == pytest.approx(float(expected["original_glcm_MCC"]), rel=1e-6)


def test_extract_features_when_mask_has_another_grid_and_correct_mask_then_resampled(
    case: tuple[sitk.Image, sitk.Image],
) -> None:
    image, mask = case
    part = mask[2:25, 1:23, 1:13]
    expected = RadiomicsFeatureExtractor(additionalInfo=False, correctMask=True).execute(image, part)
    found = extract_features(image, part, correctMask=True)
    assert found["original_firstorder_Mean"] == pytest.approx(float(expected["original_firstorder_Mean"]))


def changed(image: sitk.Image, value: float) -> sitk.Image:
    array = sitk.GetArrayFromImage(image).astype(np.float32)
    array[6, 11, 12] = value
    new = sitk.GetImageFromArray(array)
    new.CopyInformation(image)
    return new


def test_extract_features_when_input_is_bad_then_it_says_what_and_what_to_do(
    case: tuple[sitk.Image, sitk.Image], tmp_path: Path
) -> None:
    image, mask = case
    with pytest.raises(UserError, match=r"There is no image .*lost\.nii"):
        extract_features(tmp_path / "lost.nii", mask)
    (tmp_path / "text.nii").write_text("no image")
    with pytest.raises(UserError, match=r"text\.nii cannot be read"):
        extract_features(tmp_path / "text.nii", mask)
    with pytest.raises(UserError, match="has 2 dimensions"):
        extract_features(image[:, :, 3], mask)
    with pytest.raises(UserError, match="has no label 2; its labels: 1, 3"):
        extract_features(image, mask, label=2)
    with pytest.raises(UserError, match="the mask is empty"):
        extract_features(image, mask * 0)
    with pytest.raises(UserError, match=r"1 voxels that are NaN or infinite"):
        extract_features(changed(image, np.nan), mask)
    with pytest.raises(UserError, match=r"1 voxels that are NaN or infinite"):
        extract_features(changed(image, np.inf), mask)
    with pytest.raises(UserError, match=r"0 of \d+ voxels within resegmentRange \[9000, 9001\]"):
        extract_features(image, mask, resegmentRange=[9000, 9001])
    with pytest.raises(UserError, match=r"0 axes, setting minimumROIDimensions requires 2"):
        extract_features(image, sitk.Cast(changed(mask * 0, 1), sitk.sitkUInt8))
    with pytest.raises(UserError, match="minimumROISize requires more than 100000"):
        extract_features(image, mask, minimumROISize=100000)


def test_extract_features_when_grids_differ_then_both_geometries_are_named(case: tuple[sitk.Image, sitk.Image]) -> None:
    image, mask = case
    moved = sitk.Image(mask)
    moved.SetOrigin((0.0, 0.0, 7.0))
    with pytest.raises(UserError) as error:
        extract_features(image, moved)
    message = str(error.value)
    assert "origin -10 × 20.5 × 100" in message
    assert "origin 0 × 0 × 7" in message
    assert "size 26 × 24 × 14, spacing 0.9 × 0.9 × 2.5" in message
    assert "correctMask: true" in message


def test_read_parameters_when_names_are_unknown_then_all_are_listed_with_the_nearest() -> None:
    with pytest.raises(UserError) as error:
        read_parameters(
            {
                "settings": {},
                "setting": {"binWith": 25},
                "imageType": {"Wavelett": {}, "LoG": None},
                "featureClass": {"glcm": ["Contrst"]},
            }
        )
    message = str(error.value)
    for part in ("'setting'", "'binWidth'", "'Wavelet'", "'Contrast'", "LoG needs its setting sigma"):
        assert part in message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"binWidth": 0}, "setting binWidth: 0; it takes a number above 0"),
        ({"binWidth": "25"}, "setting binWidth: '25'; it takes a number above 0"),
        ({"label": 1.5}, "setting label: 1.5; it takes a whole number above 0"),
        ({"sigma": 3.0}, "setting sigma: 3.0; it takes a list of numbers above 0"),
        ({"resampledPixelSpacing": [1, -1, 1]}, "[1, -1, 1]; it takes a list of numbers of at least 0"),
        ({"weightingNorm": "euclid"}, "'euclid' is not one of None, manhattan, euclidean"),
        ({"force2D": "yes"}, "'yes' is not one of True, False"),
        ({"wavelet": "harr"}, "unknown wavelet 'harr'; did you mean 'haar'?"),
    ],
)
def test_read_parameters_when_a_value_is_invalid_then_the_allowed_values_are_named(
    settings: dict, message: str
) -> None:
    with pytest.raises(UserError) as error:
        read_parameters({"setting": settings, "imageType": {"Wavelet": {}}})
    assert message in str(error.value)


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::DeprecationWarning")
def test_extract_features_when_deprecated_ones_are_named_then_equal_to_pyradiomics(
    case: tuple[sitk.Image, sitk.Image], caplog: pytest.LogCaptureFixture
) -> None:
    features = {
        "shape": ["Compactness1", "Sphericity", "Compactness2", "SphericalDisproportion"],
        "firstorder": ["StandardDeviation", "Mean"],
        "glcm": ["Dissimilarity", "Contrast"],
    }
    parameters = {"setting": {"additionalInfo": False}, "featureClass": features}
    expected = RadiomicsFeatureExtractor(parameters).execute(*case)
    found = extract_features(*case, parameters)
    assert list(found) == list(expected)
    assert len(found) == 7
    assert found == pytest.approx({name: float(value) for name, value in expected.items()}, rel=1e-6)
    assert "glcm_Dissimilarity is deprecated and omitted" in caplog.text


def test_extract_features_when_a_file_is_bad_then_the_error_names_it(
    case: tuple[sitk.Image, sitk.Image], tmp_path: Path
) -> None:
    image, mask = case
    values = sitk.GetArrayFromImage(image).astype(np.float32)
    values[0, 0, 0] = np.inf
    infinite = sitk.GetImageFromArray(values)
    infinite.CopyInformation(image)
    paths = {"ct": image, "infinite": infinite, "mask": mask, "part": image[:20]}
    for name, volume in paths.items():
        sitk.WriteImage(volume, str(tmp_path / f"{name}.nrrd"))
    for name, other, settings, message in [
        ("infinite", "mask", {}, r"infinite\.nrrd has 1 voxels that are NaN"),
        ("ct", "mask", {"label": 9}, r"mask\.nrrd has no label 9"),
        ("ct", "mask", {"resegmentRange": [5000, 6000]}, r"mask\.nrrd: 0 of \d+ voxels within"),
        ("part", "mask", {}, r"(?s)part\.nrrd: size 20 × 24 × 14.*mask\.nrrd: size 26 × 24 × 14"),
        ("part", "mask", {"correctMask": True}, r"(?s)extends beyond the image.*part\.nrrd.*mask\.nrrd"),
    ]:
        with pytest.raises(UserError, match=message):
            extract_features(tmp_path / f"{name}.nrrd", tmp_path / f"{other}.nrrd", **settings)


def test_command_writes_one_row_and_the_settings_that_made_it(
    case: tuple[sitk.Image, sitk.Image], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for name, volume in zip(("ct.nrrd", "mask.nii.gz"), case, strict=True):
        sitk.WriteImage(volume, str(tmp_path / name))
    inputs = [str(tmp_path / "ct.nrrd"), str(tmp_path / "mask.nii.gz")]
    assert main(["radiomics", *inputs, "-o", str(tmp_path / "features.parquet")]) == 0
    table = pd.read_parquet(tmp_path / "features.parquet")
    expected = extract_features(*inputs)
    assert table.drop(columns=["image", "mask"]).iloc[0].to_dict() == expected
    assert pq.read_schema(tmp_path / "features.parquet").metadata[b"engine"] == b"metaswin"
    assert main(["radiomics", *inputs, "-l", "3", "-o", str(tmp_path / "features.csv")]) == 0
    assert pd.read_csv(tmp_path / "features.csv")["original_shape_VoxelVolume"][0] == pytest.approx(
        extract_features(*inputs, label=3)["original_shape_VoxelVolume"]
    )
    assert main(["radiomics", *inputs, "-o", str(tmp_path / "features.txt")]) == 1
    assert "ends neither in .parquet nor in .csv" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.shared
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::DeprecationWarning")
def test_extract_features_of_the_ibsi_ct_phantom_are_those_of_execute(tmp_path: Path) -> None:
    shared = Path(os.environ.get("METASWIN_SHARED", Path(__file__).parents[3] / "../shared/data"))
    archive = shared / "ibsi/ibsi1-ct-phantom.tar.xz"
    if not archive.exists():
        pytest.skip("the IBSI CT phantom is not there; set METASWIN_SHARED to the folder with ibsi/")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    paths = [str(next(tmp_path.glob(f"*/nifti/{kind}/*.nii.gz"))) for kind in ("image", "mask")]
    parameters = {
        "setting": {"resampledPixelSpacing": [1, 1, 1], "additionalInfo": False},
        "imageType": FILTERS,
        "featureClass": ALL,
    }
    expected = RadiomicsFeatureExtractor(parameters).execute(*paths)
    found = extract_features(*paths, parameters)
    assert len(expected) == 14 + 16 * 93
    assert list(found) == list(expected)
    for feature, value in expected.items():
        assert found[feature] == pytest.approx(float(np.real(value)), rel=1e-6, abs=1e-9, nan_ok=True), feature
