"""Rows of the report's tables, and the same tables as CSV."""

from typing import Any

import pandas as pd

from metaswin.core.formatting import HEAD_NAMES, shown
from metaswin.report.baseline import baseline_rows, baseline_table
from metaswin.report.data import Endpoint, ReportData
from metaswin.report.facts import published

METRICS = ("auc", "acc", "sen", "spe")
MORE_METRICS = ("pr_auc", "brier", "calibration_intercept", "calibration_slope")
# Tables of other stages that are written to CSV as they are; a run without one gets a file that says so.
EVIDENCE = (
    "pr", "calibration", "decision", "delong", "sample_size", "survival", "controls", "optimism", "site",
    "shap_modalities", "shap_features",
)  # fmt: skip
STEPS = {
    "missing": "missing in too many training rows",
    "unstable": "unstable when the mask is perturbed",
    "constant": "constant",
    "correlated": "correlated with a kept one",
    "rank": "ranked too low by the random forest",
    "kept": "kept",
}


def modality_rows(endpoint: Endpoint, paper: bool) -> list[dict[str, Any]]:
    """The paper's first table: modalities alone, everything together, and the controls."""
    alone = [arm for _, arm in endpoint.alone()]
    controls = [arm for arm in endpoint.controls() if arm not in alone]
    groups = [("Alone", alone), ("Together", [endpoint.headline]), ("Controls", controls)]
    rows, seen = [], set()
    for group, arms in groups:
        for arm in arms:
            if arm in seen or arm not in endpoint.arms:
                continue
            seen.add(arm)
            row = _metric_row(endpoint, arm, endpoint.head)
            other = next((h for h in ("logistic", "network") if h != endpoint.head and h in _heads(endpoint, arm)), "")
            row["reference"] = endpoint.metric(arm, other) if other else None
            row["paper"] = published(arm, endpoint.headline) if paper else {}
            rows.append({**row, "group": group})
    return rows


def ablation_rows(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Every arm with every head."""
    return [_metric_row(endpoint, arm, head) for arm in endpoint.arms for head in _heads(endpoint, arm)]


def _heads(endpoint: Endpoint, arm: str) -> list[str]:
    return sorted(endpoint.summary.loc[[arm]].index.get_level_values("head"), key=lambda h: (h != "network", h))


def _metric_row(endpoint: Endpoint, arm: str, head: str) -> dict[str, Any]:
    return {
        "arm": arm,
        "name": endpoint.label(arm),
        "head": HEAD_NAMES.get(head, head),
        "headline": arm == endpoint.headline,
        "answer": arm == endpoint.headline and head == endpoint.head,
        "known": endpoint.metric(arm, head, suffix="") if endpoint.suffix else None,
        **{metric: endpoint.metric(arm, head, metric) for metric in METRICS},
        **{metric: endpoint.metric(arm, head, metric) for metric in MORE_METRICS if endpoint.has(metric)},
    }


def strata_arms(endpoint: Endpoint) -> list[tuple[str, str]]:
    """Arms shown per stratum: the headline, volume and the best clinical set, each with its head."""
    chosen = [(endpoint.headline, endpoint.head)]
    return [*chosen, *(pair for pair in (endpoint.volume(), endpoint.best_clinical()) if pair is not None)]


def strata_rows(endpoint: Endpoint) -> list[dict[str, Any]]:
    """The AUC within each stratum, for `strata_arms`."""
    table = endpoint.tables["strata"]
    rows = []
    for (column, level), cell in table.groupby(["column", "level"], sort=False):
        by_arm = cell.set_index(["arm", "head"])
        first = cell.iloc[0]
        estimates = [shown(by_arm.loc[pair], f"auc{endpoint.suffix}") for pair in strata_arms(endpoint)]
        counts = {name: first[f"{name}_shown"] for name in ("n", "events", "unknown")}
        rows.append({"column": column, "level": level, **counts, "estimates": estimates})
    return rows


def selected_features(endpoint: Endpoint, limit: int | None = None) -> dict[str, pd.DataFrame]:
    """Per set of features: those kept in any fold, with the number of folds, most often kept first.

    The importance is the random forest's, averaged over the folds that kept the feature; ``low``, where stability was
    judged, is the median over folds of the lower limit of the intraclass correlation.
    """
    found: dict[str, pd.DataFrame] = {}
    if not len(endpoint.selection):
        return found
    for name, table in endpoint.selection.groupby("modality", sort=False):
        kept = table[table["kept"]].groupby("feature").agg(folds=("kept", "size"), importance=("importance", "mean"))
        kept = kept.reset_index().sort_values(["folds", "importance", "feature"], ascending=[False, False, True])
        folds = len(table[["repeat", "fold"]].drop_duplicates())
        found[name] = kept.head(limit).assign(of=folds) if limit else kept.assign(of=folds)
    stability = endpoint.rows("stability")
    if stability is not None:
        low = stability.groupby(["modality", "feature"])["low"].median()
        found = {
            name: table.assign(low=low.reindex([(name, f) for f in table["feature"]]).to_numpy())
            for name, table in found.items()
        }
    return found


def stability_rows(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Per set of features: means over folds of how many were judged under perturbed masks and how many are stable."""
    table = endpoint.rows("stability")
    if table is None:
        return []
    rows = []
    for name, part in table.groupby("modality", sort=False):
        folds = len(part[["repeat", "fold"]].drop_duplicates())
        judged = part[part["judged"]]
        why = "" if len(judged) else "; ".join(sorted(set(part["reason"]) - {""}))
        counts = {"features": len(part) / folds, "judged": len(judged) / folds, "stable": judged["kept"].sum() / folds}
        rows.append({"modality": name, "patients": part["patients"].median(), "why": why, **counts})
    return rows


def selection_steps(endpoint: Endpoint) -> dict[str, list[tuple[str, float]]]:
    """Per set of features: mean number over folds of features that ended at each step."""
    found: dict[str, list[tuple[str, float]]] = {}
    if not len(endpoint.selection):
        return found
    for name, table in endpoint.selection.groupby("modality", sort=False):
        counts = table.groupby(["repeat", "fold"])["step"].value_counts().unstack(fill_value=0)
        means = counts.mean()
        found[name] = [(text, float(means[step])) for step, text in STEPS.items() if step in means]
    return found


def patient_rows(endpoint: Endpoint) -> pd.DataFrame:
    """Test predictions of the headline arm in the first repeat, highest first."""
    table = endpoint.tables["predictions"]
    table = table[(table["arm"] == endpoint.headline) & (table["head"] == endpoint.head) & (table["repeat"] == 0)]
    table = table.assign(called=(table["probability"] >= table["threshold"]).astype("float64"))
    table.loc[table["probability"].isna() | table["threshold"].isna(), "called"] = float("nan")
    columns = ["patient", "fold", "probability", "threshold", "called", "label", "time", "event", "weight"]
    return table.sort_values(["probability", "patient"], ascending=[False, True])[columns]


def problem_counts(data: ReportData) -> list[tuple[str, str, int]]:
    """Exclusions by stage and code, most frequent first."""
    left = data.problems[data.problems["excludes"]]
    counts = left.groupby(["stage", "code"]).size().sort_values(ascending=False, kind="stable")
    return [(stage, code, int(n)) for (stage, code), n in counts.items()]


def confusion(endpoint: Endpoint) -> dict[str, int]:
    """Called and true outcomes of the headline, known outcomes of the first repeat, each fold at its own threshold."""
    table = patient_rows(endpoint)
    table = table[table["label"].notna() & table["called"].notna()]
    label, called = table["label"].astype("float64") == 1, table["called"] == 1
    return {
        "true_positive": int((label & called).sum()),
        "false_negative": int((label & ~called).sum()),
        "false_positive": int((~label & called).sum()),
        "true_negative": int((~label & ~called).sum()),
    }


def csv_tables(endpoint: Endpoint, data: ReportData) -> dict[str, pd.DataFrame]:
    """Each table of an endpoint as it is written to CSV, with all columns."""
    summary = endpoint.tables["summary"].drop(columns="endpoint")
    summary = summary.sort_values(["arm", "head"], key=lambda c: c.map(endpoint.arms.index) if c.name == "arm" else c)
    alone = {row["arm"] for row in modality_rows(endpoint, paper=False)}
    selected = [table.assign(modality=name) for name, table in selected_features(endpoint).items()]
    return {
        "baseline": baseline_table(baseline_rows(endpoint, data)),
        "modalities": summary[summary["arm"].isin(alone)],
        "ablation": summary,
        **{name: endpoint.tables[name].drop(columns="endpoint") for name in ("folds", "strata", "comparisons", "roc")},
        "selected": pd.concat(selected)
        if selected
        else pd.DataFrame(columns=["feature", "folds", "importance", "of", "modality"]),
        "patients": patient_rows(endpoint),
        **{name: _evidence(endpoint, name) for name in EVIDENCE},
    }


def _evidence(endpoint: Endpoint, name: str) -> pd.DataFrame:
    if name not in endpoint.tables:
        return pd.DataFrame({"note": ["not computed in this run"]})
    return endpoint.tables[name].drop(columns="endpoint", errors="ignore")
