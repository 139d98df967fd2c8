"""Perturb tumour masks and compute their radiomics features.

Zwanenburg et al. 2019, Sci Rep 9:614, perturb masks by translation, by growth and shrinkage, and by randomised
contours. Teng et al. 2022, Sci Rep 12:10035, move the contour by a smooth random field. Here, all perturbations act on
the signed distance to the contour, so that they are in mm on any grid.
"""

import logging
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk
from scipy import ndimage

from metaswin.config.features import RADIOMICS, StabilitySettings
from metaswin.config.imaging import RegionsSettings, ring_name
from metaswin.core.files import read_json, read_volume, write_table
from metaswin.core.grid import Grid
from metaswin.core.status import Status, read_status, write_status
from metaswin.features.matrix import in_modality
from metaswin.features.perturbation_table import HEAD
from metaswin.features.radiomics import wanted_regions
from metaswin.imaging.regions import barred_voxels, draw_rings, ring_labels
from metaswin.radiomics.extract import extract
from metaswin.radiomics.names import expected_features
from metaswin.radiomics.regions import Region, cut_region
from metaswin.radiomics.settings import RadiomicsSettings

TRANSLATION, CONTOUR = 1, 2
"""Axes of perturbation. Each has its own seeds, so that a change of one does not change the draws of the other."""

RANDOM, MARGIN = "random", "margin"

OFFSETS = (1, 0, -1)
"""Offsets of the kind ``margin``, in margins. The distance increases if the mask shrinks."""


def perturbed_masks(
    mask: np.ndarray, spacing: float, settings: StabilitySettings, patient: str, seed: int
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Yield kind, number and mask of every perturbation.

    The kind ``random`` has the numbers 0 … perturbations - 1. The kind ``margin`` has 0 (shrunk), 1 (as drawn) and 2
    (grown).

    Parameters
    ----------
    mask : ndarray of bool, shape (slices, rows, columns)
        The tumour on an isotropic grid that is large enough for its perturbations (`StabilitySettings.reach`).
    spacing : float
        Voxel spacing (mm).
    settings
    patient, seed
        The random numbers are derived from these, kind and number.
    """
    distance = signed_distance(mask, spacing)
    for number in range(settings.perturbations):
        keys = [seed, zlib.crc32(patient.encode()), number]
        moves, noises = (np.random.default_rng([axis, *keys]) for axis in (TRANSLATION, CONTOUR))
        move = moves.uniform(-settings.shift, settings.shift, 3)
        moved = ndimage.shift(distance, move / spacing, order=1, mode="nearest")
        yield RANDOM, number, moved + contour_noise(mask.shape, spacing, settings, noises) < 0
    for number, offset in enumerate(OFFSETS):
        yield MARGIN, number, distance + offset * settings.margin < 0


def signed_distance(mask: np.ndarray, spacing: float) -> np.ndarray:
    """Return the distance (mm) of voxel centres from the contour, negative inside. The contour lies between voxels."""
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
    inside = ndimage.distance_transform_edt(mask, sampling=spacing)
    return np.where(mask, 0.5 * spacing - inside, outside - 0.5 * spacing)


def contour_noise(
    shape: tuple[int, ...], spacing: float, settings: StabilitySettings, rng: np.random.Generator
) -> np.ndarray:
    """Return a smooth normal random field with the standard deviation `noise` (mm)."""
    if settings.noise == 0:
        return np.zeros(shape)
    sigma = settings.smoothness / spacing
    # The filter's boundary mode would affect the edges of a small crop, so it is padded by the reach of the filter.
    pad = int(np.ceil(2 * sigma))
    field = ndimage.gaussian_filter(rng.standard_normal([size + 2 * pad for size in shape]), sigma, truncate=2)
    weights = ndimage.gaussian_filter1d(np.eye(1, 4 * pad + 1, 2 * pad)[0], sigma, truncate=2)
    # Expected standard deviation of white noise after the filter in three dimensions, not that of this one field.
    field *= settings.noise / np.sum(weights**2) ** 1.5
    return field[tuple(slice(pad, pad + size) for size in shape)]


logger = logging.getLogger("metaswin.features")

STAGE = "stability"


@dataclass(frozen=True)
class PerturbationInputs:
    """Hold the files of one patient: ``ct, regions, facts, status`` of stage regions, ``organs, names`` of organs."""

    ct: str | Path
    regions: str | Path
    facts: str | Path
    organs: str | Path
    names: str | Path
    status: str | Path


def perturb_patient(
    patient: str,
    inputs: PerturbationInputs,
    table: str | Path,
    status: str | Path,
    settings: StabilitySettings,
    radiomics: RadiomicsSettings,
    regions: RegionsSettings,
    details: str | Path,
    seed: int,
    threads: int = 1,
) -> None:
    """Write the features of tumour and rings under every perturbation of the tumour's mask.

    The table is always readable. The table of a patient who was excluded by an earlier stage has no rows.

    Parameters
    ----------
    patient : str
    inputs : PerturbationInputs
    table, status : path
        Outputs: one row per region and perturbation, see `perturbed_rows`, and the status.
    settings, radiomics, regions
    details : path
        Folder of private details.
    seed, threads : int
    """
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    earlier = read_status(inputs.status)
    rows = _rows(patient, inputs, settings, radiomics, regions, seed) if earlier.ok else []
    features = expected_features(radiomics)
    values = np.array([[row.get(name, np.nan) for name in features] for row in rows], np.float64)
    head = pd.DataFrame(rows, columns=list(HEAD)).astype(HEAD)
    body = pd.DataFrame(values.reshape(len(rows), len(features)), columns=features)
    write_table(table, pd.concat([head, body], axis=1))
    write_status(status, Status(patient, STAGE, earlier.problem), details)


def _rows(
    patient: str,
    inputs: PerturbationInputs,
    settings: StabilitySettings,
    radiomics: RadiomicsSettings,
    regions: RegionsSettings,
    seed: int,
) -> list[dict]:
    image, drawn = read_volume(inputs.ct), read_volume(inputs.regions)
    facts = read_json(inputs.facts)
    organs, names = read_volume(inputs.organs), read_json(inputs.names)
    barred = barred_voxels(organs, names, Grid.of(drawn), regions.ring_excludes)
    labels = sitk.GetArrayFromImage(drawn)
    return perturbed_rows(patient, image, labels, facts, barred, settings, radiomics, regions, seed)


def perturbed_rows(
    patient: str,
    image: sitk.Image,
    labels: np.ndarray,
    facts: Mapping,
    barred: np.ndarray,
    settings: StabilitySettings,
    radiomics: RadiomicsSettings,
    regions: RegionsSettings,
    seed: int,
) -> list[dict]:
    """Return rows ``patient, region, kind, number, voxels`` and the features that could be computed.

    Only the regions of the models are perturbed: the whole tumour and its rings, which are redrawn around each
    perturbed tumour. A region that is too small in a perturbation has no row for it. With ``radiomics.crop: patient``,
    each filter runs once on the patient's crop for any number of masks.

    Parameters
    ----------
    image, labels, facts
        Crop, label map (slices, rows, columns) and ``regions.json`` of the stage regions.
    barred : ndarray of bool
        Voxels that rings must not contain, on the grid of `labels`.
    """
    wanted = [
        name
        for name in wanted_regions(radiomics.regions, facts)
        if any(in_modality(name, modality) for modality in RADIOMICS)
    ]
    cut: list[tuple[dict, Region]] = []
    tumor = np.isin(labels, facts["labels"]["tumor"])
    box = _around(tumor, (regions.reach + settings.reach) / facts["spacing"][0])
    for kind, number, mask in perturbed_masks(tumor[box], facts["spacing"][0], settings, patient, seed):
        for name, inside in _regions(mask, barred[box], facts["spacing"], regions).items():
            if name not in wanted:
                continue
            whole = np.zeros(labels.shape, np.uint8)
            whole[box] = inside
            row = {"patient": patient, "region": name, "kind": kind, "number": number}
            try:
                cut.append((row, cut_region(image, whole, [1], radiomics)))
            except ValueError as error:
                logger.warning("%s, %s %d: %s", name, kind, number, error)
    extract(image, [region for _, region in cut], radiomics)
    for row, region in cut:
        for failure in region.failures:
            logger.warning("%s, %s %d: %s", row["region"], row["kind"], row["number"], failure)
    return [{**row, "voxels": region.voxels, **region.values} for row, region in cut if region.values]


def _around(mask: np.ndarray, voxels: float) -> tuple[slice, ...]:
    """Return the bounding box of a mask with a margin, within the array."""
    box = []
    for axis, size in enumerate(mask.shape):
        inside = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        margin = int(np.ceil(voxels)) + 1
        box.append(slice(max(int(inside[0]) - margin, 0), min(int(inside[-1]) + margin + 1, size)))
    return tuple(box)


def _regions(
    tumor: np.ndarray, barred: np.ndarray, spacing: list[float], settings: RegionsSettings
) -> dict[str, np.ndarray]:
    """Return the tumour and its rings that are large enough, drawn as in the stage regions."""
    found = {"tumor": tumor} if np.count_nonzero(tumor) >= settings.min_tumor_voxels else {}
    drawn = draw_rings(tumor, barred, spacing, settings.rings)
    for ring, parts in ring_labels(settings.rings).items():
        inside = np.isin(drawn, parts)
        if np.count_nonzero(inside) >= settings.min_ring_voxels:
            found[ring_name(ring)] = inside
    return found
