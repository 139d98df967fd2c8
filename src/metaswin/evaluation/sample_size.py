"""Check whether the training rows are enough for a model: events per parameter and the criteria of Riley et al."""

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from metaswin.evaluation.metrics import Value

if TYPE_CHECKING:
    import pandas as pd

    from metaswin.evaluation.predictions import EndpointData

SHRINKAGE, OPTIMISM, MARGIN, ERROR = 0.9, 0.05, 0.05, 0.05
EVENTS_PER_PARAMETER = 10
# Anticipated proportion of the largest possible R² without prior information (Riley et al. 2020, BMJ 368:m441).
ANTICIPATED = 0.15
# The formula of the absolute error was derived from simulations with up to this number of parameters.
MOST_PARAMETERS = 30


def largest_r2(prevalence: float) -> float:
    """Return the largest possible Cox-Snell R² (Riley et al. 2019, Stat Med 38:1276-1296, equation 23)."""
    return float(1 - (prevalence**prevalence * (1 - prevalence) ** (1 - prevalence)) ** 2)


def rows_for_shrinkage(r2: float, parameters: float, shrinkage: float = SHRINKAGE) -> float:
    """Return the rows for an expected uniform shrinkage: p / ((S - 1) ln(1 - R²/S)) (Riley et al. 2019, criterion i).

    Parameters
    ----------
    r2 : float
        Anticipated Cox-Snell R², below `shrinkage`.
    parameters : float
        Candidate parameters.
    shrinkage : float
    """
    return float(parameters / ((shrinkage - 1) * np.log1p(-r2 / shrinkage)))


def shrinkage_for_optimism(r2: float, prevalence: float, optimism: float = OPTIMISM) -> float:
    """Return the shrinkage at which Nagelkerke's R² falls by `optimism` (delta).

    The shrinkage is R² / (R² + delta max R²) (Riley et al. 2019, criterion ii).
    """
    return float(r2 / (r2 + optimism * largest_r2(prevalence)))


def rows_for_risk(prevalence: float, margin: float = MARGIN) -> float:
    """Return the rows for the overall risk within ± `margin` (95 %).

    The number is (1.96 / margin)² phi (1 - phi) with the prevalence phi (Riley et al. 2019, criterion iii).
    """
    return float((1.96 / margin) ** 2 * prevalence * (1 - prevalence))


def rows_for_error(prevalence: float, parameters: float, error: float = ERROR) -> float:
    """Return the rows for a mean absolute error of predicted risks.

    The number is ``exp((-0.508 + 0.259 ln phi + 0.504 ln p - ln error) / 0.544)``, for up to 30 parameters (van Smeden
    et al. 2019, Stat Methods Med Res 28:2455-2474).
    """
    return float(np.exp((-0.508 + 0.259 * np.log(prevalence) + 0.504 * np.log(parameters) - np.log(error)) / 0.544))


def expected_shrinkage(rows: float, r2: float, parameters: float) -> float:
    """Return the expected shrinkage with this number of rows.

    The result is `rows_for_shrinkage` solved for S, which is between R² and 1.
    """

    def excess(shrinkage: float) -> float:
        return np.log(rows_for_shrinkage(r2, parameters, shrinkage)) - np.log(rows)

    least = r2 + 1e-12
    # With few rows and hundreds of parameters, the shrinkage is closer to R² than `least`.
    return float(least if excess(least) >= 0 else brentq(excess, least, 1 - 1e-12, xtol=1e-12))


def criteria(
    rows: float, events: float, parameters: float, r2_measured: float
) -> list[tuple[str, Value, float | None, bool | None]]:
    """Compute every criterion: its name, its value with these rows, its limit, and whether it is met.

    Parameters
    ----------
    rows, events : float
        Training rows and events of a fold.
    parameters : float
        Candidate parameters: all columns before selection.
    r2_measured : float
        Cox-Snell R² of inner out-of-fold predictions. NaN or not above 0 if they are not better than the prevalence.

    Returns
    -------
    list
        ``shrinkage`` and ``optimism`` anticipate 15 % of the largest R², as Riley et al. propose without prior
        information. ``…_measured`` use the measured R². ``rows_needed`` is the largest required number of the criteria
        with the anticipated R², compared with the training rows. It includes the absolute error up to 30 parameters.
    """
    prevalence = events / rows
    if not 0 < prevalence < 1 or parameters < 1:
        why = Value(why="no columns are left to fit" if parameters < 1 else "the training rows have only one outcome")
        return [(name, why, None, None) for name in NAMES]
    anticipated = ANTICIPATED * largest_r2(prevalence)
    found: list[tuple[str, Value, float | None, bool | None]] = [
        _above("events_per_parameter", events / parameters, EVENTS_PER_PARAMETER)
    ]
    found += _riley(rows, parameters, prevalence, anticipated, "")
    if np.isfinite(r2_measured) and r2_measured > 0:
        found += _riley(rows, parameters, prevalence, r2_measured, "_measured")
    else:
        why = Value(why="inner out-of-fold predictions are not better than the prevalence")
        found += [("shrinkage_measured", why, SHRINKAGE, None), ("optimism_measured", why, OPTIMISM, None)]
    margin = 1.96 * np.sqrt(prevalence * (1 - prevalence) / rows)
    found.append(_below("overall_risk", margin, MARGIN))
    needed = [
        rows_for_shrinkage(anticipated, parameters),
        rows_for_shrinkage(anticipated, parameters, shrinkage_for_optimism(anticipated, prevalence)),
        rows_for_risk(prevalence),
    ]
    if parameters <= MOST_PARAMETERS:
        error = ERROR * (rows_for_error(prevalence, parameters) / rows) ** 0.544
        found.append(_below("absolute_error", error, ERROR))
        needed.append(rows_for_error(prevalence, parameters))
    else:
        why = Value(why=f"the formula is for up to {MOST_PARAMETERS} candidate parameters")
        found.append(("absolute_error", why, ERROR, None))
    return [*found, _below("rows_needed", float(np.ceil(max(needed))), float(np.floor(rows)))]


NAMES = (
    "events_per_parameter", "shrinkage", "optimism", "shrinkage_measured", "optimism_measured", "overall_risk",
    "absolute_error", "rows_needed",
)  # fmt: skip


def _riley(rows: float, parameters: float, prevalence: float, r2: float, suffix: str) -> list[tuple]:
    shrinkage = expected_shrinkage(rows, r2, parameters)
    optimism = r2 * (1 - shrinkage) / (shrinkage * largest_r2(prevalence))
    return [_above(f"shrinkage{suffix}", shrinkage, SHRINKAGE), _below(f"optimism{suffix}", optimism, OPTIMISM)]


def _above(name: str, value: float, limit: float) -> tuple[str, Value, float, bool]:
    return name, Value(float(value)), limit, bool(value >= limit)


def _below(name: str, value: float, limit: float) -> tuple[str, Value, float, bool]:
    return name, Value(float(value)), limit, bool(value <= limit)


def sample_size_table(data: "EndpointData") -> "pd.DataFrame":
    """Compute the criteria of every feature set and classifier, with mean training rows, events and candidates."""
    import pandas as pd

    records = []
    for (feature_set, classifier), fits in data.training.groupby(["feature_set", "classifier"], sort=True):
        n, events, parameters, r2 = (float(fits[name].mean()) for name in ("n", "events", "candidates", "r2"))
        for criterion, found, limit, met in criteria(n, events, parameters, r2):
            record = {
                "endpoint": data.name,
                "feature_set": feature_set,
                "classifier": classifier,
                "criterion": criterion,
                "value": found.value,
            }
            facts = {"rows": n, "events": events, "parameters": parameters, "r2_measured": r2}
            records.append({**record, "limit": limit, "met": met, "why": found.why, **facts})
    return pd.DataFrame(records).astype({"value": "float64", "limit": "float64", "met": "boolean"})
