"""Select features on training rows: drop missing, constant, unstable and correlated ones, rank the rest by a forest."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.ensemble import RandomForestClassifier

from metaswin.config.features import SelectionSettings
from metaswin.core.errors import UserError

COLUMNS = ["feature", "kept", "step", "reason", "rank", "importance"]

# Rounding errors are not variation: a range below this share of the largest value is constant, and correlations
# are compared to this many decimals, so that ties are broken by name whatever the order of summation.
CONSTANT = 1e-10
DECIMALS = 10


def select(
    features: pd.DataFrame,
    label: pd.Series,
    train: list[str],
    settings: SelectionSettings,
    seed: int,
    unstable: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Select features of one set on the training rows; no other row is read.

    Parameters
    ----------
    features : DataFrame
        Matrix of one set, see `metaswin.features.selection.wide`.
    label : Series
        0 or 1 by patient.
    train : list of str
        Patients to learn from; their labels are known.
    settings, seed
        Thresholds and size of the forest; its seed.
    unstable : mapping or None
        Features that are not stable → why, see `metaswin.features.stability.unstable_features`; found on the same
        training rows.

    Returns
    -------
    DataFrame
        One row for each feature, in the order of the columns, with columns

        - ``feature, kept``;
        - ``step``: the step that dropped the feature (``missing, constant, unstable, correlated, rank``), or ``kept``;
        - ``reason``: text with the numbers;
        - ``rank`` (from 1) and ``importance`` in the forest, NaN where it was not reached.

    Raises
    ------
    UserError
        If the training rows have one outcome only.
    """
    unstable = unstable or {}
    target = label.loc[train].to_numpy(dtype=int)
    if len(np.unique(target)) < 2:
        raise UserError(
            f"feature selection found one outcome only among {len(target)} training rows, but a random forest needs "
            "both; set folds.k lower (3 or more), or check the endpoint"
        )
    names = features.columns.to_numpy(dtype=str)
    values = features.loc[train].to_numpy(dtype=float)
    missing = np.isnan(values).mean(axis=0)
    median = np.full(len(names), np.nan)
    some = missing < 1
    median[some] = np.nanmedian(values[:, some], axis=0)
    imputed = np.where(np.isnan(values), median, values)

    table = pd.DataFrame({"feature": names, "kept": False, "step": "", "reason": "", "rank": np.nan})
    table = table.assign(importance=np.nan)
    alive = np.arange(len(names))
    steps = [
        ("missing", lambda on: _missing_reasons(missing[on], settings.max_missing)),
        ("constant", lambda on: _constant_reasons(imputed[:, on])),
        ("unstable", lambda on: [unstable.get(name, "") for name in names[on]]),
        ("correlated", lambda on: _correlated_reasons(imputed[:, on], names[on], settings.max_correlation)),
    ]
    for step, reasons_of in steps:
        reasons = np.array(reasons_of(alive), dtype=object)
        dropped = reasons != ""
        table.loc[alive[dropped], "step"] = step
        table.loc[alive[dropped], "reason"] = reasons[dropped]
        alive = alive[~dropped]
    _rank(table, alive, imputed, target, settings, seed)
    return table[COLUMNS]


def _missing_reasons(missing: np.ndarray, limit: float) -> list[str]:
    # A feature without any value goes whatever the limit: it has no median.
    return [f"missing in {share:.1%} of the training rows" if share > limit or share == 1 else "" for share in missing]


def _constant_reasons(values: np.ndarray) -> list[str]:
    flat = np.ptp(values, axis=0) <= CONSTANT * np.abs(values).max(axis=0)
    return ["one value in all training rows" if is_flat else "" for is_flat in flat]


def _correlated_reasons(values: np.ndarray, names: np.ndarray, limit: float) -> list[str]:
    """Greedy filter: of two features correlated beyond `limit`, the one that is more correlated with all goes.

    Features are visited by rising mean absolute Spearman correlation with all others, ties by name; one stays
    unless it correlates beyond `limit` with one that stayed before. So no two that stay are correlated beyond
    the limit, and each that goes has a named partner that stays. (Kuhn & Johnson 2013, Applied Predictive
    Modeling, section 3.5, drops by the same criterion, pair by pair.)
    """
    if values.shape[1] < 2:
        return [""] * values.shape[1]
    correlation = np.abs(np.corrcoef(rankdata(values, axis=0), rowvar=False)).round(DECIMALS)
    mean = ((correlation.sum(axis=0) - 1) / (len(names) - 1)).round(DECIMALS)
    reasons = [""] * len(names)
    partner = np.full(len(names), -1)
    for feature in np.lexsort((names, mean)):
        if partner[feature] < 0:
            partner[(correlation[feature] > limit) & (partner < 0)] = feature
        elif partner[feature] != feature:
            kept = partner[feature]
            reasons[feature] = f"Spearman {correlation[feature, kept]:.3f} with {names[kept]}"
    return reasons


def _rank(
    table: pd.DataFrame,
    alive: np.ndarray,
    values: np.ndarray,
    target: np.ndarray,
    settings: SelectionSettings,
    seed: int,
) -> None:
    """Rank the features left by the impurity importance of a random forest (Breiman 2001); ties by name."""
    if not len(alive):
        return
    forest = RandomForestClassifier(settings.trees, max_features="sqrt", random_state=seed, n_jobs=1)
    # Trees see order only; ranks keep it where scikit-learn's float32 would merge or overflow values.
    importance = forest.fit(rankdata(values[:, alive], axis=0), target).feature_importances_
    order = np.lexsort((table["feature"].to_numpy(dtype=str)[alive], -importance))
    rank = np.empty(len(alive), dtype=int)
    rank[order] = np.arange(1, len(alive) + 1)
    kept = rank <= settings.keep
    table.loc[alive, "rank"] = rank
    table.loc[alive, "importance"] = importance
    table.loc[alive, "kept"] = kept
    table.loc[alive, "step"] = np.where(kept, "kept", "rank")
    table.loc[alive, "reason"] = [f"rank {place} of {len(alive)}" for place in rank]
