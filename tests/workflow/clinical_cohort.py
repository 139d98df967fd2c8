"""A clinical table alone, and a configuration for it."""

import numpy as np
import pandas as pd

CONFIG = {
    "data": {"source": "clinical"},
    "clinical": {
        "table": "clinical.csv",
        "columns": {"age": "baseline", "sex": "baseline", "site": "baseline", "dm": "outcome", "days": "time"},
        "sets": {"paper": ["age", "sex"], "staging": ["age", "sex", "site"]},
    },
    "endpoints": {
        "ever": {"column": "dm"},
        "year": {"horizon_days": 365, "followup": "days", "event": {"column": "dm", "time": "days"}},
    },
    "folds": {"k": 3, "repeats": 2},
    "fusion": {
        "modalities": ["clinical"],
        "network": {"steps": 5, "ensemble": 1, "penalties": [0.5, 5.0]},
        "primary_feature_set": "clinical:staging",
    },
    "explanation": {"background": 5, "patients": 3, "permutations": 1},
    "evaluation": {"strata": ["site", "age"], "bands": {"age": [55, 65]}, "bootstrap": 100},
    "survival": {"intervals": 3, "network": {"steps": 5, "ensemble": 1, "penalties": [5]}},
    "controls": {"permutation": {"n": 4}},
}


def write_cohort(path, n=90, seed=5):
    random = np.random.default_rng(seed)
    age = random.normal(60, 10, n).round()
    dm = (random.random(n) < 1 / (1 + np.exp(-(age - 60) / 5))).astype(int)
    pd.DataFrame(
        {
            "patient_id": [f"P{i:03d}" for i in range(n)],
            "age": age,
            "sex": random.choice(["Male", "Female"], n),
            "site": random.choice(["Larynx", "larynx ", "Oral"], n),
            "dm": dm,
            "days": random.integers(30, 900, n),
        }
    ).to_csv(path, index=False)
