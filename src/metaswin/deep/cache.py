"""Patches in memory."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk
import torch

from metaswin.files import read_volume


@dataclass(frozen=True)
class Patches:
    """Patches of `patients`: `values` is float16, shape (patient, channel, x, y, z).

    Half precision halves the memory of a cohort; on the windowed CT it rounds by at most 0.1 HU at the default
    window.
    """

    patients: list[str]
    values: torch.Tensor

    def fingerprint(self) -> str:
        """Hash of the values, to tell one training set from another."""
        return hashlib.blake2b(self.values.numpy().data, digest_size=16).hexdigest()


def patient_of(path: str | Path) -> str:
    """Study id of a patch file."""
    return Path(path).name.removesuffix(".nii.gz")


def place_patches(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`values` in the memory of `device` where they take at most half of what is free there, else as they are."""
    if device.type == "cpu":
        return values
    free, _ = torch.cuda.mem_get_info(device)
    return values.to(device) if values.nbytes <= free / 2 else values


def take_rows(values: torch.Tensor, rows: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The `rows` (on the CPU) of `values` as float32 on `device`; the CPU does not wait for the copy."""
    if values.device != device:
        values = values[rows].pin_memory().to(device, non_blocking=True)
        return values.float()
    return values[rows.to(device, non_blocking=True)].float()


def load_patches(paths: Iterable[str | Path], wanted: Iterable[str]) -> Patches:
    """Read the patches of the `wanted` patients, in their order; empty files (no patch) are left out.

    Only these files are opened, one at a time.
    """
    files = {patient_of(path): Path(path) for path in paths}
    patients = [patient for patient in wanted if files[patient].stat().st_size > 0]
    if not patients:
        return Patches([], torch.empty((0, 0, 0, 0, 0), dtype=torch.float16))
    first = load_patch(files[patients[0]])
    values = torch.empty((len(patients), *first.shape), dtype=torch.float16)
    values[0] = first
    for row, patient in enumerate(patients[1:], start=1):
        values[row] = load_patch(files[patient])
    return Patches(patients, values)


def load_patch(path: str | Path) -> torch.Tensor:
    """One patch as stored by make_patches: float32, shape (channel, x, y, z)."""
    array = sitk.GetArrayFromImage(read_volume(path))
    return torch.from_numpy(array).permute(0, 3, 2, 1).contiguous()
