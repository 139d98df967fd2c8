"""Read tumour masks from a DICOM segmentation (SEG)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from metaswin.core.grid import CORNER_TOLERANCE, Grid
from metaswin.core.problems import BadData, Findings
from metaswin.imaging.contours import frame_mismatch
from metaswin.imaging.dicom import missing, unreadable


def read_seg(
    path: str | Path,
    roles: dict[str, Sequence[int]],
    grid: Grid,
    findings: Findings,
    threshold: float = 0.5,
    frame: str | None = None,
) -> dict[str, np.ndarray]:
    """Return the masks of the segments of each role on `grid`; the SEG may be binary, fractional or a label map.

    A SEG on the voxels of the CT (all slices or some, in any order) is copied. A SEG on other voxels is resampled to
    the nearest voxel, with a warning.

    Parameters
    ----------
    roles : dict of str to sequence of int
        Segment numbers of each role.
    grid : Grid
        The CT's grid.
    threshold : float
        Fraction of a fractional segmentation's maximum; voxels at or above it belong to the mask.
    frame : str or None
        The CT's frame of reference; a warning is given if the segmentation has a different one.

    Returns
    -------
    dict of str to ndarray of bool, shape (slices, rows, columns)

    Raises
    ------
    BadData
        ``file-missing``, ``file-unreadable`` or ``roi-missing``.
    """
    import highdicom
    import SimpleITK as sitk

    wanted = sorted({number for numbers in roles.values() for number in numbers})
    try:
        segmentation = highdicom.seg.segread(path)
        present = set(segmentation.segment_numbers)
        if set(wanted) <= present:
            volume = segmentation.get_volume(segment_numbers=wanted)
    except FileNotFoundError:
        raise missing(path) from None
    except MemoryError:
        raise
    except Exception as error:
        raise unreadable(path, error) from error
    if not set(wanted) <= present:
        raise BadData(
            "roi-missing",
            "a segmentation without the chosen segments",
            "the segments that were found when the data were indexed",
            "index the data again",
            f"{path}: wanted {wanted}, there are {sorted(present)}",
        )
    frame_mismatch([str(segmentation.get("FrameOfReferenceUID") or "")], frame, findings)
    # highdicom orders axes as slice, row, column; `Grid` as column, row, slice.
    own = Grid(
        size=tuple(np.array(volume.spatial_shape[::-1], dtype=int).tolist()),
        spacing=tuple(np.array(volume.spacing[::-1], dtype=float).tolist()),
        origin=tuple(np.array(volume.position, dtype=float).tolist()),
        direction=tuple(float(d) for d in np.asarray(volume.direction)[:, ::-1].ravel()),
    )
    if not _same_voxels(own, grid):
        findings.warn(
            "seg-resampled",
            f"a segmentation on another grid: {own}",
            f"the CT's grid: {grid}",
            "check one case by eye: it is resampled to the nearest voxel",
        )
    target = grid.image(np.zeros(grid.shape, dtype=np.uint8))
    masks = {}
    for role, numbers in roles.items():
        chosen = volume.array[..., [wanted.index(number) for number in numbers]]
        mask = np.ascontiguousarray((chosen >= threshold).any(axis=-1), dtype=np.uint8)
        _tell_outside(role, own, mask, grid, findings)
        resampled = sitk.Resample(own.image(mask), target, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
        masks[role] = sitk.GetArrayFromImage(resampled).astype(bool)
    return masks


def _tell_outside(role: str, own: Grid, mask: np.ndarray, grid: Grid, findings: Findings) -> None:
    """Warn of voxels whose centre is outside the CT, because resampling drops them silently."""
    indices = grid.indices(own.points(np.argwhere(mask)[:, ::-1]))
    outside = int(((indices < -0.5) | (indices > np.array(grid.size) - 0.5)).any(axis=1).sum())
    if outside:
        findings.warn(
            "seg-outside-image",
            f"{outside} of {len(indices)} voxels of the {role} outside the image",
            "a segmentation within the image",
            "check that segmentation and CT belong together: the part outside is ignored",
        )


def _same_voxels(own: Grid, grid: Grid) -> bool:
    """Return whether every voxel of `own` is on the lattice of `grid` (which may be larger, or flipped)."""
    steps = np.vstack([np.zeros(3), np.eye(3)])
    indices = grid.indices(own.points(steps))
    steps = np.abs(indices[1:] - indices[0])
    unit = np.sort(steps, axis=1)
    return bool(
        np.abs(indices - np.rint(indices)).max() <= CORNER_TOLERANCE
        and np.abs(unit - [0, 0, 1]).max() <= CORNER_TOLERANCE
    )
