"""The engine's values are PyRadiomics': every feature within 1e-6 (1e-9 near zero), on masks that are hard to like."""

import warnings

import numpy as np
import pytest
import radiomics
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from radiomics import cShape, imageoperations
from radiomics_nasty import BALL, MASKS, TEXTURE, VALUES
from scipy import ndimage

from metaswin.radiomics.engine import filters
from metaswin.radiomics.engine.region import Discretisation, Place, region_features
from metaswin.radiomics.engine.shape import area_and_volume, cube_tables, shape_features
from metaswin.radiomics.names import FEATURES

pytestmark = pytest.mark.usefixtures("kernels")
CLASSES = tuple(FEATURES)


def pyradiomics_values(values: np.ndarray, mask: np.ndarray, spacing: tuple, **how: object) -> dict[tuple, float]:
    """What PyRadiomics' feature classes give on the mask's bounding box."""
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(tuple(float(step) for step in spacing[::-1]))
    label = sitk.GetImageFromArray(mask.astype(np.uint32))
    label.CopyInformation(image)
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in CLASSES:
            calculator = radiomics.getFeatureClasses()[kind](image, label, label=1, **how)
            calculator.enableAllFeatures()
            found |= {(kind, name): float(np.squeeze(value)) for name, value in calculator.execute().items()}
    return found


def engine_values(values: np.ndarray, mask: np.ndarray, spacing: tuple, how: Discretisation) -> dict[tuple, float]:
    steps = np.array(spacing, float)
    found = region_features(values[mask], Place(mask, steps), CLASSES[1:], how)
    found["shape"] = shape_features(mask, steps)
    return {(kind, name): value for kind, features in found.items() for name, value in features.items()}


def assert_equal(found: dict, expected: dict) -> None:
    assert len(expected) == sum(map(len, FEATURES.values())) == 107
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-6, abs=1e-9, nan_ok=True), name


@pytest.mark.parametrize("spacing", [(1, 1, 1), (5, 0.5, 0.5)], ids=str)
@pytest.mark.parametrize("mask", MASKS)
def test_features_of_a_difficult_mask_equal_pyradiomics(mask: str, spacing: tuple) -> None:
    box = ndimage.find_objects(MASKS[mask].astype(np.uint8))[0]
    inside = MASKS[mask][box]
    for kind in ("texture", "flat", "two values"):
        values = VALUES[kind][box]
        expected = pyradiomics_values(values, inside, spacing, binWidth=25)
        assert_equal(engine_values(values, inside, spacing, Discretisation()), expected)


@pytest.mark.parametrize("kind", VALUES)
def test_features_of_difficult_values_equal_pyradiomics(kind: str) -> None:
    box = ndimage.find_objects(BALL.astype(np.uint8))[0]
    values, inside = VALUES[kind][box], BALL[box]
    expected = pyradiomics_values(values, inside, (1, 1, 1), binWidth=25, voxelArrayShift=1000)
    assert_equal(engine_values(values, inside, (1, 1, 1), Discretisation(voxel_array_shift=1000)), expected)


@pytest.mark.parametrize(
    ("how", "theirs"),
    [
        (Discretisation(bin_count=255), {"binCount": 255}),
        (Discretisation(bin_count=7), {"binCount": 7}),
        (Discretisation(bin_width=3.7), {"binWidth": 3.7}),
        (Discretisation(distances=(1, 2)), {"distances": [1, 2]}),
        (Discretisation(distances=(2,)), {"distances": [2]}),
        (Discretisation(flat=0), {"force2D": True, "force2Ddimension": 0}),
        (Discretisation(flat=2), {"force2D": True, "force2Ddimension": 2}),
        (Discretisation(symmetric=False), {"symmetricalGLCM": False}),
        (Discretisation(weighting="euclidean"), {"weightingNorm": "euclidean"}),
        (Discretisation(weighting="manhattan"), {"weightingNorm": "manhattan"}),
        (Discretisation(weighting="infinity"), {"weightingNorm": "infinity"}),
        (Discretisation(weighting="no_weighting"), {"weightingNorm": "no_weighting"}),
        (Discretisation(tolerance=2), {"gldm_a": 2}),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_features_with_other_settings_equal_pyradiomics(how: Discretisation, theirs: dict) -> None:
    box = ndimage.find_objects(BALL.astype(np.uint8))[0]
    values, inside = TEXTURE[box], MASKS["holes"][box]
    expected = pyradiomics_values(values, inside, (2, 1, 0.7), **theirs)
    assert_equal(engine_values(values, inside, (2, 1, 0.7), how), expected)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    shape=st.tuples(*[st.integers(2, 7)] * 3),
    seed=st.integers(0, 2**16),
    share=st.floats(0.1, 1),
    width=st.floats(1, 80),
)
def test_features_of_any_small_volume_equal_pyradiomics(shape: tuple, seed: int, share: float, width: float) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < share
    mask[0, 0, 0] = mask[-1, -1, -1] = True  # the box of the mask is the volume
    values = rng.normal(0, 100, shape).astype(np.float32)
    expected = pyradiomics_values(values, mask, (1.5, 1, 0.8), binWidth=width)
    assert_equal(engine_values(values, mask, (1.5, 1, 0.8), Discretisation(bin_width=width)), expected)


def test_features_of_one_voxel_have_no_texture_and_pyradiomics_first_order_and_shape() -> None:
    mask, values = np.ones((1, 1, 1), bool), np.full((1, 1, 1), 7, np.float32)
    with pytest.raises(ValueError, match="single voxel"):
        region_features(values[mask], Place(mask, np.ones(3)), ["glcm"], Discretisation())
    first = region_features(values[mask], Place(mask, np.ones(3)), ["firstorder"], Discretisation())["firstorder"]
    assert first["Mean"] == 7
    assert first["Variance"] == 0
    assert shape_features(mask, np.ones(3))["MeshVolume"] == pytest.approx(1 / 6)


def test_cubes_of_the_mesh_have_pyradiomics_area_and_volume() -> None:
    spacing = np.array([2.11, 1.37, 0.9])
    tables = cube_tables(spacing)
    for cube in range(256):
        # Bit 4 z + 2 y + x, so that the bits in order are the corners in memory order.
        mask = np.array([cube >> bit & 1 for bit in range(8)], np.uint8).reshape(2, 2, 2)
        area, volume, _ = cShape.calculate_coefficients(mask.astype(bool), spacing)
        assert area_and_volume(mask, tables) == pytest.approx((area, volume), rel=1e-12, abs=1e-14), cube


@pytest.mark.parametrize("kind", ["float32", "float64", "int16"])
@pytest.mark.parametrize(
    "image_type", ["LoG", "Wavelet", "Square", "SquareRoot", "Logarithm", "Exponential", "Gradient", "LBP2D"]
)
@pytest.mark.filterwarnings("ignore:Applying `local_binary_pattern` to floating-point images:UserWarning")
def test_filters_give_pyradiomics_images_voxel_by_voxel(image_type: str, kind: str) -> None:
    values = np.pad(TEXTURE, [(4, 5), (3, 4), (0, 1)], "reflect").astype(kind)
    box = (slice(8, 15), slice(0, 12), slice(9, 17))  # inside, and at both ends of the image
    spacing = np.array([2.0, 1.0, 0.8])
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((0.8, 1.0, 2.0))
    make = getattr(imageoperations, f"get{image_type}Image")
    expected = {
        name: sitk.GetArrayFromImage(filtered)[box] for filtered, name, _ in make(image, None, sigma=[1.0, 3.0])
    }
    found = {
        "LoG": lambda: dict(filters.laplacians(values, spacing, [1.0, 3.0], box)),
        "Wavelet": lambda: dict(filters.wavelets(values, "coif1", box)),
        "Gradient": lambda: {"gradient": filters.gradient(values, spacing, box)},
        "LBP2D": lambda: {"lbp-2D": filters.local_binary_pattern(values, box)},
    }.get(image_type, lambda: {image_type.lower(): filters.pointwise(image_type, values, box)})()
    assert list(found) == list(expected) != []
    for name, values_there in expected.items():
        assert found[name].dtype == values_there.dtype
        # The last digit of float32 once in millions of voxels for LoG; all else to the bit.
        tolerance = 1e-6 if image_type == "LoG" else 0
        np.testing.assert_allclose(found[name], values_there, rtol=tolerance, atol=0)


@pytest.mark.parametrize(("level", "start", "flat"), [(2, 0, None), (1, 1, None), (1, 0, 0)])
def test_wavelets_of_other_levels_equal_pyradiomics(level: int, start: int, flat: int | None) -> None:
    image = sitk.GetImageFromArray(TEXTURE)
    how = {"level": level, "start_level": start, "wavelet": "haar"}
    how |= {} if flat is None else {"force2D": True, "force2Ddimension": flat}
    expected = {
        name: sitk.GetArrayFromImage(part) for part, name, _ in imageoperations.getWaveletImage(image, None, **how)
    }
    found = dict(filters.wavelets(TEXTURE, "haar", (slice(None),) * 3, level, start, flat))
    assert list(found) == list(expected)
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


def test_lines_of_a_place_when_many_places_are_requested_then_computed_once_each(monkeypatch):
    calls = []
    found = Place._shares_line
    monkeypatch.setattr(Place, "_shares_line", lambda place, step: calls.append(place) or found(place, step))
    places = [Place(np.ones((2, 2, n), bool), np.ones(3)) for n in (1, 2, 3)]
    first = [place.lines(None) for place in places]
    again = [place.lines(None) for place in places]
    assert len(calls) == 3 * 13
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
