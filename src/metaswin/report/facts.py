"""Collect facts of the run (versions, machine, settings, times) and the numbers of Tong et al. 2025.

The paper is arXiv 2508.20469.
"""

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

PACKAGES = (
    "metaswin", "snakemake", "torch", "monai", "pyradiomics-bhklab", "SimpleITK", "scikit-learn", "lifelines",
    "numpy", "scipy", "pandas", "pydicom",
)  # fmt: skip


def settings_hash(config: Mapping[str, Any]) -> str:
    """Return twelve hex digits of the SHA-256 of the whole configuration."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:12]


def versions() -> dict[str, str]:
    """Return the installed versions of Python and of the packages that affect results."""
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str]:
    """Describe the machine that made the report by processor, cores and memory, without its name."""
    import psutil

    cores = os.cpu_count() or 1
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.machine()}"
    return {"system": system, "CPU cores": str(cores), "memory": f"{memory:.0f} GiB"}


def times(folder: str | Path) -> pd.DataFrame:
    """Return time and memory of each stage from Snakemake's benchmark files in `folder`.

    Returns
    -------
    DataFrame
        ``stage`` (first folder or file name), ``jobs, seconds`` (sum over jobs), ``longest`` (seconds) and
        ``memory_mb`` (largest job), longest first. Empty if there are no benchmark files.
    """
    folder = Path(folder)
    records = []
    for path in sorted(folder.rglob("*.tsv")) if folder.is_dir() else []:
        stage = path.relative_to(folder).parts[0].removesuffix(".tsv")
        table = pd.read_csv(path, sep="\t", na_values="-")
        if len(table):
            records.append((stage, float(table["s"].sum()), float(table["s"].max()), table["max_rss"].max()))
    table = pd.DataFrame(records, columns=["stage", "seconds", "longest", "memory_mb"])
    grouped = table.groupby("stage").agg(
        jobs=("seconds", "size"), seconds=("seconds", "sum"), longest=("longest", "max"), memory_mb=("memory_mb", "max")
    )
    return grouped.reset_index().sort_values("seconds", ascending=False, ignore_index=True)


CITATION = "Tong et al. 2025, arXiv 2508.20469"
COHORT = "1,497 patients, five-fold cross-validation"
DEEP = {"auc": 0.715}
FUSION = {"auc": 0.803, "acc": 0.752, "sen": 0.730, "spe": 0.758}


def published(feature_set: str, primary: str) -> dict[str, float]:
    """Return the paper's numbers for a feature set.

    The paper has numbers for deep features alone and for the fusion with deep features. For others, the result is
    empty.
    """
    if feature_set == "deep":
        return DEEP
    return FUSION if feature_set == primary and "deep" in feature_set.split("+") else {}
