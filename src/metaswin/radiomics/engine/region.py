"""Compute all features of one region in one image from its grey values and its mask."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from metaswin.radiomics.engine import neighbours
from metaswin.radiomics.engine.binning import Levels, discretise
from metaswin.radiomics.engine.firstorder import firstorder_features
from metaswin.radiomics.engine.glcm import glcm_features
from metaswin.radiomics.engine.ngtdm import ngtdm_features
from metaswin.radiomics.engine.sizes import size_features

TEXTURES = ("glcm", "glrlm", "glszm", "gldm", "ngtdm")


@dataclass(frozen=True)
class Discretisation:
    """Settings of the grey levels and of the neighbours' weights; the defaults are those of PyRadiomics.

    Attributes
    ----------
    bin_width, bin_count
        Width of a bin, or the number of bins instead of it.
    voxel_array_shift : float
        Number that is added before the energy features are computed.
    distances : tuple of int
        Distances (voxels) of neighbours in GLCM, GLDM and NGTDM.
    flat : int, optional
        Axis (0 = z) along which no voxels are compared: ``force2D`` with its ``force2Ddimension``.
    symmetric : bool
        ``symmetricalGLCM``.
    weighting : str, optional
        ``weightingNorm`` of GLCM and GLRLM: manhattan, euclidean, infinity or no_weighting.
    tolerance : int
        ``gldm_a``.
    """

    bin_width: float = 25.0
    bin_count: int | None = None
    voxel_array_shift: float = 0.0
    distances: tuple[int, ...] = (1,)
    flat: int | None = None
    symmetric: bool = True
    weighting: str | None = None
    tolerance: int = 0


@dataclass(frozen=True, eq=False)
class Place:
    """Location of a region: everything about it that is the same in every image.

    Attributes
    ----------
    mask : array of bool, shape (z, y, x)
        The region within its bounding box.
    spacing : array, shape (3,)
        Distance of voxels (z, y, x) in mm.
    shape : tuple
        Shape of the box including one layer of padding on each side.
    inside : array of int64, shape (voxels,)
        Positions of the region's voxels in the padded, flattened box, in memory order.
    """

    mask: np.ndarray
    spacing: np.ndarray
    shape: tuple[int, int, int] = field(init=False)
    inside: np.ndarray = field(init=False)
    _lines: dict[int | None, np.ndarray] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        padded = np.pad(self.mask, 1)
        object.__setattr__(self, "shape", padded.shape)
        object.__setattr__(self, "inside", np.flatnonzero(padded))

    @property
    def extent(self) -> np.ndarray:
        """Number of voxels of the bounding box along (z, y, x)."""
        return np.array(self.mask.shape)

    def places(self) -> np.ndarray:
        """Return the positions of the voxels as (z, y, x) in the padded box, shape (voxels, 3)."""
        return np.stack(np.unravel_index(self.inside, self.shape), axis=1)

    @cached_property
    def neighbours(self) -> np.ndarray:
        """Number of voxels of the region in the 3 × 3 × 3 cube around each voxel of the padded, flattened box."""
        return neighbours.sum_cubes(np.pad(self.mask, 1).astype(np.int32)).reshape(-1)

    def lines(self, flat: int | None) -> np.ndarray:
        """Return, for each direction, whether a line along it meets two voxels; GLRLM skips the other directions."""
        if flat not in self._lines:  # the result is the same in every image
            steps = neighbours.directions(flat=flat)
            self._lines[flat] = np.array([self._shares_line(step) for step in steps], bool)
        return self._lines[flat]

    def _shares_line(self, step: np.ndarray) -> bool:
        (offset,) = neighbours.offsets(step[None], self.shape)
        padded = np.zeros(self.shape, bool).reshape(-1)
        padded[self.inside] = True
        if padded[self.inside + offset].any():
            return True
        places = self.places()
        axis = int(np.flatnonzero(step)[0])
        lines = places - places[:, axis : axis + 1] * step[axis] * step
        return len(np.unique(lines, axis=0)) < len(lines)


def region_features(
    values: np.ndarray, place: Place, classes: Sequence[str], how: Discretisation, mcc: bool = True
) -> dict[str, dict[str, float]]:
    """Return the features of the given classes (all but shape) of a region in one image.

    Parameters
    ----------
    values : array, shape (voxels,)
        Grey values of the region's voxels, in memory order.
    place
        Location of these voxels.
    classes
        Any of ``firstorder, glcm, glrlm, glszm, gldm, ngtdm``.
    how
        Settings of bins, neighbours and weights.
    mcc : bool
        Whether to compute MCC too.

    Returns
    -------
    dict
        Class → feature → value, NaN where PyRadiomics has no value.

    Raises
    ------
    ValueError
        If the region is a single voxel and `classes` contains a texture class, or if the bins cannot be made
        (`discretise`).
    """
    levels = discretise(values, place.inside, place.shape, how.bin_width, how.bin_count)
    found = {}
    if "firstorder" in classes:
        volume = float(np.multiply.reduce(place.spacing))
        found["firstorder"] = firstorder_features(values, levels.counts, how.voxel_array_shift, volume)
    if any(kind in classes for kind in TEXTURES):
        if len(values) < 2:
            raise ValueError("a single voxel has no neighbours; texture features need two voxels or more")
        found |= _textures(levels, place, classes, how, mcc)
    return {kind: found[kind] for kind in classes if kind in found}


def _textures(
    levels: Levels, place: Place, classes: Sequence[str], how: Discretisation, mcc: bool
) -> dict[str, dict[str, float]]:
    steps = neighbours.directions(flat=how.flat)
    ahead = neighbours.offsets(steps, place.shape)
    volume = levels.volume.reshape(-1)
    grey = levels.grey.astype(np.float64)
    number, lowest, apart = neighbours.bit_tables(how.flat)
    forward, back = neighbours.equal_neighbours(volume, place.inside[0], place.inside[-1] + 1, ahead)
    far = how.distances != (1,)
    far_steps = neighbours.directions(how.distances, how.flat) if far else steps
    found = {}
    if "glcm" in classes:
        if not far:
            pairs = neighbours.count_pairs(volume, place.inside, ahead, len(grey))
        else:
            pairs = neighbours.count_distant_pairs(
                volume, place.inside, place.places(), far_steps, place.shape, len(grey)
            )
        if how.weighting is not None:
            lengths = _lengths(far_steps, place.spacing, how.weighting)
            weights = lengths if how.weighting == "no_weighting" else np.exp(-(lengths**2))
            pairs = (pairs * weights).sum(axis=2, keepdims=True)
        found["glcm"] = glcm_features(pairs, levels.grey, how.symmetric, mcc, sum(place.extent > 1) == 1)
    if "glrlm" in classes:
        longest = max(place.shape)
        runs = neighbours.count_runs(volume, place.inside, ahead, forward, back, lowest, levels.counts, longest)
        used = place.lines(how.flat)
        runs = runs[:, :, used]
        if how.weighting is not None:
            weights = _lengths(steps[used], place.spacing, how.weighting)
            runs = (runs * weights).sum(axis=2, keepdims=True)[:, :, : int(any(used))]
        found["glrlm"] = size_features("glrlm", runs, grey, np.arange(1.0, runs.shape[1] + 1))
    if "glszm" in classes:
        zone_levels, zone_sizes = neighbours.find_zones(volume, place.inside, ahead, back, lowest, apart)
        matrix, sizes = _zone_matrix(zone_levels, zone_sizes, len(grey))
        found["glszm"] = size_features("glszm", matrix, grey, sizes)
    if "gldm" in classes:
        if far or how.tolerance:
            dependence = neighbours.count_dependence(
                volume, place.inside, place.places(), far_steps, place.shape, levels.grey, how.tolerance
            )
        else:
            dependence = neighbours.count_equal(volume, place.inside, forward, back, number, len(grey), 2 * len(steps))
        sizes = np.arange(1.0, dependence.shape[1] + 1)
        found["gldm"] = size_features("gldm", dependence[:, :, None], grey, sizes)
    if "ngtdm" in classes:
        if far or how.flat is not None:
            differences = neighbours.sum_distant_differences(
                volume, place.inside, place.places(), far_steps, place.shape, levels.grey
            )
        else:
            totals = neighbours.sum_cubes(np.concatenate([[0], levels.grey]).astype(np.int32)[levels.volume])
            differences = neighbours.sum_differences(
                volume, place.inside, levels.grey, totals.reshape(-1), place.neighbours
            )
        found["ngtdm"] = ngtdm_features(levels.counts, differences, grey)
    return found


def _lengths(steps: np.ndarray, spacing: np.ndarray, norm: str) -> np.ndarray:
    """Return the length (mm) of each step in a norm; 1 for each step if there is no norm."""
    parts = np.abs(steps) * spacing
    if norm == "infinity":
        return parts.max(axis=1)
    if norm == "euclidean":
        return np.sqrt((parts**2).sum(axis=1))
    if norm == "manhattan":
        return parts.sum(axis=1)
    return np.ones(len(steps))


def _zone_matrix(levels: np.ndarray, sizes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of zones by level and size, shape (count, sizes, 1), and the sizes that occur."""
    occurring = np.flatnonzero(np.bincount(sizes))
    column = np.zeros(occurring[-1] + 1, np.int64)
    column[occurring] = np.arange(len(occurring))
    matrix = np.bincount(levels * len(occurring) + column[sizes], minlength=count * len(occurring))
    return matrix.reshape(count, len(occurring), 1), occurring.astype(np.float64)
