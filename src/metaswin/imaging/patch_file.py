"""Collect the patches of all used patients in one file, from which the network reads them."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from metaswin.config.imaging import PatchesSettings
from metaswin.core.files import atomic, read_volume
from metaswin.core.used import of_used


def channel_names(settings: PatchesSettings) -> list[str]:
    """Return the names of the channels in their order."""
    return ["ct", "tumor", "ring", *settings.organ_groups]


def collect_patches(paths: Sequence[str | Path], used: str | Path, output: str | Path) -> None:
    """Write the patches of the used patients to one safetensors file: study id → float16 (channel, x, y, z).

    Patients without a patch do not appear in the file. Half precision halves the memory that a cohort needs; it
    rounds the windowed CT by at most 0.1 HU at the default window. The file is written patient by patient, because a
    cohort may not fit in memory (format: https://github.com/huggingface/safetensors). Its metadata hold the origin of
    each patch (study id → ``x y z``, LPS, mm).

    Parameters
    ----------
    paths : sequence of path
        Patch files of all planned patients.
    used : path
        ``cohort/used.parquet``.
    output : path
    """
    files = {patient: path for patient, path in of_used(paths, used).items() if path.stat().st_size > 0}
    header: dict[str, object] = {}
    size = 0
    if files:
        header["__metadata__"] = {patient: " ".join(map(repr, _origin(path))) for patient, path in files.items()}
        shape = read_patch(next(iter(files.values()))).shape
        size = 2 * int(np.prod(shape))
        for number, patient in enumerate(files):
            place = [number * size, (number + 1) * size]
            header[patient] = {"dtype": "F16", "shape": list(shape), "data_offsets": place}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with atomic(output) as temporary, temporary.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for path in files.values():
            values = read_patch(path).astype("<f2").tobytes()
            if len(values) != size:
                raise ValueError(f"{path}: the size of this patch differs from that of the first one")
            file.write(values)


def _origin(path: str | Path) -> tuple[float, ...]:
    """Return the centre of a patch's first voxel (LPS, mm); only the header is read."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader.GetOrigin()[:3]


def read_patch(path: str | Path) -> np.ndarray:
    """Return one patch as make_patches stores it: float32, shape (channel, x, y, z)."""
    return np.ascontiguousarray(sitk.GetArrayFromImage(read_volume(path)).transpose(0, 3, 2, 1))
