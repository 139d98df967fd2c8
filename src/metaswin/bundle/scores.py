"""Where a new risk stands among those of the training patients, each predicted by models that left it out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd


def cross_fitted(predictions: Sequence[pd.DataFrame], arm: str, head: str) -> pd.Series:
    """Inner cross-fitted risk of each training patient: the mean over the members that trained on it.

    Within a member the patient is predicted by the inner model that left it out. A new patient's risk is a mean over
    the same members, so both are on one scale.

    Parameters
    ----------
    predictions : sequence of DataFrame
        ``fusion/predictions.parquet`` of every member.
    arm, head : str
    """
    tables = [
        table[(table["arm"] == arm) & (table["head"] == head) & (table["part"] == "inner")] for table in predictions
    ]
    joined = pd.concat(tables).dropna(subset="probability")
    return joined.groupby("patient")["probability"].mean()


def placing(scores: pd.Series, groups: int) -> dict[str, Any]:
    """Percentiles 0 to 100 of the scores, and the limits of so many risk groups; null where there is no score."""
    if scores.empty:
        return {"n": 0, "percentiles": None, "limits": None}
    values = scores.to_numpy()
    return {
        "n": len(values),
        "percentiles": np.percentile(values, np.arange(101)).tolist(),
        "limits": np.quantile(values, np.arange(1, groups) / groups).tolist(),
    }


def percentile(placed: dict[str, Any], risk: float) -> float | None:
    """Percentile of a risk: the share (0 to 100) of training patients with a lower one; ties count half."""
    if not placed["n"]:
        return None
    values = np.array(placed["percentiles"])
    # Equal neighbours make a step: between its ends there is no telling them apart.
    low, high = np.searchsorted(values, risk, side="left"), np.searchsorted(values, risk, side="right")
    if low < high:
        return float((low + high - 1) / 2)
    return float(np.interp(risk, values, np.arange(len(values))))


def group(placed: dict[str, Any], risk: float) -> int | None:
    """Risk group from 0 (lowest); who is on a limit is above it."""
    return int(np.searchsorted(placed["limits"], risk, side="right")) if placed["n"] else None
