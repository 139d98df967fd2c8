"""Shuffled regions keep histogram and shape, and nothing else."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from metaswin.core.files import read_table, write_json, write_volume
from metaswin.core.status import Status, write_status
from metaswin.evaluation.shuffle import extract_shuffled, shuffle_regions
from metaswin.features.radiomics import RadiomicsInputs, extract_patient
from metaswin.radiomics.settings import RadiomicsSettings

SHAPE = (4, 5, 6)


def image_of(values):
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((1.0, 2.0, 3.0))
    image.SetOrigin((5.0, 6.0, 7.0))
    return image


@given(arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 1, 2, 11])), st.integers(0, 2**31))
def test_shuffle_when_any_labels_then_values_stay_in_their_label_and_outside_is_kept(labels, seed):
    values = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    shuffled = shuffle_regions(image_of(values), labels, seed, "P1")
    found = sitk.GetArrayFromImage(shuffled)
    assert shuffled.GetSpacing() == (1.0, 2.0, 3.0)
    assert shuffled.GetOrigin() == (5.0, 6.0, 7.0)
    assert found.dtype == np.float32
    for wanted in ([0], [1], [2], [1, 2], [11]):
        inside = np.isin(labels, wanted)
        np.testing.assert_array_equal(np.sort(found[inside]), np.sort(values[inside]))
    np.testing.assert_array_equal(found[labels == 0], values[labels == 0])


def test_shuffle_when_repeated_then_the_same_unless_seed_or_patient_differs():
    values = np.random.default_rng(1).normal(size=(9, 9, 9))
    labels = np.ones((9, 9, 9), dtype=np.uint8)

    def shuffled(seed, patient):
        return sitk.GetArrayFromImage(shuffle_regions(image_of(values), labels, seed, patient))

    np.testing.assert_array_equal(shuffled(1, "P1"), shuffled(1, "P1"))
    # Of 729 voxels about one stays where it was.
    for other in (values, shuffled(2, "P1"), shuffled(1, "P2")):
        assert (shuffled(1, "P1") == other).sum() < 10


@pytest.fixture
def patient(tmp_path):
    """Files of the stage regions of one patient: a smooth image, primary and nodes, their union, a ring."""
    z, y, x = np.mgrid[:24, :24, :24]
    values = (40 + 30 * np.sin(x / 3) + 5 * z + np.random.default_rng(2).normal(0, 3, x.shape)).astype(np.float32)
    labels = np.zeros(x.shape, dtype=np.uint8)
    distance = np.sqrt((x - 9) ** 2 + (y - 10) ** 2 + (z - 11) ** 2)
    labels[distance < 8] = 11
    labels[distance < 5] = 1
    labels[9:13, 9:13, 18:22] = 2
    write_volume(tmp_path / "ct.nii.gz", sitk.GetImageFromArray(values))
    write_volume(tmp_path / "regions.nii.gz", sitk.GetImageFromArray(labels))
    named = {"primary": [1], "nodes": [2], "tumor": [1, 2], "ring_0_3mm": [11]}
    write_json(tmp_path / "regions.json", {"labels": named, "missing": {}})
    write_status(tmp_path / "status.json", Status("P1", "regions"), tmp_path / "details")
    return tmp_path


def extract(folder, function, name, *more):
    names = ("ct.nii.gz", "regions.nii.gz", "regions.json", "status.json")
    inputs = RadiomicsInputs(*(folder / name for name in names))
    settings = RadiomicsSettings(image_types=["Original", "LoG"], log_sigma=[2.0])
    table = folder / f"{name}.parquet"
    function(inputs, table, folder / f"{name}.json", settings, folder / "details", *more)
    return read_table(table).set_index("region")


def test_features_when_shuffled_then_shape_and_histogram_stay_and_texture_changes(patient):
    real = extract(patient, extract_patient, "real")
    shuffled = extract(patient, extract_shuffled, "shuffled", 7)
    assert shuffled.index.tolist() == ["tumor", "primary", "nodes", "ring_0_3mm"]
    same = [name for name in real if "_shape_" in name or name.startswith("original_firstorder")]
    assert len(same) == 14 + 18
    np.testing.assert_allclose(shuffled[same].to_numpy(dtype=float), real[same].to_numpy(dtype=float), rtol=1e-9)
    for name in ("original_glcm_Contrast", "log-sigma-2-0-mm-3D_firstorder_Variance"):
        assert not np.isclose(shuffled[name], real[name], rtol=0.05).any()
    # Neighbours of a shuffled region have nothing to do with each other.
    assert (shuffled["original_glcm_Correlation"].abs() < 0.1).all()
    assert (real["original_glcm_Correlation"] > 0.4).all()
