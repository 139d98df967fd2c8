"""What looks odd about one patient's masks: for the eye of the reader, nobody is excluded for it."""

import re
from collections.abc import Mapping

import numpy as np

from metaswin.organs.settings import TISSUES
from metaswin.problems import Findings

OUTSIDE = 0.05  # this share of the tumour may lie outside the body: skin, and voxels half of air
SIDES = 2.0  # the larger of a pair of organs may be so many times the smaller
SIDE = re.compile(r"(^|_)(left|right)(?=_|$)")


def flag(tumor: np.ndarray, organs: np.ndarray, labels: Mapping[str, int], findings: Findings) -> None:
    """Warn of masks that look odd.

    Parameters
    ----------
    tumor, organs : ndarray, shape (slices, rows, columns)
        Label maps on the CT's grid.
    labels : mapping
        Name → label of the organs.
    findings : Findings
        Takes the warnings ``tumor-at-border, tumor-outside-body, organ-empty, organ-at-border, organ-sides-differ``.
    """
    look = "look at the picture and at the contours"
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
    odd = uneven_pairs(whole)
    if odd:
        findings.warn(
            "organ-sides-differ",
            "; ".join(f"{left} {ratio:.1f} × {right}" for left, right, ratio in odd),
            f"left and right within a factor of {SIDES:g}",
            look,
        )


def uneven_pairs(sizes: Mapping[str, int]) -> list[tuple[str, str, float]]:
    """The larger, the smaller and the ratio of each left-right pair that differs by more than `SIDES`.

    A pair is two names that differ by ``left`` and ``right`` alone, such as ``parotid_gland_left``.
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
    """Values on the six faces of a volume."""
    faces = [np.take(labels, index, axis).ravel() for axis in range(3) for index in (0, -1)]
    return np.concatenate(faces)
