"""The IBSI-1 phantoms: processing, features and consensus values.

    python tests/unit/helpers/radiomics_ibsi.py FOLDER

prints the table of docs/ibsi.md; FOLDER holds the unpacked phantoms (theibsi/data_sets). The processing is that of the
IBSI reference manual (arXiv 1612.07003, chapter 5). ``ibsi_1.csv`` holds the consensus values and tolerances of the
features that PyRadiomics defines as IBSI does: those of the manual, as kept by the initiative's lead in the tests of
MIRP (oncoray/mirp); texture in 3D averaged over directions, for A and B in 2.5D with slices merged by direction.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import SimpleITK as sitk

from metaswin.radiomics.engine import region
from metaswin.radiomics.features import extract_features
from metaswin.radiomics.names import FEATURES

CONSENSUS = pd.read_csv(Path(__file__).with_name("ibsi_1.csv"), index_col="feature")
CONFIGURATIONS = ("digital", "A", "B", "C", "D", "E")
FLAT = {"force2D": True, "force2Ddimension": 0}
SETTINGS = {
    "digital": {"binWidth": 1},
    "A": {"binWidth": 25, "resegmentRange": [-500, 400], **FLAT},
    "B": {"binCount": 32, "resegmentRange": [-500, 400], **FLAT},
    "C": {"binWidth": 25, "resegmentRange": [-1000, 400]},
    "D": {"binCount": 32, "resegmentRange": [-3, 3], "resegmentMode": "sigma"},
    "E": {"binCount": 32},
}
# Spacing (mm) and interpolator where a configuration resamples.
GRIDS = {
    "B": ((2.0, 2.0, 3.0), sitk.sitkLinear),
    "C": ((2.0, 2.0, 2.0), sitk.sitkLinear),
    "D": ((2.0, 2.0, 2.0), sitk.sitkLinear),
    "E": ((2.0, 2.0, 2.0), sitk.sitkBSpline3),
}


def features(folder: Path, configuration: str) -> dict[str, float]:
    """Features of a phantom, named as in ``ibsi_1.csv``, without what PyRadiomics defines differently by a constant."""
    phantom = "ibsi_1_digital_phantom" if configuration == "digital" else "ibsi_1_ct_radiomics_phantom"
    image = rounded(sitk.ReadImage(str(folder / phantom / "nifti/image/phantom.nii.gz"), sitk.sitkFloat32))
    mask = sitk.ReadImage(str(folder / phantom / "nifti/mask/mask.nii.gz"), sitk.sitkUInt8)
    mask.CopyInformation(image)
    if configuration in GRIDS:
        image, mask = resampled(image, mask, *GRIDS[configuration])
    parameters = {"setting": SETTINGS[configuration], "featureClass": {name: list(FEATURES[name]) for name in FEATURES}}
    shape = extract_features(image, mask, {"featureClass": {"shape": []}})
    if configuration == "E":
        mask = within(image, mask, -1000, 400)
    found = extract_features(image, mask, parameters) | shape
    values = {name.removeprefix("original_"): value for name, value in found.items()}
    values["firstorder_Kurtosis"] -= 3  # IBSI subtracts that of the normal distribution
    count = np.count_nonzero(sitk.GetArrayViewFromImage(mask))
    for axis in ("MajorAxisLength", "MinorAxisLength", "LeastAxisLength"):
        values[f"shape_{axis}"] *= np.sqrt(count / (count - 1))  # covariance of n voxels: divided by n, IBSI by n - 1
    return {name: values[name] for name in CONSENSUS.index}


def rounded(image: sitk.Image) -> sitk.Image:
    """Grey values as whole numbers, in float32."""
    whole = sitk.GetImageFromArray(np.rint(sitk.GetArrayFromImage(image)).astype(np.float32))
    whole.CopyInformation(image)
    return whole


def resampled(
    image: sitk.Image, mask: sitk.Image, spacing: tuple[float, float, float], interpolator: int
) -> tuple[sitk.Image, sitk.Image]:
    """Image and mask on IBSI's grid: as large as the old one at least, with the same centre."""
    size, own = np.array(image.GetSize()), np.array(image.GetSpacing())
    new = np.ceil(size * own / spacing - 1e-9)
    grid = sitk.ResampleImageFilter()
    grid.SetSize([int(n) for n in new])
    grid.SetOutputSpacing(spacing)
    grid.SetOutputDirection(image.GetDirection())
    grid.SetOutputOrigin(image.TransformContinuousIndexToPhysicalPoint((size - 1 - (new - 1) * spacing / own) / 2))
    grid.SetUseNearestNeighborExtrapolator(True)
    grid.SetInterpolator(interpolator)
    new_image = rounded(grid.Execute(image))
    grid.SetInterpolator(sitk.sitkLinear)
    return new_image, grid.Execute(sitk.Cast(mask, sitk.sitkFloat64)) >= 0.5


def within(image: sitk.Image, mask: sitk.Image, low: float, high: float) -> sitk.Image:
    """The mask's voxels in a range and within three standard deviations of the mean, both of the whole mask."""
    values, inside = sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(mask) > 0
    mean, deviation = values[inside].mean(), values[inside].std()
    inside &= (values >= low) & (values <= high) & (np.abs(values - mean) <= 3 * deviation)
    kept = sitk.GetImageFromArray(inside.astype(np.uint8))
    kept.CopyInformation(mask)
    return kept


@contextmanager
def levels_counted_from(low: float) -> Iterator[None]:
    """Grey levels numbered from a grey value on, as IBSI numbers them, and not from the region's lowest one."""
    discretise = region.discretise

    def renumbered(values: np.ndarray, inside: np.ndarray, shape: tuple, width: float, count: int | None) -> object:
        levels = discretise(values, inside, shape, width, count)
        return replace(levels, grey=levels.grey + int((values.min() - low) // width))

    with mock.patch.object(region, "discretise", renumbered):
        yield


def matches(found: float, value: float, tolerance: float) -> bool:
    """Whether a value, rounded to three digits as the consensus is, lies within the tolerance."""
    return abs(float(f"{found:.3g}") - value) <= tolerance * (1 + 1e-9)


def main() -> None:
    """Print the table."""
    folder = Path(sys.argv[1])
    found = {name: features(folder, name) for name in CONFIGURATIONS}
    with levels_counted_from(-1000):
        renumbered = features(folder, "C")
    print("| feature | " + " | ".join(CONFIGURATIONS) + " |\n|---|" + "---|" * len(CONFIGURATIONS))
    for feature, row in CONSENSUS.iterrows():
        cells = []
        for name in CONFIGURATIONS:
            value, tolerance, own = row[name], row[f"{name} tolerance"], found[name][feature]
            cell = f"{value:g} ± {tolerance:g}: {own:.4g}"
            if not matches(own, value, tolerance):
                cell += " **no**"
                if name == "C" and matches(renumbered[feature], value, tolerance):
                    cell += f", renumbered {renumbered[feature]:.4g}"
            cells.append(cell)
        print(f"| {feature} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
