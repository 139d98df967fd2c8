"""Phantoms whose HU say which organ a stand-in model draws, and TotalSegmentator in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from metaswin.config.structures import model, organ_ids
from metaswin.core.files import write_volume
from metaswin.core.grid import Grid
from metaswin.core.status import Status, write_status
from metaswin.simulate.weights import BACKGROUND, bands

# nnU-Net reads its folders once a process, and tests of other stages import it too.
JOB = """
import json, sys
from metaswin.imaging.totalsegmentator import BatchInputs, predict_batch
from metaswin.config.imaging import TotalSegmentatorSettings
if __name__ == "__main__":
    import logging
    logging.basicConfig(level=logging.INFO)
    given = json.loads(sys.argv[1])
    inputs, settings = BatchInputs(**given["inputs"]), TotalSegmentatorSettings(**given["settings"])
    predict_batch(inputs, given["output"], given["store"], settings)
"""


def blocks(grid: Grid, number: int, labels: list[int], block: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """HU of one cube a label of a model on air, and the label map (ids) that should come out.

    Cubes of `block` voxels lie side by side with `block` voxels of air between them.
    """
    wanted, ids = model(number), organ_ids()
    centres = bands(wanted)
    hu = np.full(grid.shape, BACKGROUND, dtype=np.int16)
    expected = np.zeros(grid.shape, dtype=np.uint16)
    steps = [range(block, n - block, 2 * block) for n in grid.shape]
    places = ((z, y, x) for z in steps[0] for y in steps[1] for x in steps[2])
    for label, corner in zip(labels, places, strict=False):
        box = tuple(slice(start, start + block) for start in corner)
        hu[box], expected[box] = round(centres[label]), ids[wanted.labels[label]]
    assert len(np.unique(expected)) == len(labels) + 1
    return hu, expected


def write_images(folder: Path, grid: Grid, hu: np.ndarray, lesion: tuple[slice, ...] | None = None) -> None:
    """What the stage images leaves of a patient; `folder` has the patient's name."""
    folder.mkdir(parents=True, exist_ok=True)
    tumor = np.zeros(grid.shape, dtype=np.uint8)
    tumor[lesion or tuple(slice(n // 2, n // 2 + 2) for n in grid.shape)] = 1
    write_volume(folder / "ct.nii.gz", grid.image(hu))
    write_volume(folder / "tumor.nii.gz", grid.image(tumor))
    write_status(folder / "status.json", Status(folder.name, "images"), folder / "details")


def command(images: list[Path], output: Path, store: Path, **settings) -> list[str]:
    """The job of a batch as a command."""
    inputs = {
        name: [str(folder / file) for folder in images]
        for name, file in [("ct", "ct.nii.gz"), ("tumor", "tumor.nii.gz"), ("status", "status.json")]
    }
    given = {"inputs": inputs, "output": str(output), "store": str(store), "settings": settings}
    return [sys.executable, "-c", JOB, json.dumps(given)]


def predict(images: list[Path], folder: Path, **settings) -> tuple[dict, str]:
    """Run a batch: what it wrote, and its log."""
    call = command(images, folder / "batch.json", folder / "store", **settings)
    done = subprocess.run(call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout
    return json.loads((folder / "batch.json").read_text()), done.stdout


def drawn(folder: Path, key: str) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "store" / f"{key}.nii.gz")))
