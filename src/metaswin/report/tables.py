"""Build the rows of the report's tables, and the same tables as CSV."""

from typing import Any

import pandas as pd

from metaswin.core.formatting import CLASSIFIER_NAMES, Shown, number, shown, shown_value
from metaswin.report.baseline import baseline_rows, baseline_table
from metaswin.report.data import Endpoint, ReportData
from metaswin.report.facts import published

METRICS = ("auc", "acc", "sen", "spe")
MORE_METRICS = ("pr_auc", "brier", "calibration_intercept", "calibration_slope")
# Tables of other stages that are written to CSV unchanged. If the run has no such table, the file contains a note.
EVIDENCE = (
    "pr", "calibration", "decision", "delong", "sample_size", "survival", "controls", "optimism", "site",
    "shap_modalities", "shap_features", "centres", "between_centres",
)  # fmt: skip
STEPS = {
    "missing": "missing in too many training rows",
    "unstable": "unstable when the mask is perturbed",
    "constant": "constant",
    "correlated": "correlated with a selected feature",
    "rank": "ranked too low",
    "kept": "kept",
}


def modality_rows(endpoint: Endpoint, paper: bool) -> list[dict[str, Any]]:
    """Return the rows of the paper's first table: modalities alone, all modalities together, and the baselines."""
    alone = [feature_set for _, feature_set in endpoint.alone()]
    baselines = [feature_set for feature_set in endpoint.baselines() if feature_set not in alone]
    groups = [("Alone", alone), ("Together", [endpoint.primary]), ("Baselines", baselines)]
    rows, seen = [], set()
    for group, feature_sets in groups:
        for feature_set in feature_sets:
            if feature_set in seen or feature_set not in endpoint.feature_sets:
                continue
            seen.add(feature_set)
            row = _metric_row(endpoint, feature_set, endpoint.classifier_of(feature_set))
            other = next(
                (
                    h
                    for h in ("logistic", "network")
                    if h != endpoint.classifier and h in _classifiers(endpoint, feature_set)
                ),
                "",
            )
            row["reference"] = endpoint.metric(feature_set, other) if other else None
            row["paper"] = published(feature_set, endpoint.primary) if paper else {}
            rows.append({**row, "group": group})
    return rows


def ablation_rows(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return the rows of every feature set with every classifier."""
    return [
        _metric_row(endpoint, feature_set, classifier)
        for feature_set in endpoint.feature_sets
        for classifier in _classifiers(endpoint, feature_set)
    ]


def _classifiers(endpoint: Endpoint, feature_set: str) -> list[str]:
    return sorted(
        endpoint.summary.loc[[feature_set]].index.get_level_values("classifier"), key=lambda h: (h != "network", h)
    )


def _metric_row(endpoint: Endpoint, feature_set: str, classifier: str) -> dict[str, Any]:
    return {
        "feature_set": feature_set,
        "name": endpoint.label(feature_set),
        "classifier": CLASSIFIER_NAMES.get(classifier, classifier),
        "primary": feature_set == endpoint.primary,
        "primary_model": feature_set == endpoint.primary and classifier == endpoint.classifier,
        "known": endpoint.metric(feature_set, classifier, suffix="") if endpoint.suffix else None,
        **{metric: endpoint.metric(feature_set, classifier, metric) for metric in METRICS},
        **{metric: endpoint.metric(feature_set, classifier, metric) for metric in MORE_METRICS if endpoint.has(metric)},
    }


def strata_feature_sets(endpoint: Endpoint) -> list[tuple[str, str]]:
    """Return the feature sets shown per stratum, each with its classifier.

    They are the primary model, volume and the best clinical set.
    """
    chosen = [(endpoint.primary, endpoint.classifier)]
    return [*chosen, *(pair for pair in (endpoint.volume(), endpoint.best_clinical()) if pair is not None)]


def strata_rows(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return the AUC within each stratum, for `strata_feature_sets`."""
    table = endpoint.tables["strata"]
    rows = []
    for (column, level), cell in table.groupby(["column", "level"], sort=False):
        by_feature_set = cell.set_index(["feature_set", "classifier"])
        first = cell.iloc[0]
        estimates = [shown(by_feature_set.loc[pair], f"auc{endpoint.suffix}") for pair in strata_feature_sets(endpoint)]
        counts = {name: first[f"{name}_shown"] for name in ("n", "events", "unknown")}
        rows.append({"column": column, "level": level, **counts, "estimates": estimates})
    return rows


CALIBRATION = ("calibration_intercept", "calibration_slope")


def centre_rows(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return the AUC of `strata_feature_sets` and the calibration of the primary model in each centre."""
    table = endpoint.rows("centres")
    if table is None:
        return []
    found = []
    primary = (endpoint.primary, endpoint.classifier)
    for level, rows in table.groupby("level", sort=False):
        by_place = rows.set_index(["feature_set", "classifier", "metric"])

        def estimate(model: tuple[str, str], metric: str, of: pd.DataFrame = by_place) -> Shown:
            return shown_value(of.loc[(*model, metric + endpoint.suffix)])

        first = rows.iloc[0]
        found.append(
            {
                "level": level,
                "n": first["n_shown"],
                "events": first["events_shown"],
                "estimates": [estimate(model, "auc") for model in strata_feature_sets(endpoint)],
                "calibration": [estimate(primary, metric) for metric in CALIBRATION],
            }
        )
    return found


def spread_rows(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return the mean over centres and the variation between them.

    The rows are those of the AUCs and of the primary model's calibration.
    """
    table = endpoint.rows("between_centres")
    if table is None:
        return []
    by_place = table.set_index(["feature_set", "classifier", "metric"])
    wanted = [(model, "auc") for model in strata_feature_sets(endpoint)]
    wanted += [((endpoint.primary, endpoint.classifier), metric) for metric in CALIBRATION]
    found = []
    for (feature_set, classifier), metric in wanted:
        row = by_place.loc[(feature_set, classifier, metric + endpoint.suffix)]
        predicted = {"value": row["mean"], "low": row["predicted_low"], "high": row["predicted_high"]}
        found.append(
            {
                "model": endpoint.label(feature_set),
                "classifier": CLASSIFIER_NAMES.get(classifier, classifier),
                "metric": metric,
                "centres": int(row["centres"]),
                "range": shown_value({"value": row["lowest"], "low": row["lowest"], "high": row["highest"], "why": ""}),
                "mean": shown_value({**row, "value": row["mean"]}),
                "tau": number(row["tau"]),
                "predicted": shown_value({**predicted, "why": row["why"]}),
            }
        )
    return found


def selected_features(endpoint: Endpoint, limit: int | None = None) -> dict[str, pd.DataFrame]:
    """Return for each modality the features selected in any fold, with the number of folds, the most frequent first.

    The importance is that of the random forest, or the feature's own AUC (`selection.method`), averaged over the folds
    that selected the feature. If stability was assessed, ``low`` is the median over folds of the lower limit of the
    intraclass correlation.
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
    """Return for each modality the mean numbers over folds of assessed features and of stable features."""
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
    """Return for each modality the mean number over folds of features that ended at each step."""
    found: dict[str, list[tuple[str, float]]] = {}
    if not len(endpoint.selection):
        return found
    for name, table in endpoint.selection.groupby("modality", sort=False):
        counts = table.groupby(["repeat", "fold"])["step"].value_counts().unstack(fill_value=0)
        means = counts.mean()
        found[name] = [(text, float(means[step])) for step, text in STEPS.items() if step in means]
    return found


def patient_rows(endpoint: Endpoint) -> pd.DataFrame:
    """Return the test predictions of the primary feature set in the first repeat, highest first."""
    table = endpoint.tables["predictions"]
    table = table[
        (table["feature_set"] == endpoint.primary)
        & (table["classifier"] == endpoint.classifier)
        & (table["repeat"] == 0)
    ]
    table = table.assign(called=(table["probability"] >= table["threshold"]).astype("float64"))
    table.loc[table["probability"].isna() | table["threshold"].isna(), "called"] = float("nan")
    columns = ["patient", "fold", "probability", "threshold", "called", "label", "time", "event", "weight"]
    return table.sort_values(["probability", "patient"], ascending=[False, True])[columns]


def problem_counts(data: ReportData) -> list[tuple[str, str, int]]:
    """Return the exclusions by stage and code, most frequent first."""
    left = data.problems[data.problems["excludes"]]
    counts = left.groupby(["stage", "code"]).size().sort_values(ascending=False, kind="stable")
    return [(stage, code, int(n)) for (stage, code), n in counts.items()]


def confusion(endpoint: Endpoint) -> dict[str, int]:
    """Count predicted and true outcomes of the primary model (first repeat, known outcomes, thresholds by fold)."""
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
    """Return each table of an endpoint as it is written to CSV, with all columns."""
    summary = endpoint.tables["summary"].drop(columns="endpoint")
    summary = summary.sort_values(
        ["feature_set", "classifier"],
        key=lambda c: c.map(endpoint.feature_sets.index) if c.name == "feature_set" else c,
    )
    alone = {row["feature_set"] for row in modality_rows(endpoint, paper=False)}
    selected = [table.assign(modality=name) for name, table in selected_features(endpoint).items()]
    return {
        "baseline": baseline_table(baseline_rows(endpoint, data)),
        "modalities": summary[summary["feature_set"].isin(alone)],
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
