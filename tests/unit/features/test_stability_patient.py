"""One patient's perturbed features: the drawn mask gives what radiomics gives, filters run once, rings follow."""

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from metaswin.config.features import StabilitySettings
from metaswin.config.imaging import RegionsSettings
from metaswin.core.files import write_json, write_volume
from metaswin.core.problems import Problem
from metaswin.core.status import Status, read_status, write_status
from metaswin.features.perturbation import PerturbationInputs, perturb_patient, perturbed_rows
from metaswin.features.radiomics import compute
from metaswin.imaging.regions import make_regions
from metaswin.radiomics import extract
from metaswin.radiomics.settings import RadiomicsSettings

RADIOMICS = RadiomicsSettings(image_types=["Original", "LoG", "Square"], log_sigma=[2.0])
REGIONS = RegionsSettings(rings=[(0.0, 4.0), (2.0, 6.0)], crop_margin=12.0, ring_excludes=["air"])
SETTINGS = StabilitySettings(perturbations=2)


@pytest.fixture(scope="module")
def patient():
    """Image, regions, air and crop of a patient with two lesions beside some air, as the stage regions makes them."""
    rng = np.random.default_rng(4)
    shape = (44, 60, 64)
    z, y, x = np.indices(shape)
    lesions = np.zeros(shape, np.uint8)
    lesions[(z - 20) ** 2 + (y - 28) ** 2 + (x - 26) ** 2 <= 49] = 1
    lesions[(z - 24) ** 2 + (y - 30) ** 2 + (x - 40) ** 2 <= 16] = 2
    air = (y > 38).astype(np.uint8)
    made = make_regions(
        sitk.GetImageFromArray(lesions), sitk.GetImageFromArray(air), {"labels": {"air": 1}}, REGIONS, findings=None
    )
    first = [round(value) for value in made.grid.origin[::-1]]
    box = tuple(slice(start, start + size) for start, size in zip(first, made.labels.shape, strict=True))
    image = sitk.GetImageFromArray(rng.normal(40, 30, shape).astype(np.float32)[box])
    image.CopyInformation(made.grid.image(made.labels))
    return image, made, air, box


def rows_of(patient, settings=SETTINGS, radiomics=RADIOMICS):
    image, made, air, box = patient
    return perturbed_rows("P1", image, made.labels, made.facts(), air[box] == 1, settings, radiomics, REGIONS, seed=7)


def test_rows_when_written_then_tumour_and_rings_of_every_perturbation(patient):
    rows = pd.DataFrame(rows_of(patient))
    expected = {("random", 0), ("random", 1), ("margin", 0), ("margin", 1), ("margin", 2)}
    for region in ("tumor", "ring_0_4mm", "ring_2_6mm"):
        mine = rows[rows["region"] == region]
        assert set(zip(mine["kind"], mine["number"], strict=True)) == expected
    assert set(rows["region"]) == {"tumor", "ring_0_4mm", "ring_2_6mm"}
    tumor = rows[(rows["region"] == "tumor") & (rows["kind"] == "margin")].sort_values("number")["voxels"]
    assert tumor.is_monotonic_increasing
    assert tumor.is_unique


def test_rows_when_the_mask_is_as_drawn_then_the_features_of_the_radiomics_stage(patient):
    image, made, _, _ = patient
    drawn = {row["region"]: row for row in rows_of(patient) if (row["kind"], row["number"]) == ("margin", 1)}
    reference, problems = compute("P1", image, made.labels, made.facts(), RADIOMICS)
    assert problems == []
    for row in reference:
        if row["region"] in drawn:
            numbers = {name: value for name, value in row.items() if name not in ("patient", "region")}
            assert {name: drawn[row["region"]][name] for name in numbers} == pytest.approx(numbers, rel=1e-9)
    assert {"tumor", "ring_0_4mm", "ring_2_6mm"} <= {row["region"] for row in reference}


def test_rows_when_there_are_many_masks_then_each_filter_runs_once(patient, monkeypatch):
    made = []
    original = extract.filtered_images

    def counted(*arguments):
        for name, image in original(*arguments):
            made.append(name)
            yield name, image

    monkeypatch.setattr(extract, "filtered_images", counted)
    rows_of(patient)
    assert made == ["original", "log-sigma-2-0-mm-3D", "square"]


def test_rows_when_rings_are_drawn_again_then_excluded_tissues_are_removed(patient):
    image, made, air, box = patient
    barred = air[box] == 1
    voxels = sitk.GetArrayFromImage(image)
    voxels[barred] = 5000.0
    marked = sitk.GetImageFromArray(voxels)
    marked.CopyInformation(image)
    rows = pd.DataFrame(rows_of((marked, made, air, box), radiomics=RADIOMICS.model_copy(
        update={"image_types": ["Original"], "feature_classes": ["firstorder"]})))  # fmt: skip
    rings = rows[rows["region"] != "tumor"]
    assert rings["original_firstorder_Maximum"].max() < 500
    assert rings.groupby(["region", "kind"])["voxels"].nunique().min() > 1


def test_rows_when_a_shrunk_tumour_is_too_small_then_it_has_no_row(patient):
    rows = pd.DataFrame(rows_of(patient, StabilitySettings(perturbations=2, margin=6.9)))
    shrunk = rows[(rows["kind"] == "margin") & (rows["number"] == 0)]
    assert "tumor" not in set(shrunk["region"])
    assert {"tumor"} <= set(rows.loc[(rows["kind"] == "margin") & (rows["number"] == 2), "region"])


def test_perturb_patient_when_read_from_files_then_the_same_rows_twice_over(patient, tmp_path):
    image, made, air, _ = patient
    paths = {
        name: str(tmp_path / name) for name in ("ct.nii.gz", "regions.nii.gz", "organs.nii.gz", "r.json", "o.json")
    }
    write_volume(paths["ct.nii.gz"], image)
    write_volume(paths["regions.nii.gz"], made.grid.image(made.labels))
    write_volume(paths["organs.nii.gz"], sitk.GetImageFromArray(air))
    write_json(paths["r.json"], made.facts())
    write_json(paths["o.json"], {"labels": {"air": 1}})
    inputs = PerturbationInputs(
        ct=paths["ct.nii.gz"],
        regions=paths["regions.nii.gz"],
        facts=paths["r.json"],
        organs=paths["organs.nii.gz"],
        names=paths["o.json"],
        status=str(tmp_path / "status.json"),
    )

    def run(name):
        status = tmp_path / f"{name}.status.json"
        perturb_patient("P1", inputs, tmp_path / name, status, SETTINGS, RADIOMICS, REGIONS, tmp_path / "details", 7)
        return read_status(status)

    bad = Problem("P1", "regions", "tumor-too-small", "2 voxels", "more", "draw it again")
    write_status(inputs.status, Status("P1", "regions", bad), tmp_path / "details")
    assert run("none") == Status("P1", "stability", bad)
    assert pd.read_parquet(tmp_path / "none").empty
    write_status(inputs.status, Status("P1", "regions"), tmp_path / "details")
    assert run("one").ok
    assert run("two").ok
    assert pd.read_parquet(tmp_path / "none").columns.equals(pd.read_parquet(tmp_path / "one").columns)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    table = pd.read_parquet(tmp_path / "one")
    expected = pd.DataFrame(rows_of(patient))
    assert table["patient"].eq("P1").all()
    for column in ("region", "kind", "number", "voxels", "original_glcm_Contrast", "square_firstorder_Mean"):
        assert table[column].tolist() == pytest.approx(expected[column].tolist())
