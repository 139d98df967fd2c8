"""Compute radiomics of shuffled regions, which have the same voxels and the same shape but no texture."""

import zlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from metaswin.features.radiomics import RadiomicsInputs, extract_patient
from metaswin.radiomics.settings import RadiomicsSettings


def shuffle_regions(image: sitk.Image, labels: np.ndarray, seed: int, patient: str) -> sitk.Image:
    """Permute the voxels of an image within each label of the label map.

    A signature that scores as well on such images does not use texture (Welch et al. 2019, Radiother Oncol 130:2-9; the
    signature of head-and-neck cancer turned out to be tumour volume). Each label is shuffled separately, and labels do
    not overlap. Therefore the histogram of each label and of any union of labels stays the same. Voxels outside the
    labels are not moved.

    Parameters
    ----------
    image : Image
        CT (HU) on the grid of the regions.
    labels : ndarray of shape (z, y, x)
        Label map, with 0 outside.
    seed : int
        Seed of the configuration.
    patient : str
        Study id. The permutation of each patient is independent of the other patients.
    """
    random = np.random.default_rng([seed, zlib.crc32(patient.encode())])
    voxels = sitk.GetArrayFromImage(image)
    for label in np.unique(labels[labels > 0]):
        inside = labels == label
        voxels[inside] = random.permutation(voxels[inside])
    shuffled = sitk.GetImageFromArray(voxels)
    shuffled.CopyInformation(image)
    return shuffled


def extract_shuffled(
    inputs: RadiomicsInputs,
    table: str | Path,
    status: str | Path,
    settings: RadiomicsSettings,
    details: str | Path,
    seed: int,
    threads: int = 1,
) -> None:
    """Extract the features of a patient's shuffled regions, otherwise like `extract_patient`.

    Filters run on the shuffled image. Near a border they mix shuffled voxels with voxels outside.
    """

    def shuffled(patient: str, image: sitk.Image, labels: np.ndarray) -> sitk.Image:
        return shuffle_regions(image, labels, seed, patient)

    extract_patient(inputs, table, status, settings, details, threads, prepare=shuffled)
