"""Draw one QC image of each patient with its contours, and flag unexpected masks."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from metaswin.config.imaging import TISSUES, QcImagesSettings
from metaswin.core.files import read_json, read_volume
from metaswin.core.problems import Findings
from metaswin.core.status import passed_on, patient_job, read_status
from metaswin.imaging.canvas import (
    GAP,
    HEAD,
    PIXELS,
    ROW,
    WIDTH,
    Canvas,
    Colour,
    Line,
    draw_legend,
    label_panel,
    legend_rows,
    outline,
    panel_box,
    planes_through,
    windowed,
)
from metaswin.imaging.patches import PatientFiles, largest_component, voxel_extent, voxel_points

OUTSIDE = 0.05  # accepted fraction of the tumour outside the body: skin, and voxels half filled with air
SIDES = 2.0  # accepted ratio of the larger to the smaller organ of a left-right pair
SIDE = re.compile(r"(^|_)(left|right)(?=_|$)")


def flag(tumor: np.ndarray, organs: np.ndarray, labels: Mapping[str, int], findings: Findings) -> None:
    """Warn of unexpected masks.

    Parameters
    ----------
    tumor, organs : ndarray, shape (slices, rows, columns)
        Label maps on the CT's grid.
    labels : mapping
        Name → label of the organs.
    findings : Findings
        Collects the warnings ``tumor-at-border, tumor-outside-body, organ-empty, organ-at-border,
        organ-sides-differ``.
    """
    look = "look at the QC image and at the contours"
    if _border(tumor).any():
        findings.warn("tumor-at-border", "a tumour mask at the border of the image", "a tumour within it", look)
    if "outside" in labels:
        share = float((organs[tumor > 0] == labels["outside"]).mean())
        if share > OUTSIDE:
            findings.warn(
                "tumor-outside-body",
                f"{share:.0%} of the tumour outside the body",
                f"at most {OUTSIDE:.0%}",
                f"{look}; they may belong to another image",
            )
    named = {name: label for name, label in labels.items() if name not in TISSUES}
    if not named:
        return
    voxels = np.zeros(1 + max(int(organs.max()), *named.values()), dtype=np.int64)
    for plane in organs:
        voxels += np.bincount(plane.ravel(), minlength=len(voxels))
    empty = [name for name, label in named.items() if voxels[label] == 0]
    if empty:
        findings.warn("organ-empty", f"no voxel of {', '.join(empty)}", "organs that the image shows", look)
    cut = set(np.unique(_border(organs)).tolist())
    at_border = [name for name, label in named.items() if label in cut]
    if at_border:
        findings.warn("organ-at-border", f"{', '.join(at_border)} cut off by the image", "whole organs", look)
    whole = {name: int(voxels[label]) for name, label in named.items() if name not in empty + at_border}
    uneven = uneven_pairs(whole)
    if uneven:
        findings.warn(
            "organ-sides-differ",
            "; ".join(f"{left} {ratio:.1f} × {right}" for left, right, ratio in uneven),
            f"left and right within a factor of {SIDES:g}",
            look,
        )


def uneven_pairs(sizes: Mapping[str, int]) -> list[tuple[str, str, float]]:
    """Return the larger organ, the smaller organ and their ratio for each left-right pair that exceeds `SIDES`.

    A pair consists of two names that differ only in ``left`` and ``right``, such as ``parotid_gland_left``.
    """
    found = []
    for name, size in sizes.items():
        if not (side := SIDE.search(name)) or side[2] != "left":
            continue
        other = SIDE.sub(r"\1right", name, count=1)
        if other not in sizes:
            continue
        large, small = (name, other) if size >= sizes[other] else (other, name)
        ratio = sizes[large] / sizes[small]
        if ratio > SIDES:
            found.append((large, small, ratio))
    return found


def _border(labels: np.ndarray) -> np.ndarray:
    """Return the values on the six faces of a volume."""
    faces = [np.take(labels, index, axis).ravel() for axis in range(3) for index in (0, -1)]
    return np.concatenate(faces)


STAGE = "pictures"
LESIONS = {"primary": 1, "nodes": 2}
AIR = -1024.0  # HU beyond the CT
FIELD = (140.0, 320.0)  # mm, shortest and longest edge of a panel

# Okabe and Ito's palette (Color Universal Design, 2008); its dark blue is lightened to be visible on black.
PRIMARY: Colour = (213, 94, 0)
NODES: Colour = (86, 180, 233)
RINGS: list[Colour] = [(240, 228, 66), (250, 244, 170)]
ORGANS: list[Colour] = [(0, 158, 115), (204, 121, 167), (230, 159, 0), (80, 140, 215), (150, 210, 120), (190, 150, 240)]
OTHERS: Colour = (150, 150, 150)


@dataclass(frozen=True)
class Structure:
    """Labels of one label map that are drawn as one structure."""

    words: str
    labels: tuple[int, ...]
    line: Line


def draw_qc_image(
    files: PatientFiles, qc_image: str, status: str, settings: QcImagesSettings, details: str | Path
) -> None:
    """Draw the QC image of one patient and flag unexpected masks.

    Parameters
    ----------
    files : PatientFiles
    qc_image, status : str
        Output files: the PNG, and the status, whose warnings are the flags.
    settings, details
        Settings of the QC images, folder of the private details.
    """
    if passed_on(files.status, STAGE, status, [qc_image], details):
        return
    patient = read_status(files.status).patient
    with patient_job(patient, STAGE, status, [qc_image], details) as findings:
        volumes = {
            "ct": read_volume(files.ct),
            "tumor": read_volume(files.tumor),
            "organs": read_volume(files.organs),
            "regions": read_volume(files.regions),
        }
        organ_labels = read_json(files.organ_facts)["labels"]
        rings = read_json(files.region_facts)["labels"]
        tumor, organs = (sitk.GetArrayViewFromImage(volumes[name]) for name in ("tumor", "organs"))
        flag(tumor, organs, organ_labels, findings)
        shown = {name: label for name, label in organ_labels.items() if name not in settings.leave_out}
        draw(patient, volumes, rings, shown, settings).save(qc_image)


def draw(
    patient: str,
    volumes: Mapping[str, sitk.Image],
    rings: Mapping[str, Sequence[int]],
    organs: Mapping[str, int],
    settings: QcImagesSettings,
) -> Canvas:
    """Draw the axial, coronal and sagittal plane through the middle of the primary (without one, the largest node).

    Parameters
    ----------
    patient : str
    volumes : mapping
        ``ct`` (HU), ``tumor`` and ``organs`` on the CT's grid, ``regions`` on its own grid.
    rings, organs : mapping
        Labels of the regions that exist; labels of the organs to draw.
    settings : QcImagesSettings
    """
    centre, side = _view(volumes["tumor"], settings.margin)
    planes = planes_through(centre, side, PIXELS)
    organ_planes = [plane.cut(volumes["organs"], 0) for plane in planes]
    structures = [
        *(("organs", s) for s in _organs(organ_planes, organs)),
        *(("regions", s) for s in _rings(rings)),
        *(("tumor", s) for s in _lesions(volumes["tumor"])),
    ]
    legend = [(structure.words, structure.line) for _, structure in reversed(structures)]
    rows = legend_rows([words for words, _ in legend])
    canvas = Canvas(WIDTH, HEAD + PIXELS + GAP + rows * ROW, [PRIMARY, NODES, *RINGS, *ORGANS, OTHERS])
    for position, plane in enumerate(planes):
        box = panel_box(position)
        canvas.grey[box] = windowed(plane.cut(volumes["ct"], AIR, linear=True), settings.window)
        cut = {"organs": organ_planes[position]}
        cut |= {name: plane.cut(volumes[name], 0) for name in ("regions", "tumor")}
        for source, structure in structures:
            mask = np.isin(cut[source], structure.labels)
            canvas.line[box][outline(mask, structure.line)] = structure.line.colour
        label_panel(canvas, position, plane.name, side / PIXELS)
    low, high = settings.window
    what = "primary" if (sitk.GetArrayViewFromImage(volumes["tumor"]) == LESIONS["primary"]).any() else "largest node"
    canvas.write_words(4, HEAD // 2, patient)
    note = f"planes through the {what}; window {high - low:g} HU around {(high + low) / 2:g} HU"
    canvas.write_words(WIDTH - 4, HEAD // 2, note, "rm")
    draw_legend(canvas, HEAD + PIXELS + GAP, legend)
    return canvas


def _view(tumor: sitk.Image, margin: float) -> tuple[tuple[float, float, float], float]:
    """Return the point of the main lesion nearest to its centroid, and the edge of the field around it (mm).

    The field contains all lesions and the margin. If that exceeds the longest edge, it contains the main lesion and
    the margin, up to the longest edge.
    """
    labels = sitk.GetArrayViewFromImage(tumor)
    primary = labels == LESIONS["primary"]
    main = voxel_points(tumor, primary if primary.any() else largest_component(labels == LESIONS["nodes"]))
    everything = voxel_points(tumor, labels > 0)
    middle = main.mean(axis=0)
    centre = main[np.argmin(((main - middle) ** 2).sum(axis=1))]
    shortest, longest = FIELD
    for points in (everything, main):
        reach = (np.abs(points - centre) + voxel_extent(tumor) / 2).max() + margin
        if 2 * reach <= longest:
            break
    return tuple(centre.tolist()), float(np.clip(2 * reach, shortest, longest))


def _lesions(tumor: sitk.Image) -> list[Structure]:
    """Return the nodes, then the primary, which is drawn last."""
    labels = sitk.GetArrayViewFromImage(tumor)
    cubic = float(np.prod(tumor.GetSpacing())) / 1000
    colours = {"nodes": 2, "primary": 1}
    voxels = {role: int(np.count_nonzero(labels == LESIONS[role])) for role in colours}
    return [
        Structure(f"{role} {voxels[role] * cubic:.1f} cm³", (LESIONS[role],), Line(colour, width=2))
        for role, colour in colours.items()
        if voxels[role]
    ]


def _rings(labels: Mapping[str, Sequence[int]]) -> list[Structure]:
    names = [name for name in labels if name.startswith("ring_")]
    return [
        Structure(_ring_words(name), tuple(labels[name]), Line(3 + i % len(RINGS), dotted=True))
        for i, name in enumerate(names)
    ]


def _ring_words(name: str) -> str:
    """Return ``ring 0–10 mm`` for ``ring_0_10mm``."""
    low, high = name.removeprefix("ring_").removesuffix("mm").split("_")
    return f"ring {low}–{high} mm"


def _organs(planes: Sequence[np.ndarray], labels: Mapping[str, int]) -> list[Structure]:
    """Return the organs that the planes show: the largest ones each with its own colour, the others with one colour."""
    areas = {name: sum(int(np.count_nonzero(plane == label)) for plane in planes) for name, label in labels.items()}
    seen = sorted((name for name, area in areas.items() if area), key=lambda name: (-areas[name], name))
    first = 3 + len(RINGS)
    own, rest = seen[: len(ORGANS)], seen[len(ORGANS) :]
    structures = [Structure(name.replace("_", " "), (labels[name],), Line(first + i)) for i, name in enumerate(own)]
    if rest:
        words = f"{len(rest)} other organ{'s' * (len(rest) > 1)}"
        structures.append(Structure(words, tuple(labels[name] for name in rest), Line(first + len(ORGANS))))
    return structures[::-1]
