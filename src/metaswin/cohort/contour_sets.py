"""Read what an RTSTRUCT or DICOM SEG contains, and match its ROI names with roles."""

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pydicom
from pydicom.dataelem import RawDataElement

from metaswin.config.cohort import RoiSettings

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
CONTOUR_CLASSES = (RTSTRUCT, *SEGMENTATIONS)
CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "")


def contour_facts(dataset: pydicom.Dataset, sop_class: str) -> str:
    """Return JSON of ``{"rois": [{"number", "name", "contours", "box"}…], "series", "frames", "sops", "time"}``.

    `contours` is the number of closed contours of an ROI or of frames of a segment (null if the object does not state
    it). `box` contains the smallest and largest x, y, z (mm) of four points of each contour. It is the approximate
    position of an ROI, without parsing millions of numbers. It is null for segments. `series`, `frames` and `sops` are
    the UIDs to which the object refers. `time` is its date and time as digits.
    """
    facts = _structure_set(dataset) if sop_class == RTSTRUCT else _segmentation(dataset)
    facts = {**facts, "time": _time(dataset)}
    return json.dumps(facts, ensure_ascii=False, sort_keys=True)


def _structure_set(dataset: pydicom.Dataset) -> dict[str, Any]:
    drawn = {
        int(item.ReferencedROINumber): _drawn(item.get("ContourSequence") or [])
        for item in dataset.get("ROIContourSequence") or []
        if item.get("ReferencedROINumber") is not None
    }
    rois = [
        {
            "number": int(item.ROINumber),
            "name": _name(item.get("ROIName")),
            **drawn.get(int(item.ROINumber), {"contours": 0, "box": None}),
        }
        for item in dataset.get("StructureSetROISequence") or []
        if item.get("ROINumber") is not None
    ]
    frames, series, sops = [], [], []
    if dataset.get("FrameOfReferenceUID"):
        frames.append(dataset.FrameOfReferenceUID)
    for item in dataset.get("StructureSetROISequence") or []:
        frames.append(item.get("ReferencedFrameOfReferenceUID"))
    for reference in dataset.get("ReferencedFrameOfReferenceSequence") or []:
        frames.append(reference.get("FrameOfReferenceUID"))
        for study in reference.get("RTReferencedStudySequence") or []:
            for referenced in study.get("RTReferencedSeriesSequence") or []:
                series.append(referenced.get("SeriesInstanceUID"))
                sops += [
                    image.get("ReferencedSOPInstanceUID") for image in referenced.get("ContourImageSequence") or []
                ]
    return {"rois": rois, "series": _distinct(series), "frames": _distinct(frames), "sops": _distinct(sops)}


def _segmentation(dataset: pydicom.Dataset) -> dict[str, Any]:
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    counts = Counter(
        int(identification.ReferencedSegmentNumber)
        for frame in per_frame
        for identification in frame.get("SegmentIdentificationSequence") or []
        if identification.get("ReferencedSegmentNumber") is not None
    )
    rois = [
        {
            "number": int(item.SegmentNumber),
            "name": _name(item.get("SegmentLabel")),
            "contours": counts[int(item.SegmentNumber)] if counts else None,
            "box": None,
        }
        for item in dataset.get("SegmentSequence") or []
        if item.get("SegmentNumber") is not None
    ]
    series, sops = [], []
    for reference in dataset.get("ReferencedSeriesSequence") or []:
        series.append(reference.get("SeriesInstanceUID"))
        sops += [image.get("ReferencedSOPInstanceUID") for image in reference.get("ReferencedInstanceSequence") or []]
    for frame in per_frame:
        for derivation in frame.get("DerivationImageSequence") or []:
            sops += [image.get("ReferencedSOPInstanceUID") for image in derivation.get("SourceImageSequence") or []]
    frames = [dataset.get("FrameOfReferenceUID")]
    return {"rois": rois, "series": _distinct(series), "frames": _distinct(frames), "sops": _distinct(sops)}


def _drawn(contours: Iterable[pydicom.Dataset]) -> dict[str, Any]:
    """Return the number of closed contours with three or more points, and the box of some of their points."""
    chosen = [points for contour in contours if (points := _some_points(contour))]
    columns = list(zip(*(point for points in chosen for point in points), strict=True))
    box = [round(limit(column), 1) for limit in (min, max) for column in columns] or None
    return {"contours": len(chosen), "box": box}


def _some_points(contour: pydicom.Dataset) -> list[list[float]]:
    """Return four points (mm) spread over a closed contour; none if it is open or has fewer than three points."""
    if _raw(contour, "ContourGeometricType") not in CLOSED:
        return []
    numbers = _raw(contour, "ContourData").split("\\")
    count = len(numbers) // 3
    if count < 3:
        return []
    starts = [3 * (count * quarter // 4) for quarter in range(4)]
    try:
        return [[float(number) for number in numbers[start : start + 3]] for start in starts]
    except ValueError:
        return []


def _raw(dataset: pydicom.Dataset, keyword: str) -> str:
    """Return the value of an element as text; empty if it is absent."""
    element = dataset.get_item(keyword) if keyword in dataset else None
    if element is None or element.value is None:
        return ""
    if isinstance(element, RawDataElement) or isinstance(element.value, bytes):
        return element.value.decode("ascii", "replace").strip(" \0")
    return "\\".join(map(str, element.value)) if element.VM > 1 else str(element.value)


def _name(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _distinct(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(str(value) for value in values if value))


def _time(dataset: pydicom.Dataset) -> str:
    """Return date and time of the object as digits for ordering; empty if it has none."""
    for date, time in [
        ("StructureSetDate", "StructureSetTime"),
        ("ContentDate", "ContentTime"),
        ("InstanceCreationDate", "InstanceCreationTime"),
        ("SeriesDate", ""),
    ]:
        digits = str(dataset.get(date) or "").strip()
        if digits:
            clock = str(dataset.get(time) or "") if time else ""
            return digits + clock.split(".")[0].strip().ljust(6, "0")
    return ""


ROLES = ("primary", "nodes")
# Words that are typical of such names, for suggestions if no pattern is similar.
WORDS = {"primary": ("gtv", "primary", "tumor", "tumour"), "nodes": ("gtvn", "node", "lymph")}


@dataclass(frozen=True)
class Roi:
    """Store one ROI of a structure set or one segment of a segmentation.

    `contours` is the number of closed contours or frames, or None if it is not stated. `box` is the approximate
    position: smallest and largest x, y, z (mm), or None if it is unknown.
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
    """Return the roles whose patterns match the whole trimmed name, ignoring case; none for an excluded name."""
    if _matches(name, settings.exclude):
        return ()
    return tuple(role for role in ROLES if _matches(name, getattr(settings, role)))


def by_role(rois: Iterable[Roi], settings: RoiSettings) -> dict[str, list[Roi]]:
    """Return the matching ROIs of each role in the order of the object; an ROI that matches both roles is primary."""
    matched: dict[str, list[Roi]] = {role: [] for role in ROLES}
    for roi in rois:
        roles = roles_of(roi.name, settings)
        if roles:
            matched[roles[0]].append(roi)
    return matched


def explain_no_match(names: Iterable[str], settings: RoiSettings) -> str:
    """List names found, patterns tried and the nearest names, for the private details of ``no-matching-roi``."""
    found = sorted(set(names))
    lines = ["names found: " + (", ".join(map(repr, found)) or "none")]
    for role in ROLES:
        lines.append(f"patterns tried for {role}: " + (", ".join(map(repr, getattr(settings, role))) or "none"))
    lines += [f"excluded by ingest.rois.exclude: {name!r}" for name in found if _matches(name, settings.exclude)]
    for role in ROLES:
        near = _nearest([name for name in found if not _matches(name, settings.exclude)], role, settings)
        if near:
            lines.append(f"nearest for {role}: {near!r}; to use it, add '{re.escape(near)}' to ingest.rois.{role}")
    return "\n".join(lines)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(re.fullmatch(pattern, name.strip(), re.IGNORECASE) for pattern in patterns)


def _nearest(names: list[str], role: str, settings: RoiSettings) -> str | None:
    """Return the name most similar to a pattern, otherwise the name with most of the role's words, or None."""
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
