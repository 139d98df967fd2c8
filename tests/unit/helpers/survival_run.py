"""A small cohort in time, with tables as the rules hand them to the survival stage (a helper of the tests)."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from metaswin.cohort.folds import Place, make_folds
from metaswin.config.cohort import FoldsSettings
from metaswin.config.models import FusionSettings, SurvivalSettings
from metaswin.core.files import read_json, write_json, write_table
from metaswin.evaluation.survival import SurvivalInputs, SurvivalOutputs, evaluate_survival
from metaswin.features.encoder import ModalityEncoder
from metaswin.features.modalities import ModalityFiles
from metaswin.models.fusion import FoldOutputs
from metaswin.models.hazard import train_hazard
from metaswin.models.hazard_network import HazardNetworks, incidence

HORIZON = 730.0
SETS = {"paper": ["age", "sex"], "staging": ["age", "sex", "n stage"]}
SMALL = {"penalties": [2.0, 20.0], "steps": 25, "ensemble": 1}
TABLES = ("summary", "folds", "curves", "calibration", "tests")


@dataclass
class SurvivalRun:
    """Tables of one endpoint; change them, then `write`, `train` and `evaluate`."""

    folder: Path
    folds: pd.DataFrame
    clinical: pd.DataFrame
    volume: pd.DataFrame
    settings: dict = field(default_factory=lambda: {"network": SMALL, "intervals": 4})
    fusion: dict = field(default_factory=lambda: {"modalities": ["clinical"], "clinical_set": "staging"})

    @property
    def keys(self) -> list[tuple[int, int]]:
        pairs = zip(self.folds["repeat"], self.folds["fold"], strict=True)
        return sorted({(int(repeat), int(fold)) for repeat, fold in pairs})

    @property
    def files(self) -> ModalityFiles:
        return ModalityFiles(str(self.folder / "clinical.parquet"), {}, volume=str(self.folder / "volume.parquet"))

    def model(self, repeat: int, fold: int, rest: str) -> Path:
        return self.folder / f"{repeat} {fold}/{rest}"

    def output(self, name: str) -> Path:
        return self.folder / "evaluation" / (f"{name}.json" if name == "facts" else f"{name}.parquet")

    def write(self) -> "SurvivalRun":
        roles = {"roles": {"age": "baseline", "sex": "baseline", "n stage": "baseline"}}
        kinds = {"kinds": {"age": "numeric", "sex": "category", "n stage": "category"}}
        write_table(self.folder / "folds/dm.parquet", self.folds)
        write_json(self.folder / "folds/dm.json", {"name": "dm", "endpoint": {"horizon_days": HORIZON}})
        metadata = {key: json.dumps(value) for key, value in (roles | kinds).items()}
        write_table(self.folder / "clinical.parquet", self.clinical, metadata)
        write_table(self.folder / "volume.parquet", self.volume)
        return self

    def train(self, keys: list[tuple[int, int]] | None = None, seed: int = 3) -> "SurvivalRun":
        self.write()
        for repeat, fold in keys or self.keys:
            names = ("predictions.parquet", "fits.json", "models")
            train_hazard(
                str(self.folder / "folds/dm.parquet"),
                self.files,
                FoldOutputs(*(str(self.model(repeat, fold, name)) for name in names)),
                Place("dm", repeat, fold),
                HORIZON,
                SETS,
                SurvivalSettings(**self.settings),
                FusionSettings(**self.fusion),
                seed,
            )
        return self

    def evaluate(self) -> dict[str, pd.DataFrame]:
        inputs = SurvivalInputs(
            predictions=[str(self.model(*key, "predictions.parquet")) for key in self.keys],
            fits=[str(self.model(*key, "fits.json")) for key in self.keys],
            folds=[str(self.folder / "folds/dm.parquet")],
            facts=[str(self.folder / "folds/dm.json")],
        )
        outputs = SurvivalOutputs(**{name: str(self.output(name)) for name in (*TABLES, "facts")})
        evaluate_survival(inputs, outputs, SurvivalSettings(**self.settings), 0.95)
        return {name: pd.read_parquet(self.output(name)) for name in TABLES}


def draw(folder: Path, n: int = 120, k: int = 3, repeats: int = 1, seed: int = 0) -> SurvivalRun:
    """Metastasis depends on age and volume, death on age alone; some are lost before the horizon."""
    rng = np.random.default_rng(seed)
    patients = [f"P{i:03d}" for i in range(n)]
    age, volume = rng.normal(60, 9, n), rng.normal(9, 1, n)
    dm = rng.exponential(1500 * np.exp(-0.8 * (age - 60) / 9 - 0.8 * (volume - 9)))
    death = rng.exponential(3000 * np.exp(-0.3 * (age - 60) / 9))
    lost = rng.uniform(300, 2500, n)
    time = np.ceil(np.minimum(np.minimum(dm, death), lost))
    event = np.select([dm <= np.minimum(death, lost), death <= lost], [1, 2], 0)
    after = dm + rng.exponential(400, n)
    dead_on = np.where(event == 1, after, death)
    outcome = pd.DataFrame({"patient": patients, "time": time, "event": pd.array(event, dtype="Int8")})
    label = np.where((event == 1) & (time <= HORIZON), 1.0, np.where((event == 0) & (time < HORIZON), np.nan, 0.0))
    outcome["label"] = pd.array(label, dtype="Int8")
    outcome["followup"] = np.ceil(np.minimum(dead_on, lost)).clip(min=time)
    outcome["dead"] = pd.array((dead_on <= lost).astype(int), dtype="Int8")
    strata = pd.DataFrame(index=patients)
    folds, _ = make_folds(outcome, strata, FoldsSettings(k=k, repeats=repeats), 1, "dm")
    clinical = pd.DataFrame(
        {
            "patient": patients,
            "age": age,
            "sex": pd.Series(rng.choice(["f", "m"], n), dtype="str"),
            "n stage": pd.Series(rng.choice(["N0", "N1", "N2"], n), dtype="str"),
        }
    )
    return SurvivalRun(folder, folds, clinical, pd.DataFrame({"patient": patients, "volume_tumor_mm3": np.exp(volume)}))


class SavedHazard:
    """A hazard model as its two files describe it."""

    def __init__(self, folder: Path, name: str) -> None:
        stem = folder / name.replace(":", "=")
        facts = read_json(f"{stem}.json")
        self.cuts, self.horizon, self.thresholds = facts["cuts"], facts["horizon"], facts["thresholds"]
        self.encoders = {
            modality["modality"]: ModalityEncoder.from_json(modality["columns"]) for modality in facts["modalities"]
        }
        self.model = HazardNetworks(
            tuple(modality["width"] for modality in facts["modalities"]), load_file(f"{stem}.safetensors")
        )

    def metastasis(self, tables: dict[str, pd.DataFrame]) -> np.ndarray:
        """Cumulative incidence of metastasis at the cuts, from raw columns by modality."""
        modalities = [encoder.transform(tables[modality]) for modality, encoder in self.encoders.items()]
        return incidence(self.model.hazards(modalities)[0])[0]
