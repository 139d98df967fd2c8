"""Count neighbouring grey levels: pairs, dependences, runs and zones.

A direction and its opposite are treated as one, so only the 13 directions that point forward in memory are used.
First, one bit per voxel and direction states whether the neighbour ahead (`forward`) or behind (`back`) has the same
grey level. Dependences, runs and zones are then counted from these bits alone.
"""

from functools import lru_cache
from itertools import product

import numpy as np

from metaswin.radiomics.engine.compiled import kernel

BLOCK = 8192  # voxels per block: their levels and bits fit into the processor's cache


@lru_cache
def directions(distances: tuple[int, ...] = (1,), flat: int | None = None) -> np.ndarray:
    """Return half of all directions within the given Chebyshev distances.

    Parameters
    ----------
    distances : tuple of int
        Distances in voxels.
    flat : int, optional
        Axis (0 = z) along which all steps are 0: features in 2D.

    Returns
    -------
    array of int64, shape (directions, 3)
        Steps (z, y, x) in descending order, as in PyRadiomics.
    """
    found = []
    for distance in distances:
        reach = range(distance, -distance - 1, -1)
        steps = [step for step in product(reach, repeat=3) if max(map(abs, step)) == distance and step > (0, 0, 0)]
        found += [step for step in steps if flat is None or step[flat] == 0]
    return np.array(found, np.int64).reshape(-1, 3)


def offsets(steps: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Return steps (z, y, x) as offsets in the flattened padded box."""
    return steps @ np.array([shape[1] * shape[2], shape[2], 1], np.int64)


@lru_cache
def bit_tables(flat: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return tables of the properties of every possible set of direction bits.

    Returns
    -------
    number : array of uint8
        Number of bits set.
    lowest : array of uint8
        Lowest bit set.
    apart : array of uint16
        One bit for each group of neighbours behind the voxel that touch each other. Neighbours of equal level that
        touch are already in one zone, so the voxel must be joined to only one of them.
    """
    steps = directions(flat=flat)
    count = len(steps)
    touch = np.abs(steps[:, None] - steps).max(axis=2) <= 1
    adjacent = [sum(1 << b for b in range(count) if touch[a, b]) for a in range(count)]
    number = np.zeros(1 << count, np.uint8)
    lowest = np.zeros(1 << count, np.uint8)
    apart = np.zeros(1 << count, np.uint16)
    for bits in range(1, 1 << count):
        first = (bits & -bits).bit_length() - 1
        lowest[bits] = first
        number[bits] = number[bits & (bits - 1)] + 1
        group, grown = 0, 1 << first
        while grown != group:
            group, rest = grown, grown
            while rest:
                a = (rest & -rest).bit_length() - 1
                grown |= adjacent[a] & bits
                rest &= rest - 1
        apart[bits] = apart[bits & ~group] | 1 << first
    return number, lowest, apart


@kernel
def equal_neighbours(volume, first, last, ahead):
    """Return the bits of the neighbours of equal level.

    Parameters
    ----------
    volume : array of uint16, shape (padded voxels,)
        Flattened volume of `Levels`.
    first, last : int
        First voxel of the region, and the voxel after its last one.
    ahead : array of int64, shape (directions,)
        At most 16 offsets, all positive.

    Returns
    -------
    forward, back : arrays of uint16, shape (padded voxels,)
        Bit a of a voxel is set if its neighbour ahead (behind) in direction a has the same level; 0 outside the
        region.
    """
    forward = np.zeros(len(volume), np.uint16)
    back = np.zeros(len(volume), np.uint16)
    for start in range(first, last, BLOCK):
        size = min(BLOCK, last - start)
        own = volume[start : start + size]
        bits_forward = forward[start : start + size]
        bits_back = back[start : start + size]
        for a in range(len(ahead)):
            bit = np.uint16(1 << a)
            later = volume[start + ahead[a] : start + ahead[a] + size]
            earlier = volume[start - ahead[a] : start - ahead[a] + size]
            for i in range(size):
                bits_forward[i] |= bit if own[i] == later[i] else np.uint16(0)
                bits_back[i] |= bit if own[i] == earlier[i] else np.uint16(0)
        for i in range(size):
            if own[i] == 0:
                bits_forward[i] = 0
                bits_back[i] = 0
    return forward, back


@kernel
def count_pairs(volume, inside, ahead, levels):
    """Count pairs of a voxel and its neighbour ahead by their levels: int32, shape (levels, levels, directions)."""
    count = len(ahead)
    # The first row and column collect the pairs with a voxel outside the region.
    pairs = np.zeros((levels + 1, (levels + 1) * count), np.int32)
    for n in range(len(inside)):
        i = inside[n]
        row = pairs[volume[i]]
        for a in range(count):
            row[np.int64(volume[i + ahead[a]]) * count + a] += 1
    return pairs.reshape(levels + 1, levels + 1, count)[1:, 1:].copy()


@kernel
def count_equal(volume, inside, forward, back, number, levels, most):
    """Count the voxels by level and number of neighbours (both directions) of the same level.

    Returns an array of int64, shape (levels, most + 1).
    """
    dependence = np.zeros((levels, most + 1), np.int64)
    for n in range(len(inside)):
        i = inside[n]
        dependence[volume[i] - 1, number[forward[i]] + number[back[i]]] += 1
    return dependence


@kernel
def count_distant_pairs(volume, inside, places, steps, shape, levels):
    """Count grey-level pairs for steps longer than the padding (see `count_pairs`); `places` are (z, y, x)."""
    pairs = np.zeros((levels, levels, len(steps)), np.int32)
    for n in range(len(inside)):
        own = volume[inside[n]] - 1
        for a in range(len(steps)):
            z, y, x = places[n, 0] + steps[a, 0], places[n, 1] + steps[a, 1], places[n, 2] + steps[a, 2]
            if 0 <= z < shape[0] and 0 <= y < shape[1] and 0 <= x < shape[2]:
                other = volume[(z * shape[1] + y) * shape[2] + x]
                if other != 0:
                    pairs[own, other - 1, a] += 1
    return pairs


@kernel
def count_dependence(volume, inside, places, steps, shape, grey, tolerance):
    """Count the voxels by level and number of neighbours (both directions) that differ by at most `tolerance`."""
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
def sum_distant_differences(volume, inside, places, steps, shape, grey):
    """Return the sums of `sum_differences` for steps of any length."""
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
def sum_cubes(numbers):
    """Return the sum over the 3 × 3 × 3 voxels around and including each voxel; `numbers` has a border of 0."""
    nz, ny, nx = numbers.shape
    along_x = np.zeros_like(numbers)
    for z in range(nz):
        for y in range(ny):
            row, out = numbers[z, y], along_x[z, y]
            for x in range(1, nx - 1):
                out[x] = row[x - 1] + row[x] + row[x + 1]
    total = np.zeros_like(numbers)
    plane = np.zeros((3, ny, nx), numbers.dtype)
    for z in range(nz):
        new = plane[z % 3]
        for y in range(1, ny - 1):
            before, own, after, out = along_x[z, y - 1], along_x[z, y], along_x[z, y + 1], new[y]
            for x in range(nx):
                out[x] = before[x] + own[x] + after[x]
        if z >= 2:
            for y in range(1, ny - 1):
                a, b, c, out = plane[0, y], plane[1, y], plane[2, y], total[z - 1, y]
                for x in range(nx):
                    out[x] = a[x] + b[x] + c[x]
    return total


@kernel
def sum_differences(volume, inside, grey, totals, neighbours):
    """Return, for each level, the sum of |level - mean level of the neighbours in the region| over its voxels (NGTDM).

    `totals` and `neighbours` are flattened results of `sum_cubes` for the grey levels and for the mask.
    """
    sums = np.zeros(len(grey))
    for n in range(len(inside)):
        i = inside[n]
        own = volume[i] - 1
        count = neighbours[i] - 1
        if count:
            sums[own] += abs(grey[own] - np.float64(totals[i] - grey[own]) / count)
    return sums


@kernel
def count_runs(volume, inside, ahead, forward, back, lowest, counts, longest):
    """Count runs of equal grey level: array of int32, shape (levels, longest run found, directions)."""
    levels = len(counts)
    runs = np.zeros((levels, longest, len(ahead)), np.int32)
    found = 1
    for n in range(len(inside)):
        i = inside[n]
        starts = np.int64(forward[i]) & ~np.int64(back[i])
        while starts:
            a = np.int64(lowest[starts])
            starts &= starts - 1
            step = ahead[a]
            length = 2
            j = i + step
            while (np.int64(forward[j]) >> a) & 1:
                j += step
                length += 1
            runs[volume[i] - 1, length - 1, a] += 1
            found = max(found, length)
    # A voxel that is not in a longer run is a run of length one.
    for level in range(levels):
        for a in range(len(ahead)):
            singles = counts[level]
            for k in range(1, found):
                singles -= (k + 1) * np.int64(runs[level, k, a])
            runs[level, 0, a] = singles
    return runs[:, :found].copy()


@kernel
def find_zones(volume, inside, ahead, back, lowest, apart):
    """Return the level (position from 0) and the size (voxels) of each connected zone of equal grey level."""
    parent = np.empty(len(volume), np.int32)
    sizes = np.zeros(len(volume), np.int32)
    zones = 0
    for n in range(len(inside)):
        i = np.int32(inside[n])
        groups = np.int64(apart[back[i]])
        if groups == 0:
            parent[i] = i
            sizes[i] = 1
            zones += 1
            continue
        root = np.int32(-1)
        while groups:
            other = np.int32(i - ahead[lowest[groups]])
            groups &= groups - 1
            while parent[other] != other:
                parent[other] = parent[parent[other]]
                other = parent[other]
            if root < 0:
                root = other
            elif other != root:
                # The earlier voxel remains the root.
                low, high = min(other, root), max(other, root)
                parent[high] = low
                sizes[low] += sizes[high]
                root = low
                zones -= 1
        parent[i] = root
        sizes[root] += 1
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
