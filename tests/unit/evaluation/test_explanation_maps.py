"""Whom the maps show, what occlusion finds in a network whose answer is known, and its image."""

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import torch
from patch_file import collected
from PIL import Image

from metaswin.config.evaluation import ExplanationSettings, OcclusionSettings
from metaswin.config.imaging import PatchesSettings
from metaswin.config.models import DeepSettings
from metaswin.core.files import read_json, read_volume, write_json, write_table, write_volume
from metaswin.evaluation.occlusion import (
    RAISES,
    TINTS,
    OcclusionInputs,
    choose_patients,
    cubes_at,
    draw_map,
    map_occlusion,
    occlusion_map,
)
from metaswin.imaging.canvas import PIXELS, panel_box
from metaswin.imaging.patches import PatchGrid, stack
from metaswin.models.backbones import build
from metaswin.models.deep_features import load_network, save_network, score
from metaswin.models.patches import load_patch

OCCLUSION = OcclusionSettings(cube=8.0, step=4.0, batch_size=3, method="occlusion")


class Spots(torch.nn.Module):
    """Logit 3 × CT at one voxel less 2 × tumour at another."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([3.0, -2.0]))

    def forward(self, patches):
        return patches[:, 0, 5, 6, 7] * self.weight[0] + patches[:, 1, 9, 9, 9] * self.weight[1], patches.flatten(1)


@pytest.fixture
def patch():
    values = torch.full((4, 16, 16, 16), 0.0)
    values[0] = 0.9
    values[1, 4:12, 4:12, 4:12] = 1.0
    return values


@pytest.mark.parametrize("hide", ["ct", "all"])
@pytest.mark.parametrize("steps", [1, 4])
def test_map_when_the_network_is_linear_then_gradients_give_the_occlusion_map(patch, hide, steps):
    exact = OCCLUSION.model_copy(update={"hide": hide})
    fast = exact.model_copy(update={"method": "gradient", "steps": steps})
    maps = [occlusion_map(Spots(), patch, 2.0, settings) for settings in (exact, fast)]
    np.testing.assert_allclose(*maps, atol=1e-5)


class Square(torch.nn.Module):
    """Logit: the square of the CT at one voxel."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, patches):
        return patches[:, 0, 5, 6, 7] ** 2 * self.weight, patches.flatten(1)


def test_map_when_one_voxel_counts_by_its_square_then_midpoints_integrate_it_exactly(patch):
    found = occlusion_map(Square(), patch, 2.0, OcclusionSettings(cube=8.0, step=4.0, steps=3))
    assert found[5, 6, 7] == pytest.approx(0.9**2 - 0.5**2, rel=1e-5)


def test_map_when_one_voxel_of_the_ct_counts_then_the_fall_is_where_cubes_hide_it(patch):
    found = occlusion_map(Spots(), patch, 2.0, OCCLUSION)
    assert found[5, 6, 7] == pytest.approx(3 * (0.9 - 0.5), rel=1e-5)
    assert found[15, 15, 15] == pytest.approx(0) or np.isnan(found[15, 15, 15])
    # The cube is 4 voxels wide: nothing farther than 3 from the voxel shares a cube with it.
    far = np.abs(np.indices(found.shape) - np.array([5, 6, 7])[:, None, None, None]).max(axis=0) > 3
    assert np.abs(np.nan_to_num(found[far])).max() == 0


def test_map_when_the_masks_are_hidden_too_then_their_effect_is_included(patch):
    settings = OCCLUSION.model_copy(update={"hide": "all"})
    found = occlusion_map(Spots(), patch, 2.0, settings)
    assert found[9, 9, 9] == pytest.approx(-2.0, rel=1e-5)


def test_map_when_cubes_overlap_by_half_then_it_is_linear_between_their_middles(patch):
    patch[1] = 1.0
    found = occlusion_map(Spots(), patch, 2.0, OcclusionSettings(cube=8.0, step=4.0))
    # Along x, cubes of voxels 2-5 and 4-7 hold voxel 5; their middles are at 3.5 and 5.5, the next ones at 1.5 and 7.5.
    share = found[:, 6, 7] / (3 * (0.9 - 0.5))
    np.testing.assert_allclose(share[1:9], [0, 0.25, 0.75, 1, 1, 0.75, 0.25, 0], atol=1e-6)


def test_map_when_batches_are_of_another_size_then_it_is_the_same(patch):
    other = OCCLUSION.model_copy(update={"batch_size": 50})
    np.testing.assert_array_equal(
        occlusion_map(Spots(), patch, 2.0, OCCLUSION), occlusion_map(Spots(), patch, 2.0, other)
    )


def test_cubes_when_the_step_does_not_divide_the_patch_then_the_last_voxel_is_tried(patch):
    patch[1] = 1.0
    settings = OcclusionSettings(cube=10.0, step=6.0)
    covered = np.zeros(patch.shape[1:], dtype=bool)
    for cube in cubes_at(patch, 2.0, settings):
        covered[cube] = True
        assert all(s.stop - s.start == 5 for s in cube)
    assert covered.all()


def test_cubes_when_there_is_neither_tumour_nor_ring_then_none(patch):
    patch[1:] = 0.0
    assert cubes_at(patch, 2.0, OCCLUSION) == []
    assert np.isnan(occlusion_map(Spots(), patch, 2.0, OCCLUSION)).all()


def test_choice_when_four_are_wanted_then_two_highest_and_two_most_wrong_none_twice():
    table = pd.DataFrame(
        {
            "patient": list("abcdef"),
            "probability": [0.9, 0.8, 0.7, 0.1, 0.2, 0.95],
            "label": pd.array([0, 1, 0, 1, 0, None], dtype="Int8"),
        }
    )
    chosen = choose_patients(table, 4)
    assert chosen["patient"].tolist() == ["f", "a", "d", "c"]
    assert chosen["why"].tolist() == ["highest risk"] * 2 + ["most wrong"] * 2
    assert choose_patients(table.head(1), 4)["patient"].tolist() == ["a"]


def test_map_when_the_effect_is_at_one_place_then_only_that_place_is_coloured(patch):
    effect = np.zeros((16, 16, 16))
    effect[4:8, 5:9, 6:10] = 0.5
    canvas = draw_map(effect, patch.numpy(), 2.0, "P1", "note")
    rows, columns = panel_box(0)
    tinted = np.argwhere(canvas.tint[rows, columns] > 0)
    scale = PIXELS / 16
    # Rows are y from the front, columns x from the patient's right.
    assert tinted.min(axis=0) == pytest.approx([5 * scale, 4 * scale], abs=scale)
    assert tinted.max(axis=0) == pytest.approx([9 * scale, 8 * scale], abs=scale)
    strongest = canvas.tint[rows, columns].max()
    assert TINTS[strongest - 1] == RAISES[-1]
    up = np.argwhere(canvas.tint[panel_box(1)] > 0)[:, 0]
    assert up.max() == pytest.approx((16 - 6) * scale, abs=scale)  # z runs upwards


def test_image_when_no_cube_was_tested_then_it_is_drawn_without_colour(patch):
    canvas = draw_map(np.full((16, 16, 16), np.nan), patch.numpy(), 2.0, "P1", "note")
    assert not canvas.tint[panel_box(0)].any()


def test_job_when_run_then_each_patient_is_seen_by_the_network_that_held_it_out(tmp_path):
    rng = np.random.default_rng(0)
    patients = [f"P{i}" for i in range(6)]
    for patient in patients:
        tumor = np.zeros((32, 32, 32))
        tumor[12:20, 12:20, 12:20] = 1
        channels = [rng.random((32, 32, 32)), tumor, 0 * tumor]
        write_volume(tmp_path / f"patches/{patient}.nii.gz", stack(channels, PatchGrid((0.0, 0.0, 0.0), 32, 3.0)))
    (tmp_path / "patches/P5.nii.gz").write_bytes(b"")
    folds = pd.DataFrame({"patient": patients, "repeat": 0, "label": pd.array([0, 1, 0, 1, 0, 1], dtype="Int8")})
    folds = folds.assign(fold=[0, 1] * 3, time=np.nan, event=np.nan)
    write_table(tmp_path / "folds.parquet", folds)
    settings = DeepSettings(embed_dim=12)
    patch_settings = PatchesSettings(size=32, spacing=3.0, organ_groups={})
    inputs = OcclusionInputs(tmp_path / "folds.parquet", collected(tmp_path / "patches"), [], [], [])
    for fold, name in ((1, "x"), (0, "y")):
        folder = tmp_path / name
        own = pd.DataFrame({"patient": patients[fold::2], "probability": [0.2, 0.5, 0.9], "part": "test"})
        write_table(folder / "predictions.parquet", own.assign(feature_set="deep", classifier="network"))
        write_json(folder / "fits.json", {"endpoint": "dm", "repeat": 0, "fold": fold, "primary": "deep"})
        torch.manual_seed(fold)
        path = folder / "network.safetensors"
        network = build("swin", settings, 3)
        save_network(path, network, "swin", settings, patch_settings.model_dump(mode="json"), ["ct", "tumor", "ring"])
        inputs.predictions.append(folder / "predictions.parquet")
        inputs.fits.append(folder / "fits.json")
        inputs.networks.append(path)
    explanation = ExplanationSettings(maps=3, occlusion={"cube": 30.0, "step": 30.0})
    map_occlusion(inputs, tmp_path / "dm/maps.json", tmp_path / "dm/maps", explanation, DeepSettings(device="cpu"))
    found = read_json(tmp_path / "dm/maps.json")
    assert [entry["patient"] for entry in found["maps"]] == ["P4", "P2", "P1"]
    assert [entry["fold"] for entry in found["maps"]] == [0, 0, 1]
    assert {entry["method"] for entry in found["maps"]} == {"gradient"}
    for entry in found["maps"]:
        image = tmp_path / "dm" / entry["file"]
        assert image.stat().st_size <= 60_000
        Image.open(image).verify()
        volume = read_volume(tmp_path / "dm" / entry["volume"])
        assert volume.GetSize() == (32, 32, 32)
        assert volume.GetOrigin() == (-46.5, -46.5, -46.5)
        assert np.abs(sitk.GetArrayFromImage(volume)).max() == pytest.approx(
            max(entry["largest_fall"], entry["largest_rise"]), rel=1e-6
        )
        network = load_network(inputs.networks[1 - entry["fold"]])
        patch = load_patch(inputs.patches, entry["patient"])
        assert entry["score"] == pytest.approx(score(network, patch)[0], abs=1e-4)
