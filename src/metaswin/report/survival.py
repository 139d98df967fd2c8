"""Build the tables and charts of time to event: metrics, cumulative incidence, calibration and survival."""

from typing import Any

import pandas as pd

from metaswin.core.formatting import DAYS_A_YEAR, Shown, number, numbers, p_text, shown_value
from metaswin.report.charts import MUTED, OTHERS, PRIMARY, PRIMARY_STYLE, Chart, Series, Style
from metaswin.report.data import Endpoint
from metaswin.report.figures import nice_limit, styles

METRICS = {
    "c_index": "C (cause-specific)",
    "auc_t": "AUC at the horizon",
    "brier_t": "Brier at the horizon",
    "observed_expected": "Observed / expected",
}
ALL = "all"
# The widths distinguish the groups in grey.
GROUPS = (
    Style("#0072B2", (), 1.2),
    Style("#E69F00", (), 2.0),
    Style("#D55E00", (), 3.2),
    Style("#8c6bb1", (9, 3), 2.0),
)
SURVIVAL = {"km_dm_free": "Free of distant metastasis", "km_overall": "Overall survival"}


def survival_charts(endpoint: Endpoint) -> list[Chart]:
    """Return the charts of the time-to-event models.

    The list is empty for endpoints that exclude deaths, and if the models were not run.
    """
    if "survival_curves" not in endpoint.tables or endpoint.facts["deaths"] != "nonevent":
        return []
    return [incidence_chart(endpoint), survival_calibration_chart(endpoint), kaplan_meier_chart(endpoint)]


def metric_rows(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return one row per feature set with its estimates."""
    table = endpoint.rows("survival")
    if table is None:
        return []
    by_feature_set = {feature_set: rows.set_index("metric") for feature_set, rows in table.groupby("feature_set")}
    order = [feature_set for feature_set in endpoint.feature_sets if feature_set in by_feature_set] + [
        feature_set for feature_set in by_feature_set if feature_set not in endpoint.feature_sets
    ]
    missing = Shown(None, why="not computed")
    return [
        {
            "name": endpoint.label(feature_set),
            "primary": feature_set == endpoint.primary,
            **{
                m: shown_value(by_feature_set[feature_set].loc[m])
                if m in by_feature_set[feature_set].index
                else missing
                for m in METRICS
            },
        }
        for feature_set in order
    ]


def test_rows(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return the results of Gray's test of the risk groups."""
    table = endpoint.rows("survival_tests")
    if table is None:
        return []
    return [
        {
            "name": endpoint.label(row["feature_set"]),
            "groups": int(row["groups"]),
            "statistic": shown_value({"value": row["statistic"], "low": None, "high": None, "why": row["why"]}),
            "df": "–" if number(row["df"]) is None else f"{row['df']:.0f}",
            "p": "–" if number(row["p"]) is None else p_text(row["p"]),
        }
        for row in table.to_dict("records")
    ]


def incidence_chart(endpoint: Endpoint) -> Chart:
    """Draw the cumulative incidence (Aalen-Johansen) of metastasis and death by group of predicted risk."""
    table = _of_feature_set(endpoint, "survival_curves")
    series = []
    for curve, what, shown in (("cif_death", "death without it", False), ("cif_dm", "", True)):
        rows = table[table["curve"] == curve]
        groups = rows[rows["group"] != ALL]
        for place, (group, part) in enumerate((groups if len(groups) else rows).groupby("group", sort=False)):
            style = GROUPS[place % len(GROUPS)]
            if curve == "cif_death":
                style = Style(MUTED, OTHERS[place % len(OTHERS)].dashes, 1.3)
            name = "All patients" if group == ALL else f"{group.capitalize()} risk"
            series.append(_step(f"{curve}-{group}", f"{name}: {what}" if what else name, part, style, shown))
    series = [one for one in series if one.x]
    high = max((y for s in series if s.shown for y in [*s.y, *(s.high or [])] if y is not None), default=0.1)
    end = max([s.x[-1] for s in series if s.x], default=1.0)
    horizon = (endpoint.horizon or 0) / DAYS_A_YEAR
    return Chart(f"incidence-{endpoint.name}", f"Cumulative incidence by risk group of {endpoint.name}", "Years",
                 "Cumulative incidence", (0, end), (0, min(1.0, nice_limit(high, 0.1))), series,
                 upright=horizon if 0 < horizon < end else None)  # fmt: skip


def kaplan_meier_chart(endpoint: Endpoint) -> Chart:
    """Draw the metastasis-free and overall survival of the cohort (Kaplan-Meier)."""
    table = endpoint.tables["survival_curves"]
    own = (
        table[(table["group"] == ALL) & (table["feature_set"] == table["feature_set"].iloc[0])] if len(table) else table
    )
    looks = (Style(PRIMARY, (), 2.0), Style("#4d4d4d", (5, 3), 2.0))
    series = [
        _step(curve, label, own[own["curve"] == curve], style, True)
        for (curve, label), style in zip(SURVIVAL.items(), looks, strict=True)
    ]
    series = [one for one in series if one.x]
    end = max([s.x[-1] for s in series if s.x], default=1.0)
    return Chart(f"survival-{endpoint.name}", f"Survival of the patients of {endpoint.name}", "Years", "Surviving",
                 (0, end), (0, 1), series)  # fmt: skip


def survival_calibration_chart(endpoint: Endpoint) -> Chart:
    """Draw the observed cumulative incidence at the horizon against the predicted one."""
    look, series = styles(endpoint), []
    table = endpoint.tables.get("survival_calibration")
    for feature_set, rows in table.groupby("feature_set") if table is not None else []:
        rows = rows[rows["predicted"].notna() & rows["observed"].notna()].sort_values("predicted")
        if not len(rows):
            continue
        series.append(
            Series(
                feature_set, endpoint.label(feature_set), rows["predicted"].tolist(), rows["observed"].tolist(),
                numbers(rows["low"]), numbers(rows["high"]), "points", look.get(feature_set, PRIMARY_STYLE),
                feature_set == endpoint.primary, [f"{n} patients" for n in rows["n"].astype("int64")],
            )
        )  # fmt: skip
    top = max([x for s in series for x in [*s.x, *s.y, *(h for h in s.high or [] if h is not None)]], default=1.0)
    limit = min(1.0, nice_limit(top, 0.1)) or 1.0
    return Chart(f"survival_calibration-{endpoint.name}", f"Calibration at the horizon of {endpoint.name}",
                 "Predicted incidence", "Observed incidence", (0, limit), (0, limit), series,
                 diagonal=True, square=True)  # fmt: skip


def _of_feature_set(endpoint: Endpoint, name: str) -> pd.DataFrame:
    """Return the rows of the primary feature set, or of the first feature set if the primary one was not fitted."""
    table = endpoint.tables[name]
    feature_set = (
        endpoint.primary
        if (table["feature_set"] == endpoint.primary).any() or not len(table)
        else table["feature_set"].iloc[0]
    )
    return table[table["feature_set"] == feature_set]


def _step(key: str, label: str, rows: pd.DataFrame, style: Style, shown: bool) -> Series:
    rows = rows[rows["value"].notna()].sort_values("time")
    years = (rows["time"] / DAYS_A_YEAR).tolist()
    return Series(key, label, years, rows["value"].tolist(), numbers(rows["low"]), numbers(rows["high"]), "step",
                  style, shown)  # fmt: skip
