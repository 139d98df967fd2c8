"""Collect the perturbed features of all patients in one table."""

import logging
from collections.abc import Sequence

import pandas as pd

from metaswin.core.files import read_table, write_json, write_table
from metaswin.core.used import of_used, patient_of

# Columns before the features.
HEAD = {"patient": "str", "region": "str", "kind": "str", "number": "int64", "voxels": "int64"}

logger = logging.getLogger("metaswin.features")


def collect_stability(tables: Sequence[str], used: str, output: str, facts: str) -> None:
    """Join the tables of the used patients, sorted by patient, region, kind and number.

    The file `facts` reports the number of patients that were ``drawn`` and the study ids of those ``excluded`` later.
    """
    parts = {patient: read_table(path) for patient, path in of_used(tables, used).items()}
    excluded = sorted({patient_of(path) for path in tables} - set(parts))
    logger.info("%d patients drawn, %d of them excluded later", len(tables), len(excluded))
    joined = pd.concat(parts.values() or [read_table(tables[0])], ignore_index=True)
    write_table(output, joined.sort_values(list(HEAD)[:4], ignore_index=True))
    write_json(facts, {"drawn": len(tables), "excluded": excluded})
