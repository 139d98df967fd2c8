"""Find single columns that predict the outcome so well that they were probably recorded after it."""

import numpy as np
import pandas as pd

from metaswin.cohort.predictors import normalised
from metaswin.core.problems import Problem


def column_aucs(table: pd.DataFrame, kinds: dict[str, str], label: np.ndarray, fold: np.ndarray) -> dict[str, float]:
    """Compute the AUC of each column alone on training rows.

    A numeric column is used as a score, in the better of the two directions. Whether a value is missing is a separate
    score. The levels of a category are ranked by the prevalence in the other folds. Therefore many rare levels do not
    give a high AUC.

    Parameters
    ----------
    table : DataFrame
        Training rows.
    kinds : dict
        Column → ``numeric``, ``log`` or ``category``.
    label, fold : ndarray of shape (rows,)
        0 or 1 (both must occur), and the fold of each training row.
    """
    found = {}
    for column, kind in kinds.items():
        if kind == "category":
            values = [_auc(_rates(normalised(table[column]), label, fold), label)]
        else:
            numbers = table[column].to_numpy(dtype="float64", na_value=np.nan)
            missing = np.isnan(numbers)
            filled = np.where(missing, np.median(numbers[~missing]) if not missing.all() else 0.0, numbers)
            values = [max(value, 1 - value) for value in (_auc(filled, label), _auc(missing, label))]
        found[column] = max(values)
    return found


def suspicious(column: str, limit: float) -> Problem:
    """Return the warning about a column above the limit."""
    return Problem(
        "",
        "fusion",
        "single-column-auc",
        f"the column {column} alone separates events from non-events with an AUC above {limit:g}",
        "no single column that almost determines the outcome",
        "check that it was recorded before treatment; if not, change its role in clinical.columns",
        excludes=False,
    )


def _auc(score: np.ndarray, label: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(label, score))


def _rates(levels: list[str], label: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return the prevalence of each row's level in the other folds, shrunk towards the overall prevalence."""
    names = np.array(levels, dtype=object)
    rates = np.empty(len(label))
    for j in np.unique(fold):
        out, rest = fold == j, fold != j
        counts = (
            pd.DataFrame({"level": names[rest], "label": label[rest]}).groupby("level")["label"].agg(["sum", "size"])
        )
        overall = label[rest].mean()
        shares = (counts["sum"] + overall) / (counts["size"] + 1)
        rates[out] = pd.Series(names[out]).map(shares).fillna(overall).to_numpy(dtype="float64")
    return rates
