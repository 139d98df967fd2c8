"""Make the regions of one patient: tumour, primary, nodes and peritumoral rings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from metaswin.config.imaging import RegionsSettings, ring_name
from metaswin.core.files import read_json, read_volume, write_json, write_volume
from metaswin.core.grid import Grid
from metaswin.core.problems import BadData, Findings
from metaswin.core.status import passed_on, patient_job, read_status
from metaswin.imaging.grids import INTERPOLATORS, isotropic, resample, sub_grid
from metaswin.imaging.organ_labels import labels_of

FIRST_LABEL = 11
Rings = Sequence[tuple[float, float]]


def ring_labels(rings: Rings) -> dict[tuple[float, float], list[int]]:
    """Return the labels of each ring in one label map.

    Rings that do not overlap have one label each: 11, 12, … in their order. Overlapping rings are cut into shells at
    all their distances. They share the labels of the shells that they have in common.
    """
    shells = _shells(rings)
    return {ring: [shells[shell] for shell in _shells_of(ring, rings)] for ring in rings}


def draw_rings(lesions: np.ndarray, barred: np.ndarray, spacing: Sequence[float], rings: Rings) -> np.ndarray:
    """Return a label map (uint8) of all rings, based on an exact Euclidean distance transform.

    A voxel belongs to the ring from a to b if a < d ≤ b, where d is the distance to the nearest lesion voxel (mm,
    between voxel centres). Voxels of any lesion and voxels where `barred` is true never belong to a ring.

    Parameters
    ----------
    lesions, barred : ndarray of bool, shape (slices, rows, columns)
        All lesions; tissue that is excluded from all rings.
    spacing : sequence of float
        Spacing along the array's axes (mm).
    rings : sequence of (float, float)
        Distances (mm).
    """
    drawn = np.zeros(lesions.shape, dtype=np.uint8)
    if not rings:
        return drawn
    distance = ndimage.distance_transform_edt(~lesions, sampling=spacing)
    free = ~(lesions | barred)
    for (low, high), label in _shells(rings).items():
        drawn[free & (distance > low) & (distance <= high)] = label
    return drawn


def barred_voxels(organs: sitk.Image, facts: Mapping, target: Grid, excludes: Sequence[str]) -> np.ndarray:
    """Return where the organ masks allow no ring: array of bool (slices, rows, columns) on the grid `target`.

    Parameters
    ----------
    organs : SimpleITK.Image
        Label map of the organs; `facts` is the content of its ``organs.json``.
    target : Grid
    excludes : sequence of str
        Organs, tissues or groups. Names that do not occur in the masks are ignored.
    """
    excluded = [label for name in excludes for label in labels_of(name, facts) or []]
    return np.isin(resample(organs, target, sitk.sitkNearestNeighbor), excluded)


def _shells(rings: Rings) -> dict[tuple[float, float], int]:
    """Return the label of each shell that belongs to a ring, in the order of the rings."""
    shells: dict[tuple[float, float], int] = {}
    for ring in rings:
        for shell in _shells_of(ring, rings):
            shells.setdefault(shell, FIRST_LABEL + len(shells))
    return shells


def _shells_of(ring: tuple[float, float], rings: Rings) -> list[tuple[float, float]]:
    """Return the shells of a ring, which is cut at the distances of all rings."""
    return list(pairwise(sorted({edge for other in rings for edge in other if ring[0] <= edge <= ring[1]})))


LESIONS = {"primary": 1, "nodes": 2}


@dataclass(frozen=True)
class Regions:
    """Regions of one patient.

    Attributes
    ----------
    labels : ndarray of uint8, shape (slices, rows, columns)
        Label map, cropped to all regions and the margin around them.
    grid : Grid
        Isotropic grid of the label map.
    names : dict of str to list of int
        Labels of each region that exists.
    missing : dict of str to str
        Reason why each other region does not exist: ``absent``, ``too-small`` or ``ring-too-small``.
    """

    labels: np.ndarray
    grid: Grid
    names: dict[str, list[int]]
    missing: dict[str, str]

    def facts(self) -> dict[str, object]:
        """Return the content of ``regions.json``."""
        counts = np.bincount(self.labels.ravel(), minlength=256)
        voxels = {name: int(counts[labels].sum()) for name, labels in self.names.items()}
        return {
            "labels": self.names,
            "voxels": voxels,
            "volumes_mm3": {name: round(n * self.grid.voxel_volume, 6) for name, n in voxels.items()},
            "spacing": list(self.grid.spacing),
            "missing": self.missing,
        }


def regions_of_patient(
    ct: str | Path,
    tumor: str | Path,
    organs: str | Path,
    names: str | Path,
    upstream: str | Path,
    cropped: str | Path,
    regions: str | Path,
    facts: str | Path,
    status: str | Path,
    settings: RegionsSettings,
    details: str | Path,
) -> None:
    """Resample the images of one patient once and draw all regions.

    Parameters
    ----------
    ct, tumor : path
        CT and tumour of `metaswin.imaging.convert`.
    organs, names, upstream : path
        Label map, names and status of `metaswin.imaging.organs`.
    cropped, regions, facts, status : path
        Output files: CT and label map on the isotropic crop, ``regions.json`` and the status.
    """
    outputs = [cropped, regions, facts]
    if passed_on(upstream, "regions", status, outputs, details):
        return
    with patient_job(read_status(upstream).patient, "regions", status, outputs, details) as findings:
        made = make_regions(read_volume(tumor), read_volume(organs), read_json(names), settings, findings)
        image = resample(read_volume(ct), made.grid, INTERPOLATORS[settings.image_interpolation])
        write_volume(cropped, made.grid.image(image.astype(np.float32)))
        write_volume(regions, made.grid.image(made.labels))
        write_json(facts, made.facts())


def make_regions(
    tumor: sitk.Image, organs: sitk.Image, organ_facts: Mapping, settings: RegionsSettings, findings: Findings
) -> Regions:
    """Return lesions and rings of one patient on an isotropic grid.

    Parameters
    ----------
    tumor : SimpleITK.Image
        Label map of the lesions (1 primary, 2 nodes) on the CT's grid.
    organs : SimpleITK.Image
        Label map of the organs on the same grid; `organ_facts` is the content of its ``organs.json``.

    Raises
    ------
    BadData
        ``tumor-too-small``, if fewer than `min_tumor_voxels` voxels of the tumour remain after resampling.
    """
    grid = Grid.of(tumor)
    drawn = sitk.GetArrayViewFromImage(tumor)
    box = _box(drawn > 0)
    low, high = (np.array([getattr(s, side) for s in box[::-1]]) for side in ("start", "stop"))
    around = (settings.reach + settings.crop_margin) / np.array(grid.spacing)
    target = isotropic(grid, low - 0.5 - around, high - 0.5 + around, settings.spacing)
    lesions = _lesions(tumor, target, settings)
    if np.count_nonzero(lesions) < settings.min_tumor_voxels:
        raise BadData(
            "tumor-too-small",
            f"{np.count_nonzero(lesions)} voxels of {settings.spacing:g} mm",
            f"at least {settings.min_tumor_voxels} (regions.min_tumor_voxels)",
            "check the drawing, or set a finer regions.spacing",
        )
    barred = _barred(organs, organ_facts, target, settings, findings)
    labels = draw_rings(lesions > 0, barred, target.spacing, settings.rings)
    labels[lesions > 0] = lesions[lesions > 0]
    _check_border(low, np.array(grid.size) - high, grid, settings, findings)
    present = {role for role, label in LESIONS.items() if (drawn == label).any()}
    names, missing = _named(labels, present, settings, findings)
    labels[~np.isin(labels, [label for known in names.values() for label in known])] = 0
    margin = round(settings.crop_margin / settings.spacing)
    box = tuple(
        slice(max(0, s.start - margin), min(n, s.stop + margin))
        for s, n in zip(_box(labels > 0), labels.shape, strict=True)
    )
    return Regions(np.ascontiguousarray(labels[box]), sub_grid(target, box), names, missing)


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    """Return the smallest box around all true voxels."""
    return ndimage.find_objects(mask.view(np.uint8))[0]


def _lesions(tumor: sitk.Image, target: Grid, settings: RegionsSettings) -> np.ndarray:
    """Return the label map of the lesions on the isotropic grid; where lesions overlap, primary is kept."""
    if settings.mask_interpolation == "nearest":
        return resample(tumor, target, sitk.sitkNearestNeighbor)
    lesions = np.zeros(target.shape, dtype=np.uint8)
    for role in ("nodes", "primary"):
        lesions[resample(tumor == LESIONS[role], target, sitk.sitkLinear) >= 0.5] = LESIONS[role]
    return lesions


def _barred(
    organs: sitk.Image, facts: Mapping, target: Grid, settings: RegionsSettings, findings: Findings
) -> np.ndarray:
    """Return where the organ masks allow no ring."""
    named = {name: labels_of(name, facts) for name in settings.ring_excludes}
    unknown = [name for name, labels in named.items() if labels is None]
    if unknown and settings.rings:
        findings.warn(
            "ring-exclude-unknown",
            f"no organs {', '.join(unknown)} (there are {', '.join(sorted(facts['labels'])) or 'none'})",
            "organs, tissues or groups of the organ masks in regions.ring_excludes",
            "use names of the chosen backend, or remove these: they are not excluded from the rings",
        )
    return barred_voxels(organs, facts, target, settings.ring_excludes)


def _check_border(
    before: np.ndarray, after: np.ndarray, grid: Grid, settings: RegionsSettings, findings: Findings
) -> None:
    """Warn if the image ends within the reach of the rings.

    `before` and `after` are the numbers of voxels from the lesions to the faces of the image.
    """
    nearest = float((np.minimum(before, after) * np.array(grid.spacing)).min())
    if nearest < settings.reach:
        findings.warn(
            "ring-at-border",
            f"an image that ends {nearest:.1f} mm from the tumour",
            f"{settings.reach:g} mm of image around it (regions.rings)",
            "no action needed if the lesion is at the image's border: the ring is cut off there",
        )


def _named(
    labels: np.ndarray, present: set[str], settings: RegionsSettings, findings: Findings
) -> tuple[dict[str, list[int]], dict[str, str]]:
    """Return the labels of each region that exists, and the reason why each other one does not."""
    counts = np.bincount(labels.ravel(), minlength=256)
    names: dict[str, list[int]] = {}
    missing: dict[str, str] = {}
    for role, label in LESIONS.items():
        if counts[label] >= settings.min_tumor_voxels:
            names[role] = [label]
        elif role not in present:
            missing[role] = "absent"
        else:
            missing[role] = "too-small"
            findings.warn(
                f"{role}-too-small",
                f"{counts[label]} voxels of {settings.spacing:g} mm left of {role}",
                f"at least {settings.min_tumor_voxels} (regions.min_tumor_voxels)",
                "no action needed: the region is missing for this patient; its voxels still belong to the tumour",
            )
    names["tumor"] = [label for label in LESIONS.values() if counts[label]]
    for ring, parts in ring_labels(settings.rings).items():
        voxels = int(counts[parts].sum())
        if voxels >= settings.min_ring_voxels:
            names[ring_name(ring)] = parts
            continue
        missing[ring_name(ring)] = "ring-too-small"
        findings.warn(
            "ring-too-small",
            f"{voxels} voxels of {ring_name(ring)} after cleaning",
            f"at least {settings.min_ring_voxels} (regions.min_ring_voxels)",
            "no action needed: the region is missing for this patient",
        )
    return names, missing
