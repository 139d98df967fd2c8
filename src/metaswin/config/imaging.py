"""Settings of the chapter imaging: conversion, organs, regions, patches and pictures."""

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from metaswin.core.settings import Settings


class NnunetSettings(Settings):
    """A trained nnU-Net v2 model folder that draws the tumour (``ingest.tumor_source: nnunet``)."""

    model_folder: str | None = None
    folds: list[int] = [0]
    checkpoint: str = "checkpoint_final.pth"
    primary_label: int = 1
    nodes_label: int | None = None


class ImagesSettings(Settings):
    """CT conversion.

    `max_spacing_deviation` (mm) is the largest accepted difference of two slice distances within a series;
    `max_slice_spacing` (mm) the largest accepted slice distance. A voxel of a fractional DICOM SEG belongs to the
    lesion from `seg_threshold` of the segmentation's maximum on.
    """

    max_spacing_deviation: float = Field(default=0.1, gt=0)
    max_slice_spacing: float = Field(default=6.0, gt=0)
    min_slices: int = Field(default=5, ge=1)
    seg_threshold: float = Field(default=0.5, gt=0, le=1)
    nnunet: NnunetSettings = NnunetSettings()


TISSUES = ("air", "fat", "soft_tissue", "bone", "outside")

# Tasks of TotalSegmentator with an open licence (Apache-2.0) that draw something in the head and neck.
OPEN_TASKS = (
    "total", "head_glands_cavities", "headneck_bones_vessels", "headneck_muscles", "head_muscles",
    "craniofacial_structures", "oculomotor_muscles",
)  # fmt: skip
LICENSED_TASKS = ("brain_structures", "face")

HEAD_AND_NECK = (
    "brain", "skull", "spinal_cord", "esophagus", "trachea", "thyroid_gland", "lung_upper_lobe_left",
    "lung_upper_lobe_right", "aorta", "brachiocephalic_trunk", "brachiocephalic_vein_left",
    "brachiocephalic_vein_right", "common_carotid_artery_left", "common_carotid_artery_right",
    "subclavian_artery_left", "subclavian_artery_right", "clavicula_left", "clavicula_right",
    *(f"vertebrae_C{number}" for number in range(1, 8)), *(f"vertebrae_T{number}" for number in range(1, 5)),
)  # fmt: skip
"""Structures of the task `total` that lie in the head and neck or at its edge."""

GROUPS = {
    "bone": [
        "bone", "skull", "vertebrae_*", "clavicula_*", "hyoid", "zygomatic_arch_*", "styloid_process_*", "hard_palate",
        "mandible", "teeth_*",
    ],
    "air": ["air", "trachea", "larynx_air", "nasal_cavity_*", "auditory_canal_*", "sinus_*", "lung_*"],
    "glands": ["parotid_gland_*", "submandibular_gland_*", "thyroid_gland"],
    "vessels": ["*_artery_*", "*_vein_*", "brachiocephalic_trunk", "aorta"],
    "nerves": ["brain", "spinal_cord", "optic_nerve_*", "eye_*"],
}  # fmt: skip


class ThresholdSettings(Settings):
    """Limits of the `threshold` backend (HU).

    Connected parts of air or bone smaller than `min_component_mm3` (mm³) are noise and count as soft tissue;
    so does all of the body that is neither air, fat nor bone.
    """

    air_below: float = -400.0
    fat: tuple[float, float] = (-190.0, -30.0)
    bone_above: float = 200.0
    min_component_mm3: float = Field(default=50.0, ge=0)

    @model_validator(mode="after")
    def _ascending(self) -> "ThresholdSettings":
        limits = (self.air_below, *self.fat, self.bone_above)
        if list(limits) != sorted(limits) or len(set(limits)) < len(limits):
            raise ValueError(f"air_below, fat and bone_above must ascend; found {limits}")
        return self


class MasksSettings(Settings):
    """The user's own organ masks: a NIfTI per organ at `pattern`, where ``{patient}`` and ``{organ}`` are filled in.

    `rtstruct_rois` maps organ names to regular expressions of ROI names (case ignored, whole name) in the RTSTRUCT
    that holds the tumour. Where organs overlap the first named wins. With `tissues` the rest of the body takes
    the labels of the `threshold` backend, which the ring's cleaning needs.
    """

    pattern: str | None = None
    organs: list[str] = []
    rtstruct_rois: dict[str, list[str]] = {}
    tissues: bool = True

    @property
    def names(self) -> list[str]:
        """All organs, in the order in which they win."""
        return [*self.organs, *(name for name in self.rtstruct_rois if name not in self.organs)]

    @model_validator(mode="after")
    def _consistent(self) -> "MasksSettings":
        if self.organs and "{patient}" not in (self.pattern or ""):
            raise ValueError("organs need a pattern with {patient}")
        if len(self.organs) > 1 and "{organ}" not in (self.pattern or ""):
            raise ValueError("several organs need a pattern with {organ}")
        try:
            (self.pattern or "").format(patient="patient", organ="organ")
        except (IndexError, KeyError, ValueError):
            raise ValueError(f"pattern {self.pattern!r} may hold {{patient}} and {{organ}}, no other braces") from None
        taken = [name for name in self.names if name in TISSUES]
        if self.tissues and taken:
            raise ValueError(f"{', '.join(taken)}: names of tissues; rename the organs or set tissues to false")
        for name, patterns in self.rtstruct_rois.items():
            for pattern in patterns:
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise ValueError(f"{name}: {pattern!r} is no regular expression ({error})") from None
        return self


class TotalSegmentatorSettings(Settings):
    """TotalSegmentator (Wasserthal et al. 2023, Radiol Artif Intell 5:e230024) on the CT.

    `tasks` are drawn one after the other; where they overlap, the later one wins. Of the task `total` only
    `structures` are kept (all with an empty list); with `fast` it runs at 3 mm. Tasks whose licence is not open
    want a `license` number. `weights` is a folder (relative to the working directory) with TotalSegmentator's own
    layout; nothing is downloaded during a run. One model load serves up to `batch_size` patients. `crop_margin`
    (mm) cuts the CT to the tumour's box and that margin first; `tissues` label the rest of the body by HU.
    """

    tasks: list[str] = Field(
        default=["total", "head_glands_cavities", "headneck_bones_vessels", "headneck_muscles"], min_length=1
    )
    structures: list[str] = list(HEAD_AND_NECK)
    fast: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(default=2, ge=1)
    weights: str = "weights/totalsegmentator"
    license: str | None = None
    batch_size: int = Field(default=20, ge=1)
    crop_margin: float | None = Field(default=None, gt=0)
    tissues: bool = True

    @model_validator(mode="after")
    def _tasks_can_run(self) -> "TotalSegmentatorSettings":
        for task in self.tasks:
            if task in LICENSED_TASKS and self.license is None:
                raise ValueError(
                    f"the task {task} is not openly licensed: TotalSegmentator's authors give a number for it "
                    "(free for non-commercial use); set license, or take the task out"
                )
            if task not in OPEN_TASKS and task not in LICENSED_TASKS:
                raise ValueError(f"no task {task!r}; there are {', '.join((*OPEN_TASKS, *LICENSED_TASKS))}")
        if self.fast and self.tasks == [task for task in self.tasks if task != "total"]:
            raise ValueError("fast concerns the task total, which is not among the tasks")
        return self


class OrgansSettings(Settings):
    """Backend of the organ masks.

    Later stages use its labels and the `groups` (name → names, ``*`` for any letters) by name, in
    ``regions.ring_excludes``, ``patches.organ_groups`` and the modality `anatomy`.
    """

    backend: Literal["threshold", "masks", "totalsegmentator"] = "totalsegmentator"
    threshold: ThresholdSettings = ThresholdSettings()
    masks: MasksSettings = MasksSettings()
    totalsegmentator: TotalSegmentatorSettings = TotalSegmentatorSettings()
    groups: dict[str, list[str]] = GROUPS

    @model_validator(mode="after")
    def _has_masks(self) -> "OrgansSettings":
        if self.backend == "masks" and not self.masks.names:
            raise ValueError("backend masks needs masks.organs with masks.pattern, or masks.rtstruct_rois")
        return self


class RegionsSettings(Settings):
    """One grid a patient and the regions on it.

    `spacing` (mm) is the isotropic grid all radiomics is computed on; `crop_margin` (mm) surrounds the union of
    all regions. Each ring is a pair of distances (mm) from any lesion: voxels farther than the first and at most as
    far as the second; rings may overlap. `ring_excludes` are labels of the organ masks that no ring may hold. A
    ring under `min_ring_voxels` is missing; a tumour under `min_tumor_voxels` excludes the patient.
    """

    spacing: float = Field(default=1.0, gt=0)
    image_interpolation: Literal["bspline", "linear"] = "bspline"
    mask_interpolation: Literal["nearest", "linear"] = "nearest"
    crop_margin: float = Field(default=25.0, ge=0)
    rings: list[tuple[float, float]] = [(0.0, 10.0)]
    ring_excludes: list[str] = ["air", "bone", "outside"]
    min_ring_voxels: int = Field(default=100, ge=1)
    min_tumor_voxels: int = Field(default=8, ge=1)

    @field_validator("rings")
    @classmethod
    def _ascending(cls, rings: list[tuple[float, float]]) -> list[tuple[float, float]]:
        for low, high in rings:
            if not 0 <= low < high:
                raise ValueError(
                    f"a ring goes from a smaller to a larger distance, 0 or more; found [{low:g}, {high:g}]"
                )
        if len(set(rings)) < len(rings):
            raise ValueError("the same ring is named twice")
        return rings

    @property
    def reach(self) -> float:
        """Outer distance of the widest ring (mm)."""
        return max((high for _, high in self.rings), default=0.0)


def ring_name(ring: tuple[float, float]) -> str:
    """Name of a ring, such as ``ring_0_10mm``."""
    return f"ring_{ring[0]:g}_{ring[1]:g}mm"


class PatchesSettings(Settings):
    """A cube of `size` voxels at `spacing` (mm) around the tumour.

    Channels: CT clipped to `window` (HU) and scaled to 0…1, tumour, ring, then one channel per entry of
    `organ_groups`, which maps a channel name to organ names. All but the CT are the fraction of the voxel
    that lies in the region.
    """

    size: int = Field(default=64, ge=32, multiple_of=16)
    spacing: float = Field(default=1.5, gt=0)
    window: tuple[float, float] = (-160.0, 240.0)
    organ_groups: dict[str, list[str]] = {"bone": ["bone"], "air": ["air"]}

    @field_validator("window")
    @classmethod
    def _ordered(cls, window: tuple[float, float]) -> tuple[float, float]:
        if window[0] >= window[1]:
            raise ValueError("the lower limit must be below the upper one")
        return window

    @field_validator("organ_groups")
    @classmethod
    def _named_apart(cls, groups: dict[str, list[str]]) -> dict[str, list[str]]:
        taken = sorted({"ct", "tumor", "ring"} & set(groups))
        if taken:
            raise ValueError(f"{', '.join(taken)} is a channel already; give the organ group another name")
        return groups


class PicturesSettings(Settings):
    """The CT of the pictures in `window` (HU), with `margin` (mm) around the lesions.

    `leave_out` are labels of the organ masks that are not drawn.
    """

    window: tuple[float, float] = (-160.0, 240.0)
    margin: float = Field(default=50.0, ge=10)
    leave_out: list[str] = ["fat", "soft_tissue", "outside"]

    @field_validator("window")
    @classmethod
    def _ordered(cls, window: tuple[float, float]) -> tuple[float, float]:
        if window[0] >= window[1]:
            raise ValueError("the lower limit must be below the upper one")
        return window
