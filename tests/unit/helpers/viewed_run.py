"""A small run as the viewer reads it: four simulated patients with volumes, problems and results (a helper)."""

from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from metaswin.core.files import write_json, write_table, write_text, write_volume
from metaswin.core.problems import Problem, public_table

PATIENTS = ["P1", "P2", "P3", "P4"]
RISKS = [0.9, 0.2, 0.6]
HIDDEN = "outcome-not-for-reviewers"  # in a text about the outcome


def volume(values: np.ndarray, spacing: float = 3.0) -> sitk.Image:
    """An image of an array (z, y, x), in the middle of the scanner."""
    image = sitk.GetImageFromArray(values)
    image.SetSpacing([spacing] * 3)
    image.SetOrigin([-spacing * (n - 1) / 2 for n in image.GetSize()])
    return image


def draw_run(folder: Path) -> Path:
    """A run of three used patients and one whose images failed; P1 has an occlusion map."""
    results = folder / "results"
    z, y, x = np.mgrid[:20, :32, :32]
    for number, patient in enumerate(PATIENTS[:3]):
        inside = (x - 16) ** 2 + (y - 16) ** 2 < 12**2
        distance = np.sqrt((x - 18 - number) ** 2 + (y - 16) ** 2 + (z - 10) ** 2)
        tumor = np.where(distance < 4, 1, np.where((x < 11) & (abs(y - 16) < 3) & (abs(z - 6) < 3) & inside, 2, 0))
        ct = np.where(inside, 40, -1000) + 20 * (tumor > 0)
        images, regions, organs = (results / kind / patient for kind in ("images", "regions", "organs"))
        write_volume(images / "ct.nii.gz", volume(ct.astype(np.int16)))
        write_volume(images / "tumor.nii.gz", volume(tumor.astype(np.uint8)))
        write_json(images / "image.json", {"volumes_mm3": {"primary": 7000.0, "nodes": 900.0 if number else 0.0}})
        ring = np.where((distance >= 4) & (distance < 7), 11, np.where(tumor == 1, 1, 0)).astype(np.uint8)
        write_volume(regions / "regions.nii.gz", volume(ring))
        write_json(regions / "regions.json", {"labels": {"primary": [1], "ring_0_10mm": [11], "tumor": [1]}})
        write_volume(organs / "organs.nii.gz", volume(np.where(inside, 3, 5).astype(np.uint8)))
        write_json(organs / "organs.json", {"labels": {"soft_tissue": 3, "outside": 5}})
    (results / "images/P4").mkdir()
    (results / "images/P4/ct.nii.gz").write_bytes(b"")
    problems = [
        Problem("P2", "regions", "ring-at-border", "an image that ends 8 mm from the tumour", "10 mm", "none", False),
        Problem("P3", "label:dm", "negative-time", HIDDEN, "a positive time", "correct it", False),
        Problem("P4", "images", "missing-slices", "3 slices missing", "all slices", "export the series again"),
    ]
    write_table(results / "cohort/patients.parquet", pd.DataFrame({"patient": PATIENTS}))
    write_table(results / "cohort/used.parquet", pd.DataFrame({"patient": PATIENTS[:3]}))
    write_table(results / "cohort/exclusions.parquet", public_table(problems))
    return folder


def draw_results(folder: Path) -> None:
    """Test predictions of the three used patients, and the map of P1."""
    results = folder / "results"
    rows = pd.DataFrame(
        {"endpoint": "dm", "repeat": 0, "fold": [0, 0, 1], "patient": PATIENTS[:3], "feature_set": "deep",
         "classifier": "network", "probability": RISKS, "label": [1.0, 0.0, np.nan], "weight": [1.0, 1.0, 0.0]}
    )  # fmt: skip
    write_table(results / "evaluation/predictions.parquet", rows)
    about = {"name": "dm", "primary": "deep", "primary_classifier": "network", "weighting": "ipcw"}
    write_json(results / "evaluation/facts.json", {"endpoints": [about]})
    effect = np.zeros((10, 10, 10), dtype=np.float32)
    effect[4:7, 4:7, 4:7] = 0.3
    write_volume(results / "explanation/dm/maps/P1.nii.gz", volume(effect, 6.0))
    entry = {"patient": "P1", "volume": "maps/P1.nii.gz", "largest_fall": 0.3, "largest_rise": 0.0}
    write_json(results / "explanation/dm/maps.json", {"maps": [entry]})


def draw_prediction(folder: Path) -> None:
    """What makes the folder one of predictions of new patients."""
    write_text(folder / "predict.yaml", "data: {source: dicom}\n")
    rows = pd.DataFrame(
        {"endpoint": "dm", "patient": PATIENTS[:3], "risk": [0.8, 0.1, np.nan], "group": ["high", "low", None],
         "why": ["", "", "no contour"]}
    )  # fmt: skip
    write_table(folder / "results/predictions/predictions.parquet", rows)
