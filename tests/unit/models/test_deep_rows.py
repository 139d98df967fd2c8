"""Rows of a network, patches in memory, augmentation and the estimate of memory."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from patch_file import collected
from safetensors import safe_open

from metaswin.config.models import AugmentationSettings, DeepSettings
from metaswin.core.files import write_volume
from metaswin.models.augmentation import augment, random_affines
from metaswin.models.memory import memory_mb, patients_with_patch
from metaswin.models.patches import load_patches, place_patches, take_rows

STILL = AugmentationSettings(flip=False, rotate=0, scale=0, shift=0, noise=0)


def test_load_patches_when_some_are_wanted_then_reads_only_these_in_order(tmp_path, monkeypatch):
    values = np.arange(2 * 2 * 3 * 4, dtype=np.float32).reshape(2, 2, 3, 4) / 64  # channel, z, y, x
    image = sitk.JoinSeries([sitk.GetImageFromArray(channel) for channel in values])
    for name in ("A", "C"):
        write_volume(tmp_path / f"{name}.nii.gz", image)
    (tmp_path / "B.nii.gz").write_bytes(b"")
    write_volume(tmp_path / "D.nii.gz", image)
    path = collected(tmp_path)
    read = []

    class Recorder:
        """What is read of the file."""

        def __init__(self, *arguments, **names):
            self.file = safe_open(*arguments, **names)

        def __enter__(self):
            self.opened = self.file.__enter__()
            return self

        def __exit__(self, *error):
            self.file.__exit__(*error)

        def __getattr__(self, name):
            return getattr(self.opened, name)

        def get_tensor(self, name):
            read.append(name)
            return self.opened.get_tensor(name)

    monkeypatch.setattr("metaswin.models.patches.safe_open", Recorder)
    patches = load_patches(path, ["C", "B", "A"])
    assert read == ["C", "A"]
    assert patients_with_patch(path) == ["A", "C", "D"]
    assert patches.patients == ["C", "A"]
    assert patches.values.shape == (2, 2, 4, 3, 2)
    assert patches.values[0, 1, 3, 2, 0] == values[1, 0, 2, 3]


def test_load_patches_when_nobody_has_one_then_empty(tmp_path):
    (tmp_path / "B.nii.gz").write_bytes(b"")
    assert load_patches(collected(tmp_path), ["B"]).patients == []


class Device:
    """A pretended GPU."""

    type = "cuda"


@pytest.mark.parametrize(("free", "goes"), [(10_000, True), (8_000, True), (7_999, False)])
def test_place_patches_when_a_gpu_has_room_twice_over_then_they_go_there(monkeypatch, free, goes):
    values = torch.zeros((10, 2, 100), dtype=torch.float16)  # 4,000 bytes
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 80_000))
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device: "on the GPU")
    placed = place_patches(values, Device())
    assert (placed == "on the GPU") if goes else (placed is values)


def test_take_rows_when_on_the_cpu_then_these_rows_in_float32():
    values = torch.arange(6).view(3, 2).half()
    taken = take_rows(values, torch.tensor([2, 0]), torch.device("cpu"))
    assert taken.dtype == torch.float32
    assert taken.tolist() == [[4, 5], [0, 1]]


def test_augment_when_everything_is_off_then_leaves_patches_as_they_are():
    patches = torch.rand(2, 3, 8, 8, 8)
    assert torch.allclose(augment(patches, STILL, torch.Generator().manual_seed(0)), patches, atol=1e-5)


def test_augment_when_only_flips_then_each_patient_is_mirrored_left_to_right_or_not():
    patches = torch.rand(16, 2, 6, 8, 8)[:, :, :, :6, :6]
    moved = augment(patches, STILL.model_copy(update={"flip": True}), torch.Generator().manual_seed(0))
    same = [torch.allclose(new, old, atol=1e-5) for new, old in zip(moved, patches, strict=True)]
    mirrored = [torch.allclose(new, old.flip(1), atol=1e-5) for new, old in zip(moved, patches, strict=True)]
    assert 0 < sum(same) < 16
    assert [a != b for a, b in zip(same, mirrored, strict=True)] == [True] * 16


def test_augment_when_noise_then_on_the_ct_alone_and_as_strong_as_asked():
    patches = torch.rand(2, 3, 16, 16, 16)
    moved = augment(patches, STILL.model_copy(update={"noise": 0.1}), torch.Generator().manual_seed(0))
    assert float((moved - patches)[:, 0].std()) == pytest.approx(0.1, rel=0.05)
    assert torch.allclose(moved[:, 1:], patches[:, 1:], atol=1e-5)


def test_augment_when_seeded_alike_then_equal_and_otherwise_not():
    patches, wild = torch.rand(2, 3, 8, 8, 8), AugmentationSettings()
    first, second, third = (augment(patches, wild, torch.Generator().manual_seed(s)) for s in (3, 3, 4))
    assert torch.equal(first, second)
    assert not torch.allclose(first, third)


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 90), st.floats(0, 0.5), st.floats(0, 0.5), st.integers(0, 2**31))
def test_random_affines_when_drawn_then_volume_and_shift_stay_within_the_settings(rotate, scale, shift, seed):
    wanted = AugmentationSettings(rotate=rotate, scale=scale, shift=shift)
    affines = random_affines(8, wanted, torch.Generator().manual_seed(seed))
    volume = torch.linalg.det(affines[:, :, :3]).abs()
    assert (volume <= (1 + scale) ** 3 + 1e-3).all()
    assert (volume >= (1 + scale) ** -3 - 1e-3).all()
    assert (affines[:, :, 3].abs() <= 2 * shift + 1e-6).all()


@pytest.mark.parametrize(
    ("backbone", "size", "embed", "window", "batch", "measured"),
    [
        ("swin", 48, 24, 4, 4, 1238),
        ("swin", 48, 24, 6, 4, 1742),
        ("swin", 48, 24, 7, 4, 3714),
        ("swin", 64, 48, 4, 2, 1933),
        ("swin", 64, 48, 7, 2, 4565),
        ("swin", 32, 12, 4, 4, 724),
        ("resnet", 48, 24, 4, 4, 1217),
        ("densenet", 48, 24, 4, 4, 1006),
    ],
)
def test_memory_mb_when_measured_then_at_least_that_and_not_thrice(backbone, size, embed, window, batch, measured):
    wanted = DeepSettings(embed_dim=embed, window_size=window, batch_size=batch)
    assert measured <= memory_mb(backbone, wanted, size, 5, 26) <= 3 * measured
