"""Measure how batch, scanner and site are associated with the outcome."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metaswin.config.features import ACQUISITION
from metaswin.core.files import read_table, write_table
from metaswin.features.batches import find_column, levels_of

SCANNER = ("manufacturer", "model", "kernel")
RESAMPLES = 9999
SMALL_EXPECTED = 5
COLUMNS = {
    "endpoint": "str", "column": "str", "levels": "Int64", "n": "Int64", "missing": "Int64", "test": "str",
    "statistic": "float64", "p": "float64", "cramers_v": "float64", "counts": "str", "why": "str",
}  # fmt: skip


@dataclass(frozen=True)
class SiteInputs:
    """Hold the tables of the cohort that `associate_site` reads: outcomes, used patients and clinical columns."""

    outcomes: str
    used: str
    clinical: str


def associate_site(inputs: SiteInputs, output: str, columns: Sequence[str], seed: int) -> None:
    """Write the associations of columns with the outcomes, ``evaluation/site.parquet``.

    Parameters
    ----------
    inputs : SiteInputs
    output : str
    columns : sequence of str
        Columns to test besides manufacturer, model and kernel. A column that these patients do not have is ignored.
    seed : int
        Seed of the permutations.
    """
    used, clinical = read_table(inputs.used), read_table(inputs.clinical)
    there = {name.strip() for name in [*clinical.columns.drop("patient"), *(set(ACQUISITION) & set(used.columns))]}
    wanted = [name for name in dict.fromkeys([*map(str.strip, columns), *SCANNER]) if name in there]
    rows = []
    outcomes = read_table(inputs.outcomes)
    for endpoint, outcome in outcomes[outcomes["patient"].isin(used["patient"])].groupby("endpoint", sort=True):
        label = outcome.set_index("patient")["label"]
        for column in wanted:
            levels = levels_of(find_column(column, used, clinical))
            rows.append({"endpoint": endpoint, "column": column, **association(levels, label, seed)})
    write_table(output, pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS))


def association(levels: pd.Series, label: pd.Series, seed: int) -> dict[str, Any]:
    """Test the association of a column with the outcome and return its strength, over patients who have both.

    The statistic is Pearson's chi-squared. Its p value is asymptotic if every expected count is 5 or more (Cochran
    1954). Otherwise, the p value is that of the Fisher-Freeman-Halton test (Freeman & Halton 1951), computed by scipy's
    ``fisher_exact``: exactly with two levels, by permutation with more levels.

    Parameters
    ----------
    levels : Series
        Text by patient, None if missing.
    label : Series
        0, 1 or missing by patient.
    seed : int

    Returns
    -------
    dict
        ``levels, n, missing`` (known outcome, no level)``, test, statistic, p, cramers_v, counts`` (level: events of
        patients)``, why`` (reason if a value is not estimable).
    """
    from scipy import stats

    known = label.dropna().astype(int)
    levels = levels.reindex(known.index)
    table = pd.crosstab(levels, known).reindex(columns=[0, 1], fill_value=0)
    counts = table.to_numpy()
    n = int(counts.sum())
    found: dict[str, Any] = {
        "levels": len(table),
        "n": n,
        "missing": len(known) - n,
        "counts": "; ".join(
            f"{level}: {row[1]} of {row.sum()}" for level, row in zip(table.index, counts, strict=True)
        ),
        "why": "",
    }
    if len(table) < 2:
        return {**found, "why": "not estimable (fewer than two levels)"}
    if (counts.sum(axis=0) == 0).any():
        return {**found, "why": "not estimable (one outcome only)"}
    test = stats.chi2_contingency(counts, correction=False)
    found |= {"test": "chi-squared", "statistic": float(test.statistic), "p": float(test.pvalue)}
    if (test.expected_freq < SMALL_EXPECTED).any():
        method = stats.MonteCarloMethod(n_resamples=RESAMPLES, rng=np.random.default_rng(seed))
        exact = stats.fisher_exact(counts, method=None if counts.shape == (2, 2) else method)
        found |= {"test": "Fisher-Freeman-Halton", "p": float(exact.pvalue)}
    found["cramers_v"] = cramers_v(float(test.statistic), n, *counts.shape)
    if found["cramers_v"] is None:
        found["why"] = "Cramér's V not estimable (about as many levels as patients)"
    return found


def cramers_v(statistic: float, n: int, rows: int, columns: int) -> float | None:
    """Return the bias-corrected Cramér's V of a table (Bergsma 2013, J Korean Stat Soc 42:323-328), 0 … 1.

    Return None if the table has nearly as many rows as patients, because V is then not defined after the correction.

    Parameters
    ----------
    statistic : float
        Pearson's chi-squared, without continuity correction.
    n, rows, columns : int
        Sum and shape of the table.
    """
    excess = max(0.0, statistic / n - (rows - 1) * (columns - 1) / (n - 1))
    corrected = [size - (size - 1) ** 2 / (n - 1) for size in (rows, columns)]
    largest = min(corrected) - 1
    return float(np.sqrt(excess / largest)) if largest > 1e-9 else None
