"""Define label maps of organs: the input and output of a backend, and named groups of organs and tissues."""

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
    """Input of an organ backend for one patient.

    Attributes
    ----------
    patient : str
        Study id.
    ct : ndarray, shape (slices, rows, columns)
        CT in HU.
    tumor : ndarray of uint8, same shape
        Label map of the tumour (1 primary, 2 nodes).
    grid : Grid
        Grid of both arrays.
    settings : OrgansSettings
        Settings of all backends.
    source : Path or None
        The patient's source record (private), for backends that read more of the user's data.
    batch : Path or None
        Output of rule ``predict_organs``, for backend ``totalsegmentator``.
    store : Path or None
        Folder with the label maps that this rule has drawn.
    findings : Findings
        Collects the warnings.
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
    """A label map (uint8 or uint16; slices, rows, columns) and the label of each name; 0 means unlabelled."""

    array: np.ndarray
    labels: dict[str, int]


def resolve(groups: Mapping[str, Iterable[str]], labels: Mapping[str, int]) -> dict[str, list[int]]:
    """Return the labels of each group.

    Parameters
    ----------
    groups : mapping
        Group → names. In a name, ``*`` matches any letters and ``?`` matches one letter.
    labels : mapping
        Name → label of the organ masks.

    Returns
    -------
    dict
        Group → labels, ascending; groups without a label are omitted.
    """
    found = {
        group: sorted({labels[name] for name in labels for pattern in names if fnmatchcase(name, pattern)})
        for group, names in groups.items()
    }
    return {group: values for group, values in found.items() if values}


def labels_of(name: str, facts: Mapping) -> list[int] | None:
    """Return the labels of a group, an organ or a tissue in ``organs.json``; None if the name does not occur there."""
    if name in facts.get("groups", {}):
        return facts["groups"][name]
    return [facts["labels"][name]] if name in facts["labels"] else None
