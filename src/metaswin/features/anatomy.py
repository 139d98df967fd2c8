"""Measure volume, mean HU, distance to the tumour and contact with it for every organ of one patient."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk
from scipy.spatial import cKDTree

from metaswin.config.features import AnatomySettings
from metaswin.core.files import read_json, read_table, read_volume, write_table
from metaswin.core.status import read_status
from metaswin.core.used import of_used
from metaswin.imaging.organ_labels import labels_of

MEASURES = ("volume_mm3", "mean_hu", "distance_mm", "contact_mm2")


@dataclass(frozen=True)
class AnatomyInputs:
    """Hold the files of one patient: ``ct, tumor`` of stage images, ``organs, names, status`` of stage organs."""

    ct: str | Path
    tumor: str | Path
    organs: str | Path
    names: str | Path
    status: str | Path


def measure_patient(inputs: AnatomyInputs, output: str | Path, settings: AnatomySettings) -> None:
    """Measure the organs of one patient. The table of an excluded patient has no rows.

    Parameters
    ----------
    inputs : AnatomyInputs
    output : path
        Parquet: ``patient`` and a column ``<structure>__<measure>`` for each of `MEASURES`.
    settings : AnatomySettings
    """
    columns = [f"{name}__{measure}" for name in settings.structures for measure in MEASURES]
    status = read_status(inputs.status)
    if not status.ok:
        empty = pd.DataFrame({"patient": pd.Series(dtype="str"), **{name: pd.Series(dtype=float) for name in columns}})
        write_table(output, empty)
        return
    ct = read_volume(inputs.ct)
    facts = read_json(inputs.names)
    values = measure(
        sitk.GetArrayFromImage(ct),
        sitk.GetArrayFromImage(read_volume(inputs.tumor)) > 0,
        sitk.GetArrayFromImage(read_volume(inputs.organs)),
        {name: labels_of(name, facts) or [] for name in settings.structures},
        ct.GetSpacing(),
    )
    write_table(output, pd.DataFrame([{"patient": status.patient, **values}], columns=["patient", *columns]))


def measure(
    hu: np.ndarray,
    tumor: np.ndarray,
    organs: np.ndarray,
    structures: Mapping[str, Sequence[int]],
    spacing: Sequence[float],
) -> dict[str, float]:
    """Return the measures of each structure.

    Parameters
    ----------
    hu, tumor, organs : ndarray, shape (slices, rows, columns)
        CT (HU), tumour (bool) and label map of the organs.
    structures : mapping
        Name → labels.
    spacing : sequence of float
        mm along x, y, z.

    Returns
    -------
    dict
        ``<structure>__<measure>``. The volume (mm³) is computed from the number of voxels. The mean HU excludes the
        tumour. The distance (mm) is that between the nearest voxel centres of tumour and structure. It is 0 if they
        share a voxel, and one voxel if they touch. The contact (mm²) is the area of voxel faces between them. A
        structure without a voxel has volume 0, and its other measures are missing.
    """
    steps = np.array(spacing[::-1], dtype=float)
    tree = cKDTree(surface(tumor) * steps)
    found: dict[str, float] = {}
    for name, labels in structures.items():
        values = dict.fromkeys(MEASURES, np.nan)
        if labels:
            mask = np.isin(organs, list(labels))
            values["volume_mm3"] = float(np.count_nonzero(mask) * steps.prod())
            if mask.any():
                free = mask & ~tumor
                values["mean_hu"] = float(hu[free].mean()) if free.any() else np.nan
                shared = bool((mask & tumor).any())
                values["distance_mm"] = 0.0 if shared else float(tree.query(surface(mask) * steps)[0].min())
                values["contact_mm2"] = contact(tumor, free, steps)
        found |= {f"{name}__{measure}": value for measure, value in values.items()}
    return found


def surface(mask: np.ndarray) -> np.ndarray:
    """Return the indices, shape (n, 3), of the voxels of a mask that share a face with a voxel outside it."""
    padded = np.pad(mask, 1)
    inner = mask.copy()
    for axis in range(3):
        for shift in (0, 2):
            inner &= padded[
                tuple(slice(shift, shift + n) if a == axis else slice(1, -1) for a, n in enumerate(mask.shape))
            ]
    return np.argwhere(mask & ~inner)


def contact(one: np.ndarray, other: np.ndarray, steps: np.ndarray) -> float:
    """Return the area (mm²) of the faces between two masks that share no voxel; `steps`: mm along the axes."""
    area = 0.0
    for axis in range(3):
        low, high = (
            tuple(slice(*ends) if a == axis else slice(None) for a in range(3)) for ends in ((0, -1), (1, None))
        )
        faces = np.count_nonzero(one[low] & other[high]) + np.count_nonzero(other[low] & one[high])
        area += float(faces * steps.prod() / steps[axis])
    return area


def collect(tables: Sequence[str], used: str | Path, output: str | Path) -> None:
    """Join the tables of the used patients, sorted by study id."""
    write_table(output, pd.concat([read_table(path) for path in of_used(tables, used).values()], ignore_index=True))
