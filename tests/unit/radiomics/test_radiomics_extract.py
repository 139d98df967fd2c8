"""Values: PyRadiomics' own extraction, numbers worked out by hand."""

import numpy as np
import pytest
import SimpleITK as sitk
from radiomics.featureextractor import RadiomicsFeatureExtractor
from scipy import ndimage

from metaswin.radiomics.extract import extract
from metaswin.radiomics.names import FEATURES, IMAGE_TYPES, expected_features, images_of
from metaswin.radiomics.regions import cut_region
from metaswin.radiomics.settings import RadiomicsSettings
from metaswin.radiomics.with_pyradiomics import filtered_images

SHAPE = (27, 30, 33)  # z, y, x


@pytest.fixture(scope="module")
def patient() -> tuple[sitk.Image, np.ndarray]:
    """A textured image (HU) of odd and even sizes, and labels 1 (ellipsoid), 2 (box) and 11 (shell)."""
    rng = np.random.default_rng(7)
    texture = ndimage.gaussian_filter(rng.normal(size=SHAPE), 1.0)
    image = sitk.GetImageFromArray((40 + 300 * texture).astype(np.float32))
    image.SetOrigin((-12.5, 40.0, 300.25))
    z, y, x = np.indices(SHAPE)
    distance = np.sqrt(((z - 12) / 5.0) ** 2 + ((y - 14) / 6.0) ** 2 + ((x - 13) / 7.0) ** 2)
    labels = np.zeros(SHAPE, np.uint8)
    labels[distance < 1.4] = 11
    labels[distance < 1] = 1
    labels[20:24, 22:26, 25:30] = 2
    return image, labels


@pytest.fixture(scope="module")
def computed(patient: tuple[sitk.Image, np.ndarray]) -> dict[str, dict[str, float]]:
    image, labels = patient
    settings = RadiomicsSettings()
    regions = {
        name: cut_region(image, labels, wanted, settings) for name, wanted in [("tumor", [1, 2]), ("ring", [11])]
    }
    assert extract(image, list(regions.values()), settings) == []
    assert all(region.failures == [] for region in regions.values())
    return {name: region.values for name, region in regions.items()}


def pyradiomics_values(image: sitk.Image, mask: np.ndarray) -> dict[str, float]:
    """What PyRadiomics' own extractor gives, with its published CT example settings."""
    extractor = RadiomicsFeatureExtractor(binWidth=25, voxelArrayShift=1000, additionalInfo=False)
    extractor.disableAllFeatures()
    for name, features in FEATURES.items():
        if name != "ngtdm":
            wanted = [
                feature for feature in features if (name, feature) not in [("glcm", "SumAverage"), ("glcm", "MCC")]
            ]
            extractor.enableFeaturesByName(**{name: wanted})
    extractor.disableAllImageTypes()
    for image_type in IMAGE_TYPES[:7]:
        extractor.enableImageTypeByName(image_type)
    extractor.enableImageTypeByName("LoG", customArgs={"sigma": [1.0, 2.0, 3.0, 4.0, 5.0]})
    node = sitk.GetImageFromArray(mask.astype(np.uint8))
    node.CopyInformation(image)
    return {name: float(value) for name, value in extractor.execute(image, node).items()}


@pytest.mark.parametrize(("region", "labels"), [("tumor", [1, 2]), ("ring", [11])])
def test_extract_when_pyradiomics_filters_the_whole_crop_then_every_value_is_equal(
    patient: tuple[sitk.Image, np.ndarray], computed: dict[str, dict[str, float]], region: str, labels: list[int]
) -> None:
    reference = pyradiomics_values(patient[0], np.isin(patient[1], labels))
    assert len(reference) == 1562
    assert computed[region].keys() == reference.keys()
    for name, value in reference.items():
        assert computed[region][name] == pytest.approx(value, rel=1e-9, abs=1e-12), name


def test_extract_gives_the_names_expected(computed: dict[str, dict[str, float]]) -> None:
    assert sorted(computed["tumor"]) == sorted(expected_features(RadiomicsSettings()))


def test_extract_when_another_region_is_drawn_then_a_region_keeps_its_values(
    patient: tuple[sitk.Image, np.ndarray], computed: dict[str, dict[str, float]]
) -> None:
    image, labels = patient
    settings = RadiomicsSettings(image_types=["LoG", "Square"], feature_classes=["firstorder"])
    alone = cut_region(image, np.where(labels == 11, 11, 0), [11], settings)
    extract(image, [alone], settings)
    assert alone.values == {name: computed["ring"][name] for name in alone.values}


@pytest.mark.parametrize("image_type", IMAGE_TYPES)
def test_filtered_images_of_every_offered_type_have_the_names_expected(
    patient: tuple[sitk.Image, np.ndarray], image_type: str
) -> None:
    settings = RadiomicsSettings(image_types=[image_type])
    made = list(filtered_images(patient[0], settings))
    assert [name for name, _ in made] == images_of(image_type, settings)
    assert all(image.GetSize() == patient[0].GetSize() for _, image in made)


def test_first_order_and_shape_of_a_box_are_those_worked_out_by_hand() -> None:
    values = np.zeros((6, 6, 6), np.float32)
    values[1:3, 2:4, 1:4] = np.arange(12).reshape(2, 2, 3) * 10  # 0, 10 … 110
    labels = np.zeros(values.shape, np.uint8)
    labels[1:3, 2:4, 1:4] = 1
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((2.0, 2.0, 2.0))
    settings = RadiomicsSettings(image_types=["Original"], feature_classes=["shape", "firstorder"])
    region = cut_region(image, labels, [1], settings)
    extract(image, [region], settings)
    found = region.values
    assert region.voxels == 12
    assert found["original_shape_VoxelVolume"] == 12 * 8
    assert found["original_firstorder_Mean"] == pytest.approx(55)
    assert found["original_firstorder_Variance"] == pytest.approx(100 * (12**2 - 1) / 12)
    assert found["original_firstorder_Energy"] == pytest.approx(sum((10 * i + 1000) ** 2 for i in range(12)))
    assert found["original_firstorder_TotalEnergy"] == pytest.approx(8 * found["original_firstorder_Energy"])
    # Bins of 25: 0-24 holds 3 values, then 2, 3, 2 and 2 (100 and 110).
    share = np.array([3, 2, 3, 2, 2]) / 12
    assert found["original_firstorder_Entropy"] == pytest.approx(-(share * np.log2(share)).sum())
    assert found["original_firstorder_Uniformity"] == pytest.approx((share**2).sum())


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((5, 5, 5)), "0 voxels, fewer than radiomics.min_voxels = 8"),
        (np.pad(np.ones((1, 1, 7)), ((2, 2), (2, 2), (1, 1))), "7 voxels"),
        (np.pad(np.ones((1, 1, 9)), ((2, 2), (2, 2), (0, 0))), "dimension"),
    ],
)
def test_cut_region_when_it_is_too_small_or_a_line_then_it_says_so(labels: np.ndarray, message: str) -> None:
    image = sitk.GetImageFromArray(np.zeros(labels.shape, np.float32))
    with pytest.raises(ValueError, match=message):
        cut_region(image, labels.astype(np.uint8), [1], RadiomicsSettings())


def test_extract_when_grey_levels_are_too_many_then_only_that_image_fails(
    patient: tuple[sitk.Image, np.ndarray],
) -> None:
    image, labels = patient
    settings = RadiomicsSettings(image_types=["Original"], feature_classes=["shape", "glcm"], bin_width=0.001)
    region = cut_region(image, labels, [1], settings)
    extract(image, [region], settings)
    assert len(region.values) == 14
    assert len(region.failures) == 1
    assert "grey levels, radiomics.max_grey_levels = 2000" in region.failures[0]


def test_extract_when_values_are_not_finite_then_the_image_fails(patient: tuple[sitk.Image, np.ndarray]) -> None:
    image, labels = patient
    values = sitk.GetArrayFromImage(image)
    values[12, 14, 13] = np.nan
    broken = sitk.GetImageFromArray(values)
    settings = RadiomicsSettings(image_types=["Original"], feature_classes=["firstorder"])
    region = cut_region(broken, labels, [1], settings)
    extract(broken, [region], settings)
    assert region.values == {}
    assert region.failures == ["original: voxels without a finite value"]


def test_extract_when_the_crop_is_too_small_for_a_filter_then_its_images_are_named() -> None:
    image = sitk.GetImageFromArray(np.random.default_rng(0).normal(size=(4, 5, 5)).astype(np.float32))
    labels = np.ones((4, 5, 5), np.uint8)
    settings = RadiomicsSettings(image_types=["LoG"], log_sigma=[2.0, 4.0], feature_classes=["firstorder"])
    region = cut_region(image, labels, [1], settings)
    assert extract(image, [region], settings) == ["log-sigma-4-0-mm-3D"]
    assert len(region.values) == 18


def test_extract_when_a_region_is_flat_then_what_is_undefined_is_named() -> None:
    image = sitk.GetImageFromArray(np.full((8, 8, 8), 40, np.float32))
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[2:6, 2:6, 2:6] = 1
    settings = RadiomicsSettings(image_types=["Original"])
    region = cut_region(image, labels, [1], settings)
    extract(image, [region], settings)
    assert region.values["original_firstorder_Variance"] == 0
    assert all(np.isfinite(value) for value in region.values.values())
    assert len(region.values) + sum(failure.count(",") + 1 for failure in region.failures) == 14 + 86
