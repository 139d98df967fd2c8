"""Make the clinical table of a simulated cohort and the table of its true risks."""

from datetime import date, timedelta

import numpy as np
import pandas as pd

from metaswin.simulate.options import SimulationOptions
from metaswin.simulate.population import (
    ALCOHOL,
    SITES,
    SMOKING,
    STREAM_MISSING,
    UNKNOWN_PRIMARY,
    Patients,
    generator,
)
from metaswin.simulate.risk import Outcome, linear_predictor, true_risk
from metaswin.simulate.scanners import SCANNERS

FIRST_DAY, ENROLMENT_DAYS = date(2008, 1, 1), 4000
SCAN_DAYS = (7, 28)
"""The planning CT is this many days before the start of treatment (first, last)."""

INCOMPLETE = ("smoking_status", "pack_years", "alcohol", "t_stage", "hpv", "age")
"""Columns with missing cells."""


def study_id(index: int) -> str:
    """Return the study id of patient `index` (from 0)."""
    return f"SIM-{index + 1:04d}"


def site_name(site: int) -> str:
    """Return the name of a site index of `population.Patients`."""
    return (*SITES, UNKNOWN_PRIMARY)[site]


def treatment_start(uniform: float) -> date:
    """Return the day on which treatment starts."""
    return FIRST_DAY + timedelta(days=int(ENROLMENT_DAYS * uniform))


def scan_day(start: date, uniform: float) -> date:
    """Return the day of the planning CT."""
    first, last = SCAN_DAYS
    return start - timedelta(days=first + int((last - first + 1) * uniform))


def birthday(start: date, age: float) -> date:
    """Return the day of birth of a patient whose age on `start` is `age` (years)."""
    return start - timedelta(days=round(age * 365.25))


def clinical_table(
    patients: Patients, outcome: Outcome, uniforms: dict[str, np.ndarray], options: SimulationOptions
) -> pd.DataFrame:
    """Return the clinical table, one row per patient.

    Cells are missing completely at random, each with probability `options.missing`.
    """
    sites = np.array([*SITES, UNKNOWN_PRIMARY])
    tested = patients.site == SITES.index("oropharynx")
    table = pd.DataFrame(
        {
            "patient_id": [study_id(index) for index in range(len(patients))],
            "age": patients.age,
            "sex": np.where(patients.male, "male", "female"),
            "smoking_status": np.array(SMOKING)[patients.smoking],
            "pack_years": patients.pack_years.astype(int),
            "alcohol": np.array(ALCOHOL)[patients.alcohol],
            "site": sites[patients.site],
            "t_stage": [f"T{stage}" for stage in patients.t_stage],
            "n_stage": [f"N{stage}" for stage in patients.n_stage],
            "hpv": np.where(tested, np.where(patients.hpv, "positive", "negative"), "not tested"),
            "treatment": np.where(patients.chemotherapy, "chemoradiotherapy", "radiotherapy"),
            "treatment_start": [treatment_start(uniform).isoformat() for uniform in uniforms["start"]],
            "dm_event": outcome.dm_event,
            "dm_time_days": outcome.dm_time_days,
            "death_event": outcome.death_event,
            "death_time_days": outcome.followup_days,
            "followup_days": outcome.followup_days,
        }
    )
    lost = generator(STREAM_MISSING, options.seed).random((len(table), len(INCOMPLETE))) < options.missing
    for column, mask in zip(INCOMPLETE, lost.T, strict=True):
        table[column] = table[column].astype(object).where(~mask, None)
    return table


def truth_table(patients: Patients, options: SimulationOptions, base: float) -> pd.DataFrame:
    """Return latent variables, linear predictor and true two-year risk, one row per patient."""
    return pd.DataFrame(
        {
            "patient_id": [study_id(index) for index in range(len(patients))],
            "texture": patients.texture,
            "volume": patients.volume,
            "peritumoral": patients.peritumoral,
            "scanner": np.array([scanner.manufacturer for scanner in SCANNERS])[patients.scanner],
            "linear_predictor": linear_predictor(patients, options),
            "risk_2y": true_risk(patients, options, base),
        }
    )
