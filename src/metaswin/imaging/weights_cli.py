"""Define the command ``metaswin weights``: list, fetch, verify and check the weights of TotalSegmentator."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metaswin.config.imaging import TotalSegmentatorSettings
from metaswin.config.structures import drawn, organ_ids
from metaswin.core.errors import UserError
from metaswin.core.files import read_volume
from metaswin.imaging.weights import fetch, required, verify


@dataclass(frozen=True)
class Range:
    """Normal volume (cm³) of a structure in adults, and the source of the numbers."""

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
    """Draw the organs of a CT and return one line per structure: its volume (cm³) and the published range, if any.

    Raises
    ------
    UserError
        If the image cannot be read or weights are missing.
    """
    from metaswin.imaging.totalsegmentator import segmenter

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


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add ``weights`` to the subcommands of `metaswin`."""
    parser = commands.add_parser(
        "weights", help="TotalSegmentator's weights for a configuration: list, fetch, verify, check"
    )
    parser.add_argument(
        "action",
        choices=("list", "fetch", "verify", "check"),
        help="verify opens every checkpoint; check draws the organs of --ct and compares volumes with published ranges",
    )
    parser.add_argument("--ct", help="with check: a CT of a head and neck, such as NIfTI")
    parser.add_argument("--configfile", help="your configuration (default: the defaults)")
    parser.add_argument("--directory", default=".", help="working directory of the run (default: here)")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    if arguments.action == "check" and arguments.ct is None:
        raise UserError(
            "metaswin weights check needs --ct: a CT of a head and neck (NIfTI or another format of SimpleITK)"
        )
    ct = None if arguments.ct is None else Path(arguments.ct).absolute()
    os.chdir(arguments.directory)
    if arguments.action == "fetch":
        fetch(settings)
    if ct is not None:
        print("Volumes (if one is wrong, check the image's units and orientation, then the weights)")
        print("\n".join(check(ct, settings)))
        return 0
    found = required(settings)
    print(f"Tasks {', '.join(settings.tasks)}{' (fast)' if settings.fast else ''}; folder {settings.weights}")
    problems = []
    for weights in found:
        problem = weights.problem or (verify(weights) if arguments.action != "list" else "")
        problems.append(problem)
        print(f"  {weights.model.folder:<56}{weights.size / 1e6:8.1f} MB  {problem or 'ok'}")
    return int(any(problems) and arguments.action != "list")


def _settings(arguments: argparse.Namespace) -> TotalSegmentatorSettings:
    from pydantic import ValidationError

    from metaswin.config.read import read_config

    if arguments.configfile is None:
        return TotalSegmentatorSettings()
    raw = read_config(arguments.configfile)
    section = (raw.get("organs") or {}).get("totalsegmentator") or {}
    try:
        return TotalSegmentatorSettings(**section)
    except (ValidationError, TypeError) as error:
        raise UserError(f"organs.totalsegmentator in {arguments.configfile}: {error}") from None
