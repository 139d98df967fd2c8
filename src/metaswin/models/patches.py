"""Load patches into memory."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open


@dataclass(frozen=True)
class Patches:
    """Hold the patches of `patients`: `values` is float16, shape (patient, channel, x, y, z).

    Half precision halves the memory of a cohort. At the default window, it rounds the windowed CT by at most 0.1 HU.
    """

    patients: list[str]
    values: torch.Tensor

    def fingerprint(self) -> str:
        """Return a hash of the values, which distinguishes training sets."""
        return hashlib.blake2b(self.values.numpy().data, digest_size=16).hexdigest()


def place_patches(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return `values` in the memory of `device` if they need at most half of its free memory, else unchanged."""
    if device.type == "cpu":
        return values
    free, _ = torch.cuda.mem_get_info(device)
    return values.to(device) if values.nbytes <= free / 2 else values


def take_rows(values: torch.Tensor, rows: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return the `rows` (on the CPU) of `values` as float32 on `device`. The CPU does not wait for the copy."""
    if values.device != device:
        values = values[rows].pin_memory().to(device, non_blocking=True)
        return values.float()
    return values[rows.to(device, non_blocking=True)].float()


def load_patches(path: str | Path, wanted: Iterable[str]) -> Patches:
    """Read the patches of the `wanted` patients, in their order. Patients without a patch are omitted.

    `path` is ``features/patches.safetensors``. The file is mapped into memory, so that only these patches are read.
    """
    with safe_open(path, framework="pt") as file:
        there = set(file.keys())
        patients = [patient for patient in wanted if patient in there]
        if not patients:
            return Patches([], torch.empty((0, 0, 0, 0, 0), dtype=torch.float16))
        values = torch.empty((len(patients), *file.get_slice(patients[0]).get_shape()), dtype=torch.float16)
        for row, patient in enumerate(patients):
            values[row] = file.get_tensor(patient)
    return Patches(patients, values)


def load_patch(path: str | Path, patient: str) -> torch.Tensor:
    """Read one patient's patch: float16, shape (channel, x, y, z)."""
    with safe_open(path, framework="pt") as file:
        return file.get_tensor(patient)


def patch_origin(path: str | Path, patient: str) -> tuple[float, ...]:
    """Return the centre of the first voxel of one patient's patch (LPS, mm)."""
    with safe_open(path, framework="pt") as file:
        return tuple(map(float, file.metadata()[patient].split()))
