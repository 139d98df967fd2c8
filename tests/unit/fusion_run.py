"""Tables of one small fold for the fusion stage, drawn at random."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from metaswin.files import write_table
from metaswin.fusion.fit import ThresholdRule
from metaswin.fusion.fold import train_fusion
from metaswin.fusion.settings import FusionSettings

SETS = {"paper": ["age", "sex"], "staging": ["age", "sex", "n stage"]}
FEATURES = [f"original_firstorder_F{i}" for i in range(6)]
SMALL = {"penalties": [0.5, 5.0], "steps": 30, "ensemble": 1}


@dataclass
class FoldRun:
    """Inputs of fusion as tables; `write` them, then `fit` one fold."""

    folder: Path
    folds: pd.DataFrame
    clinical: pd.DataFrame
    used: pd.DataFrame
    features: pd.DataFrame
    selection: pd.DataFrame
    deep: pd.DataFrame
    sets: dict = field(default_factory=lambda: SETS)
    roles: dict = field(default_factory=lambda: {"age": "baseline", "sex": "baseline", "n stage": "baseline"})
    settings: dict = field(default_factory=lambda: {"network": SMALL})
    inputs: tuple = ("folds", "clinical", "used", "features", "selection", "deep")

    @property
    def test(self) -> np.ndarray:
        return (self.folds["fold"] == 0).to_numpy()

    def output(self, name: str) -> Path:
        return self.folder / "fusion" / name

    def fit(self, seed: int = 3) -> "FoldRun":
        metadata = {
            "roles": json.dumps(self.roles),
            "kinds": json.dumps({"age": "numeric", "sex": "category", "n stage": "category"}),
        }
        for name in ("folds", "used", "features", "selection", "deep"):
            write_table(self.folder / f"{name}.parquet", getattr(self, name))
        write_table(self.folder / "clinical.parquet", self.clinical, metadata)
        all_inputs = ("folds", "clinical", "used", "features", "selection", "deep")
        train_fusion(
            {name: str(self.folder / f"{name}.parquet") if name in self.inputs else None for name in all_inputs},
            {
                "predictions": str(self.output("predictions.parquet")),
                "fits": str(self.output("fits.json")),
                "models": str(self.output("models")),
            },
            repeat=1,
            fold=0,
            sets=self.sets,
            settings=FusionSettings(**self.settings),
            rule=ThresholdRule(),
            seed=seed,
        )
        return self


def draw(folder: Path, n: int = 60, inner: int = 3, seed: int = 0) -> FoldRun:
    """A cohort whose outcome depends on age, volume and one tumour feature; two labels are unknown.

    Test fold 0 is every fourth patient; both repeats are in the table, and repeat 1 is the one to fit.
    """
    rng = np.random.default_rng(seed)
    patients = [f"P{i:03d}" for i in range(n)]
    age, volume, signal = rng.normal(60, 9, n), rng.normal(9, 1, n), rng.normal(size=n)
    label = ((age - 60) / 9 + (volume - 9) + signal + rng.logistic(size=n) > 0).astype(float)
    label[[5, 8]] = np.nan
    fold = np.arange(n) % 4
    position = np.where(fold == 0, np.nan, np.arange(n) // 4 % inner)
    tables = []
    for repeat in (0, 1):
        table = pd.DataFrame({"patient": patients, "label": pd.array(label, dtype="Int8"), "repeat": repeat})
        table["fold"] = fold if repeat else 1
        table["inner_0"] = pd.array(position, dtype="Int8")
        tables.append(table)
    folds = pd.concat(tables, ignore_index=True)
    clinical = pd.DataFrame(
        {
            "patient": patients,
            "age": age,
            "sex": pd.Series(rng.choice(["F", "m", "M "], n), dtype="str"),
            "n stage": pd.Series(rng.choice(["N0", "n1", "N2"], n), dtype="str").where(rng.random(n) > 0.1),
        }
    )
    tumor = pd.DataFrame(rng.normal(size=(n, 6)), columns=FEATURES).assign(patient=patients, region="tumor", voxels=99)
    tumor[FEATURES[0]] += 2 * signal
    ring = pd.DataFrame(rng.normal(size=(n, 6)), columns=FEATURES)
    ring = ring.assign(patient=patients, region="ring_0_10mm", voxels=99)[rng.random(n) > 0.2]
    features = pd.concat([tumor, ring], ignore_index=True).sort_values(["patient", "region"], ignore_index=True)
    features.loc[3, FEATURES[0]] = np.nan
    parts = ["outer", *(f"inner-{j}" for j in range(inner))]
    selection = pd.concat([_selection(part, i) for i, part in enumerate(parts)], ignore_index=True)
    deep = pd.DataFrame({"patient": patients, "role": "train", "score": signal + rng.normal(size=n), "d000": 0.0})
    return FoldRun(
        folder,
        folds,
        clinical,
        pd.DataFrame({"patient": patients, "volume_tumor_mm3": np.exp(volume)}),
        features,
        selection,
        deep.drop(index=6),
    )


def _selection(part: str, i: int) -> pd.DataFrame:
    """Features 0 and 1 + i are kept, so that every part keeps others."""
    tables = []
    for feature_set, region in [("radiomics", "tumor"), ("peri_radiomics", "ring_0_10mm")]:
        table = pd.DataFrame({"part": part, "set": feature_set, "feature": [f"{region}__{name}" for name in FEATURES]})
        kept = [j in (0, 1 + i) for j in range(len(FEATURES))]
        table = table.assign(kept=kept, step=np.where(kept, "kept", "rank"), reason="", median=0.0)
        table["rank"] = np.where(kept, table.index + 1.0, 9.0)
        tables.append(table)
    flag = {"part": part, "set": "peri_radiomics", "feature": "ring_0_10mm__missing", "kept": False, "step": "flag"}
    tables.append(pd.DataFrame([{**flag, "reason": "", "median": np.nan, "rank": np.nan}]))
    return pd.concat(tables, ignore_index=True).assign(importance=0.1)
