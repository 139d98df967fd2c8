"""Names of features: the default count, PyRadiomics' own names, mistakes in the settings."""

import pytest
import radiomics
from pydantic import ValidationError

from metaswin.radiomics.names import FEATURES, IMAGE_TYPES, REFUSED_IMAGE_TYPES, expected_features
from metaswin.radiomics.settings import RadiomicsSettings


def test_expected_features_by_default_are_1562_with_14_of_shape() -> None:
    names = expected_features(RadiomicsSettings())
    assert len(names) == len(set(names)) == 1562
    assert sum("_shape_" in name for name in names) == 14
    images = {name.split("_")[0] for name in names}
    assert len(images) == 18
    assert all(
        sum(name.startswith(f"{image}_") for name in names) == 86 + 14 * (image == "original") for image in images
    )


def test_features_are_those_pyradiomics_does_not_call_deprecated() -> None:
    offered = {
        name: tuple(feature for feature, deprecated in calculator.getFeatureNames().items() if not deprecated)
        for name, calculator in radiomics.getFeatureClasses().items()
        if name != "shape2D"
    }
    assert offered == FEATURES


def test_image_types_are_those_of_pyradiomics() -> None:
    assert sorted([*IMAGE_TYPES, *REFUSED_IMAGE_TYPES]) == sorted(radiomics.getImageTypes())


def test_expected_features_keep_their_order_when_the_user_names_another() -> None:
    there = RadiomicsSettings(image_types=["Original", "Square"], feature_classes=["shape", "glcm"])
    back = RadiomicsSettings(image_types=["Square", "Original"], feature_classes=["glcm", "shape"])
    assert expected_features(there) == expected_features(back)


def test_expected_features_when_a_class_is_omitted_feature_by_feature() -> None:
    omitted = [f"ngtdm_{name}" for name in FEATURES["ngtdm"][1:]]
    settings = RadiomicsSettings(image_types=["LoG"], log_sigma=[1.5], feature_classes=["ngtdm"], omit_features=omitted)
    assert expected_features(settings) == ["log-sigma-1-5-mm-3D_ngtdm_Busyness"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("image_types", ["Orignal"], "did you mean 'Original'"),
        ("image_types", ["LBP3D"], "depend on the region"),
        ("image_types", ["LBP2D"], "one bin"),
        ("image_types", ["Original", "Original"], "named twice"),
        ("image_types", [], "at least 1"),
        ("feature_classes", ["first_order"], "did you mean 'firstorder'"),
        ("omit_features", ["glcm_SumAvrage"], "did you mean 'glcm_SumAverage'"),
        ("regions", ["tumour"], "did you mean 'tumor'"),
        ("regions", ["ring_10mm"], "did you mean 'rings'|allowed"),
        ("log_sigma", [1.0, -2.0], "greater than 0"),
        ("log_sigma", [1, 1.0], "once"),
        ("wavelet", "coif", "unknown wavelet 'coif'"),
    ],
)
def test_settings_when_a_name_is_wrong_then_the_error_helps(key: str, value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RadiomicsSettings(**{key: value})


def test_settings_accept_a_ring_by_name_and_another_wavelet() -> None:
    settings = RadiomicsSettings(regions=["tumor", "ring_2.5_10mm"], wavelet="db2")
    assert settings.regions == ["tumor", "ring_2.5_10mm"]
