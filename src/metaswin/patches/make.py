"""One patient's multi-channel patch: CT, tumour, ring and organ groups."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from metaswin.errors import UserError
from metaswin.files import read_json, read_volume, write_volume
from metaswin.organs.groups import labels_of
from metaswin.patches.grid import PatchGrid, choose_centre, largest_component, resample, voxel_extent, voxel_points
from metaswin.patches.settings import PatchesSettings
from metaswin.problems import BadData, Findings
from metaswin.status import passed_on, patient_job, read_status

STAGE = "patches"
PRIMARY, NODES = 1, 2
AIR = -1024.0  # HU outside the CT
WHOLE = 0.995  # below this fraction of a lesion within the patch there is a warning


def make_patch(
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    settings: PatchesSettings,
    details: str | Path,
    threads: int = 1,
) -> None:
    """Cut one patient's patch and write it with its status.

    Parameters
    ----------
    inputs : mapping
        ``ct, tumor`` (stage images), ``organs, organ_facts`` (stage organs), ``regions, region_facts, status``
        (stage regions).
    outputs : mapping
        ``patch`` (4D NIfTI x, y, z, channel; float32) and ``status``. The patch is empty for an excluded patient.
    settings, details, threads
        Settings of patches, folder of private details, threads of the filters.

    Raises
    ------
    UserError
        If `settings.organ_groups` names an organ that the organs' backend does not give.
    """
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    if passed_on(inputs["status"], STAGE, outputs["status"], [outputs["patch"]], details):
        return
    patient = read_status(inputs["status"]).patient
    with patient_job(patient, STAGE, outputs["status"], [outputs["patch"]], details) as findings:
        tumor = read_volume(inputs["tumor"])
        grid = place(tumor, settings, findings)
        organ_facts = read_json(inputs["organ_facts"])
        groups = organ_labels(settings.organ_groups, organ_facts, findings)
        rings = ring_labels(read_json(inputs["region_facts"])["labels"])
        organs = read_volume(inputs["organs"])
        channels = [
            windowed(resample(read_volume(inputs["ct"]), grid, AIR), settings.window),
            occupancy(tumor, [PRIMARY, NODES], grid),
            occupancy(read_volume(inputs["regions"]), rings, grid),
            *(occupancy(organs, labels, grid) for labels in groups.values()),
        ]
        write_volume(outputs["patch"], stack(channels, grid))


def place(tumor: sitk.Image, settings: PatchesSettings, findings: Findings) -> PatchGrid:
    """The patch's grid around the main lesion: the primary, or the largest node where there is no primary.

    Raises
    ------
    BadData
        Where `tumor` (1 primary, 2 nodes) is empty.
    """
    labels = sitk.GetArrayViewFromImage(tumor)
    lesions = labels > 0
    if not lesions.any():
        raise BadData(
            "empty-mask", "a tumour mask without a voxel", "at least one voxel of tumour", "look at the contours"
        )
    primary = labels == PRIMARY
    main = voxel_points(tumor, primary if primary.any() else largest_component(labels == NODES))
    lesions = voxel_points(tumor, lesions)
    side = settings.size * settings.spacing
    centre = choose_centre(main, lesions, voxel_extent(tumor), side)
    grid = PatchGrid(centre, settings.size, settings.spacing)
    inside_main, inside_all = grid.fraction_inside(main), grid.fraction_inside(lesions)
    enlarge = "enlarge patches.size or patches.spacing, or accept that the network does not see the rest"
    if inside_main < WHOLE:
        what = "primary" if primary.any() else "largest node"
        findings.warn(
            "lesion-larger-than-patch",
            f"{inside_main:.0%} of the {what} within the patch of {side:g} mm",
            "all of it",
            enlarge,
        )
    elif inside_all < WHOLE:
        findings.warn(
            "nodes-outside-patch",
            f"{inside_all:.0%} of the tumour volume (primary and nodes) within the patch of {side:g} mm",
            "all of it",
            enlarge,
        )
    return grid


def organ_labels(groups: Mapping[str, list[str]], facts: Mapping, findings: Findings) -> dict[str, list[int]]:
    """Labels of each organ group. `facts` is ``organs.json``.

    With the backend `masks` a patient may lack an organ: that is a warning. Every other backend gives the same
    names for everyone, so an unknown name is a mistake in the configuration.
    """
    found = {organ: labels_of(organ, facts) for organs in groups.values() for organ in organs}
    unknown = sorted(organ for organ, labels in found.items() if labels is None)
    if unknown and facts["backend"] != "masks":
        raise UserError(
            f"patches.organ_groups names {', '.join(unknown)}, but the organs' backend {facts['backend']} gives "
            f"{', '.join(sorted({*facts['labels'], *facts.get('groups', {})}))}; name one of these"
        )
    if unknown:
        findings.warn(
            "organ-missing",
            f"no mask of {', '.join(unknown)}",
            "a mask of every organ in patches.organ_groups",
            "add the mask, or accept an empty channel",
        )
    return {group: [label for organ in organs for label in found[organ] or []] for group, organs in groups.items()}


def ring_labels(labels: Mapping[str, list[int]]) -> list[int]:
    """Labels of all rings together, out of the `labels` of ``regions.json``."""
    return sorted({label for name, values in labels.items() if name.startswith("ring_") for label in values})


def windowed(hu: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """HU clipped to the window and scaled to 0…1."""
    low, high = window
    return (np.clip(hu, low, high) - low) / (high - low)


def occupancy(labels: sitk.Image, wanted: list[int], grid: PatchGrid) -> np.ndarray:
    """Fraction (0…1) of each patch voxel that lies in the `wanted` labels, float32 (z, y, x).

    A fraction keeps what is thinner than a voxel of the patch, which the nearest label would drop.
    """
    if not wanted:
        return np.zeros([grid.size] * 3, dtype=np.float32)
    mask = np.isin(sitk.GetArrayViewFromImage(labels), wanted)
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.CopyInformation(labels)
    return np.clip(resample(image, grid, 0.0), 0.0, 1.0)


def stack(channels: list[np.ndarray], grid: PatchGrid) -> sitk.Image:
    """Channels (z, y, x) as one 4D image (x, y, z, channel) on the grid."""
    images = []
    for channel in channels:
        image = sitk.GetImageFromArray(channel.astype(np.float32))
        image.CopyInformation(grid.image())
        images.append(image)
    return sitk.JoinSeries(images)
