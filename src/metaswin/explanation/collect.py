"""One endpoint's explanation over all folds: the work of rule ``collect_explanation``."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from metaswin.files import read_table, write_table

# Below this mean rank correlation of value and contribution no direction is claimed.
CLEAR = 0.3
FOLD = ["repeat", "fold"]


def collect_explanation(modalities: Sequence[str], features: Sequence[str], outputs: Mapping[str, str]) -> None:
    """Join the folds of one endpoint.

    Parameters
    ----------
    modalities, features : sequence of path
        Tables of `metaswin.explanation.fold.explain_fold`.
    outputs : mapping
        ``modalities, features`` (head ``network``), ``modalities_logistic, features_logistic``.
    """
    of_modalities, of_features = (
        pd.concat(map(read_table, paths), ignore_index=True) for paths in (modalities, features)
    )
    for head, ending in [("network", ""), ("logistic", "_logistic")]:
        chosen = of_modalities[of_modalities["head"] == head]
        write_table(outputs[f"modalities{ending}"], pool_modalities(chosen))
        write_table(outputs[f"features{ending}"], pool_features(of_features[of_features["head"] == head]))


def pool_modalities(contributions: pd.DataFrame) -> pd.DataFrame:
    """Mean |contribution| of each modality over the held-out rows of each fold, and its share of their sum.

    Returns
    -------
    DataFrame
        ``repeat, fold, modality, mean_abs, share, patients``; `share` is missing where all contribute nothing.
    """
    size = contributions.assign(mean_abs=contributions["contribution"].abs())
    pooled = size.groupby([*FOLD, "modality"], sort=False)["mean_abs"].agg(["mean", "size"]).reset_index()
    pooled = pooled.rename(columns={"mean": "mean_abs", "size": "patients"})
    total = pooled.groupby(FOLD)["mean_abs"].transform("sum")
    pooled["share"] = (pooled["mean_abs"] / total).where(total > 0)
    return pooled[[*FOLD, "modality", "mean_abs", "share", "patients"]]


def pool_features(contributions: pd.DataFrame) -> pd.DataFrame:
    """Each column over the folds in whose model it is, largest first within its modality.

    Returns
    -------
    DataFrame
        ``modality, feature, folds, mean_abs, direction``: `folds` is the number of folds behind the row, `mean_abs`
        the mean over these folds of the mean |contribution|. `direction` says in words where contributions are high:
        of a number by the mean rank correlation of value and contribution within folds, of a category by the level
        with the highest mean.
    """
    rows = [
        {
            "modality": modality,
            "feature": feature,
            "folds": part[FOLD].drop_duplicates().shape[0],
            "mean_abs": part["contribution"].abs().groupby([part["repeat"], part["fold"]]).mean().mean(),
            "direction": _direction(part),
        }
        for (modality, feature), part in contributions.groupby(["modality", "feature"], sort=False)
    ]
    table = pd.DataFrame(rows, columns=["modality", "feature", "folds", "mean_abs", "direction"])
    order = list(dict.fromkeys(table["modality"]))
    table = table.sort_values(
        ["modality", "mean_abs", "feature"],
        ascending=[True, False, True],
        key=lambda column: column.map(order.index) if column.name == "modality" else column,
        ignore_index=True,
    )
    return table.astype({"modality": "str", "feature": "str", "direction": "str"})


def _direction(part: pd.DataFrame) -> str:
    if part["level"].notna().any():
        means = part.groupby("level")["contribution"].mean()
        return f"highest for {means.idxmax()}" if np.ptp(means) > 0 else "none"
    found = [_rank_correlation(fold) for _, fold in part.groupby(FOLD)]
    known = [value for value in found if value is not None]
    mean = float(np.mean(known)) if known else 0.0
    if not known or not part["contribution"].abs().max() > 0:
        return "none"
    if abs(mean) < CLEAR:
        return "mixed"
    return "higher raises the risk" if mean > 0 else "higher lowers the risk"


def _rank_correlation(fold: pd.DataFrame) -> float | None:
    """Spearman's correlation of value and contribution; None where one of them does not vary."""
    known = fold[fold["value"].notna()]
    if known["value"].nunique() < 2 or known["contribution"].nunique() < 2:
        return None
    return float(np.corrcoef(known["value"].rank(), known["contribution"].rank())[0, 1])
