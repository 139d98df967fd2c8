"""Call every kernel once, so that numba writes its machine code; `metaswin.radiomics.kernels` starts this process."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from metaswin.radiomics.engine.compiled import cache_kernels
from metaswin.radiomics.extract import run
from metaswin.radiomics.names import FEATURES, IMAGE_TYPES
from metaswin.radiomics.regions import cut_region
from metaswin.radiomics.settings import RadiomicsSettings

SHAPE = (20, 22, 24)  # voxels (z, y, x) of the image that is used for compiling the kernels


def call_all() -> None:
    """Call every kernel with the types that the jobs use, on a sphere of noise."""
    grid = np.indices(SHAPE) - np.array(SHAPE).reshape(3, 1, 1, 1) / 2
    labels = (np.square(grid).sum(0) < 49).astype(np.uint8)
    voxels = np.random.default_rng(1).normal(0, 100, SHAPE)
    everything: dict[str, Any] = {
        "image_types": list(IMAGE_TYPES), "feature_classes": list(FEATURES), "omit_features": [],
    }  # fmt: skip
    for kind in (np.int16, np.float32):
        image = sitk.GetImageFromArray(voxels.astype(kind))
        for bins in ({"bin_width": 25.0}, {"bin_count": 8}):
            settings = RadiomicsSettings(**everything, **bins)
            for _ in run(image, [cut_region(image, labels, [1], settings)], settings):
                pass


if __name__ == "__main__":
    cache_kernels(Path(sys.argv[1]))
    call_all()
