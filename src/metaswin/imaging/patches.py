"""Make the multi-channel patch of one patient: CT, tumour, ring and organ groups."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from metaswin.config.imaging import PatchesSettings
from metaswin.core.errors import UserError
from metaswin.core.files import read_json, read_volume, write_volume
from metaswin.core.problems import BadData, Findings
from metaswin.core.status import passed_on, patient_job, read_status
from metaswin.imaging.organ_labels import labels_of

# FWHM of a Gaussian in units of its standard deviation, 2 √(2 ln 2).
FWHM = 2.354820045


@dataclass(frozen=True)
class PatchGrid:
    """A cube of `size` voxels of `spacing` mm around `centre` (LPS, mm), aligned with the patient's axes.

    For every direction of the CT, x runs from right to left, y from front to back and z upwards.
    """

    centre: tuple[float, float, float]
    size: int
    spacing: float

    @property
    def side(self) -> float:
        """Length of an edge (mm)."""
        return self.size * self.spacing

    def image(self) -> sitk.Image:
        """Return an empty image on the grid."""
        image = sitk.Image([self.size] * 3, sitk.sitkUInt8)
        image.SetSpacing([self.spacing] * 3)
        image.SetOrigin([value - (self.size - 1) / 2 * self.spacing for value in self.centre])
        return image

    def fraction_inside(self, points: np.ndarray) -> float:
        """Return the fraction of `points` (n × 3, LPS mm) within the cube."""
        return float((np.abs(points - np.asarray(self.centre)) <= self.side / 2).all(axis=1).mean())


def voxel_points(image: sitk.Image, mask: np.ndarray) -> np.ndarray:
    """Return the centres (n × 3, LPS mm) of the voxels set in `mask` (z, y, x) on the grid of `image`."""
    indices = np.argwhere(mask)[:, ::-1]
    direction = np.array(image.GetDirection()).reshape(3, 3)
    return np.array(image.GetOrigin()) + (indices * np.array(image.GetSpacing())) @ direction.T


def largest_component(mask: np.ndarray) -> np.ndarray:
    """Return the largest face-connected component of `mask`; of several equal ones, the first."""
    from scipy import ndimage

    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return parts == sizes.argmax()


def choose_centre(main: np.ndarray, lesions: np.ndarray, voxel: np.ndarray, side: float) -> tuple[float, float, float]:
    """Return the centre of the patch (LPS, mm).

    If the bounding box of all lesions fits into the patch, this is the middle of that box. Otherwise, if the bounding
    box of the main lesion fits, it is the middle of the main lesion's box. Otherwise it is the centroid of the main
    lesion.

    Parameters
    ----------
    main, lesions : ndarray, shape (n, 3)
        Voxel centres of the main lesion and of all lesions (LPS, mm).
    voxel : ndarray, shape (3,)
        Extent of one voxel along the patient's axes (mm).
    side : float
        Edge of the patch (mm).
    """
    for points in (lesions, main):
        low, high = points.min(axis=0) - voxel / 2, points.max(axis=0) + voxel / 2
        if (high - low <= side).all():
            return tuple(((low + high) / 2).tolist())
    return tuple(main.mean(axis=0).tolist())


def voxel_extent(image: sitk.Image) -> np.ndarray:
    """Return the extent of one voxel along the patient's axes (mm); on an oblique grid it exceeds the spacing."""
    direction = np.array(image.GetDirection()).reshape(3, 3)
    return np.abs(direction) @ np.array(image.GetSpacing())


def resample(image: sitk.Image, grid: PatchGrid, outside: float) -> np.ndarray:
    """Return the values of `image` on `grid`, float32 (z, y, x), by one linear interpolation.

    Points beyond the image get the value `outside`. Along axes on which the image is finer than the patch, the image
    is smoothed first to avoid aliasing. The variance is ((t/s)² - 1) / (8 ln 2) voxels² for the spacings s (image)
    and t (patch) (Cardoso et al., "Scale factor point spread function matching", MICCAI 2015, eq. 6).
    """
    from scipy import ndimage

    ratio = grid.spacing / np.array(image.GetSpacing())
    sigma = np.sqrt(np.maximum(ratio**2 - 1, 0)) / FWHM
    box = _crop(image, grid, margin=np.ceil(4 * sigma).astype(int) + 2)
    if box is None:
        return np.full([grid.size] * 3, outside, dtype=np.float32)
    values = sitk.GetArrayFromImage(box).astype(np.float32)
    smooth = sitk.GetImageFromArray(ndimage.gaussian_filter(values, sigma[::-1], mode="nearest"))
    smooth.CopyInformation(box)
    moved = sitk.Resample(smooth, grid.image(), sitk.Transform(), sitk.sitkLinear, outside, sitk.sitkFloat32)
    return sitk.GetArrayFromImage(moved)


def _crop(image: sitk.Image, grid: PatchGrid, margin: np.ndarray) -> sitk.Image | None:
    """Return the part of `image` that the patch covers, extended by `margin` voxels (x, y, z).

    The result is None if image and patch do not overlap.
    """
    reach = grid.side / 2
    corners = np.array(
        [
            image.TransformPhysicalPointToContinuousIndex(
                [c + sign * reach for c, sign in zip(grid.centre, signs, strict=True)]
            )
            for signs in product((-1, 1), repeat=3)
        ]
    )
    start = np.maximum(np.floor(corners.min(axis=0)).astype(int) - margin, 0)
    stop = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + margin + 1, image.GetSize())
    if (start >= stop).any():
        return None
    return sitk.RegionOfInterest(image, (stop - start).tolist(), start.tolist())


STAGE = "patches"
PRIMARY, NODES = 1, 2
AIR = -1024.0  # HU outside the CT
WHOLE = 0.995  # a warning is given if less than this fraction of a lesion is inside the patch


@dataclass(frozen=True)
class PatientFiles:
    """Files of one patient: CT and tumour (stage images), organs and their facts, and the files of stage regions."""

    ct: str
    tumor: str
    organs: str
    organ_facts: str
    regions: str
    region_facts: str
    status: str


def make_patch(
    files: PatientFiles,
    patch: str,
    status: str,
    settings: PatchesSettings,
    details: str | Path,
    threads: int = 1,
) -> None:
    """Cut one patient's patch and write it with its status.

    Parameters
    ----------
    files : PatientFiles
    patch, status : str
        Output files: 4D NIfTI (x, y, z, channel; float32), which is empty for an excluded patient, and the status.
    settings, details, threads
        Settings of the patches, folder of the private details, number of threads of the filters.

    Raises
    ------
    UserError
        If `settings.organ_groups` names an organ that the organ backend does not provide.
    """
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    if passed_on(files.status, STAGE, status, [patch], details):
        return
    patient = read_status(files.status).patient
    with patient_job(patient, STAGE, status, [patch], details) as findings:
        tumor = read_volume(files.tumor)
        grid = place(tumor, settings, findings)
        organ_facts = read_json(files.organ_facts)
        groups = organ_labels(settings.organ_groups, organ_facts, findings)
        rings = ring_labels(read_json(files.region_facts)["labels"])
        organs = read_volume(files.organs)
        channels = [
            windowed(resample(read_volume(files.ct), grid, AIR), settings.window),
            occupancy(tumor, [PRIMARY, NODES], grid),
            occupancy(read_volume(files.regions), rings, grid),
            *(occupancy(organs, labels, grid) for labels in groups.values()),
        ]
        write_volume(patch, stack(channels, grid))


def place(tumor: sitk.Image, settings: PatchesSettings, findings: Findings) -> PatchGrid:
    """Return the patch's grid around the main lesion: the primary, or without a primary the largest node.

    Raises
    ------
    BadData
        ``empty-mask``, if `tumor` (1 primary, 2 nodes) is empty.
    """
    labels = sitk.GetArrayViewFromImage(tumor)
    main = voxel_points(tumor, main_lesion(labels))
    lesions = voxel_points(tumor, labels > 0)
    side = settings.size * settings.spacing
    centre = choose_centre(main, lesions, voxel_extent(tumor), side)
    grid = PatchGrid(centre, settings.size, settings.spacing)
    inside_main, inside_all = grid.fraction_inside(main), grid.fraction_inside(lesions)
    enlarge = "enlarge patches.size or patches.spacing, or accept that the network does not see the rest"
    if inside_main < WHOLE:
        what = "primary" if (labels == PRIMARY).any() else "largest node"
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


def main_lesion(labels: np.ndarray) -> np.ndarray:
    """Return the mask of the primary, or without a primary of the largest node.

    Raises
    ------
    BadData
        ``empty-mask``, if `labels` (1 primary, 2 nodes) is empty.
    """
    if not (labels > 0).any():
        raise BadData(
            "empty-mask", "a tumour mask without a voxel", "at least one voxel of tumour", "look at the contours"
        )
    primary = labels == PRIMARY
    return primary if primary.any() else largest_component(labels == NODES)


def organ_labels(groups: Mapping[str, list[str]], facts: Mapping, findings: Findings) -> dict[str, list[int]]:
    """Return the labels of each organ group; `facts` is the content of ``organs.json``.

    With the backend `masks` a patient may lack an organ, which causes a warning. Every other backend provides the
    same names for all patients, so an unknown name is an error in the configuration.
    """
    found = {organ: labels_of(organ, facts) for organs in groups.values() for organ in organs}
    unknown = sorted(organ for organ, labels in found.items() if labels is None)
    if unknown and facts["backend"] != "masks":
        raise UserError(
            f"patches.organ_groups names {', '.join(unknown)}, but the organ backend {facts['backend']} provides "
            f"{', '.join(sorted({*facts['labels'], *facts.get('groups', {})}))}; use one of these names"
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
    """Return the labels of all rings together, from the `labels` of ``regions.json``."""
    return sorted({label for name, values in labels.items() if name.startswith("ring_") for label in values})


def windowed(hu: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Return HU clipped to the window and scaled to 0…1."""
    low, high = window
    return (np.clip(hu, low, high) - low) / (high - low)


def occupancy(labels: sitk.Image, wanted: list[int], grid: PatchGrid) -> np.ndarray:
    """Return the fraction (0…1) of each patch voxel that the `wanted` labels fill, float32 (z, y, x).

    A fraction keeps structures that are thinner than a voxel of the patch. Nearest-neighbour labels would lose them.
    """
    if not wanted:
        return np.zeros([grid.size] * 3, dtype=np.float32)
    mask = np.isin(sitk.GetArrayViewFromImage(labels), wanted)
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.CopyInformation(labels)
    return np.clip(resample(image, grid, 0.0), 0.0, 1.0)


def stack(channels: list[np.ndarray], grid: PatchGrid) -> sitk.Image:
    """Return the channels (z, y, x) as one 4D image (x, y, z, channel) on the grid."""
    images = []
    for channel in channels:
        image = sitk.GetImageFromArray(channel.astype(np.float32))
        image.CopyInformation(grid.image())
        images.append(image)
    return sitk.JoinSeries(images)
