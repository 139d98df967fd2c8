"""A structure to write."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Structure:
    """A named mask on the CT's grid (bool; slices, rows, columns); `kind` is tumor, ring or organ."""

    name: str
    kind: str
    mask: np.ndarray
