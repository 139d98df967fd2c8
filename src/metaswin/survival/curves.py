"""Curves by risk group: cumulative incidence of both causes, and Kaplan-Meier of DM-free and of overall survival."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metaswin.clinical.label import CENSORED, DEATH, METASTASIS
from metaswin.survival.gather import SurvivalData
from metaswin.survival.incidence import at_risk_at, cumulative_incidence, followed

GROUP_NAMES = {
    2: ("low", "high"),
    3: ("low", "middle", "high"),
    4: ("lowest", "low", "high", "highest"),
}
ALL = "all"
COLUMNS = ["endpoint", "arm", "curve", "group", "time", "value", "low", "high", "at_risk", "why"]
STEPS = 60
# The curves end where fewer patients than this are left, but not before the horizon.
LEAST_AT_RISK = 10
NO_DEATHS = "the endpoint names no column of deaths"


def curve_table(data: SurvivalData, groups: int, confidence: float) -> pd.DataFrame:
    """All curves of every arm on a grid of days, of the first repeat: each patient counts once.

    Kaplan-Meier only where no competing event is left out: survival without DM (DM and deaths are both events)
    and overall survival. The incidence of DM and of death without DM is Aalen-Johansen.
    """
    parts = []
    for arm in data.arms:
        rows = data.pooled(arm, data.repeats[0])
        days = _grid(rows["time"].to_numpy(), data.horizon)
        named = {ALL: rows}
        if (rows["group"] >= 0).any():
            named |= {name: rows[rows["group"] == i] for i, name in enumerate(GROUP_NAMES[groups])}
        for name, chosen in named.items():
            for curve, table in _curves(chosen, days, confidence, bool(rows["dead"].notna().any())).items():
                parts.append(table.assign(endpoint=data.name, arm=arm, curve=curve, group=name))
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def _grid(time: NDArray, horizon: float) -> NDArray:
    """Whole days, evenly spaced from 0, with the horizon."""
    ordered = np.sort(time)[::-1]
    last = ordered[min(LEAST_AT_RISK, len(ordered)) - 1] if len(ordered) else 0.0
    return np.unique(np.append(np.round(np.linspace(0.0, max(last, horizon), STEPS + 1)), horizon))


def _curves(rows: pd.DataFrame, days: NDArray, confidence: float, deaths_known: bool) -> dict[str, pd.DataFrame]:
    if rows.empty:
        names = ("cif_dm", "cif_death", "km_dm_free", "km_overall")
        return dict.fromkeys(names, _missing("no patients in the group"))
    time, event = rows["time"].to_numpy(), rows["event"].to_numpy()
    found = {"cif_dm": _incidence(time, event, METASTASIS, days, confidence)}
    if not deaths_known:
        return found | dict.fromkeys(("cif_death", "km_dm_free", "km_overall"), _missing(NO_DEATHS))
    found["cif_death"] = _incidence(time, event, DEATH, days, confidence)
    found["km_dm_free"] = _kaplan_meier(time, event != CENSORED, days, confidence)
    found["km_overall"] = _kaplan_meier(rows["followup"].to_numpy(), rows["dead"].to_numpy() == 1, days, confidence)
    return found


def _incidence(time: NDArray, event: NDArray, cause: int, days: NDArray, confidence: float) -> pd.DataFrame:
    found = cumulative_incidence(time, event, cause, days, confidence)
    return _table(days, found.value, found.low, found.high, found.at_risk)


def _kaplan_meier(time: NDArray, dead: NDArray, days: NDArray, confidence: float) -> pd.DataFrame:
    """Kaplan-Meier estimate with Greenwood limits on the complementary log-log scale, as lifelines gives them."""
    from lifelines import KaplanMeierFitter

    fit = KaplanMeierFitter(alpha=1 - confidence).fit(time, dead)
    steps = fit.survival_function_.index.to_numpy()
    place = np.searchsorted(steps, days, side="right") - 1
    value = fit.survival_function_.to_numpy()[place, 0]
    limits = fit.confidence_interval_survival_function_.to_numpy()[place]
    value = np.where(followed(time, dead.astype(int), days), value, np.nan)
    inside = (value > 0) & (value < 1)
    low, high = (np.where(inside, limit, np.nan) for limit in limits.T)
    return _table(days, value, low, high, at_risk_at(time, days))


def _table(days: NDArray, value: NDArray, low: NDArray, high: NDArray, at_risk: NDArray) -> pd.DataFrame:
    beyond, certain = "nobody in the group is followed so long", "no interval at 0 or 1"
    why = np.select([np.isnan(value), np.isnan(low)], [beyond, certain], "")
    return pd.DataFrame({"time": days, "value": value, "low": low, "high": high, "at_risk": at_risk, "why": why})


def _missing(why: str) -> pd.DataFrame:
    row: dict[str, Any] = {"time": 0.0, "value": np.nan, "low": np.nan, "high": np.nan, "at_risk": 0, "why": why}
    return pd.DataFrame([row])
