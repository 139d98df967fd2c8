"""Permute outcomes, and make the folds of a permuted outcome."""

import zlib

import numpy as np
import pandas as pd

from metaswin.cohort.folds import make_folds
from metaswin.config.cohort import FoldsSettings

OUTCOME = ["label", "time", "event"]


TRAINED = 1  # the permutation that networks are trained on, with deep: once


def permuted_outcome(outcome: pd.DataFrame, seed: int, endpoint: str, permutation: int) -> pd.DataFrame:
    """Give each patient's label, time and event together to another patient.

    Parameters
    ----------
    outcome : DataFrame
        ``patient, label, time, event``.
    seed : int
        Seed of the configuration.
    endpoint : str
    permutation : int
        0 leaves the outcome as it is; from 1 on each number is a permutation of its own, whatever others are made.
    """
    outcome = outcome.sort_values("patient", ignore_index=True)
    if permutation == 0:
        return outcome
    random = np.random.default_rng([seed, zlib.crc32(endpoint.encode()), permutation])
    moved = outcome[OUTCOME].iloc[random.permutation(len(outcome))].reset_index(drop=True)
    return pd.concat([outcome[["patient"]], moved], axis="columns")


def permuted_folds(
    folds: pd.DataFrame,
    clinical: pd.DataFrame,
    settings: FoldsSettings,
    seed: int,
    endpoint: str,
    permutation: int,
) -> pd.DataFrame:
    """Folds of the first repeat, made anew from the permuted outcome.

    Folds are stratified by label, so that a label that moves alone would leave folds without events. Making folds is
    a part of what is refitted instead: then the whole analysis is one function of patients' data and outcomes, and
    its permutation test is exact (Ojala & Garriga 2010, JMLR 11:1833-1863, test 1). The folds of centres stay as they
    are: they do not depend on the outcome, once it is settled which centres share a fold.

    Parameters
    ----------
    folds : DataFrame
        ``folds/<endpoint>.parquet``: who takes part and with which outcome.
    clinical : DataFrame
        The clinical table, indexed by patient; it holds the columns `settings.stratify`, which do not move.
    settings, seed, endpoint, permutation
        See `metaswin.cohort.folds.make_folds` and `permuted_outcome`. Permutation 0 gives the run's own folds.

    Raises
    ------
    UserError
        If a training set has too few events; with strata that may happen in one permutation and not in another.
    """
    outcome = folds.loc[folds["repeat"] == folds["repeat"].min(), ["patient", *OUTCOME]]
    permuted = permuted_outcome(outcome, seed, endpoint, permutation)
    if settings.by is not None:
        own = folds.loc[folds["repeat"] == folds["repeat"].min(), ["patient", "stratum", "repeat", "fold"]]
        return permuted.merge(own, on="patient")
    once = settings.model_copy(update={"repeats": 1})
    return make_folds(permuted, clinical[settings.stratify], once, seed, endpoint)[0]
