"""Names of the report's files; imported by the workflow, so it imports nothing heavy."""

from collections.abc import Mapping
from typing import Any

CAPTIONS = {"roc": "ROC curves", "arms": "AUC of every arm", "training": "training curves"}
ENDPOINT_TABLES = ("modalities", "ablation", "strata", "comparisons", "selected", "patients")
COMMON_TABLES = ("problems", "deaths", "times")


def table_files(endpoints: list[str]) -> list[str]:
    """File names below ``report/tables``."""
    own = [f"{name}-{endpoint}.csv" for endpoint in endpoints for name in ENDPOINT_TABLES]
    return [*own, *(f"{name}.csv" for name in COMMON_TABLES)]


def figure_files(endpoints: list[str], deep: bool) -> list[str]:
    """File names below ``report/figures`` without their ending; each is there as SVG and as PDF."""
    kinds = [kind for kind in CAPTIONS if deep or kind != "training"]
    return [f"{kind}-{endpoint}" for endpoint in endpoints for kind in kinds]


def portable(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without what says only where files lie: the same on every machine, and naming nobody."""
    kept = {key: value for key, value in config.items() if key not in ("data", "output")}
    kept["source"] = config["data"]["source"]
    kept["clinical"] = {key: value for key, value in config["clinical"].items() if key != "table"}
    return kept
