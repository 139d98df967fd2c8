"""Radiomics of one patient's perturbed masks, on filtered images that are made once."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from metaswin.files import read_json, read_volume, write_table
from metaswin.images.grid import Grid
from metaswin.radiomics.extract import extract
from metaswin.radiomics.names import expected_features
from metaswin.radiomics.patient import wanted_regions
from metaswin.radiomics.region import Region, cut_region
from metaswin.radiomics.settings import RadiomicsSettings
from metaswin.regions.rings import barred_voxels, draw_rings, ring_labels
from metaswin.regions.settings import RegionsSettings, ring_name
from metaswin.selection.matrix import in_set
from metaswin.selection.settings import SETS
from metaswin.stability.collect import HEAD
from metaswin.stability.perturb import perturbed_masks
from metaswin.stability.settings import StabilitySettings
from metaswin.status import Status, read_status, write_status

logger = logging.getLogger("metaswin.stability")

STAGE = "stability"


def perturb_patient(
    patient: str,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    settings: StabilitySettings,
    radiomics: RadiomicsSettings,
    regions: RegionsSettings,
    details: str | Path,
    seed: int,
    threads: int = 1,
) -> None:
    """Write the features of tumour and rings under every perturbation of the tumour's mask.

    The table is readable always: a patient whom an earlier stage has excluded has a table of no rows.

    Parameters
    ----------
    patient : str
    inputs : mapping
        ``ct, regions, facts, status`` of the stage regions, ``organs, names`` of the stage organs.
    outputs : mapping
        ``table``: one row a region and perturbation, see `perturbed_rows`; ``status``.
    settings, radiomics, regions
    details : path
        Folder of private details.
    seed, threads : int
    """
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    earlier = read_status(inputs["status"])
    rows = _rows(patient, inputs, settings, radiomics, regions, seed) if earlier.ok else []
    features = expected_features(radiomics)
    values = np.array([[row.get(name, np.nan) for name in features] for row in rows], np.float64)
    head = pd.DataFrame(rows, columns=list(HEAD)).astype(HEAD)
    table = pd.DataFrame(values.reshape(len(rows), len(features)), columns=features)
    write_table(outputs["table"], pd.concat([head, table], axis=1))
    write_status(outputs["status"], Status(patient, STAGE, earlier.problem), details)


def _rows(
    patient: str,
    inputs: Mapping[str, str],
    settings: StabilitySettings,
    radiomics: RadiomicsSettings,
    regions: RegionsSettings,
    seed: int,
) -> list[dict]:
    image, drawn = read_volume(inputs["ct"]), read_volume(inputs["regions"])
    facts = read_json(inputs["facts"])
    organs, names = read_volume(inputs["organs"]), read_json(inputs["names"])
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
    """Rows ``patient, region, kind, number, voxels`` and the features that could be computed.

    Only what enters models is perturbed: the tumour as a whole and its rings, which are drawn anew around each
    perturbed tumour. A region that is too small in a perturbation has no row there. Each filter runs once on the
    patient's crop (with ``radiomics.crop: patient``), whatever the number of masks.

    Parameters
    ----------
    image, labels, facts
        Crop, label map (slices, rows, columns) and ``regions.json`` of the stage regions.
    barred : ndarray of bool
        Where no ring may lie, on the grid of `labels`.
    """
    wanted = [
        name
        for name in wanted_regions(radiomics.regions, facts)
        if any(in_set(name, feature_set) for feature_set in SETS)
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
    """Box of a mask with a margin, within the array."""
    box = []
    for axis, size in enumerate(mask.shape):
        inside = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        margin = int(np.ceil(voxels)) + 1
        box.append(slice(max(int(inside[0]) - margin, 0), min(int(inside[-1]) + margin + 1, size)))
    return tuple(box)


def _regions(
    tumor: np.ndarray, barred: np.ndarray, spacing: list[float], settings: RegionsSettings
) -> dict[str, np.ndarray]:
    """Tumour and its rings, those that are large enough, as the stage regions draws them."""
    found = {"tumor": tumor} if np.count_nonzero(tumor) >= settings.min_tumor_voxels else {}
    drawn = draw_rings(tumor, barred, spacing, settings.rings)
    for ring, parts in ring_labels(settings.rings).items():
        inside = np.isin(drawn, parts)
        if np.count_nonzero(inside) >= settings.min_ring_voxels:
            found[ring_name(ring)] = inside
    return found
