"""Where the patch lies and how images get onto it."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from metaswin.imaging.patches import PatchGrid, choose_centre, largest_component, resample, voxel_extent, voxel_points


def image_of(array, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), direction=None):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    if direction is not None:
        image.SetDirection(direction)
    return image


def test_voxel_points_when_grid_is_turned_then_agree_with_simpleitk():
    mask = np.zeros((3, 4, 5), dtype=np.uint8)
    mask[2, 1, 3] = 1
    turned = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    image = image_of(mask, (0.9, 0.8, 3.0), (-10.0, 5.0, 7.0), turned)
    assert voxel_points(image, mask > 0)[0] == pytest.approx(image.TransformIndexToPhysicalPoint((3, 1, 2)))


def test_voxel_extent_when_axes_are_swapped_then_follows_the_patient():
    turned = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    assert voxel_extent(image_of(np.zeros((2, 2, 2)), (1.0, 2.0, 3.0), direction=turned)) == pytest.approx([2, 1, 3])


def test_choose_centre_when_all_lesions_fit_then_middle_of_their_box():
    main = np.array([[0.0, 0, 0], [4, 0, 0]])
    lesions = np.vstack([main, [[20.0, 10, 0]]])
    assert choose_centre(main, lesions, np.ones(3), 32.0) == pytest.approx((10, 5, 0))


def test_choose_centre_when_nodes_are_far_then_middle_of_the_primary():
    main = np.array([[0.0, 0, 0], [0, 0, 0], [4, 0, 0]])
    lesions = np.vstack([main, [[200.0, 0, 0]]])
    assert choose_centre(main, lesions, np.ones(3), 32.0) == pytest.approx((2, 0, 0))


def test_choose_centre_when_the_primary_is_larger_than_the_patch_then_its_centroid():
    main = np.array([[0.0, 0, 0], [0, 0, 0], [0, 0, 0], [100.0, 0, 0]])
    assert choose_centre(main, main, np.ones(3), 32.0) == pytest.approx((25, 0, 0))


def test_choose_centre_when_only_half_voxels_stick_out_of_the_box_then_counts_them():
    main = np.array([[0.0, 0, 0], [0, 0, 0], [32, 0, 0]])
    assert choose_centre(main, main, np.ones(3), 32.0) == pytest.approx((32 / 3, 0, 0))
    assert choose_centre(main, main, np.ones(3), 33.0) == pytest.approx((16, 0, 0))


def test_largest_component_when_two_nodes_then_keeps_the_larger():
    mask = np.zeros((1, 3, 9), dtype=bool)
    mask[0, 1, 1] = True
    mask[0, 0:2, 5:8] = True
    kept = largest_component(mask)
    assert kept.sum() == 6
    assert not kept[0, 1, 1]


@settings(max_examples=25, deadline=None)
@given(
    spacing=st.tuples(*[st.floats(0.4, 3.0)] * 3),
    centre=st.tuples(*[st.floats(-20, 20)] * 3),
    target=st.floats(0.8, 3.0),
    flip=st.sampled_from([(1, 1, 1), (-1, -1, 1), (-1, 1, -1)]),
)
def test_resample_when_image_is_a_ramp_then_the_ramp_inside_and_padding_outside(spacing, centre, target, flip):
    """Linear interpolation and symmetric smoothing leave a linear function of position as it is, away from the edge."""
    size = np.array([40, 36, 30])
    direction = np.diag(flip).astype(float)
    extent = size * np.array(spacing)
    origin = -(direction @ extent) / 2
    x, y, z = np.meshgrid(*[np.arange(n) for n in size], indexing="ij")
    points = origin + (np.stack([x, y, z], -1) * np.array(spacing)) @ direction.T
    ramp = (points @ np.array([1.0, 2.0, -0.5])).transpose(2, 1, 0).astype(np.float32)
    image = image_of(ramp, spacing, origin, direction.ravel())
    grid = PatchGrid(centre, 32, target)
    got = resample(image, grid, -1024.0)

    axes = [c + (np.arange(32) - 15.5) * target for c in centre]
    z, y, x = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    expected = x + 2 * y - 0.5 * z
    low = np.minimum(origin, origin + direction @ ((size - 1) * np.array(spacing)))
    high = np.maximum(origin, origin + direction @ ((size - 1) * np.array(spacing)))
    position = np.stack([x, y, z], -1)
    reach = 4 * np.array(spacing) * (1 + target / np.array(spacing))
    deep = ((position > low + reach) & (position < high - reach)).all(-1)
    beyond = ((position < low - np.array(spacing)) | (position > high + np.array(spacing))).any(-1)
    assert np.allclose(got[deep], expected[deep], atol=0.05)
    assert (got[beyond] == -1024).all()


def test_resample_when_patch_is_coarser_then_noise_is_averaged_by_the_point_spread():
    """White noise through a Gaussian of sigma s voxels per axis keeps 1/(2 s √π) of its variance per axis."""
    noise = np.random.default_rng(0).standard_normal((96, 96, 96)).astype(np.float32)
    got = resample(image_of(noise), PatchGrid((47.0, 47.0, 47.0), 16, 4.0), 0.0)
    sigma = np.sqrt(15) / 2.354820045
    assert got.std() == pytest.approx((2 * sigma * np.sqrt(np.pi)) ** -1.5, rel=0.1)


def test_resample_when_image_does_not_overlap_then_padding_only():
    far = image_of(np.ones((4, 4, 4), dtype=np.float32), origin=(1000.0, 0.0, 0.0))
    assert (resample(far, PatchGrid((0.0, 0.0, 0.0), 32, 1.0), -1024.0) == -1024).all()
