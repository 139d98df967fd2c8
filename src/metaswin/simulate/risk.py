"""Draw metastases and deaths, and compute how well metastasis can be predicted at best.

Both hazards are Weibull with one common shape k (time in years). Therefore they are proportional and the cumulative
incidence has a closed form (Beyersmann et al., Competing Risks and Multistate Models with R, 2012, ch. 3)::

    hazard of metastasis  h1(t) = a1 k t^(k-1),  log a1 = baseline + Σ coefficient × standardised variable
    hazard of death       h2(t) = a2 k t^(k-1),  log a2 = log rate + …
    P(metastasis by t)    a1 / (a1 + a2) × (1 - exp(-(a1 + a2) t^k))

The baseline is solved so that the mean of P(metastasis by 2 years) over the population equals the wanted prevalence.

**Population AUC.** The label is metastasis within two years. A patient who dies earlier without metastasis is a
non-event. There is no censoring. Instead of drawing labels, each draw counts as an event with its probability and as
a non-event with the remaining probability: this gives the same AUC with less noise. The true risk is this probability
itself and is the best that any model could reach. The score of a single modality is the least-squares projection of
the linear predictor on the variables of the modality.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from metaswin.simulate.options import DAYS_PER_YEAR, HORIZON_YEARS, SimulationOptions
from metaswin.simulate.population import (
    CENTRE_CONTRAST,
    SITE_CONTRAST,
    STREAM_POPULATION,
    Patients,
    draw_patients,
    draw_uniforms,
)

SHAPE = 0.9
"""Weibull shape k: both hazards decrease slowly with time."""

DEATH_AFTER_DM_RATE = 0.7
"""Hazard of death per year after metastasis."""

FOLLOWUP_YEARS = (1.5, 7.0)
"""Administrative follow-up (years) is uniform between these limits."""

CALIBRATION_DRAWS = 500_000
POPULATION_SEED = 2

DEFINITION = (
    "AUC of the label 'distant metastasis within 2 years of treatment start', deaths before it as non-events, no "
    "censoring; a modality alone is the projection of the linear predictor on its own latent variables"
)


@dataclass(frozen=True)
class Outcome:
    """Observed course of n patients in whole days from treatment start; arrays of shape (n,)."""

    dm_event: np.ndarray
    dm_time_days: np.ndarray
    death_event: np.ndarray
    followup_days: np.ndarray


def linear_predictor(patients: Patients, options: SimulationOptions) -> np.ndarray:
    """Return the log hazard ratio of metastasis, shape (n,)."""
    coefficients = options.coefficients.model_dump()
    return sum(coefficients[name] * value for name, value in patients.standardised().items())


def death_hazard(patients: Patients, options: SimulationOptions) -> np.ndarray:
    """Return the scale a2 of the hazard of death without metastasis, shape (n,)."""
    death, z = options.death, patients.standardised()
    return death.rate * np.exp(death.age * z["age"] + death.smoking * z["smoking"] + death.hpv * patients.hpv)


def cumulative_incidence(a1: np.ndarray, a2: np.ndarray, years: float = HORIZON_YEARS) -> np.ndarray:
    """Return the probability of metastasis by `years` with death as competing event, shape (n,)."""
    total = a1 + a2
    return a1 / total * -np.expm1(-total * years**SHAPE)


def baseline(options: SimulationOptions) -> float:
    """Return the baseline log hazard that gives the wanted prevalence; it depends on the options of the risk only."""
    patients = _population(options, CALIBRATION_DRAWS)
    predictor, a2 = linear_predictor(patients, options), death_hazard(patients, options)

    def excess(value: float) -> float:
        return float(cumulative_incidence(np.exp(value + predictor), a2).mean()) - options.prevalence

    return float(brentq(excess, -12.0, 8.0, xtol=1e-10))


def true_risk(patients: Patients, options: SimulationOptions, base: float) -> np.ndarray:
    """Return the probability of metastasis within two years, shape (n,)."""
    return cumulative_incidence(np.exp(base + linear_predictor(patients, options)), death_hazard(patients, options))


def draw_outcome(
    patients: Patients, uniforms: dict[str, np.ndarray], options: SimulationOptions, base: float
) -> Outcome:
    """Draw event times by cause and return the part that is observed during follow-up."""
    a1 = np.exp(base + linear_predictor(patients, options))
    dm = _weibull(uniforms["dm"], a1)
    death = _weibull(uniforms["death"], death_hazard(patients, options))
    after = dm - np.log(uniforms["death_after_dm"]) / DEATH_AFTER_DM_RATE
    death = np.where(dm < death, after, death)
    first, last = FOLLOWUP_YEARS
    administrative = first + (last - first) * uniforms["administrative"]
    censored = np.minimum(administrative, _exponential(uniforms["loss"], options.loss_rate))
    end = np.minimum(death, censored)
    dm_event = dm <= end
    days = np.ceil(end * DAYS_PER_YEAR).astype(int)
    return Outcome(
        dm_event=dm_event.astype(int),
        dm_time_days=np.where(dm_event, np.ceil(np.minimum(dm, end) * DAYS_PER_YEAR), days).astype(int),
        death_event=(death <= censored).astype(int),
        followup_days=days,
    )


def population_aucs(options: SimulationOptions, base: float) -> dict[str, float]:
    """Return the AUC of the true risk and of each modality alone over `options.draws` draws (see the module text)."""
    patients = _population(options, options.draws)
    predictor = linear_predictor(patients, options)
    risk = cumulative_incidence(np.exp(base + predictor), death_hazard(patients, options))
    z = patients.standardised()
    clinical = [z["nodes"], z["smoking"], z["age"]]
    modalities = {
        "clinical": clinical,
        "radiomics": [z["texture"], z["volume"]],
        "peritumoral": [z["peritumoral"]],
        "volume": [z["volume"]],
        "clinical, T stage and site": [*clinical, patients.t_stage, *_dummies(patients.site, len(SITE_CONTRAST))],
        "scanner": _dummies(patients.scanner, len(CENTRE_CONTRAST)),
    }
    aucs = {"true risk": weighted_auc(risk, risk)}
    for name, columns in modalities.items():
        aucs[name] = weighted_auc(_projection(predictor, columns), risk)
    return aucs


def weighted_auc(score: np.ndarray, probability: np.ndarray) -> float:
    """Return the area under the ROC curve if each row is an event with `probability`; ties count half.

    Parameters
    ----------
    score, probability : ndarray, shape (n,)
        With probabilities 0 and 1 this is the ordinary AUC.
    """
    _, group = np.unique(score, return_inverse=True)
    events = np.bincount(group, weights=probability)
    others = np.bincount(group, weights=1.0 - probability)
    below = np.cumsum(others) - others
    return float(events @ (below + 0.5 * others) / (events.sum() * others.sum()))


def _population(options: SimulationOptions, draws: int) -> Patients:
    return draw_patients(draw_uniforms(STREAM_POPULATION, POPULATION_SEED, draws), options)


def _dummies(index: np.ndarray, size: int) -> list[np.ndarray]:
    return [(index == value).astype(float) for value in range(1, size)]


def _projection(target: np.ndarray, columns: list[np.ndarray]) -> np.ndarray:
    """Return the least-squares fit of `target` on `columns`, rounded so that equal rows are tied."""
    design = np.column_stack([np.ones(len(target)), *columns])
    # With few columns the normal equations are sufficiently well conditioned, and lstsq is slow for 10⁶ rows.
    weights = np.linalg.pinv(design.T @ design, hermitian=True) @ (design.T @ target)
    return np.round(design @ weights, 9)


def _weibull(uniform: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return the event time (years) of the hazard scale·k·t^(k-1)."""
    with np.errstate(divide="ignore"):
        return (-np.log(uniform) / scale) ** (1.0 / SHAPE)


def _exponential(uniform: np.ndarray, rate: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return -np.log(uniform) / np.float64(rate)
