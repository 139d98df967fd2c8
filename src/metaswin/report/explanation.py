"""Explanation: SHAP by modality and by feature. Dimensions of the deep features are never shown one by one."""

from typing import Any

from metaswin.report.data import Endpoint
from metaswin.report.numbers import part_name, plain


def modality_rows(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Share of each modality in the headline's predictions, mean and range over folds, largest first."""
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
    """Features with the largest mean |SHAP|, at most `most` a modality, with the number of folds behind each."""
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
    """Name of the table of the answering head."""
    return f"{name}_logistic" if endpoint.head == "logistic" else name
