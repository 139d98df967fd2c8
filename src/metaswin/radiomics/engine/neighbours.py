"""One pass over a region's voxels and their neighbours gives all that the texture matrices need.

A direction and its opposite are one: only the 13 that come later in memory are looked at. Beside the counts the pass
leaves, for each voxel, one bit a direction that says whether the neighbour ahead (`forward`) or behind (`back`) has
the same grey level; runs and zones are then counted from the bits alone, whose number is small in noisy images.
"""

from itertools import product

import numpy as np

from metaswin.radiomics.engine.compiled import kernel


def directions(distances: tuple[int, ...] = (1,), flat: int | None = None) -> np.ndarray:
    """Half of all directions within the given Chebyshev distances.

    Parameters
    ----------
    distances : tuple of int
        Distances in voxels.
    flat : int, optional
        Axis (0 = z) along which nothing moves: features in 2D.

    Returns
    -------
    array of int64, shape (directions, 3)
        Steps (z, y, x), the last first, as PyRadiomics orders them.
    """
    found = []
    for distance in distances:
        reach = range(distance, -distance - 1, -1)
        steps = [step for step in product(reach, repeat=3) if max(map(abs, step)) == distance and step > (0, 0, 0)]
        found += [step for step in steps if flat is None or step[flat] == 0]
    return np.array(found, np.int64).reshape(-1, 3)


def offsets(steps: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Steps (z, y, x) as distances in the flattened padded box."""
    return steps @ np.array([shape[1] * shape[2], shape[2], 1], np.int64)


@kernel
def count_pairs(volume, inside, ahead, levels):
    """Grey-level pairs and equal neighbours of every voxel.

    Parameters
    ----------
    volume : array of uint16, shape (padded voxels,)
        See `Levels`, flattened.
    inside : array of int64, shape (voxels,)
        The region's voxels, in memory order.
    ahead : array of int64, shape (directions,)
        At most 16 offsets, all positive.
    levels : int
        Grey levels that occur.

    Returns
    -------
    pairs : array of int32, shape (levels, levels, directions)
        Voxels of the first level with a neighbour ahead of the second.
    dependence : array of int64, shape (levels, 2 * directions + 1)
        Voxels of a level with so many neighbours (both ways) of the same level.
    forward, back : arrays of uint16, shape (padded voxels,)
        Bit a of a voxel is set if the neighbour ahead (behind) in direction a has the same level.
    """
    count = len(ahead)
    pairs = np.zeros((levels, levels, count), np.int32)
    dependence = np.zeros((levels, 2 * count + 1), np.int64)
    forward = np.zeros(len(volume), np.uint16)
    back = np.zeros(len(volume), np.uint16)
    for n in range(len(inside)):
        i = inside[n]
        own = volume[i]
        row = pairs[own - 1]
        equal = 0
        same = 0
        for a in range(count):
            j = i + ahead[a]
            other = volume[j]
            if other != 0:
                row[other - 1, a] += 1
                if other == own:
                    equal |= 1 << a
                    same += 1
                    back[j] |= 1 << a
        forward[i] = equal
        # All neighbours behind have been seen before this voxel.
        rest = np.int64(back[i])
        while rest:
            rest &= rest - 1
            same += 1
        dependence[own - 1, same] += 1
    return pairs, dependence, forward, back


@kernel
def count_distant_pairs(volume, inside, places, steps, shape, levels):
    """Grey-level pairs where steps are longer than the padding: see `count_pairs`; `places` are (z, y, x)."""
    pairs = np.zeros((levels, levels, len(steps)), np.int32)
    for n in range(len(inside)):
        i = inside[n]
        own = volume[i] - 1
        for a in range(len(steps)):
            z, y, x = places[n, 0] + steps[a, 0], places[n, 1] + steps[a, 1], places[n, 2] + steps[a, 2]
            if 0 <= z < shape[0] and 0 <= y < shape[1] and 0 <= x < shape[2]:
                other = volume[(z * shape[1] + y) * shape[2] + x]
                if other != 0:
                    pairs[own, other - 1, a] += 1
    return pairs


@kernel
def count_dependence(volume, inside, places, steps, shape, grey, tolerance):
    """Voxels of a level with so many neighbours (both ways) whose level differs by at most `tolerance`."""
    dependence = np.zeros((len(grey), 2 * len(steps) + 1), np.int64)
    for n in range(len(inside)):
        own = volume[inside[n]] - 1
        same = 0
        for a in range(len(steps)):
            for sign in (-1, 1):
                z = places[n, 0] + sign * steps[a, 0]
                y = places[n, 1] + sign * steps[a, 1]
                x = places[n, 2] + sign * steps[a, 2]
                if 0 <= z < shape[0] and 0 <= y < shape[1] and 0 <= x < shape[2]:
                    other = volume[(z * shape[1] + y) * shape[2] + x]
                    if other != 0 and abs(grey[other - 1] - grey[own]) <= tolerance:
                        same += 1
        dependence[own, same] += 1
    return dependence


@kernel
def sum_differences(volume, inside, places, steps, shape, grey):
    """Sum over the voxels of a level of |level - mean level of its neighbours in the region| (NGTDM)."""
    sums = np.zeros(len(grey))
    for n in range(len(inside)):
        own = volume[inside[n]] - 1
        count = 0
        total = 0
        for a in range(len(steps)):
            for sign in (-1, 1):
                z = places[n, 0] + sign * steps[a, 0]
                y = places[n, 1] + sign * steps[a, 1]
                x = places[n, 2] + sign * steps[a, 2]
                if 0 <= z < shape[0] and 0 <= y < shape[1] and 0 <= x < shape[2]:
                    other = volume[(z * shape[1] + y) * shape[2] + x]
                    if other != 0:
                        count += 1
                        total += grey[other - 1]
        if count:
            sums[own] += abs(grey[own] - total / count)
    return sums


@kernel
def count_runs(volume, inside, ahead, forward, back, counts, longest):
    """Runs of equal grey level: array of int32, shape (levels, longest run found, directions)."""
    levels = len(counts)
    runs = np.zeros((levels, longest, len(ahead)), np.int32)
    singles = np.empty((levels, len(ahead)), np.int64)
    for level in range(levels):
        singles[level] = counts[level]
    found = 1
    for n in range(len(inside)):
        i = inside[n]
        start = np.int64(forward[i]) & ~np.int64(back[i])
        a = 0
        while start:
            if start & 1:
                length = 2
                j = i + ahead[a]
                while (forward[j] >> a) & 1:
                    j += ahead[a]
                    length += 1
                level = volume[i] - 1
                runs[level, length - 1, a] += 1
                singles[level, a] -= length
                found = max(found, length)
            start >>= 1
            a += 1
    # A voxel in no longer run is a run of one.
    for level in range(levels):
        for a in range(len(ahead)):
            runs[level, 0, a] = singles[level, a]
    return runs[:, :found].copy()


@kernel
def find_zones(volume, inside, ahead, back):
    """Connected zones of equal grey level: level (position from 0) and size in voxels of each."""
    parent = np.empty(len(volume), np.int32)
    sizes = np.zeros(len(volume), np.int32)
    zones = 0
    for n in range(len(inside)):
        i = np.int32(inside[n])
        parent[i] = i
        sizes[i] = 1
        zones += 1
        root = i
        bits = np.int64(back[i])
        a = 0
        while bits:
            if bits & 1:
                other = np.int32(i - ahead[a])
                while parent[other] != other:
                    parent[other] = parent[parent[other]]
                    other = parent[other]
                if other != root:
                    # The earlier voxel stays the root.
                    low, high = min(other, root), max(other, root)
                    parent[high] = low
                    sizes[low] += sizes[high]
                    root = low
                    zones -= 1
            bits >>= 1
            a += 1
    levels = np.empty(zones, np.int64)
    zone_sizes = np.empty(zones, np.int64)
    k = 0
    for n in range(len(inside)):
        i = inside[n]
        if parent[i] == i:
            levels[k] = volume[i] - 1
            zone_sizes[k] = sizes[i]
            k += 1
    return levels, zone_sizes
