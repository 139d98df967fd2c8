"""Name the fits: every fit is named by the folds that it leaves out.

The inner folds of outer fold f are the other outer folds. The fit ``without-1`` predicts the test rows of fold 1. The
fit ``without-1-3`` predicts the rows of fold 3 for outer fold 1 and the rows of fold 1 for outer fold 3. Therefore k
folds need k + k (k - 1) / 2 fits of everything that outer folds share: networks, selection, harmonisation and
stability.
"""

from itertools import combinations

PREFIX = "without"


def fit_name(*folds: int) -> str:
    """Return the name of the fit that leaves out these folds, such as ``without-1-3``."""
    return "-".join([PREFIX, *map(str, sorted(folds))])


def left_out(fit: str) -> tuple[int, ...]:
    """Return the folds that a fit leaves out, by its name."""
    return tuple(map(int, fit.split("-")[1:]))


def outer_fits(fold: int, k: int) -> list[str]:
    """Return the fits of one outer fold: the fit that predicts its test rows, then one for each of the other folds."""
    return [fit_name(fold), *(fit_name(fold, other) for other in range(k) if other != fold)]


def all_fits(k: int) -> list[str]:
    """Return the fits of all outer folds, each once."""
    return [fit_name(*folds) for size in (1, 2) for folds in combinations(range(k), size)]
