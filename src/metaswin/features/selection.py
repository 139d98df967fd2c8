"""Select features on training rows: drop missing, constant, unstable and correlated ones, rank the rest."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from metaswin.config.features import SelectionSettings
from metaswin.core.errors import UserError
from metaswin.features.encoder import LIMIT

logger = logging.getLogger("metaswin.features")

COLUMNS = ["feature", "kept", "step", "reason", "rank", "importance"]

# A range below this share of the largest value is a rounding error, and the feature is constant. Correlations are
# compared to a fixed number of decimals, so that ties are broken by name for any order of summation.
CONSTANT = 1e-10
DECIMALS = 10

# Choice of the number of features with the method ``auc``: number of inner folds of the training rows, and 1/C of the
# ridge logistic regression that scores each number.
INNER_FOLDS = 4
PENALTIES = (1.0, 4.0, 16.0, 64.0, 256.0)


def select(
    features: pd.DataFrame,
    label: pd.Series,
    train: list[str],
    settings: SelectionSettings,
    seed: int,
    unstable: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Select features of one set on the training rows. No other row is read.

    Parameters
    ----------
    features : DataFrame
        Matrix of one set, see `metaswin.features.matrix.wide`.
    label : Series
        0 or 1 by patient.
    train : list of str
        Training patients. Their labels are known.
    settings, seed
        Thresholds and method; seed of the forest and of the inner folds.
    unstable : mapping or None
        Unstable feature → reason, see `metaswin.features.stability.unstable_features`; determined on the same training
        rows.

    Returns
    -------
    DataFrame
        One row for each feature, in the order of the columns, with columns

        - ``feature, kept``;
        - ``step``: the step that dropped the feature (``missing, constant, unstable, correlated, rank``), or ``kept``;
        - ``reason``: text with the numbers;
        - ``rank`` (from 1) and ``importance`` (of the forest, or `own_auc`), NaN if the feature was dropped earlier.

    Raises
    ------
    UserError
        If the training rows have one outcome only.
    """
    unstable = unstable or {}
    target = label.loc[train].to_numpy(dtype=int)
    if len(np.unique(target)) < 2:
        raise UserError(
            f"feature selection found one outcome only among {len(target)} training rows, but the ranking of "
            "features needs both outcomes; set folds.k lower (3 or more), or check the endpoint"
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
    # A feature without any value is dropped at any limit, because it has no median.
    return [f"missing in {share:.1%} of the training rows" if share > limit or share == 1 else "" for share in missing]


def _constant_reasons(values: np.ndarray) -> list[str]:
    flat = np.ptp(values, axis=0) <= CONSTANT * np.abs(values).max(axis=0)
    return ["one value in all training rows" if is_flat else "" for is_flat in flat]


def _correlated_reasons(values: np.ndarray, names: np.ndarray, limit: float) -> list[str]:
    """Return the reasons of the correlation filter, empty for the features that it keeps.

    Features are visited in ascending order of the mean absolute Spearman correlation with all others, ties by name. A
    feature is kept unless its correlation with a feature that is already kept exceeds `limit`. No two kept features are
    therefore correlated beyond the limit, and the reason of each dropped feature names a kept one. Kuhn & Johnson 2013,
    Applied Predictive Modeling, section 3.5, use the same criterion pair by pair.
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
    """Rank the remaining features, ties by name, and keep the best.

    The importance in the forest is the impurity importance (Breiman 2001).
    """
    if not len(alive):
        return
    names = table["feature"].to_numpy(dtype=str)[alive]
    # Ranks are used because scikit-learn converts to float32, which could merge or overflow values.
    ranks = rankdata(values[:, alive], axis=0)
    if settings.method == "auc":
        importance = own_auc(ranks, target)
        keep = best_number(values[:, alive], target, names, settings.keep_choices, seed)
    else:
        forest = RandomForestClassifier(settings.trees, max_features="sqrt", random_state=seed, n_jobs=1)
        importance = forest.fit(ranks, target).feature_importances_
        keep = settings.keep
    rank = np.empty(len(alive), dtype=int)
    rank[_order(importance, names)] = np.arange(1, len(alive) + 1)
    kept = rank <= keep
    table.loc[alive, "rank"] = rank
    table.loc[alive, "importance"] = importance
    table.loc[alive, "kept"] = kept
    table.loc[alive, "step"] = np.where(kept, "kept", "rank")
    table.loc[alive, "reason"] = [f"rank {place} of {len(alive)}" for place in rank]


def _order(importance: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Return the positions of the features, most important first, ties by name."""
    return np.lexsort((names, -importance))


def own_auc(values: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the AUC of each single feature, in the direction in which it is at least .5.

    Parameters
    ----------
    values : ndarray of shape (rows, features)
    target : ndarray of shape (rows,)
        0 or 1, both present.
    """
    events = target == 1
    n, m = int(events.sum()), int((~events).sum())
    auc = (rankdata(values, axis=0)[events].sum(axis=0) - n * (n + 1) / 2) / (n * m)
    return np.maximum(auc, 1 - auc).round(DECIMALS)


def best_number(values: np.ndarray, target: np.ndarray, names: np.ndarray, choices: Sequence[int], seed: int) -> int:
    """Choose how many of the features with the highest `own_auc` predict best in inner folds of the training rows.

    For each inner fold, the features are ranked again on the other inner folds, and a ridge logistic regression of the
    best ones predicts the rows of the fold. For each number, the penalty with the smallest log loss is used. The number
    with the smallest log loss is chosen; of equal numbers, the smaller one. With fewer than two events or non-events,
    inner folds are impossible, and the smallest number is chosen.

    Parameters
    ----------
    values : ndarray of shape (rows, features)
        Training rows without missing values, no feature constant.
    target : ndarray of shape (rows,)
        0 or 1, both present.
    names : ndarray of shape (features,)
    choices : sequence of int
        Numbers to choose from. A number greater than the number of features means all features.
    seed : int
        Seed of the division into inner folds.
    """
    numbers = sorted({min(number, values.shape[1]) for number in choices})
    folds = min(INNER_FOLDS, int(np.bincount(target, minlength=2).min()))
    if len(numbers) == 1 or folds < 2:
        return numbers[0]
    scaled = ((values - values.mean(axis=0)) / values.std(axis=0)).clip(-LIMIT, LIMIT)
    losses = np.zeros((len(numbers), len(PENALTIES)))
    for train, test in StratifiedKFold(folds, shuffle=True, random_state=seed).split(scaled, target):
        order = _order(own_auc(values[train], target[train]), names)
        for row, number in enumerate(numbers):
            inputs = scaled[:, order[:number]]
            for column, penalty in enumerate(PENALTIES):
                model = LogisticRegression(C=1 / penalty, max_iter=1000).fit(inputs[train], target[train])
                logits = inputs[test] @ model.coef_[0] + model.intercept_[0]
                # The log loss; scikit-learn's own checks take as long as the fit.
                losses[row, column] += np.logaddexp(0, np.where(target[test] == 1, -logits, logits)).mean() / folds
    found = losses.min(axis=1).round(DECIMALS)
    logger.info("log loss of inner folds by number of features: %s", dict(zip(numbers, found.tolist(), strict=True)))
    return numbers[int(found.argmin())]
