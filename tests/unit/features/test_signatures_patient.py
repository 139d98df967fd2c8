"""Signatures of one patient: PyRadiomics' own features put together by hand, regions that cannot be scored."""

import math

import numpy as np
import pytest
import SimpleITK as sitk
from radiomics.featureextractor import RadiomicsFeatureExtractor
from scipy import ndimage

from metaswin.config.signatures import load_signatures
from metaswin.core.files import read_table, write_volume
from metaswin.core.problems import Problem
from metaswin.core.status import Status, read_status, write_status
from metaswin.features.signatures import SignatureInputs, compute, extract_signatures

# pykwalify, which PyRadiomics checks its parameters with, loads its extensions in a deprecated way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

AERTS = (2.42e-11, -5.38e-03, -1.47e-04, 9.39e-06)


@pytest.fixture(scope="module")
def signatures(repository):
    return load_signatures(["tumour-volume", "aerts-2014", "bhklab-aerts"], repository / "config/signatures")


@pytest.fixture(scope="module")
def case() -> tuple[sitk.Image, sitk.Image]:
    """A CT of thick slices, and a label map with a primary tumour and a node."""
    rng = np.random.default_rng(3)
    image = sitk.GetImageFromArray(
        (40 + 250 * ndimage.gaussian_filter(rng.normal(size=(16, 36, 40)), (0.6, 1.5, 1.5))).astype(np.int16)
    )
    image.SetSpacing((0.9, 0.9, 2.5))
    z, y, x = np.indices((16, 36, 40))
    labels = np.zeros((16, 36, 40), np.uint8)
    labels[((z - 8) / 3.5) ** 2 + ((y - 16) / 8) ** 2 + ((x - 15) / 9) ** 2 < 1] = 1
    labels[((z - 9) / 2) ** 2 + ((y - 24) / 4) ** 2 + ((x - 32) / 4) ** 2 < 1] = 2
    drawn = sitk.GetImageFromArray(labels)
    drawn.CopyInformation(image)
    return image, drawn


def pyradiomics(image, labels, wanted, setting, image_types, classes):
    """Features by PyRadiomics itself, untouched."""
    mask = sitk.BinaryThreshold(labels, *wanted, 1, 0)
    extractor = RadiomicsFeatureExtractor({"setting": setting, "imageType": image_types, "featureClass": classes})
    return {name: float(value) for name, value in extractor.execute(image, mask).items() if "diagnostics" not in name}


def test_score_equals_pyradiomics_features_by_hand(case, signatures):
    image, labels = case
    setting = {"resampledPixelSpacing": [1, 1, 1], "binWidth": 25}
    classes = {"firstorder": ["Energy"], "shape": ["Compactness1"], "glrlm": ["GrayLevelNonUniformity"]}
    found = pyradiomics(image, labels, (1, 1), setting, {"Original": {}, "Wavelet": {}}, classes)
    expected = (
        1.74e-11 * found["original_firstorder_Energy"]
        - 16.5 * found["original_shape_Compactness1"]
        + 4.95e-05 * found["original_glrlm_GrayLevelNonUniformity"]
        + 2.81e-06 * found["wavelet-HLH_glrlm_GrayLevelNonUniformity"]
    )
    values, why = compute(image, labels, signatures["bhklab-aerts"])
    assert why == ""
    assert values["score"] == pytest.approx(expected, rel=1e-6)


def test_aerts_by_hand_with_the_published_weights_and_compactness(case, signatures):
    image, labels = case
    setting = {"resampledPixelSpacing": [1, 1, 3], "binWidth": 25}
    classes = {"firstorder": ["Energy"], "shape": ["MeshVolume", "SurfaceArea"], "glrlm": ["GrayLevelNonUniformity"]}
    found = pyradiomics(image, labels, (1, 1), setting, {"Original": {}, "Wavelet": {"wavelet": "coif1"}}, classes)
    compactness = found["original_shape_MeshVolume"] / (
        math.sqrt(math.pi) * found["original_shape_SurfaceArea"] ** (2 / 3)
    )
    names = ("original_firstorder_Energy", None, "original_glrlm_GrayLevelNonUniformity")
    features = [found[name] if name else compactness for name in names]
    features.append(found["wavelet-HLH_glrlm_GrayLevelNonUniformity"])
    # The signs are reversed, see `checked` in the file.
    expected = -sum(weight * value for weight, value in zip(AERTS, features, strict=True))
    values, _ = compute(image, labels, signatures["aerts-2014"])
    assert values["score"] == pytest.approx(expected, rel=1e-6)


def test_volume_is_that_of_primary_and_nodes(case, signatures):
    image, labels = case
    setting = {"resampledPixelSpacing": [1, 1, 1]}
    found = pyradiomics(image, labels, (1, 2), setting, {"Original": {}}, {"shape": ["MeshVolume"]})
    values, _ = compute(image, labels, signatures["tumour-volume"])
    assert values["score"] == pytest.approx(found["original_shape_MeshVolume"] / 1000, rel=1e-9)


def test_region_when_not_drawn_then_no_score_and_the_reason(case, signatures):
    image, labels = case
    only_nodes = labels * sitk.Cast(labels == 2, labels.GetPixelID())
    values, why = compute(image, only_nodes, signatures["aerts-2014"])
    assert math.isnan(values["score"])
    assert why == "no primary tumour is drawn"
    assert compute(image, only_nodes, signatures["tumour-volume"])[1] == ""


def test_region_when_a_single_voxel_then_no_score_and_the_reason(case, signatures):
    image, labels = case
    one = sitk.Image(labels.GetSize(), sitk.sitkUInt8)
    one.CopyInformation(labels)
    one[20, 20, 8] = 1
    values, why = compute(image, one, signatures["aerts-2014"])
    assert math.isnan(values["score"])
    assert why


def patient(folder, case, status: Status) -> SignatureInputs:
    image, labels = case
    write_volume(folder / "ct.nii.gz", image)
    write_volume(folder / "tumor.nii.gz", labels)
    write_status(folder / "status.json", status, folder / "details")
    return SignatureInputs(folder / "ct.nii.gz", folder / "tumor.nii.gz", folder / "status.json")


def test_job_writes_features_and_scores_and_warns_without_excluding(tmp_path, case, signatures):
    image, labels = case
    only_nodes = labels * sitk.Cast(labels == 2, labels.GetPixelID())
    inputs = patient(tmp_path, (image, only_nodes), Status("P1", "images"))
    extract_signatures(inputs, tmp_path / "P1.parquet", tmp_path / "P1.status.json", signatures, tmp_path / "details")
    table = read_table(tmp_path / "P1.parquet")
    scores = table[table["feature"] == "score"].set_index("signature")["value"]
    assert scores.index.tolist() == ["tumour-volume", "aerts-2014", "bhklab-aerts"]
    assert scores.isna().tolist() == [False, True, True]
    found = read_status(tmp_path / "P1.status.json")
    assert found.ok
    assert [warning.code for warning in found.warnings] == ["signature-missing"] * 2
    assert "no score of the signature aerts-2014: no primary tumour is drawn" in found.warnings[0].found


def test_job_when_excluded_earlier_then_no_rows_and_the_status_is_passed_on(tmp_path, case, signatures):
    problem = Problem("P1", "images", "empty-mask", "nothing", "a tumour", "draw it")
    inputs = patient(tmp_path, case, Status("P1", "images", problem))
    extract_signatures(inputs, tmp_path / "P1.parquet", tmp_path / "P1.status.json", signatures, tmp_path / "details")
    assert len(read_table(tmp_path / "P1.parquet")) == 0
    assert read_status(tmp_path / "P1.status.json").problem.code == "empty-mask"
