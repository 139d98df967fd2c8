"""One table of the perturbed features out of those of all patients."""

from collections.abc import Sequence

import pandas as pd

from metaswin.files import read_table, write_table

# Columns before the features.
HEAD = {"patient": "str", "region": "str", "kind": "str", "number": "int64", "voxels": "int64"}


def collect_stability(tables: Sequence[str], output: str) -> None:
    """Join the patients' tables, sorted by patient, region, kind and number; a table without rows adds nothing."""
    joined = pd.concat([read_table(path) for path in tables], ignore_index=True)
    write_table(output, joined.sort_values(list(HEAD)[:4], ignore_index=True))
