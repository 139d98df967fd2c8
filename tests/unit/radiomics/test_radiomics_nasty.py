"""Nasty masks and values through every filter, in both modes: one crop for all regions, and each region's own."""

import warnings

import numpy as np
import pytest
import SimpleITK as sitk
from radiomics.featureextractor import RadiomicsFeatureExtractor
from radiomics_nasty import MASKS, VALUES, voxels

from metaswin.core.errors import UserError
from metaswin.radiomics.extract import extract
from metaswin.radiomics.features import extract_features
from metaswin.radiomics.names import FEATURES, IMAGE_TYPES, expected_features
from metaswin.radiomics.regions import cut_region
from metaswin.radiomics.settings import RadiomicsSettings

SPACING = (0.5, 0.5, 5.0)  # x, y, z
CLASSES = {name: list(features) for name, features in FEATURES.items()}
LOG = {"LoG": {"sigma": [2.0]}}
SOME = {"Original": {}, "Exponential": {}, "Gradient": {}, **LOG}
# Mask, grey values, filters, number of bins (none: of width 25).
CASES = [
    *((mask, "texture", SOME, None) for mask in MASKS),
    ("several components", "texture", {**{name: {} for name in IMAGE_TYPES}, **LOG}, None),
    *((mask, "flat", SOME, None) for mask in ("ball", "holes")),
    *(("several components", values, SOME, None) for values in ("negative", "two values")),
    ("eight voxels", "huge", SOME, None),
    *((mask, "texture", {"Original": {}, **LOG}, 255) for mask in ("holes", "one slice", "two voxels apart")),
]


def volume(kind: str) -> sitk.Image:
    """Grey values amid a margin of other ones, so that filters read beyond the region's box."""
    whole = np.pad(VALUES[kind].astype(np.float32), 7, "reflect") if kind != "flat" else np.full((28, 29, 30), 40.0)
    image = sitk.GetImageFromArray(whole.astype(np.float32))
    image.SetSpacing(SPACING)
    return image


def label(mask: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(np.pad(mask, 7).astype(np.uint8))
    image.SetSpacing(SPACING)
    return image


def executed(image: sitk.Image, mask: sitk.Image, parameters: dict) -> dict[str, float] | str:
    """What PyRadiomics' execute() gives, or what it says of a mask that it refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            values = RadiomicsFeatureExtractor(parameters).execute(image, mask)
        except ValueError as error:
            return str(error)
    return {name: float(np.real(np.squeeze(value))) for name, value in values.items()}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("mask", "values", "filters", "count"), CASES, ids=[f"{c[0]}, {c[1]}, {len(c[2])} filters, {c[3]}" for c in CASES]
)
def test_extract_features_of_a_difficult_mask_equal_those_of_execute(
    mask: str, values: str, filters: dict, count: int | None
) -> None:
    image, region = volume(values), label(MASKS[mask])
    # Asked for the spacing there is, execute() crops to the region's box and 5 voxels before it filters.
    setting = {"resampledPixelSpacing": list(SPACING), "minimumROIDimensions": 1, "additionalInfo": False}
    setting |= {} if count is None else {"binCount": count}
    parameters = {"setting": setting, "imageType": filters, "featureClass": CLASSES}
    expected = executed(image, region, parameters)
    found = extract_features(image, region, parameters)
    assert list(found) == list(expected)
    assert len(expected) == 14 + 93 * (15 if "Wavelet" in filters else len(filters))
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-6, abs=1e-9, nan_ok=True), name


def test_extract_features_of_one_voxel_or_a_line_is_refused_where_execute_refuses_it() -> None:
    image = volume("texture")
    for mask, setting in ((voxels((7, 7, 7)), {"minimumROIDimensions": 1}), (MASKS["one line"], {})):
        assert isinstance(executed(image, label(mask), {"setting": setting}), str)
        with pytest.raises(UserError, match="setting minimumROIDimensions requires"):
            extract_features(image, label(mask), **setting)


@pytest.mark.parametrize("crop", ["patient", "per-region"])
def test_engines_agree_on_difficult_regions_of_one_patient(crop: str) -> None:
    image = volume("texture")
    settings = RadiomicsSettings(
        image_types=["Original", "Square", "LoG"],
        log_sigma=[2.0],
        feature_classes=list(FEATURES),
        omit_features=[],
        min_voxels=2,
        crop=crop,
    )
    names = [name for name, mask in MASKS.items() if sum(np.ptp(np.argwhere(mask), axis=0) > 0) >= 2]
    assert len(names) == len(MASKS) - 3  # two voxels in a row and lines are refused by cut_region
    found = {}
    for engine in ("metaswin", "pyradiomics"):
        regions = {}
        for name in names:
            labels = np.pad(MASKS[name], 7).astype(np.uint8)
            regions[name] = cut_region(image, labels, [1], settings)
        extract(image, list(regions.values()), settings.model_copy(update={"engine": engine}))
        found[engine] = regions
    for name in names:
        own, reference = (found[engine][name] for engine in ("metaswin", "pyradiomics"))
        assert own.values.keys() == reference.values.keys()
        assert len(own.values) + sum(failure.count(",") + 1 for failure in own.failures) == len(
            expected_features(settings)
        )
        for feature, value in reference.values.items():
            assert own.values[feature] == pytest.approx(value, rel=1e-6, abs=1e-9), (name, feature)
