"""What loading costs when TotalSegmentator draws a batch: its own API for every image against one `segmenter`.

    python benchmarks/organs.py [--images 3] [--size 256 256 60] [--spacing 1 1 3]

The real TotalSegmentator (`total` at 3 mm, one thread) with stand-in weights on noise of that size, both ways in fresh
processes on the same machine. True networks take longer an image than stand-ins: their share of loading is lower.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SETTINGS = {"tasks": ["total"], "fast": True, "structures": [], "device": "cpu", "threads": 1}
BATCH = 20


def own_api(images: int, size: list[int], spacing: list[float], weights: str) -> dict:
    """TotalSegmentator's API as it comes: models are loaded and workers are started for every image."""
    start = time.perf_counter()
    from metaswin.imaging.weights import home

    with home(Path(weights)):
        from totalsegmentator.python_api import totalsegmentator

        loaded = time.perf_counter() - start
        import nibabel as nib
        import numpy as np

        seconds = []
        for number in range(images):
            image = nib.Nifti1Image(noise(number, size), np.diag([*spacing, 1.0]))
            start = time.perf_counter()
            totalsegmentator(image, None, task="total", fast=True, ml=True, device="cpu", quiet=True, nr_thr_saving=1)
            seconds.append(time.perf_counter() - start)
    return {"loaded": loaded, "seconds": seconds}


def batch(images: int, size: list[int], spacing: list[float], weights: str) -> dict:
    """One `segmenter` for all images."""
    start = time.perf_counter()
    from metaswin.config.imaging import TotalSegmentatorSettings
    from metaswin.imaging.totalsegmentator import segmenter

    with segmenter(TotalSegmentatorSettings(**SETTINGS, weights=weights)) as segment:
        loaded = time.perf_counter() - start
        import SimpleITK as sitk

        seconds = []
        for number in range(images):
            image = sitk.GetImageFromArray(noise(number, size).T)
            image.SetSpacing(spacing)
            start = time.perf_counter()
            segment(image)
            seconds.append(time.perf_counter() - start)
    return {"loaded": loaded, "seconds": seconds}


def noise(seed: int, size: list[int]):
    """HU of a body in air, with noise: int16 of shape `size`."""
    import numpy as np

    hu = np.full(size, -1000, dtype=np.int16)
    x, y, _ = (slice(n // 6, n - n // 6) for n in size)
    hu[x, y] = np.random.default_rng(seed).integers(-100, 300, hu[x, y].shape)
    return hu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=3)
    parser.add_argument("--size", type=int, nargs=3, default=[256, 256, 60])
    parser.add_argument("--spacing", type=float, nargs=3, default=[1.0, 1.0, 3.0])
    parser.add_argument("--run", choices=("own_api", "batch"), help=argparse.SUPPRESS)
    parser.add_argument("--weights", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        way = {"own_api": own_api, "batch": batch}[arguments.run]
        print(json.dumps(way(arguments.images, arguments.size, arguments.spacing, arguments.weights)))
        return
    with tempfile.TemporaryDirectory() as folder:
        from metaswin.simulate.weights import write_standin

        write_standin(folder, 297)
        found = {}
        for run in ("own_api", "batch"):
            call = [sys.executable, __file__, "--run", run, "--weights", folder, *sys.argv[1:]]
            printed = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True).stdout
            found[run] = json.loads(printed.splitlines()[-1])
        report(**found)


def report(own_api: dict, batch: dict) -> None:
    """Print seconds, and the share of loading in a batch: imports, and what the first image takes beyond the others.

    TotalSegmentator's own API loads for every image: what an image takes there beyond one of a batch.
    """
    later = statistics.median(batch["seconds"][1:])
    load = batch["loaded"] + max(0.0, batch["seconds"][0] - later)
    each = statistics.median(own_api["seconds"]) - later
    for run, way in (("own API", own_api), ("batch", batch)):
        seconds = ", ".join(f"{value:.1f}" for value in way["seconds"])
        print(f"{run:<8} imports {way['loaded']:5.1f} s   images {seconds} s")
    print(f"loading: own API {each:.1f} s of every image ({each / (each + later):.0%})")
    print(f"         a batch of {BATCH}: {load:.1f} s in all ({load / (load + BATCH * later):.1%})")


if __name__ == "__main__":
    main()
