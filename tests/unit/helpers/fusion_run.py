"""Tables of one small fold for the fusion stage, drawn at random."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from metaswin.cohort.fits import outer_fits
from metaswin.cohort.folds import Folds, Place
from metaswin.config.features import RADIOMICS, HarmonisationSettings
from metaswin.config.models import FusionSettings
from metaswin.core.files import write_table
from metaswin.features.fit_tables import fit_table, kept_features
from metaswin.features.harmonisation import fit_harmoniser, patient_rows, save_harmoniser
from metaswin.features.matrix import CANDIDATES, VOLUME, tumor_volume, wide
from metaswin.features.modalities import ModalityFiles
from metaswin.models.fusion import FoldOutputs, ThresholdRule, train_fusion

K = 4
PLACE = Place("dm", repeat=1, fold=0)
FITS = outer_fits(PLACE.fold, K)
SETS = {"paper": ["age", "sex"], "staging": ["age", "sex", "n stage"]}
FEATURES = [f"original_firstorder_F{i}" for i in range(6)]
SMALL = {"penalties": [0.5, 5.0], "steps": 30, "ensemble": 1}


@dataclass
class FoldRun:
    """Inputs of fusion as tables; change them, then `fit` one outer fold."""

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
    has: tuple = ("features", "deep")
    harmonisation: dict | None = None

    @property
    def test(self) -> np.ndarray:
        return (self.folds["fold"] == PLACE.fold).to_numpy()

    def output(self, name: str) -> Path:
        return self.folder / "fusion" / name

    def path(self, name: str) -> str:
        return str(self.folder / f"{name}.parquet")

    def table(self, fit: str, modality: str) -> str:
        """Where the features lie as a fit sees them."""
        return self.path(f"tables/{fit}-{modality}")

    @property
    def files(self) -> ModalityFiles:
        if "features" in self.has:
            tables = {(fit, name): self.table(fit, name) for fit in FITS for name in RADIOMICS}
            volume = self.path("volume")
        else:
            tables, volume = {}, None
        deep = self.path("deep") if "deep" in self.has else None
        embedding = self.path("embedding") if "embedding" in self.has else None
        return ModalityFiles(self.path("clinical"), tables, volume, deep=deep, embedding=embedding)

    def write(self) -> "FoldRun":
        """Write the tables, and the features as each fit sees them."""
        metadata = {
            "roles": json.dumps(self.roles),
            "kinds": json.dumps({"age": "numeric", "sex": "category", "n stage": "category"}),
        }
        for name in ("folds", "used", "features", "selection", "deep"):
            write_table(self.path(name), getattr(self, name))
        write_table(self.path("clinical"), self.clinical, metadata)
        if "features" not in self.has:
            return self
        folds = Folds.of(self.folds, PLACE.repeat)
        matrices = {name: wide(self.features, name, folds.patients) for name in RADIOMICS}
        harmoniser = None
        if self.harmonisation is not None:
            settings = HarmonisationSettings(**self.harmonisation)
            rows = patient_rows(self.used, self.clinical, settings).reindex(folds.patients)
            harmoniser, facts = fit_harmoniser(matrices, folds.training(FITS), rows, settings)
            values = str(self.folder / "harmonisation.safetensors")
            save_harmoniser(str(self.folder / "harmonisation.json"), values, harmoniser, settings, facts)
        for fit, name in self.files.tables:
            table = fit_table(matrices[name], kept_features(self.selection, fit, name), fit, name, harmoniser)
            write_table(self.table(fit, name), table.reset_index(), {CANDIDATES: str(matrices[name].shape[1])})
        volume = tumor_volume(self.used, self.features).dropna().rename(VOLUME)
        write_table(self.path("volume"), volume.reset_index())
        return self

    def fit(self, seed: int = 3) -> "FoldRun":
        self.write()
        train_fusion(
            self.path("folds"),
            self.files,
            FoldOutputs(*map(str, map(self.output, ("predictions.parquet", "fits.json", "models")))),
            PLACE,
            self.sets,
            FusionSettings(**self.settings),
            ThresholdRule(),
            seed,
        )
        return self


def draw(folder: Path, n: int = 60, seed: int = 0) -> FoldRun:
    """A cohort whose outcome depends on age, volume and one tumour feature; two labels are unknown.

    Test fold 0 is every fourth patient; both repeats are in the table, and repeat 1 is the one to fit.
    """
    rng = np.random.default_rng(seed)
    patients = [f"P{i:03d}" for i in range(n)]
    age, volume, signal = rng.normal(60, 9, n), rng.normal(9, 1, n), rng.normal(size=n)
    label = ((age - 60) / 9 + (volume - 9) + signal + rng.logistic(size=n) > 0).astype(float)
    label[[5, 8]] = np.nan
    table = pd.DataFrame({"patient": patients, "label": pd.array(label, dtype="Int8"), "time": np.nan, "event": np.nan})
    folds = [table.assign(repeat=repeat, fold=np.arange(n) % K if repeat else 1) for repeat in (0, 1)]
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
    selection = pd.concat([_selection(fit, i) for i, fit in enumerate(FITS)], ignore_index=True)
    deep = pd.DataFrame({"patient": patients, "role": "train", "score": signal + rng.normal(size=n), "d000": 0.0})
    return FoldRun(
        folder,
        pd.concat(folds, ignore_index=True),
        clinical,
        pd.DataFrame({"patient": patients, "volume_tumor_mm3": np.exp(volume)}),
        features,
        selection,
        deep.drop(index=6),
    )


def _selection(fit: str, i: int) -> pd.DataFrame:
    """Features 0 and 1 + i are kept, so that every fit keeps others."""
    tables = []
    for modality, region in [("radiomics", "tumor"), ("peri_radiomics", "ring_0_10mm")]:
        table = pd.DataFrame({"fit": fit, "modality": modality, "feature": [f"{region}__{name}" for name in FEATURES]})
        kept = [j in (0, 1 + i) for j in range(len(FEATURES))]
        table = table.assign(kept=kept, step=np.where(kept, "kept", "rank"), reason="")
        table["rank"] = np.where(kept, table.index + 1.0, 9.0)
        tables.append(table)
    return pd.concat(tables, ignore_index=True).assign(importance=0.1)
