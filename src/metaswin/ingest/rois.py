"""ROI names and their roles: primary tumour, nodes, or neither."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from metaswin.ingest.settings import RoiSettings

ROLES = ("primary", "nodes")
# What such names hold where they are like no pattern.
WORDS = {"primary": ("gtv", "primary", "tumor", "tumour"), "nodes": ("gtvn", "node", "lymph")}


@dataclass(frozen=True)
class Roi:
    """One ROI of a structure set or one segment of a segmentation.

    `contours` counts closed contours or frames, None where it is not said; `box` is about where it lies: least and
    greatest x, y, z (mm), None where that is not known.
    """

    number: int
    name: str
    contours: int | None
    box: list[float] | None = None

    @property
    def empty(self) -> bool:
        return self.contours == 0

    def as_json(self) -> dict[str, Any]:
        return {"number": self.number, "name": self.name}


def roles_of(name: str, settings: RoiSettings) -> tuple[str, ...]:
    """Every role whose patterns match the whole trimmed name, case ignored; none for an excluded name."""
    if _matches(name, settings.exclude):
        return ()
    return tuple(role for role in ROLES if _matches(name, getattr(settings, role)))


def by_role(rois: Iterable[Roi], settings: RoiSettings) -> dict[str, list[Roi]]:
    """The matching ROIs of each role, in the object's order; one that matches both roles is primary."""
    matched: dict[str, list[Roi]] = {role: [] for role in ROLES}
    for roi in rois:
        roles = roles_of(roi.name, settings)
        if roles:
            matched[roles[0]].append(roi)
    return matched


def explain_no_match(names: Iterable[str], settings: RoiSettings) -> str:
    """Names found, patterns tried and the nearest names, for the private details of ``no-matching-roi``."""
    found = sorted(set(names))
    lines = ["names found: " + (", ".join(map(repr, found)) or "none")]
    for role in ROLES:
        lines.append(f"patterns tried for {role}: " + (", ".join(map(repr, getattr(settings, role))) or "none"))
    lines += [f"left out by ingest.rois.exclude: {name!r}" for name in found if _matches(name, settings.exclude)]
    for role in ROLES:
        near = _nearest([name for name in found if not _matches(name, settings.exclude)], role, settings)
        if near:
            lines.append(f"nearest for {role}: {near!r}; to take it, add '{re.escape(near)}' to ingest.rois.{role}")
    return "\n".join(lines)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(re.fullmatch(pattern, name.strip(), re.IGNORECASE) for pattern in patterns)


def _nearest(names: list[str], role: str, settings: RoiSettings) -> str | None:
    """The name most like a pattern read as plain text, else the one with most of the role's words; None for neither."""
    patterns = [re.sub(r"\[[^\]]*\]|\\.|[^a-z0-9]", "", pattern.casefold()) for pattern in getattr(settings, role)]
    plain = {name: re.sub(r"[^a-z0-9]", "", name.casefold()) for name in names}
    alike = [
        (difflib.SequenceMatcher(None, pattern, text).ratio(), name)
        for name, text in plain.items()
        for pattern in filter(None, patterns)
    ]
    best = max(alike, default=(0.0, ""), key=lambda pair: pair[0])
    if best[0] >= 0.5:
        return best[1]
    held = [(sum(word in text for word in WORDS[role]), name) for name, text in plain.items()]
    most = max(held, default=(0, ""), key=lambda pair: pair[0])
    return most[1] if most[0] else None
