"""Rows of one fold with their follow-up."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metaswin.clinical.label import METASTASIS


@dataclass(frozen=True)
class SurvivalRows:
    """Rows of one fold; unlike `metaswin.fusion.fit.FoldRows` those lost before the horizon are trained on.

    Attributes
    ----------
    patients : list of str
    time : ndarray of shape (rows,)
        Days to metastasis, death or loss; NaN where unknown.
    event : ndarray of shape (rows,)
        0 lost, 1 metastasis, 2 death; NaN where unknown.
    inner : ndarray of shape (rows,)
        Inner fold of training rows, -1 for test rows.
    """

    patients: list[str]
    time: NDArray
    event: NDArray
    inner: NDArray

    @classmethod
    def of(cls, folds: pd.DataFrame, repeat: int, fold: int) -> "SurvivalRows":
        """Rows of ``folds/<endpoint>.parquet`` for one repeat and test fold, sorted by patient."""
        folds = folds[folds["repeat"] == repeat].sort_values("patient")
        return cls(
            folds["patient"].tolist(),
            folds["time"].to_numpy(dtype="float64", na_value=np.nan),
            folds["event"].to_numpy(dtype="float64", na_value=np.nan),
            folds[f"inner_{fold}"].to_numpy(dtype="float64", na_value=-1).astype(int),
        )

    @property
    def test(self) -> NDArray:
        return self.inner < 0

    @property
    def train(self) -> NDArray:
        """Training rows whose follow-up is known."""
        return ~self.test & ~np.isnan(self.time) & ~np.isnan(self.event)

    @property
    def parts(self) -> list[str]:
        return ["outer", *(f"inner-{j}" for j in np.unique(self.inner[self.inner >= 0]))]

    def fitted(self, part: str) -> NDArray:
        """Rows a part is fitted on."""
        return self.train if part == "outer" else self.train & ~self.predicted(part)

    def predicted(self, part: str) -> NDArray:
        """Rows a part predicts: those it is not fitted on and that belong to it."""
        return self.test if part == "outer" else self.inner == int(part.removeprefix("inner-"))

    def why_not(self, horizon: float) -> str:
        """Why no risk at the horizon can be learnt from these training rows; empty where it can."""
        for part in self.parts:
            chosen = self.fitted(part)
            where = "the training rows" if part == "outer" else f"the training rows of part {part}"
            if not (self.event[chosen] == METASTASIS).any():
                return f"no metastasis in {where}"
            if not (self.time[chosen] >= horizon).any():
                return f"none of {where} is followed to the horizon of {horizon:g} days"
        return ""
