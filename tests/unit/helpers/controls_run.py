"""A cohort of noise for the controls: tables of every input, and the run's own fits (a helper, not a test)."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from metaswin.cohort.folds import Place, all_fits, make_folds, outer_fits
from metaswin.config.cohort import FoldsSettings
from metaswin.config.evaluation import PermutationSettings
from metaswin.config.features import RADIOMICS, HarmonisationSettings, SelectionSettings, StabilitySettings
from metaswin.config.models import FusionSettings
from metaswin.core.files import write_json, write_table
from metaswin.evaluation.permutation import PermutationInputs, Refitting, Study, load_study
from metaswin.features.fit_tables import SelectionInputs, select_features
from metaswin.features.harmonisation import HarmonisationInputs, HarmonisationOutputs, harmonise
from metaswin.features.modalities import ModalityFiles
from metaswin.features.stability import judge_stability
from metaswin.models.fusion import FoldOutputs, ThresholdRule, train_fusion

SETS = {"paper": ["age", "sex"]}
SEED = 4
NO_HARMONISATION = HarmonisationSettings()
FOLDS = FoldsSettings(k=3)
SELECTION = SelectionSettings(trees=5, keep=3)
NETWORK = {"penalties": [0.5, 5.0], "steps": 10, "ensemble": 1}
FUSION = FusionSettings(network=NETWORK, logistic_penalties=[1.0, 4.0, 64.0])


@dataclass
class NoiseCohort:
    """Files below `folder`; the outcome depends on `signal` (0: on nothing) times the first tumour feature."""

    folder: Path
    n: int = 60
    features: int = 6
    seed: int = 0
    signal: float = 0.0
    horizon: float | None = None
    folds: FoldsSettings = FOLDS
    selection: SelectionSettings = SELECTION
    fusion: FusionSettings = FUSION
    harmonisation: HarmonisationSettings = NO_HARMONISATION
    stability: StabilitySettings | None = None
    embedding: int = 0

    @property
    def embeddings(self) -> str | None:
        """The table of embeddings with `embedding` columns."""
        return self.path("embedding.parquet") if self.embedding else None

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def write(self) -> "NoiseCohort":
        """Draw and write the tables, deep scores of the run (`deep-f`) and of a permuted outcome (`permuted-f`)."""
        rng = np.random.default_rng([self.seed, self.n])
        patients = [f"P{i:03d}" for i in range(self.n)]
        tables = []
        for region in ("tumor", "ring_0_10mm"):
            values = rng.normal(size=(self.n, self.features))
            table = pd.DataFrame(values, columns=[f"original_glcm_F{i:03d}" for i in range(self.features)])
            tables.append(table.assign(patient=patients, region=region, voxels=50))
        risk = self.signal * tables[0].iloc[:, 0].to_numpy() + rng.logistic(size=self.n)
        label = (risk > np.quantile(risk, 0.65)).astype(int)
        time = rng.integers(100, 900, self.n).astype(float)
        outcome = pd.DataFrame({"patient": patients, "label": pd.array(label, dtype="Int8"), "time": time})
        outcome["event"] = pd.array(label, dtype="Int8")
        if self.horizon is not None:
            lost = (label == 0) & (time < self.horizon) & (np.arange(self.n) % 2 == 0)
            outcome.loc[lost, "label"] = pd.NA
            outcome.loc[(label == 1) & (time > self.horizon), "label"] = 0
        clinical = pd.DataFrame(
            {
                "patient": patients,
                "age": rng.normal(60, 9, self.n),
                "sex": pd.Series(rng.choice(["f", "m"], self.n), dtype="str"),
            }
        )
        kinds = {"age": "numeric", "sex": "category"}
        roles = dict.fromkeys(kinds, "baseline")
        folds = make_folds(outcome, pd.DataFrame(index=patients), self.folds, SEED, "dm")[0]
        write_table(self.path("folds.parquet"), folds)
        write_json(self.path("facts.json"), {"endpoint": {"horizon_days": self.horizon}})
        write_table(self.path("clinical.parquet"), clinical, {"roles": json.dumps(roles), "kinds": json.dumps(kinds)})
        used = pd.DataFrame({"patient": patients, "volume_tumor_mm3": rng.lognormal(9, 1, self.n)})
        write_table(self.path("used.parquet"), used)
        write_table(self.path("features.parquet"), pd.concat(tables, ignore_index=True))
        if self.stability is not None:
            write_table(self.path("perturbed.parquet"), self._perturbed(tables))
        for fold in range(self.folds.k):
            for name in ("deep", "permuted"):
                scores = pd.DataFrame({"patient": patients, "role": "train", "score": rng.normal(size=self.n)})
                write_table(self.path(f"{name}-{fold}.parquet"), scores)
        if self.embeddings:
            values = rng.normal(size=(self.n, self.embedding))
            values[::7] = np.nan
            table = pd.DataFrame(values, columns=[f"e{i:04d}" for i in range(self.embedding)])
            write_table(self.embeddings, pd.concat([pd.DataFrame({"patient": patients}), table], axis=1))
        return self

    def _perturbed(self, tables: list[pd.DataFrame]) -> pd.DataFrame:
        """Features of perturbed masks of two thirds of the patients; the first half of the features is unstable."""
        rng = np.random.default_rng([self.seed, 77])
        kinds = [("random", i) for i in range(self.stability.perturbations)] + [("margin", i) for i in range(3)]
        parts = []
        for table in tables:
            table = table[: self.n * 2 // 3]
            for kind, number in kinds:
                noise = 0.05 * rng.normal(size=(len(table), self.features))
                noise[:, : self.features // 2] *= 40
                part = table.assign(kind=kind, number=number)
                part.iloc[:, : self.features] += noise
                parts.append(part)
        return pd.concat(parts, ignore_index=True)

    def settings(self, **permutation) -> Refitting:
        trees = self.selection.trees
        permutations = PermutationSettings(**{"trees": trees, **permutation})
        stages = (self.folds, self.harmonisation, self.selection, self.fusion)
        stability = self.stability or StabilitySettings()
        return Refitting(*stages, permutations, SEED, "logistic", has_deep=True, stability=stability)

    def inputs(self, deep_permuted: bool = True) -> PermutationInputs:
        names = ("folds", "clinical", "used", "features")
        folds = range(self.folds.k)
        return PermutationInputs(
            **{name: self.path(f"{name}.parquet") for name in names},
            facts=self.path("facts.json"),
            anatomy=None,
            embedding=self.embeddings,
            perturbed=None if self.stability is None else self.path("perturbed.parquet"),
            deep=[self.path(f"deep-{fold}.parquet") for fold in folds],
            deep_permuted=[self.path(f"permuted-{fold}.parquet") for fold in folds] if deep_permuted else [],
        )

    def study(self, deep_permuted: bool = True) -> Study:
        return load_study(self.inputs(deep_permuted), "dm", SETS, self.settings())

    def select(self, variant: str = "as-is") -> Path:
        """Harmonisation, stability and selection of all fits as the run, or a control, does them; their folder."""
        folder = self.folder / variant
        if folder.exists():
            return folder
        folder.mkdir()
        names = ("features", "folds", "used", "clinical")
        inputs = {name: self.path(f"{name}.parquet") for name in names}
        more = {}
        if self.harmonisation.method != "none":
            outputs = [str(folder / name) for name in ("facts.json", "values.safetensors", "rows.parquet")]
            harmonise(HarmonisationInputs(**inputs), HarmonisationOutputs(*outputs), 0, self.harmonisation)
            more = {"harmonisation": outputs[0], "harmonisation_values": outputs[1]}
        if self.stability is not None:
            more["stability"] = str(folder / "stability.parquet")
            perturbed, folds = self.path("perturbed.parquet"), inputs["folds"]
            judge_stability(perturbed, folds, more["stability"], "dm", 0, self.stability)
        tables = {
            (fit, name): str(folder / f"{fit}-{name}.parquet") for fit in all_fits(self.folds.k) for name in RADIOMICS
        }
        own = str(folder / "selection.parquet"), str(folder / "volume.parquet")
        inputs = SelectionInputs(**inputs, **more)
        select_features(inputs, *own, tables, "dm", 0, self.selection, SEED, leaky=variant == "leaky")
        return folder

    def fit_run(self, fold: int, variant: str = "as-is", using: Collection[str] = ()) -> pd.DataFrame:
        """Selection and fusion of the run, or of a control; test predictions of one fold."""
        selected = self.select(variant)
        fits = outer_fits(fold, self.folds.k)
        files = ModalityFiles(
            self.path("clinical.parquet"),
            {(fit, name): str(selected / f"{fit}-{name}.parquet") for fit in fits for name in RADIOMICS},
            volume=str(selected / "volume.parquet"),
            deep=self.path(f"deep-{fold}.parquet"),
            embedding=self.embeddings,
        )
        folder = selected / f"fold-{fold}"
        outputs = FoldOutputs(*(str(folder / name) for name in ("predictions.parquet", "fits.json", "models")))
        place = Place("dm", 0, fold)
        train_fusion(self.path("folds.parquet"), files, outputs, place, SETS, self.fusion, ThresholdRule(), SEED, using)
        table = pd.read_parquet(outputs.predictions)
        return table[table["part"] == "test"]
