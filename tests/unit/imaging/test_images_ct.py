"""Reading CT series and volumes."""

import numpy as np
import pytest
import SimpleITK as sitk
from images_dicom import AXIAL, FRAME, SAGITTAL, SETTINGS, ct_slices, grid, noise, save_all
from pydicom.uid import JPEGLSLossless, RLELossless

from metaswin.config.imaging import ImagesSettings
from metaswin.core.acquisition import COMPANY, KERNEL, plain
from metaswin.core.grid import Grid
from metaswin.core.problems import BadData, Findings
from metaswin.imaging.ct import check_hu, read_ct, whole_numbers


@pytest.fixture
def findings():
    return Findings("P1", "images")


def code_of(slices, folder, settings=SETTINGS):
    """Code of the problem that reading these slices ends with; nothing private may be in its public part."""
    with pytest.raises(BadData) as caught:
        read_ct(save_all(slices, folder), settings, Findings("P1", "images"))
    assert str(folder) not in str(caught.value)
    assert "Secret" not in str(caught.value)
    return caught.value.facts["code"]


@pytest.mark.parametrize("direction", [AXIAL, SAGITTAL, (1.0, 0, 0, 0, 0.8, -0.6, 0, 0.6, 0.8)])
def test_read_ct_when_series_has_any_orientation_then_values_and_grid_come_back(tmp_path, findings, direction):
    on = grid(direction=direction)
    hu = noise(on)
    ct = read_ct(save_all(ct_slices(hu, on), tmp_path), SETTINGS, findings)
    np.testing.assert_array_equal(ct.array, hu)
    assert ct.array.dtype == np.int16
    assert ct.grid.same_as(on)
    assert ct.frame == FRAME
    assert len(ct.instances) == on.size[2]
    assert findings.warnings == []


def test_read_ct_when_slices_are_numbered_downwards_then_sorted_upwards(tmp_path, findings):
    on = grid()
    hu = noise(on)
    ct = read_ct(save_all(ct_slices(hu, on)[::-1], tmp_path), SETTINGS, findings)
    np.testing.assert_array_equal(ct.array, hu)


def test_read_ct_when_as_simpleitk_reads_the_series_then_equal(tmp_path, findings):
    on = grid(direction=(1.0, 0, 0, 0, 0.8, -0.6, 0, 0.6, 0.8))
    save_all(ct_slices(noise(on), on), tmp_path)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path))
    reference = sitk.ReadImage(names)
    ct = read_ct(names[::-1], SETTINGS, findings)
    assert ct.grid.same_as(Grid.of(reference))
    np.testing.assert_array_equal(ct.array, sitk.GetArrayFromImage(reference))


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_read_ct_when_compressed_then_decoded(tmp_path, findings, syntax):
    on = grid(size=(16, 16, 4))
    hu = noise(on)
    slices = ct_slices(hu, on)
    for image in slices:
        image.compress(syntax, generate_instance_uid=False)
    np.testing.assert_array_equal(read_ct(save_all(slices, tmp_path), SETTINGS, findings).array, hu)


def test_read_ct_when_slope_differs_by_slice_then_applied_by_slice(tmp_path, findings):
    on = grid()
    hu = noise(on) // 4 * 4
    slices = ct_slices(hu, on)
    slices[2] = ct_slices(hu, on, slope=2.0)[2]
    slices[3] = ct_slices(hu, on, slope=0.5, intercept=-1024.0)[3]
    ct = read_ct(save_all(slices, tmp_path), SETTINGS, findings)
    np.testing.assert_array_equal(ct.array, hu)
    assert ct.array.dtype == np.int16


def test_read_ct_when_values_are_fractions_then_float32(tmp_path, findings):
    on = grid()
    hu = noise(on) + 0.5
    ct = read_ct(save_all(ct_slices(hu, on, slope=0.5), tmp_path), SETTINGS, findings)
    assert ct.array.dtype == np.float32
    np.testing.assert_array_equal(ct.array, hu)


def test_read_ct_when_values_exceed_int16_then_float32(tmp_path, findings):
    on = grid()
    hu = noise(on).astype(np.int32)
    hu[3, 0, 0] = 60000
    ct = read_ct(save_all(ct_slices(hu, on), tmp_path), SETTINGS, findings)
    assert ct.array.dtype == np.float32
    np.testing.assert_array_equal(ct.array, hu)


def test_read_ct_when_facts_are_read_then_only_these(tmp_path, findings):
    slices = ct_slices(noise(grid()), grid())
    slices[0].ConvolutionKernel = ["I30f", "2"]
    slices[0].ManufacturerModelName = "for Jane Doe; 1950"
    slices[0].KVP = None
    facts = read_ct(save_all(slices, tmp_path), SETTINGS, findings).facts
    model = facts.pop("model")
    assert facts == {"manufacturer": "SIEMENS", "kernel": "I30f/2", "kvp": None, "slice_thickness": 3.0}
    assert model.startswith("h-")
    assert len(model) == 12


def test_plain_when_text_is_not_a_product_name_then_hashed():
    assert plain("B30f", KERNEL) == "B30f"
    assert plain("", KERNEL) is None
    assert plain("é" * 3, KERNEL).startswith("h-")
    assert plain("x" * 33, KERNEL).startswith("h-")
    assert plain("CMS, Inc.", COMPANY) == "CMS, Inc."


def test_read_ct_when_a_slice_occurs_twice_then_copy_is_dropped(tmp_path, findings):
    on = grid()
    hu = noise(on)
    slices = ct_slices(hu, on)
    ct = read_ct(save_all([*slices, slices[2]], tmp_path), SETTINGS, findings)
    np.testing.assert_array_equal(ct.array, hu)
    assert [warning.code for warning in findings.warnings] == ["duplicate-slices"]


def test_read_ct_when_a_localizer_is_among_the_slices_then_dropped(tmp_path, findings):
    on = grid()
    slices = ct_slices(noise(on), on)
    scout = ct_slices(noise(on, 1), on)[0]
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    assert read_ct(save_all([*slices, scout], tmp_path), SETTINGS, findings).grid.same_as(on)
    assert [warning.code for warning in findings.warnings] == ["localizer-in-series"]


def change(name, value, which=1):
    def apply(slices):
        setattr(slices[which], name, value)

    return apply


def everywhere(name, value):
    def apply(slices):
        for image in slices:
            setattr(image, name, value)

    return apply


def without(name):
    def apply(slices):
        delattr(slices[1], name)

    return apply


def shift(mm_per_slice, axis):
    def apply(slices):
        for index, image in enumerate(slices):
            position = list(image.ImagePositionPatient)
            position[axis] += mm_per_slice * index
            image.ImagePositionPatient = position

    return apply


def other_pixels_at_one_position(slices):
    slices[1].ImagePositionPatient = slices[0].ImagePositionPatient


def uneven(slices):
    slices[-1].ImagePositionPatient = [*slices[-1].ImagePositionPatient[:2], slices[-1].ImagePositionPatient[2] + 0.5]


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda slices: slices.pop(2), "missing-slices"),
        (uneven, "variable-spacing"),
        (other_pixels_at_one_position, "duplicate-slices"),
        (shift(1.0, 1), "gantry-tilt"),
        (shift(4.0, 2), "slice-spacing-too-large"),
        (lambda slices: slices.__delitem__(slice(2, None)), "too-few-slices"),
        (change("PixelSpacing", [2.0, 2.0]), "mixed-series"),
        (change("ImageOrientationPatient", [1, 0, 0, 0, 0, -1]), "mixed-series"),
        (everywhere("ImageOrientationPatient", [1, 0, 0, 0.5, 1, 0]), "incomplete-header"),
        (change("ImagePositionPatient", None), "incomplete-header"),
        (without("PixelSpacing"), "incomplete-header"),
        (without("Columns"), "incomplete-header"),
        (without("PixelData"), "incomplete-header"),
        (change("Modality", "PT"), "not-ct"),
        (change("NumberOfFrames", 40), "multiframe-ct"),
        (change("RescaleType", "OD"), "not-hu"),
        (change("PhotometricInterpretation", "MONOCHROME1"), "not-hu"),
        (without("RescaleIntercept"), "not-hu"),
        (change("RescaleSlope", 0), "not-hu"),
        (everywhere("RescaleIntercept", 0), "not-hu"),
        (change("PixelData", b"\0" * 10), "file-unreadable"),
    ],
)
def test_read_ct_when_series_is_bad_then_the_code_says_why(tmp_path, spoil, code):
    slices = ct_slices(noise(grid()), grid())
    spoil(slices)
    assert code_of(slices, tmp_path) == code


def test_read_ct_when_tilt_is_a_rounding_error_then_accepted(tmp_path, findings):
    slices = ct_slices(noise(grid()), grid())
    shift(0.01, 1)(slices)
    change("GantryDetectorTilt", 0.1)(slices)
    assert read_ct(save_all(slices, tmp_path), SETTINGS, findings).grid.size == grid().size


def test_read_ct_when_a_file_is_missing_or_cut_then_named_in_private_only(tmp_path, findings):
    paths = save_all(ct_slices(noise(grid()), grid()), tmp_path)
    with pytest.raises(BadData, match="file-missing"):
        read_ct([*paths, str(tmp_path / "gone.dcm")], SETTINGS, findings)
    (tmp_path / "000.dcm").write_bytes(b"")
    with pytest.raises(BadData, match="file-unreadable") as caught:
        read_ct([str(tmp_path / "000.dcm")], SETTINGS, findings)
    assert caught.value.facts["private"].startswith(str(tmp_path / "000.dcm"))


def test_read_ct_when_spacing_varies_within_the_setting_then_accepted(tmp_path, findings):
    slices = ct_slices(noise(grid()), grid())
    uneven(slices)
    wide = ImagesSettings(min_slices=3, max_spacing_deviation=0.6)
    assert read_ct(save_all(slices, tmp_path), wide, findings).grid.spacing[2] == pytest.approx(3.1)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((2, 2, 2)),
        np.full((2, 2, 2), -1000.0),
        np.array([[[-1024.0, -1024, 900, 1100]]]),  # an offset of 1000 beside padding
        np.full((2, 2, 2), np.nan),
        np.array([[[-5.0, np.inf]]]),
    ],
)
def test_check_hu_when_values_cannot_be_hu_then_bad(bad):
    with pytest.raises(BadData, match="not-hu"):
        check_hu(bad)


def test_whole_numbers_when_types_differ_then_smallest_type_that_fits():
    assert whole_numbers(np.full((1, 1, 1), 7, dtype=np.uint16)).dtype == np.int16
    assert whole_numbers(np.full((1, 1, 1), 40000, dtype=np.uint16)).dtype == np.float32
    assert whole_numbers(np.full((1, 1, 1), -7.0)).dtype == np.int16
    assert whole_numbers(np.full((1, 1, 1), -7.5)).dtype == np.float32
    assert whole_numbers(np.full((1, 1, 1), np.nan)).dtype == np.float32


def stored(slices, change):
    """Change the stored values of every slice."""
    for image in slices:
        values = np.frombuffer(image.PixelData, "<u2").reshape(image.Rows, image.Columns).copy()
        image.PixelData = np.ascontiguousarray(change(values)).tobytes()


def test_read_ct_when_12_bits_are_signed_or_contain_other_bits_then_read_correctly(tmp_path, findings):
    on = grid()
    hu = noise(on)
    signed = ct_slices(hu, on, intercept=0.0)
    stored(signed, lambda values: values & 0x0FFF)  # no sign extension
    other = ct_slices(hu, on)
    stored(other, lambda values: values | 0x5000)  # an old overlay in the unused bits
    for slices, representation in ((signed, 1), (other, 0)):
        for image in slices:
            image.BitsStored, image.HighBit, image.PixelRepresentation = 12, 11, representation
        ct = read_ct(save_all(slices, tmp_path / str(representation)), SETTINGS, findings)
        np.testing.assert_array_equal(ct.array, hu)


@pytest.mark.parametrize(
    ("representation", "intercept", "value", "limit", "expected"),
    [
        (1, 0, -2000, None, -1024),  # signed padding
        (1, 0, 63536, None, -1024),  # the same, written as unsigned
        (0, -1000, 63536, None, -1024),  # far above the scale
        (0, -1000, 63530, 63540, -1024),  # a range
        (0, -1000, 0, None, -1000),  # air that the file calls padding
        (1, 0, 40, None, 40),  # tissue that the file calls padding
    ],
)
def test_read_ct_when_padding_is_not_hu_then_air_and_when_possibly_tissue_then_kept(
    tmp_path, findings, representation, intercept, value, limit, expected
):
    on = grid()
    hu = noise(on)
    slices = ct_slices(hu, on, intercept=float(intercept))
    kind = "US" if value >= 0 else "SS"
    inside = value if limit is None else 63535
    for image in slices:
        image.PixelRepresentation = representation
        image.add_new("PixelPaddingValue", kind, value)
        if limit is not None:
            image.add_new("PixelPaddingRangeLimit", kind, limit)

    def corner(values):
        values[:2, :2] = np.array(inside).astype(np.int64) & 0xFFFF
        return values

    stored(slices, corner)
    ct = read_ct(save_all(slices, tmp_path), SETTINGS, findings)
    assert (ct.array[:, :2, :2] == expected).all()
    np.testing.assert_array_equal(ct.array[:, 2:], hu[:, 2:])
    assert ct.array.dtype == np.int16


def test_read_ct_when_fractions_are_padded_then_air(tmp_path, findings):
    on = grid()
    slices = ct_slices(noise(on) + 0.5, on, slope=0.5)
    for image in slices:
        image.add_new("PixelPaddingValue", "US", 60000)
    stored(slices, lambda values: np.where(np.arange(values.shape[1]) < 2, 60000, values).astype("<u2"))
    ct = read_ct(save_all(slices, tmp_path), SETTINGS, findings)
    assert (ct.array[:, :, :2] == -1024).all()
    assert ct.array[:, :, 2:].min() >= -200


def test_read_ct_when_one_multiframe_file_then_as_its_slices(tmp_path, findings):
    from metaswin.simulate.data_faults.case import new_case
    from metaswin.simulate.data_faults.series import enhanced

    case = new_case(tmp_path / "case", "P1", 1)
    classic = read_ct([case.save(image, f"c{i}") for i, image in enumerate(case.slices)], SETTINGS, findings)
    frames = read_ct([case.save(enhanced(case), "e")], SETTINGS, findings)
    np.testing.assert_array_equal(frames.array, classic.array)
    assert (frames.grid, frames.facts, frames.frame) == (classic.grid, classic.facts, classic.frame)


def test_read_ct_when_a_multiframe_file_describes_too_many_frames_then_unreadable(tmp_path, findings):
    from metaswin.simulate.data_faults.case import new_case
    from metaswin.simulate.data_faults.series import enhanced

    image = enhanced(case := new_case(tmp_path / "case", "P1", 1))
    image.PerFrameFunctionalGroupsSequence.append(image.PerFrameFunctionalGroupsSequence[0])
    with pytest.raises(BadData, match="file-unreadable"):
        read_ct([case.save(image, "e")], SETTINGS, findings)
