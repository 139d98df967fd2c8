"""As much of a bundle and of its predictions as an external validation reads."""

import numpy as np
import pandas as pd

from metaswin.core.files import write_table
from metaswin.prediction.patients import COLUMNS


class Told:
    """As much of a bundle as validation asks for."""

    facts = {"confidence": 0.95, "metaswin": "0.1.0"}
    config = {"seed": 1, "clinical": {"columns": {}}}
    fingerprint = "f" * 64

    def __init__(self, endpoint):
        internal = {"all": {name: {"value": 0.7, "low": 0.6, "high": 0.8, "why": ""} for name in ("auc", "brier")}}
        facts = {"settings": endpoint, "primary": "all", "internal": internal, "patients": 60, "events": 20}
        self.endpoints = {"dm": facts}


def predictions(folder, rows):
    blank = {"str": "", "float64": np.nan, "int64": 1, "bool": True}
    table = pd.DataFrame(
        [{**{name: blank[kind] for name, kind in COLUMNS.items()}, "endpoint": "dm", **row} for row in rows]
    )
    write_table(folder / "results/predictions/predictions.parquet", table)
