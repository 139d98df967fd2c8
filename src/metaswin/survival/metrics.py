"""What is measured in one fold's test rows: concordance, AUC, Brier score and calibration at the horizon."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, roc_auc_score

from metaswin.clinical.label import METASTASIS
from metaswin.evaluation.censoring import Censoring, weights
from metaswin.evaluation.metrics import missing_predictions
from metaswin.evaluation.value import Value
from metaswin.survival.concordance import concordance_index
from metaswin.survival.incidence import cumulative_incidence

METRICS = ("c_index", "auc_t", "brier_t", "observed_expected")


def survival_metrics(
    risk: NDArray, time: NDArray, event: NDArray, label: NDArray, horizon: float, censoring: Censoring
) -> dict[str, Value]:
    """Metrics of the risk of metastasis by the horizon, one for each of `METRICS`.

    - ``c_index``: `metaswin.survival.concordance.concordance_index`.
    - ``auc_t``: cumulative/dynamic AUC at the horizon, patients who died before it as controls, inverse-probability-
      of-censoring weights (Blanche et al. 2013, Stat Med 32:5381-5397).
    - ``brier_t``: mean of (y - risk)² with the same weights over their sum (Schoop et al. 2011, Biom J 53:88-112).
    - ``observed_expected``: Aalen-Johansen estimate at the horizon over the mean risk of all test rows.

    Parameters
    ----------
    risk, time, event, label : ndarray of shape (n,)
        Label at the horizon: 0, 1 or NaN for unknown.
    horizon : float
        Days.
    censoring : Censoring
        Fitted on the fold's training rows.
    """
    if len(risk) == 0:
        return dict.fromkeys(METRICS, Value(why="no test rows with known follow-up"))
    if not np.all(np.isfinite(risk)):
        return dict.fromkeys(METRICS, Value(why=missing_predictions(risk)))
    return {
        "c_index": concordance_index(risk, time, event, horizon, censoring),
        **_at_horizon(risk, label, weights(label, time, horizon, censoring)),
        "observed_expected": _observed_expected(risk, time, event, horizon),
    }


def _at_horizon(risk: NDArray, label: NDArray, weight: NDArray) -> dict[str, Value]:
    known = ~np.isnan(label)
    y, p, w = label[known] == 1, risk[known], weight[known]
    if not np.all(np.isfinite(w)):
        return dict.fromkeys(("auc_t", "brier_t"), Value(why="no training row is followed as long as some test rows"))
    if not known.any():
        return dict.fromkeys(("auc_t", "brier_t"), Value(why="no known outcome in the fold's test rows"))
    if y.any() and not y.all():
        auc = Value(float(roc_auc_score(y, p, sample_weight=w)))
    else:
        auc = Value(why=f"{'nobody without' if y.any() else 'no'} metastasis at the horizon in the fold's test rows")
    return {"auc_t": auc, "brier_t": Value(float(brier_score_loss(y, p, sample_weight=w)))}


def _observed_expected(risk: NDArray, time: NDArray, event: NDArray, horizon: float) -> Value:
    observed = cumulative_incidence(time, event, METASTASIS, np.array([horizon]), 0.95).value[0]
    if np.isnan(observed):
        return Value(why="no test row is followed to the horizon")
    return Value(float(observed / np.mean(risk)))
