"""Calibration at the horizon: predicted risks against Aalen-Johansen estimates in groups of like risk."""

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from metaswin.clinical.label import METASTASIS
from metaswin.survival.gather import SurvivalData
from metaswin.survival.incidence import cumulative_incidence, interval

COLUMNS = ["endpoint", "arm", "bin", "n", "predicted", "observed", "low", "high", "why"]


def calibration_table(data: SurvivalData, bins: int, confidence: float) -> pd.DataFrame:
    """Mean predicted risk and observed incidence at the horizon by quantile of risk, for every arm.

    Patients are ranked within their fold; the rows of one bin are pooled over the folds of a repeat. With several
    repeats estimates are averaged, and so is their variance: the repeats hold the same patients, so the mean is no
    more certain than that.
    """
    records = []
    for arm in data.arms:
        repeats = [ranked(data.pooled(arm, repeat), bins) for repeat in data.repeats]
        for number in range(bins):
            chosen = [rows[rows["bin"] == number] for rows in repeats]
            found = _bin(chosen, data.horizon, confidence, data.why)
            records.append({"endpoint": data.name, "arm": arm, "bin": number + 1, **found})
    types = dict.fromkeys(["predicted", "observed", "low", "high"], "float64")
    return pd.DataFrame(records, columns=COLUMNS).astype({**types, "bin": "int64", "n": "int64"})


def ranked(rows: pd.DataFrame, bins: int) -> pd.DataFrame:
    """Bin of each row by its rank within its fold; equal risks fall into the same bin."""
    share = rows.groupby("fold")["risk"].transform(lambda risk: (rankdata(risk) - 0.5) / len(risk))
    number = np.floor(share * bins).clip(upper=bins - 1)
    return rows.assign(bin=number.where(rows["risk"].notna(), -1).astype("int64"))


def _bin(chosen: list[pd.DataFrame], horizon: float, confidence: float, why: str) -> dict:
    n = round(float(np.mean([len(rows) for rows in chosen])))
    if not n:
        return {"n": 0, "why": why or "no patients in the group"}
    filled = [rows for rows in chosen if len(rows)]
    predicted = float(np.mean([rows["risk"].mean() for rows in filled]))
    estimates = [
        cumulative_incidence(
            rows["time"].to_numpy(), rows["event"].to_numpy(), METASTASIS, np.array([horizon]), confidence
        )
        for rows in filled
    ]
    observed = float(np.mean([found.value[0] for found in estimates]))
    if np.isnan(observed):
        return {"n": n, "predicted": predicted, "why": "nobody in the group is followed to the horizon"}
    error = float(np.sqrt(np.mean([found.variance[0] for found in estimates])))
    low, high = interval(np.array([observed]), np.array([error]), confidence)
    if not np.isfinite(low[0]):
        why = "all or none have had a metastasis: no interval"
    return {"n": n, "predicted": predicted, "observed": observed, "low": low[0], "high": high[0], "why": why}
