"""Write the images of one simulated patient: phantom, lesions, scan, contours, DICOM."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from metaswin.simulate.contours import Roi, trace
from metaswin.simulate.dicom import Subject, write_ct, write_rtstruct
from metaswin.simulate.lesions import Lesion, LesionPlan, add_lesions
from metaswin.simulate.phantom import Anatomy, Grid, build_anatomy
from metaswin.simulate.population import STREAM_IMAGE, generator
from metaswin.simulate.scanners import SCANNERS, Scanner, acquire, scan_grid, sharpened

CT_SERIES, SHARP_SERIES = 2, 5
CTV_FACTOR = 1.25
ORGAN_TOLERANCE = 0.25
"""Contours of organs are simplified with this tolerance (pixels); contours of lesions are exact."""


@dataclass(frozen=True)
class ImagePlan:
    """Everything on which the images of one patient depend."""

    subject: Subject
    lesions: LesionPlan
    scanner: int
    matrix: int
    coverage: float
    scanner_shift: float
    extra_series: float


def write_patient(root: Path, plan: ImagePlan) -> dict[str, float]:
    """Write the CT series and the contours of one patient below `root`; return the true volumes (mm³) by role.

    All files are written into a separate folder first and then moved, so that an incomplete patient is never visible.
    """
    scanner = SCANNERS[plan.scanner]
    grid = scan_grid(scanner, plan.matrix, plan.coverage)
    rng = generator(STREAM_IMAGE, *plan.subject.key)
    anatomy = build_anatomy(grid, rng, plan.lesions.contrast)
    lesions = add_lesions(anatomy, grid, plan.lesions, rng)
    names = [str(rng.choice(scanner.primary_names)), str(rng.choice(scanner.node_names))]
    rois = _rois(anatomy, grid, scanner, lesions, names)
    staging = root / f".part-{os.getpid()}-{plan.subject.patient}"
    staging.mkdir(parents=True)
    try:
        hu = acquire(anatomy.hu, grid, scanner, plan.scanner_shift, rng)
        series = write_ct(staging, plan.subject, scanner, grid, hu, CT_SERIES, plan.lesions.contrast)
        write_rtstruct(staging, plan.subject, scanner, grid, series, rois)
        if rng.random() < plan.extra_series:
            sharp = sharpened(scanner)
            hu = acquire(anatomy.hu, grid, sharp, 1.0, rng)
            write_ct(staging, plan.subject, sharp, grid, hu, SHARP_SERIES, plan.lesions.contrast)
        for entry in sorted(staging.iterdir()):
            entry.replace(root / entry.name)
    finally:
        shutil.rmtree(staging)
    voxel = grid.spacing[0] * grid.spacing[1] * grid.spacing[2]
    return {
        role: float(sum(int(lesion.mask.sum()) for lesion in lesions if lesion.role == role) * voxel)
        for role in ("primary", "nodes")
    }


def _rois(anatomy: Anatomy, grid: Grid, scanner: Scanner, lesions: list[Lesion], names: list[str]) -> list[Roi]:
    """Return the lesions with the names that the centre uses, placed between its other structures."""
    rois = []
    nodes = [lesion for lesion in lesions if lesion.role == "nodes"]
    for lesion in lesions:
        if lesion.role == "primary":
            rois.append(Roi(names[0], "GTV", trace(lesion.level, lesion.threshold, grid)))
    traced = [trace(node.level, node.threshold, grid) for node in nodes]
    if scanner.separate_nodes and len(traced) > 1:
        rois += [Roi(f"{names[1]}{number}", "GTV", contours) for number, contours in enumerate(traced, start=1)]
    elif traced:
        rois.append(Roi(names[1], "GTV", tuple(contour for contours in traced for contour in contours)))
    others = [_distractor(name, anatomy, grid, lesions[0]) for name in scanner.distractors]
    return [others[0], *rois, *others[1:]]


def _distractor(name: str, anatomy: Anatomy, grid: Grid, lesion: Lesion) -> Roi:
    if name.startswith("CTV"):
        return Roi(name, "CTV", trace(lesion.level, CTV_FACTOR * lesion.threshold, grid, ORGAN_TOLERANCE))
    kind = "EXTERNAL" if name == "External" else "ORGAN"
    return Roi(name, kind, trace(-anatomy.structures[name], -0.5, grid, ORGAN_TOLERANCE))
