"""Build the tables of comparisons, optimism, sample size, coverage, sites and Shapley values."""

from typing import Any

import pandas as pd

from metaswin.core.formatting import CLASSIFIER_NAMES, Shown, number, p_text, part_name, plain, reason, shown_value
from metaswin.evaluation.intervals import measured_coverage, measured_coverage_in_time
from metaswin.report.data import Endpoint

# Riley et al. 2019, Stat Med 38:1276-1296; 2020, BMJ 368:m441.
CRITERIA = {
    "events_per_parameter": "Events per candidate parameter",
    "shrinkage": "Expected shrinkage, with 15 % of the largest R² anticipated",
    "shrinkage_measured": "Expected shrinkage, with the measured R²",
    "optimism": "Expected optimism in R², with 15 % of the largest R² anticipated",
    "optimism_measured": "Expected optimism in R², with the measured R²",
    "overall_risk": "Error of the overall risk",
    "absolute_error": "Mean absolute error of the risks",
    "rows_needed": "Training rows (limit: the largest required number)",
}
SCORES = {"deep_score": "Deep score alone"}
DEEP_SCORES = {
    "cross-fitted": "Deep scores of training rows come from networks that were not trained on them (cross-fitted).",
    "in-sample": "Deep scores of training rows come from the network that was trained on them. This is probably the "
    "method of the paper, and it is optimistic.",
}


def optimism_rows(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return the mean AUCs of each feature set and of the deep score on training, inner and test rows."""
    table = endpoint.rows("optimism")
    if table is None:
        return []
    wanted = table["classifier"].isin([endpoint.classifier]) | table["feature_set"].isin(SCORES)
    columns = ["auc_train", "auc_inner", "auc_test"]
    means = table[wanted].groupby(["feature_set", "classifier"], sort=False)[columns].mean()
    rows = []
    for (feature_set, classifier), row in means.iterrows():
        score = feature_set in SCORES
        rows.append(
            {
                "name": f"{SCORES[feature_set]} ({classifier})" if score else endpoint.label(feature_set),
                "primary": feature_set == endpoint.primary,
                **{column: _plain(row[column]) for column in columns},
                "gap": _plain(row["auc_train"] - row["auc_test"]),
                "inner_gap": _plain(row["auc_inner"] - row["auc_test"]),
            }
        )
    return rows


def deep_score_note(endpoint: Endpoint) -> str:
    """Describe how the deep scores of training rows were made; return an empty text if it is unknown."""
    table = endpoint.rows("optimism")
    if table is None or "deep_score" not in table:
        return ""
    return DEEP_SCORES.get(table["deep_score"].iloc[0], "") if "deep" in endpoint.facts["modalities"] else ""


def coverage_rows() -> dict[str, Any]:
    """Return the measured coverage of every kind of interval, with the setting of the measurement.

    The result extends that of `metaswin.evaluation.intervals.measured_coverage` by ``auc``, the rows of the AUC, and
    ``delong``, the lowest and highest coverage of DeLong's interval of the mean true AUC of models.
    """
    found = measured_coverage()
    auc = [row for row in found["rows"] if row["metric"].removesuffix("_ipcw") == "auc"]
    delong = [row["coverage"] for row in auc if row["interval"] == "DeLong" and row["target"] == "models"]
    known = [value for value in delong if value is not None]
    return {**found, "auc": auc, "delong": (min(known), max(known)) if known else None}


def coverage_in_time() -> dict[str, Any]:
    """Return the measured coverage of the time-to-event intervals.

    ``gray`` is how often Gray's test had p < .05 in cohorts without any predictive variable.
    """
    found = measured_coverage_in_time()
    return {**found, "gray": found["gray_below_05_when_nothing_predicts"]}


def sample_size_rows(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return the sample size criteria of the primary feature set and its primary classifier."""
    table = endpoint.rows("sample_size")
    if table is None:
        return []
    own = table[(table["feature_set"] == endpoint.primary) & (table["classifier"] == endpoint.classifier)]
    return [
        {
            "criterion": CRITERIA.get(row["criterion"], row["criterion"].replace("_", " ")),
            "value": "" if number(row["value"]) is None else plain(row["value"]),
            "why": reason(row["why"]) or "not computed",
            "limit": "–" if number(row["limit"]) is None else plain(row["limit"]),
            "met": None if number(row["met"]) is None else bool(row["met"]),
        }
        for row in own.to_dict("records")
    ]


def delong_rows(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return the DeLong intervals of the primary model and the baselines, separately for each repeat."""
    table = endpoint.rows("delong")
    if table is None:
        return []
    feature_sets = [endpoint.primary, *endpoint.baselines()]
    classifier = table["feature_set"].map(endpoint.classifier_of)
    own = table[table["feature_set"].isin(feature_sets) & (table["classifier"] == classifier)]
    own = own.assign(order=own["feature_set"].map(feature_sets.index)).sort_values(["order", "repeat"])
    return [
        {
            "name": endpoint.label(row["feature_set"]),
            "repeat": int(row["repeat"]),
            "folds": int(row["folds"]),
            "auc": shown_value({**row, "value": row["auc"]}),
        }
        for row in own.to_dict("records")
    ]


def site_rows(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return the association of the outcome with the site or batch."""
    table = endpoint.rows("site")
    if table is None:
        return []
    return [
        {
            "column": row["column"],
            "test": row["test"] if isinstance(row["test"], str) else "–",
            "counts": row["counts"],
            "levels": int(row["levels"]),
            "n": int(row["n"]),
            "statistic": _plain(row["statistic"], row["why"]),
            "p": p_text(row["p"]) if _plain(row["p"]).value is not None else "–",
            "cramers_v": _plain(row["cramers_v"], row["why"]),
        }
        for row in table.to_dict("records")
    ]


def comparison_rows(endpoint: Endpoint) -> dict[str, list[dict[str, Any]]]:
    """Return the primary model minus each baseline and classifier, as confirmatory and exploratory comparisons."""
    table = endpoint.tables["comparisons"]
    family = table["family"] if "family" in table else pd.Series("exploratory", index=table.index)
    suffixed = table["metric"].str.endswith("_ipcw")
    table = table.assign(family=family)[
        (suffixed == bool(endpoint.suffix)) & (table["classifier"] == endpoint.classifier)
    ]
    found: dict[str, list[dict[str, Any]]] = {"confirmatory": [], "exploratory": []}
    order = {metric: n for n, metric in enumerate(METRIC_NAMES)}
    feature_sets = endpoint.baselines()

    def place(row: dict[str, Any]) -> tuple:
        metric = row["metric"].removesuffix("_ipcw")
        return (
            order.get(metric, 9),
            feature_sets.index(row["against"]) if row["against"] in feature_sets else 99,
            row["against_classifier"],
        )

    for row in sorted(table.to_dict("records"), key=place):
        metric = row["metric"].removesuffix("_ipcw")
        holm = _plain(row.get("p_holm", float("nan"))).value
        pt = _plain(row.get("threshold_probability", float("nan"))).value
        found[row["family"]].append(
            {
                "metric": METRIC_NAMES.get(metric, metric) + (f" at {pt:.0%}" if pt is not None else ""),
                "better": "lower" if metric == "brier" else "higher",
                "name": endpoint.label(row["against"]),
                "classifier": CLASSIFIER_NAMES.get(row["against_classifier"], row["against_classifier"]),
                "baseline": endpoint.metric(row["against"], row["against_classifier"], metric)
                if endpoint.has(metric)
                else None,
                "found": shown_value(row),
                "p": p_text(row["p"]) if _plain(row["p"]).value is not None else "–",
                "p_holm": p_text(holm) if holm is not None else "",
            }
        )
    return found


METRIC_NAMES = {"auc": "AUC", "brier": "Brier score", "net_benefit": "Net benefit"}


def _plain(value: Any, why: str | None = "") -> Shown:
    """Return a number without an interval."""
    return Shown(number(value), why=reason(why))


def modality_rows(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return the share of each modality in the primary model's predictions, largest first.

    Each row has the mean and the range over folds.
    """
    table = endpoint.rows(_table("shap_modalities", endpoint))
    table = None if table is None else table[table["share"].notna()]
    if table is None:
        return []
    shares = table.groupby("modality")["share"].agg(["mean", "min", "max", "size"])
    shares = shares.sort_values("mean", ascending=False)
    return [
        {
            "name": part_name(name),
            "share": row["mean"],
            "low": row["min"],
            "high": row["max"],
            "folds": int(row["size"]),
        }
        for name, row in shares.iterrows()
    ]


def feature_rows(endpoint: Endpoint, most: int) -> list[dict[str, Any]]:
    """Return the features with the largest mean |SHAP|, at most `most` per modality, with their numbers of folds."""
    table = endpoint.rows(_table("shap_features", endpoint))
    table = None if table is None else table[table["mean_abs"].notna()]
    if table is None:
        return []
    rows = []
    for modality, part in table.groupby("modality", sort=False):
        part = part.sort_values(["mean_abs", "feature"], ascending=[False, True]).head(most)
        top = part["mean_abs"].max()
        rows += [
            {
                "modality": part_name(modality),
                "feature": row["feature"],
                "folds": int(row["folds"]),
                "mean_abs": plain(row["mean_abs"]),
                "sort": float(row["mean_abs"]),
                "width": 100 * row["mean_abs"] / top if top > 0 else 0,
                "direction": row["direction"],
            }
            for row in part.to_dict("records")
        ]
    return rows


def _table(name: str, endpoint: Endpoint) -> str:
    """Return the name of the table of the primary classifier."""
    return f"{name}_logistic" if endpoint.classifier == "logistic" else name
