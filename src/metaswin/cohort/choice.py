"""Choose the CT and the contours of one patient by ordered criteria, and give the reason for every candidate.

The criteria for the CT, in this order:

1. It is a CT and not a localizer, dated on or before the start of treatment if both dates exist.
2. Contours with a matching ROI refer to it by series, otherwise by frame of reference. Parts of the same series are
   compared by the images to which the contours refer.
3. Kernel preference.
4. Contrast preference.
5. The date nearest before the start of treatment. Without that date, the earliest date.
6. The largest number of slices.
7. The key.

The contour sets that fit the chosen CT are ordered by reference (series before frame of reference), number of roles,
time (newest first) and key.
"""

import json
import re
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from metaswin.cohort.codes import count, problem
from metaswin.cohort.contour_sets import ROLES, Roi, by_role, explain_no_match, roles_of
from metaswin.config.cohort import IngestSettings, SeriesChoiceSettings
from metaswin.core.problems import Problem

if TYPE_CHECKING:
    import pandas as pd

CT_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.2.1",  # enhanced
    "1.2.840.10008.5.1.4.1.1.2.2",  # legacy converted enhanced
)
CONTOUR_MODALITY = {"rtstruct": "RTSTRUCT", "seg": "SEG"}
BY_SERIES, BY_FRAME, BY_STUDY, UNRELATED = range(4)
RELATIONS = {
    BY_SERIES: "contours refer to it",
    BY_FRAME: "contours share its frame of reference",
    BY_STUDY: "contours of its study have no reference",
    UNRELATED: "no contours refer to it",
}
CHOICE_COLUMNS = ["patient", "series", "modality", "chosen", "rank", "reason"]


@dataclass(frozen=True)
class Series:
    """Store the columns of one row of the private index that the choice needs."""

    series: str
    modality: str
    files: int
    image: bool
    localizer: bool
    sop_class: str
    series_uid: str
    study_uid: str
    frame_uid: str
    date: str
    kernel_name: str
    contrast: bool
    frames: int
    part: int
    paths: tuple[str, ...]
    state: str
    referenced_series: tuple[str, ...]
    referenced_frames: tuple[str, ...]
    referenced_absent: int
    sops_referenced: int
    sops_found: int
    rois: tuple[Roi, ...]
    contour_time: str
    rows: int
    columns: int
    pixel_spacing: float
    column_spacing: float
    orientation: str
    across: float
    down: float
    along: tuple[float, ...]
    unplaced: int
    repeated: int
    drift: float
    no_hu: str
    lossy: bool
    named: int

    @classmethod
    def of(cls, row: dict[Hashable, Any]) -> "Series":
        values = {name: row[name] for name in cls.__dataclass_fields__}
        for name in ("paths", "referenced_series", "referenced_frames", "along"):
            values[name] = tuple(values[name])
        values["rois"] = tuple(Roi(**roi) for roi in json.loads(values["rois"]))
        return cls(**values)


@dataclass
class Choice:
    """Store the choice for one patient: `ct` and, if contours are needed, `contours` and `rois` per role.

    `rows` are the patient's rows of ``series_choice.parquet``. `problems` describe missing and unexpected data.
    """

    ct: Series | None = None
    contours: Series | None = None
    rois: dict[str, list[Roi]] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def choose(patient: str, rows: "pd.DataFrame", treatment_start: str, settings: IngestSettings) -> Choice:
    """Choose CT and contours among the series of one patient.

    Parameters
    ----------
    patient : str
        Study id.
    rows : pandas.DataFrame
        Rows of the patient in the private index.
    treatment_start : str
        ``YYYYMMDD``, or empty if it is unknown.
    settings : IngestSettings
    """
    series = [Series.of(row) for row in rows.to_dict("records")]
    choice = Choice()
    wanted = CONTOUR_MODALITY.get(settings.tumor_source)
    drawn = _contours_with_tumor(patient, series, wanted, settings, choice.problems) if wanted else []
    barred = {ct.series: reason for ct in series if (reason := _barred(ct, treatment_start))}
    candidates = [ct for ct in series if ct.image and ct.series not in barred]
    relation = {ct.series: min((_relation(c, ct) for c in drawn), default=UNRELATED) for ct in candidates}
    order = {ct.series: _preference(ct, relation[ct.series], treatment_start, settings.series) for ct in candidates}
    candidates.sort(key=lambda ct: order[ct.series])
    best = candidates[0] if candidates else None
    if best is None:
        choice.problems.append(_no_ct(patient, series, barred))
    elif wanted and drawn and relation[best.series] == UNRELATED:
        choice.problems.append(_unrelated(patient, drawn, series, barred))
    elif not wanted or drawn:
        choice.ct = best
        choice.problems += _odd_series(patient, best, series)
        if wanted:
            _take_contours(patient, best, drawn, series, settings, choice)
    for rank, ct in enumerate(candidates, start=1):
        reason = RELATIONS[relation[ct.series]] if wanted else "a CT"
        if ct is not best:
            reason = f"after rank 1 by {_first_difference(order[candidates[0].series], order[ct.series])}; {reason}"
        choice.rows.append(_row(patient, ct, ct is choice.ct, rank, reason))
    choice.rows += [_row(patient, s, False, None, barred[s.series]) for s in series if s.series in barred]
    choice.rows += [
        _row(patient, s, s is choice.contours, None, _contour_reason(s, choice, drawn, wanted))
        for s in series
        if not s.image and s.modality in CONTOUR_MODALITY.values()
    ]
    return choice


def _contours_with_tumor(
    patient: str, series: list[Series], modality: str, settings: IngestSettings, problems: list[Problem]
) -> list[Series]:
    """Return the contour sets with at least one matching ROI that is not empty; without any, add a problem."""
    sets = [s for s in series if s.modality == modality]
    if not sets:
        others = Counter(s.modality for s in series if s.modality in CONTOUR_MODALITY.values())
        found = f"no {modality}" + "".join(f", {n} {name}" for name, n in sorted(others.items()))
        problems.append(problem(patient, "no-contours", found))
        return []
    matching = [s for s in sets if any(roles_of(roi.name, settings.rois) for roi in s.rois)]
    drawn = [s for s in matching if any(not r.empty and roles_of(r.name, settings.rois) for r in s.rois)]
    if not matching:
        names = [roi.name for s in sets for roi in s.rois]
        found = f"{count(len(set(names)), 'ROI name')} in {count(len(sets), 'contour set')}, none matches"
        problems.append(problem(patient, "no-matching-roi", found, explain_no_match(names, settings.rois)))
    elif not drawn:
        names = [roi.name for s in matching for roi in s.rois if roles_of(roi.name, settings.rois)]
        problems.append(
            problem(
                patient, "empty-roi", f"{count(len(names), 'matching ROI')}, all empty", ", ".join(map(repr, names))
            )
        )
    return drawn


def _barred(series: Series, treatment_start: str) -> str:
    """Return the reason why an image series cannot be chosen; empty if it can, or if it is not an image."""
    if not series.image:
        return ""
    if series.modality != "CT":
        return f"not a CT ({series.modality})"
    if series.sop_class not in CT_CLASSES:
        return "not a CT image (a capture or another object)"
    if series.localizer:
        return "localizer"
    if series.frames < 2:
        return "a single slice"
    if treatment_start and series.date and series.date > treatment_start:
        return "after the start of treatment"
    return ""


def _relation(contours: Series, ct: Series) -> int:
    if ct.series_uid in contours.referenced_series:
        return BY_SERIES
    if ct.frame_uid and ct.frame_uid in contours.referenced_frames:
        return BY_FRAME
    refers = contours.referenced_series or contours.referenced_frames or contours.referenced_absent
    if not refers and contours.study_uid == ct.study_uid:
        return BY_STUDY
    return UNRELATED


CRITERIA = (
    "contour reference",
    "images that contours name",
    "kernel preference",
    "contrast preference",
    "date",
    "number of slices",
    "key",
)


def _preference(ct: Series, relation: int, treatment_start: str, settings: SeriesChoiceSettings) -> tuple[Any, ...]:
    """Return the sort key in the order of `CRITERIA`; the smallest key is the best."""
    kernels = [
        place
        for place, pattern in enumerate(settings.prefer_kernel)
        if re.fullmatch(pattern, ct.kernel_name, re.IGNORECASE)
    ]
    contrast = {"any": 0, "prefer": int(not ct.contrast), "avoid": int(ct.contrast)}[settings.contrast]
    day = int(ct.date) if ct.date else 99999999
    nearest = -day if treatment_start and ct.date else day
    kernel = min(kernels, default=len(settings.prefer_kernel))
    return relation, int(not ct.named), kernel, contrast, nearest, -ct.frames, ct.series


def _first_difference(best: tuple[Any, ...], other: tuple[Any, ...]) -> str:
    return next(name for name, a, b in zip(CRITERIA, best, other, strict=True) if a != b)


def _take_contours(
    patient: str, ct: Series, drawn: list[Series], series: list[Series], settings: IngestSettings, choice: Choice
) -> None:
    fitting = [contours for contours in drawn if _relation(contours, ct) != UNRELATED]

    def newest_last(contours: Series) -> tuple[Any, ...]:
        roles = sum(any(not roi.empty for roi in rois) for rois in by_role(contours.rois, settings.rois).values())
        return -_relation(contours, ct), roles, contours.contour_time, contours.series

    chosen = max(fitting, key=newest_last)
    matched = by_role(chosen.rois, settings.rois)
    choice.contours = chosen
    choice.rois = {role: [roi for roi in matched[role] if not roi.empty] for role in ROLES}
    choice.problems += _odd_contours(patient, ct, chosen, fitting, series)
    choice.problems += _odd_rois(patient, matched, chosen, settings)


def _odd_contours(
    patient: str, ct: Series, chosen: Series, fitting: list[Series], series: list[Series]
) -> list[Problem]:
    problems = []
    if len(fitting) > 1:
        paths = "\n".join(f"{'chosen: ' if c is chosen else ''}{c.paths[0]}" for c in fitting)
        problems.append(problem(patient, "several-contour-sets", f"{len(fitting)} with a matching ROI", paths))
    relation = _relation(chosen, ct)
    if relation == BY_FRAME:
        others = {s.modality for s in series if s.image and s.series_uid in chosen.referenced_series} - {"CT"}
        if others:
            found = f"contours that refer to {', '.join(sorted(others))}"
            problems.append(problem(patient, "contours-of-other-modality", found, chosen.paths[0]))
        elif chosen.referenced_absent:
            found = f"{count(chosen.referenced_absent, 'referenced series')}, none of them present"
            problems.append(problem(patient, "referenced-series-absent", found, chosen.paths[0]))
    if relation == BY_STUDY:
        problems.append(problem(patient, "contours-without-reference", "no reference", chosen.paths[0]))
    if chosen.sops_referenced and not chosen.sops_found:
        found = f"{count(chosen.sops_referenced, 'referenced image')}, none of them present"
    elif relation == BY_SERIES and not chosen.referenced_absent and chosen.sops_found < chosen.sops_referenced:
        found = f"{chosen.sops_referenced - chosen.sops_found} of {chosen.sops_referenced} referenced images missing"
    else:
        found = ""
    if found:
        problems.append(problem(patient, "contour-images-unmatched", found, chosen.paths[0]))
    return problems


def _odd_rois(patient: str, matched: dict[str, list[Roi]], chosen: Series, settings: IngestSettings) -> list[Problem]:
    problems = []
    empty = [roi.name for rois in matched.values() for roi in rois if roi.empty]
    if empty:
        private = ", ".join(map(repr, empty))
        problems.append(problem(patient, "empty-roi-left-out", f"{count(len(empty), 'empty ROI')}", private))
    for role, rois in matched.items():
        names = [roi.name for roi in rois if not roi.empty]
        if len(names) > 1:
            found = f"{len(names)} ROIs of the {role}, joined"
            problems.append(problem(patient, "several-rois", found, ", ".join(map(repr, names))))
    both = [roi.name for roi in chosen.rois if len(roles_of(roi.name, settings.rois)) > 1]
    if both:
        private = ", ".join(map(repr, both))
        problems.append(problem(patient, "roi-in-two-roles", count(len(both), "such ROI"), private))
    return problems


def _odd_series(patient: str, ct: Series, series: list[Series]) -> list[Problem]:
    parts = [s for s in series if s.series_uid == ct.series_uid and s.image and not s.localizer]
    if len(parts) < 2:
        return []
    found = f"a series of {len(parts)} parts with {', '.join(str(s.files) for s in parts)} files"
    return [problem(patient, "mixed-series", found, "\n".join(s.paths[0] for s in parts))]


def _no_ct(patient: str, series: list[Series], barred: dict[str, str]) -> Problem:
    late = [s for s in series if barred.get(s.series) == "after the start of treatment"]
    if late:
        return _late(patient, late)
    reasons = Counter(barred.values())
    found = ", ".join(f"{n} series: {reason}" for reason, n in sorted(reasons.items())) or "no image series"
    return problem(patient, "no-ct", found)


def _unrelated(patient: str, drawn: list[Series], series: list[Series], barred: dict[str, str]) -> Problem:
    """Describe why no eligible CT belongs to the contours: the CT is excluded by its date, or it does not exist."""
    late = [
        s
        for s in series
        if barred.get(s.series) == "after the start of treatment"
        and any(_relation(contours, s) in (BY_SERIES, BY_FRAME) for contours in drawn)
    ]
    if late:
        return _late(patient, late)
    absent = sum(contours.referenced_absent for contours in drawn)
    found = (
        f"{count(len(drawn), 'contour set')} without a reference to a CT of this patient, {absent} of the referenced "
        "series absent"
    )
    return problem(patient, "contours-without-ct", found, "\n".join(contours.paths[0] for contours in drawn))


def _late(patient: str, late: Iterable[Series]) -> Problem:
    dates = "\n".join(f"{s.paths[0]}: {s.date}" for s in late)
    return problem(patient, "ct-after-treatment", "a CT dated after the start of treatment", dates)


def _contour_reason(contours: Series, choice: Choice, drawn: list[Series], wanted: str | None) -> str:
    if contours is choice.contours:
        relation = _relation(contours, choice.ct) if choice.ct else UNRELATED
        return {BY_SERIES: "refers to the chosen CT", BY_FRAME: "shares the frame of reference of the chosen CT"}.get(
            relation, "of the study of the chosen CT"
        )
    if contours.modality != wanted:
        return "not of the kind in ingest.tumor_source"
    if contours not in drawn:
        return "no matching ROI with contours"
    if choice.ct is None or _relation(contours, choice.ct) == UNRELATED:
        return "belongs to another series"
    return "another contour set fits better or is newer"


def _row(patient: str, series: Series, chosen: bool, rank: int | None, reason: str) -> dict[str, Any]:
    return {
        "patient": patient,
        "series": series.series,
        "modality": series.modality,
        "chosen": chosen,
        "rank": rank,
        "reason": reason,
    }
