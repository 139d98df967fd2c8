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
        0 leaves the outcome unchanged. Each number from 1 is a different permutation, which does not depend on the
        others.
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
    """Make the folds of the first repeat again from the permuted outcome.

    Folds are stratified by label. With the folds of the run, permuted labels could leave folds without events.
    Therefore the folds are part of what is refitted. The whole analysis is then one function of the data and outcomes
    of the patients, and its permutation test is exact (Ojala & Garriga 2010, JMLR 11:1833-1863, test 1). The folds of
    centres stay the same, because they do not depend on the outcome once it is determined which centres share a fold.

    Parameters
    ----------
    folds : DataFrame
        ``folds/<endpoint>.parquet`` with the patients and their outcomes.
    clinical : DataFrame
        Clinical table, indexed by patient. It contains the columns `settings.stratify`, which are not permuted.
    settings, seed, endpoint, permutation
        See `metaswin.cohort.folds.make_folds` and `permuted_outcome`. Permutation 0 gives the folds of the run.

    Raises
    ------
    UserError
        If a training set has too few events. With strata, this may happen in some permutations only.
    """
    outcome = folds.loc[folds["repeat"] == folds["repeat"].min(), ["patient", *OUTCOME]]
    permuted = permuted_outcome(outcome, seed, endpoint, permutation)
    if settings.by is not None:
        own = folds.loc[folds["repeat"] == folds["repeat"].min(), ["patient", "stratum", "repeat", "fold"]]
        return permuted.merge(own, on="patient")
    once = settings.model_copy(update={"repeats": 1})
    return make_folds(permuted, clinical[settings.stratify], once, seed, endpoint)[0]
