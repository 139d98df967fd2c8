"""Label maps of organs: what a backend gets of one patient and gives, and named groups of organs and tissues."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from metaswin.config.imaging import OrgansSettings
from metaswin.core.grid import Grid
from metaswin.core.problems import Findings


@dataclass(frozen=True)
class Request:
    """What a backend may use.

    Attributes
    ----------
    patient : str
        Study id.
    ct : ndarray, shape (slices, rows, columns)
        CT in HU.
    tumor : ndarray of uint8, same shape
        Label map of the tumour.
    grid : Grid
        Grid of both.
    settings : OrgansSettings
        Settings of all backends.
    source : Path or None
        The patient's source record (private), for backends that read more of the user's data.
    batch : Path or None
        What rule ``predict_organs`` wrote, for backend ``totalsegmentator``.
    store : Path or None
        Folder of the label maps it has drawn.
    findings : Findings
        Takes warnings.
    """

    patient: str
    ct: np.ndarray
    tumor: np.ndarray
    grid: Grid
    settings: OrgansSettings
    source: Path | None
    batch: Path | None
    store: Path | None
    findings: Findings


@dataclass(frozen=True)
class Organs:
    """A label map (uint8 or uint16; slices, rows, columns) and the label of each name; 0 is unlabelled."""

    array: np.ndarray
    labels: dict[str, int]


def resolve(groups: Mapping[str, Iterable[str]], labels: Mapping[str, int]) -> dict[str, list[int]]:
    """Labels of each group.

    Parameters
    ----------
    groups : mapping
        Group → names; ``*`` and ``?`` in a name stand for any letters and any letter.
    labels : mapping
        Name → label of the organ masks.

    Returns
    -------
    dict
        Group → labels, ascending; groups without any are omitted.
    """
    found = {
        group: sorted({labels[name] for name in labels for pattern in names if fnmatchcase(name, pattern)})
        for group, names in groups.items()
    }
    return {group: values for group, values in found.items() if values}


def labels_of(name: str, facts: Mapping) -> list[int] | None:
    """Labels of a group, an organ or a tissue in ``organs.json``; None where it has no such name."""
    if name in facts.get("groups", {}):
        return facts["groups"][name]
    return [facts["labels"][name]] if name in facts["labels"] else None
