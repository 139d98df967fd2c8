"""Define the settings of the chapter imaging: conversion, organs, regions, patches and QC images."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from metaswin.core.settings import Device, Settings


class NnunetSettings(Settings):
    """A trained nnU-Net v2 model that segments the tumour, with ingest.tumor_source: nnunet."""

    model_folder: str | None = Field(default=None, description="Folder of the trained model.")
    folds: list[Annotated[int, Field(ge=0)]] = Field(
        default=[0], description="Folds of the model whose networks are averaged."
    )
    checkpoint: str = Field(default="checkpoint_final.pth", description="File of the weights in the folder of a fold.")
    primary_label: int = Field(default=1, ge=1, description="Label of the primary tumour.")
    nodes_label: int | None = Field(default=None, description="Label of the lymph nodes. null: no lymph nodes.")


class ImagesSettings(Settings):
    """Conversion of the CT and the masks of the lesions."""

    max_spacing_deviation: float = Field(
        default=0.1, gt=0, description="Largest accepted difference of two slice distances within a series (mm)."
    )
    max_slice_spacing: float = Field(default=6.0, gt=0, description="Largest accepted slice distance (mm).")
    min_slices: int = Field(default=5, ge=1, description="Smallest accepted number of slices.")
    seg_threshold: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Fraction of the maximum of a fractional DICOM SEG at or above which a voxel belongs to the "
        "lesion.",
    )
    nnunet: NnunetSettings = NnunetSettings()


TISSUES = ("air", "fat", "soft_tissue", "bone", "outside")

# Tasks of TotalSegmentator with an open licence (Apache-2.0) that segment structures in the head and neck.
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
"""Structures of the task `total` in the head and neck or at its edge."""

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
    """Tissues by HU. Voxels of the body that are not air, fat or bone are soft tissue."""

    air_below: float = Field(default=-400.0, description="Upper limit of air (HU).")
    fat: tuple[float, float] = Field(default=(-190.0, -30.0), description="Limits of fat (HU).")
    bone_above: float = Field(default=200.0, description="Lower limit of bone (HU).")
    min_component_mm3: float = Field(
        default=50.0, ge=0, description="Smaller connected components of air or bone become soft tissue (mm³)."
    )

    @model_validator(mode="after")
    def _ascending(self) -> "ThresholdSettings":
        limits = (self.air_below, *self.fat, self.bone_above)
        if list(limits) != sorted(limits) or len(set(limits)) < len(limits):
            raise ValueError(f"air_below, fat and bone_above must ascend; found {limits}")
        return self


class MasksSettings(Settings):
    """Your own organ masks. If organs overlap, the first named organ has priority."""

    pattern: str | None = Field(
        default=None, description="Path of one NIfTI file per organ, in which {patient} and {organ} are replaced."
    )
    organs: list[str] = Field(default=[], description="Names of the organs at pattern.")
    rtstruct_rois: dict[str, list[str]] = Field(
        default={},
        description="Organ: regular expressions for the whole ROI name, ignoring case, in the RTSTRUCT that contains "
        "the tumour.",
    )
    tissues: bool = Field(
        default=True,
        description="Label the rest of the body by organs.threshold. This is needed to remove bone and air from rings.",
    )

    @property
    def names(self) -> list[str]:
        """All organs in the order of their priority."""
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
            raise ValueError(
                f"pattern {self.pattern!r} may contain {{patient}} and {{organ}}, but no other braces"
            ) from None
        taken = [name for name in self.names if name in TISSUES]
        if self.tissues and taken:
            raise ValueError(f"{', '.join(taken)} are names of tissues; rename the organs or set tissues to false")
        for name, patterns in self.rtstruct_rois.items():
            for pattern in patterns:
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise ValueError(f"{name}: {pattern!r} is not a regular expression ({error})") from None
        return self


class TotalSegmentatorSettings(Settings):
    """TotalSegmentator (Wasserthal et al. 2023, Radiol Artif Intell 5:e230024) on the CT."""

    tasks: list[str] = Field(
        default=["total", "head_glands_cavities", "headneck_bones_vessels", "headneck_muscles"],
        min_length=1,
        description="Tasks in their order. If they overlap, the later task has priority. Open licence: "
        f"{', '.join(OPEN_TASKS)}. With a license number: {', '.join(LICENSED_TASKS)}.",
    )
    structures: list[str] = Field(
        default=list(HEAD_AND_NECK), description="Structures of the task total that are kept. []: all 117."
    )
    fast: bool = Field(default=False, description="Run the task total at 3 mm.")
    device: Device = "auto"
    threads: int = Field(default=2, ge=1, description="CPU threads of a job.")
    weights: str = Field(
        default="weights/totalsegmentator",
        description="Folder of the weights in the layout of TotalSegmentator, relative to the working directory. See "
        "`metaswin weights list | fetch | verify`. Nothing is downloaded during a run.",
    )
    license: str | None = Field(
        default=None,
        description="License number for tasks without an open licence, from the authors of TotalSegmentator.",
    )
    batch_size: int = Field(default=20, ge=1, description="Patients per job, for which the models are loaded once.")
    crop_margin: float | None = Field(
        default=None,
        gt=0,
        description="Crop the CT to the box of the tumour plus this margin (mm). null: the whole CT.",
    )
    tissues: bool = Field(default=True, description="Label the rest of the body by organs.threshold.")

    @model_validator(mode="after")
    def _tasks_can_run(self) -> "TotalSegmentatorSettings":
        for task in self.tasks:
            if task in LICENSED_TASKS and self.license is None:
                raise ValueError(
                    f"the task {task} has no open licence; get a license number from the authors of TotalSegmentator "
                    "(free for non-commercial use) and set license, or remove the task"
                )
            if task not in OPEN_TASKS and task not in LICENSED_TASKS:
                raise ValueError(f"no task {task!r}; the tasks are {', '.join((*OPEN_TASKS, *LICENSED_TASKS))}")
        if self.fast and self.tasks == [task for task in self.tasks if task != "total"]:
            raise ValueError("fast applies only to the task total, which is not in tasks; add it or set fast to false")
        return self


class OrgansSettings(Settings):
    """Organ masks. Later stages use their labels by name."""

    backend: Literal["threshold", "masks", "totalsegmentator"] = Field(
        default="totalsegmentator",
        description="totalsegmentator: networks of TotalSegmentator. threshold: tissues by HU, which needs no weights. "
        "masks: your own masks.",
    )
    totalsegmentator: TotalSegmentatorSettings = TotalSegmentatorSettings()
    threshold: ThresholdSettings = ThresholdSettings()
    masks: MasksSettings = MasksSettings()
    groups: dict[str, list[str]] = Field(
        default=GROUPS,
        description="Groups of organs for regions.ring_excludes, patches.organ_groups and anatomy.structures. * "
        "matches any characters.",
    )

    @model_validator(mode="after")
    def _has_masks(self) -> "OrgansSettings":
        if self.backend == "masks" and not self.masks.names:
            raise ValueError("backend masks needs masks.organs with masks.pattern, or masks.rtstruct_rois")
        return self


class RegionsSettings(Settings):
    """The regions of a patient and their grid."""

    spacing: float = Field(default=1.0, gt=0, description="Isotropic spacing of the grid of all radiomics (mm).")
    image_interpolation: Literal["bspline", "linear"] = Field(default="bspline", description="Resampling of the CT.")
    mask_interpolation: Literal["nearest", "linear"] = Field(default="nearest", description="Resampling of the masks.")
    crop_margin: float = Field(default=25.0, ge=0, description="Margin around the union of all regions (mm).")
    rings: list[tuple[float, float]] = Field(
        default=[(0.0, 10.0)],
        description="Rings around the lesions. A ring contains the voxels whose distance from the nearest lesion is "
        "larger than the first and at most the second value (mm). Rings may overlap.",
    )
    ring_excludes: list[str] = Field(
        default=["air", "bone", "outside"],
        description="Organs, tissues or groups of organs.groups that are removed from the rings.",
    )
    min_ring_voxels: int = Field(default=100, ge=1, description="A ring with fewer voxels is missing.")
    min_tumor_voxels: int = Field(default=8, ge=1, description="A tumour with fewer voxels excludes the patient.")

    @field_validator("rings")
    @classmethod
    def _ascending(cls, rings: list[tuple[float, float]]) -> list[tuple[float, float]]:
        for low, high in rings:
            if not 0 <= low < high:
                raise ValueError(
                    f"a ring needs a smaller and then a larger distance, 0 or more; found [{low:g}, {high:g}]"
                )
        if len(set(rings)) < len(rings):
            raise ValueError("the same ring is named twice")
        return rings

    @property
    def reach(self) -> float:
        """Outer distance of the widest ring (mm)."""
        return max((high for _, high in self.rings), default=0.0)


def ring_name(ring: tuple[float, float]) -> str:
    """Return the name of a ring, such as ``ring_0_10mm``."""
    return f"ring_{ring[0]:g}_{ring[1]:g}mm"


class PatchesSettings(Settings):
    """A cube around the tumour, which is the input of the networks.

    The channels are the CT clipped to `window` and scaled to 0…1, the tumour, the ring, and one channel per entry of
    `organ_groups`. All channels except the CT are the fraction of the voxel that is in the region.
    """

    size: int = Field(default=64, ge=32, multiple_of=16, description="Edge of the cube (voxels).")
    spacing: float = Field(default=1.5, gt=0, description="Spacing of its voxels (mm).")
    window: tuple[float, float] = Field(
        default=(-160.0, 240.0), description="Limits to which the CT is clipped (HU) before it is scaled to 0…1."
    )
    organ_groups: dict[str, list[str]] = Field(
        default={"bone": ["bone"], "air": ["air"]},
        description="Channels in addition to CT, tumour and ring, each with its organs, tissues or groups of "
        "organs.groups. All channels except the CT contain the fraction of the voxel that is in the region.",
    )

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
            raise ValueError(f"{', '.join(taken)} is already a channel; give the organ group another name")
        return groups


class QcImagesSettings(Settings):
    """One QC image per patient, with contours."""

    window: tuple[float, float] = Field(default=(-160.0, 240.0), description="Limits of the grey values (HU).")
    margin: float = Field(default=50.0, ge=10, description="Margin around the lesions (mm).")
    leave_out: list[str] = Field(
        default=["fat", "soft_tissue", "outside"], description="Labels of the organ masks that are not drawn."
    )

    @field_validator("window")
    @classmethod
    def _ordered(cls, window: tuple[float, float]) -> tuple[float, float]:
        if window[0] >= window[1]:
            raise ValueError("the lower limit must be below the upper one")
        return window


class ExportSettings(Settings):
    """Export as DICOM (target export)."""

    features: list[str] | None = Field(
        default=None,
        description="Features of the structured report, by their names in results/radiomics. null: those of the "
        "original image that have an IBSI code.",
    )
