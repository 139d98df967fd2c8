"""Compute the radiomics features of one image and one mask.

The script writes a small image with a round tumour, and its mask, with SimpleITK. It prints the number of features and
some of their values: the volume of the tumour (mm³), its sphericity, its mean grey value (HU) and two texture features.
With your own files, only the call of `extract_features` is needed.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import SimpleITK as sitk

from metaswin.radiomics import extract_features

random = np.random.default_rng(1)
z, y, x = np.indices((20, 40, 40))
tumour = (2 * (z - 10)) ** 2 + (y - 20) ** 2 + (x - 20) ** 2 < 12**2  # voxels of 1 x 1 x 2 mm
grey = np.where(tumour, 60, 20) + random.normal(0, 15, tumour.shape)

with TemporaryDirectory() as folder:
    for name, voxels in {"ct": grey.astype("int16"), "mask": tumour.astype("uint8")}.items():
        image = sitk.GetImageFromArray(voxels)
        image.SetSpacing((1, 1, 2))
        sitk.WriteImage(image, Path(folder) / f"{name}.nii.gz")
    features = extract_features(Path(folder) / "ct.nii.gz", Path(folder) / "mask.nii.gz", binWidth=10)

print(f"{len(features)} features")
for name in ("shape_MeshVolume", "shape_Sphericity", "firstorder_Mean", "glcm_Contrast", "glszm_ZonePercentage"):
    print(f"{name:22} {features[f'original_{name}']:8.5g}")
