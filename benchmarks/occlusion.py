"""Occlusion maps by one pass for each cube and by integrated gradients: seconds, and how much the maps agree.

Give a trained network and the patches of patients that it has not seen, of a finished run:

    python benchmarks/occlusion.py --network runs/sts/results/models/…/network.safetensors \
        --patches runs/sts/results/features/patches.safetensors --patients STS_018 STS_025

Printed for each patient: cubes, processor seconds of both maps, the rank correlation (Spearman) of the voxels of tumour
and ring, and the distance (mm) between the two places of the largest absolute effect.
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
    parser.add_argument("--patches", type=Path, required=True)
    parser.add_argument("--patients", nargs="+", required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    network = load_network(args.network)
    spacing = float(read_facts(args.network)["patches"]["spacing"])
    settings = [OcclusionSettings(method=method) for method in ("occlusion", "gradient")]
    print("patient\tcubes\tseconds\tseconds\trank correlation\tmaxima apart (mm)")
    rows = []
    for patient in args.patients:
        patch = load_patch(args.patches, patient).float()
        maps, seconds = [], []
        for choice in settings:
            start = time.process_time()
            maps.append(occlusion_map(network, patch, spacing, choice))
            seconds.append(time.process_time() - start)
        lesion = (patch[1:3] > 0).any(dim=0).numpy()
        rows.append((len(cubes_at(patch, spacing, settings[0])), *seconds, *_alike(*maps, lesion, spacing)))
        print(patient, *(f"{value:.4g}" for value in rows[-1]), sep="\t", flush=True)
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
