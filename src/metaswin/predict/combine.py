"""One patient's answer out of what the members say."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from metaswin.bundle.arms import BundledArm
from metaswin.bundle.identity import held_out
from metaswin.bundle.load import Bundle
from metaswin.bundle.scores import group, percentile
from metaswin.explanation.players import modality_of
from metaswin.predict.score import Scored
from metaswin.survival.curves import GROUP_NAMES

COLUMNS = {
    "endpoint": "str", "patient": "str", "risk": "float64", "spread_low": "float64", "spread_high": "float64",
    "members": "int64", "positive_share": "float64", "group": "str", "percentile": "float64", "arm": "str",
    "headline": "bool", "modalities": "str", "missing": "str", "assumed": "str", "training_cohort": "str",
    "distance_percentile": "float64", "unlike_training": "bool", "warnings": "str", "why": "str",
}  # fmt: skip
LISTS = ("modalities", "missing", "assumed", "warnings")
IN_TRAINING, HELD_OUT, NEW = "was in the training cohort", "held out by this member", "not in the training cohort"
NOT_KNOWN = "cannot be compared with the training cohort: pseudonyms stand for the ids of one of them"


def answer(
    bundle: Bundle,
    endpoint: str,
    patient: str,
    arm: BundledArm,
    there: set[str],
    scored: Scored,
    warnings: Sequence[str],
    training: str,
    member: tuple[int, int] | None,
) -> dict[str, Any]:
    """Row of ``predictions.parquet``; `LISTS` are lists.

    The spread between models is the range of the members' risks. It is no interval: the members share most of their
    training patients, and all may be wrong together.
    """
    facts = bundle.endpoints[endpoint]
    risks = scored.risks[(scored.risks["patient"] == patient) & (scored.risks["head"] == facts["head"])]
    risk = float(risks["probability"].mean())
    placed = bundle.scores(endpoint)[arm.name]
    place = None if member else group(placed, risk)
    apart = scored.distances.loc[scored.distances["patient"] == patient, "percentile"]
    distance = float(np.median(apart)) if len(apart) else None
    far = distance is not None and distance >= bundle.facts["settings"]["distance_percentile"]
    headline = facts["headline"] == arm.name
    wanted = next(own for own in bundle.arms(endpoint) if own.name == facts["headline"]).blocks
    missing = [modality_of(block) for block in wanted if block not in there]
    return {
        "endpoint": endpoint,
        "patient": patient,
        "risk": risk,
        "spread_low": None if member else float(risks["probability"].min()),
        "spread_high": None if member else float(risks["probability"].max()),
        "members": len(risks),
        "positive_share": float(risks["positive"].mean()),
        "group": None if place is None else GROUP_NAMES[bundle.facts["settings"]["groups"]][place],
        "percentile": None if member else percentile(placed, risk),
        "arm": arm.name,
        "headline": headline,
        "modalities": [modality_of(block) for block in wanted if block in there],
        "missing": missing,
        "assumed": scored.assumed[patient],
        "training_cohort": training,
        "distance_percentile": distance,
        "unlike_training": bool(far),
        "warnings": [*_own_warnings(headline, arm, missing, training, distance if far else None), *warnings],
        "why": "",
    }


def not_predicted(endpoint: str, patient: str, why: str) -> dict[str, Any]:
    """Row of a patient without a prediction."""
    blank = {"str": "", "float64": None, "int64": 0, "bool": False}
    facts = {name: blank[kind] for name, kind in COLUMNS.items()} | {"group": None, "arm": None}
    return {**facts, **{name: [] for name in LISTS}, "endpoint": endpoint, "patient": patient, "why": why}


def prediction_table(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of `answer` and `not_predicted` as one table; lists are written with semicolons."""
    rows = [{**record, **{name: "; ".join(record[name]) for name in LISTS}} for record in records]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return table.sort_values(["endpoint", "patient"], kind="stable", ignore_index=True)


def membership(
    bundle: Bundle, endpoint: str, patient: str, member: tuple[int, int] | None, pseudonyms: bool = False
) -> str:
    """Whether the training cohort had this id; not to be known where it is a pseudonym on one side only."""
    if bundle.facts["pseudonyms"] != pseudonyms:
        return NOT_KNOWN
    folds = bundle.folds_of(endpoint, patient)
    if folds is None:
        return NEW
    return HELD_OUT if member is not None and held_out(folds, *member) else IN_TRAINING


def contributions(scored: Scored, patient: str) -> pd.DataFrame:
    """Mean contributions over the members: ``modality, feature, contribution, members`` (that join it), largest first.

    A feature that a member did not select contributes 0 there, so that a patient's contributions and the mean base add
    up to the mean logit.
    """
    own = scored.shares[scored.shares["patient"] == patient]
    count = len(own[["repeat", "fold"]].drop_duplicates())
    grouped = own.groupby(["modality", "feature"], sort=False)["contribution"]
    table = pd.DataFrame({"contribution": grouped.sum() / count, "members": grouped.size()}).reset_index()
    return table.sort_values("contribution", key=lambda values: -values.abs(), kind="stable", ignore_index=True)


def _own_warnings(
    headline: bool,
    arm: BundledArm,
    missing: Sequence[str],
    training: str,
    far: float | None,
) -> list[str]:
    found = []
    if not headline:
        found.append(f"{', '.join(missing)} missing: predicted by the models of {arm.name} instead")
    elif missing:
        found.append(f"{', '.join(missing)} missing: filled as in the training run")
    if training == IN_TRAINING:
        found.append(f"{training}: this risk is no test of the models")
    if training == NOT_KNOWN:
        found.append(f"this id {training}")
    if far is not None:
        found.append(f"unlike the training patients: farther from them than {far:.0f} % of them are from the others")
    return found
