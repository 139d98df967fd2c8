"""Occlusion maps at two settings: how long they take, and how much alike the maps of the same patients are.

Give a trained network and the patches of patients that it has not seen, of a finished run:

    python benchmarks/occlusion.py --network runs/sts/results/models/…/network.safetensors \
        --patches runs/sts/results/patches/*.nii.gz --old 20 10 --new 20 20

Printed for each patient: cubes and processor seconds of both maps, the rank correlation (Spearman) of the voxels of
tumour and ring, and the distance (mm) between the two places of the largest absolute effect.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from metaswin.config.evaluation import OcclusionSettings
from metaswin.evaluation.occlusion import cubes_at, occlusion_map
from metaswin.models.deep_features import load_network, read_facts
from metaswin.models.patches import load_patch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--patches", type=Path, nargs="+", required=True)
    for name in ("--old", "--new"):
        parser.add_argument(name, type=float, nargs=2, metavar=("CUBE", "STEP"), required=True, help="mm")
    args = parser.parse_args()
    torch.set_num_threads(1)
    network = load_network(args.network)
    spacing = float(read_facts(args.network)["patches"]["spacing"])
    settings = [OcclusionSettings(cube=cube, step=step) for cube, step in (args.old, args.new)]
    print("patient\tcubes\tcubes\tseconds\tseconds\trank correlation\tmaxima apart (mm)")
    rows = []
    for path in args.patches:
        patch = load_patch(path).half().float()
        maps, seconds = [], []
        for choice in settings:
            start = time.process_time()
            maps.append(occlusion_map(network, patch, spacing, choice))
            seconds.append(time.process_time() - start)
        cubes = [len(cubes_at(patch, spacing, choice)) for choice in settings]
        rows.append((*cubes, *seconds, *_alike(*maps, (patch[1:3] > 0).any(dim=0).numpy(), spacing)))
        print(path.name.split(".")[0], *(f"{value:.4g}" for value in rows[-1]), sep="\t", flush=True)
    print("median", *(f"{value:.4g}" for value in np.median(rows, axis=0)), sep="\t")


def _alike(old: np.ndarray, new: np.ndarray, lesion: np.ndarray, spacing: float) -> tuple[float, float]:
    """Rank correlation over the lesion's voxels, and how far apart (mm) the largest absolute effects lie."""
    tops = [
        np.unravel_index(np.nanargmax(np.where(lesion, np.abs(found), np.nan)), found.shape) for found in (old, new)
    ]
    apart = spacing * float(np.linalg.norm(np.subtract(*tops)))
    return float(spearmanr(old[lesion], new[lesion]).statistic), apart


if __name__ == "__main__":
    main()
