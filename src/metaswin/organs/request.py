"""What goes into a backend of organ masks, and what comes out: one patient's CT, a label map with names."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metaswin.images.grid import Grid
from metaswin.organs.settings import OrgansSettings
from metaswin.problems import Findings


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
