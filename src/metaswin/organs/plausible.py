"""Organ volumes of one CT against published ranges: a first look at whether weights do what they should."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metaswin.errors import UserError
from metaswin.files import read_volume
from metaswin.organs.catalogue import drawn, organ_ids
from metaswin.organs.settings import TotalSegmentatorSettings


@dataclass(frozen=True)
class Range:
    """Volume (cm³) of a structure in adults, and where the numbers come from."""

    low: float
    high: float
    source: str


PAROTID = Range(9.2, 54.1, "range of 32 glands, Medbery et al. 2000, Radiother Oncol")
SUBMANDIBULAR = Range(2.9, 13.2, "mean ± 2 SD of 130 people, Heo et al. 2001, Dentomaxillofac Radiol")
EYE = Range(4.2, 8.4, "mean ± 3 SD of 80 people, Heymsfield et al. 2016, Anat Physiol")
THYROID = Range(4.0, 25.0, "upper limit of men; means of 8 to 15, Langer 1989, Endocrinol Exp")
RANGES = {
    "parotid_gland_left": PAROTID,
    "parotid_gland_right": PAROTID,
    "submandibular_gland_left": SUBMANDIBULAR,
    "submandibular_gland_right": SUBMANDIBULAR,
    "eye_left": EYE,
    "eye_right": EYE,
    "thyroid_gland": THYROID,
}


def check(ct: str | Path, settings: TotalSegmentatorSettings) -> list[str]:
    """Draw the organs of a CT; one line a structure: volume (cm³), and the published range where there is one.

    Raises
    ------
    UserError
        If the image cannot be read or weights are missing.
    """
    from metaswin.organs.totalsegmentator import segmenter

    try:
        image = read_volume(ct)
    except RuntimeError:
        raise UserError(f"--ct: cannot read {ct}; give a CT in HU in a format of SimpleITK, such as NIfTI") from None
    if image.GetDimension() != 3:
        raise UserError(f"--ct: {ct} has {image.GetDimension()} dimensions; give a CT volume")
    with segmenter(settings) as segment:
        labels = segment(image)
    counts = np.bincount(labels.ravel(), minlength=max(organ_ids().values()) + 1)
    cubic = float(np.prod(image.GetSpacing())) / 1000
    ids = organ_ids()
    return [_line(name, counts[ids[name]] * cubic) for name in drawn(settings.tasks, settings.structures)]


def _line(name: str, volume: float) -> str:
    text = f"  {name:<34}{volume:10.2f} cm³"
    known = RANGES.get(name)
    if known is None:
        return text
    verdict = "absent" if volume == 0 else "within" if known.low <= volume <= known.high else "OUTSIDE"
    return f"{text}   {verdict} {known.low:g} to {known.high:g} ({known.source})"
