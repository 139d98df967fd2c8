"""Name the files of the report.

The workflow imports this module. Therefore it imports no large packages.
"""

from collections.abc import Collection, Mapping
from pathlib import PurePath
from typing import Any

# For each kind of figure: what the run needs to have, and the title in Snakemake's own report.
FIGURES = {
    "roc": ("", "ROC curves"),
    "pr": ("", "precision and recall"),
    "calibration": ("", "calibration"),
    "decision": ("", "decision curves"),
    "feature_sets": ("", "AUC of every feature set and negative control"),
    "training": ("deep", "training curves"),
    "incidence": ("survival", "cumulative incidence"),
    "survival": ("survival", "survival"),
    "survival_calibration": ("survival", "calibration at the horizon"),
    "permuted": ("permuted", "permuted outcomes"),
    "centres": ("centres", "AUC in each centre, with the model trained without it"),
}
ENDPOINT_TABLES = (
    "baseline", "modalities", "ablation", "folds", "strata", "comparisons", "selected", "patients", "roc", "pr",
    "calibration", "decision", "delong", "sample_size", "survival", "controls", "optimism", "site",
    "shap_modalities", "shap_features", "centres", "between_centres",
)  # fmt: skip
COMMON_TABLES = ("problems", "deaths", "times", "checklists")


def table_files(endpoints: list[str]) -> list[str]:
    """Return the file names in ``report/tables``."""
    own = [f"{name}-{endpoint}.csv" for endpoint in endpoints for name in ENDPOINT_TABLES]
    return [*own, *(f"{name}.csv" for name in COMMON_TABLES)]


def figure_files(endpoints: Mapping[str, Collection[str]]) -> list[str]:
    """Return the file names in ``report/figures`` without extension; each file exists as SVG and as PDF.

    Parameters
    ----------
    endpoints : mapping of str to collection of str
        For each endpoint, which of ``deep, survival, permuted, centres`` it has.
    """
    return [
        f"{kind}-{endpoint}"
        for endpoint, has in endpoints.items()
        for kind, (needs, _) in FIGURES.items()
        if not needs or needs in has
    ]


def portable(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration without the locations of files.

    The result is the same on every machine and contains no names of persons or folders.
    """
    kept = {key: value for key, value in config.items() if key not in ("data", "output")}
    kept["source"] = config["data"]["source"]
    kept["signatures"] = [
        PurePath(name).stem if name.endswith((".yaml", ".yml")) else name for name in config.get("signatures", [])
    ]
    if "cohort" in config:
        kept["cohort"] = {key: value for key, value in config["cohort"].items() if key != "review"}
    kept["clinical"] = {key: value for key, value in config["clinical"].items() if key != "table"}
    return kept
