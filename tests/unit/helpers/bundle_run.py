"""One small fold, fitted and frozen into a bundle, and new patients for it: tables only, no image."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from fusion_run import FEATURES, FITS, PLACE, FoldRun, draw

from metaswin.config.cohort import ClinicalSettings
from metaswin.config.features import RADIOMICS
from metaswin.config.model import Config
from metaswin.config.prediction import BundleSettings, PredictSettings
from metaswin.core.files import read_table, write_json, write_table
from metaswin.core.problems import public_table
from metaswin.evaluation.metrics import METRICS
from metaswin.prediction.bundle import Bundle, read_bundle
from metaswin.prediction.freeze import OF_MEMBERS, FreezeInputs, freeze
from metaswin.prediction.patients import PredictionInputs, PredictionOutputs, predict_patients

KINDS = {"age": "numeric", "sex": "category", "n stage": "category"}
PRIMARY = "clinical+radiomics+peri_radiomics"


@dataclass
class Frozen:
    """A fitted fold and its bundle."""

    run: FoldRun
    bundle: Path

    @property
    def test(self) -> list[str]:
        """Patients of the test fold."""
        rows = self.run.folds[(self.run.folds["repeat"] == PLACE.repeat) & (self.run.folds["fold"] == PLACE.fold)]
        return rows["patient"].tolist()

    def read(self) -> Bundle:
        return read_bundle(self.bundle)

    def fold_predictions(self) -> pd.DataFrame:
        table = read_table(self.run.output("predictions.parquet"))
        return table[(table["feature_set"] == PRIMARY) & (table["part"] == "test")]


def fitted(folder: Path, harmonised: bool = False) -> FoldRun:
    """A run without deep scores."""
    run = draw(folder / "run")
    run.settings = {**run.settings, "modalities": PRIMARY.split("+")}
    run.has = ("features",)
    if harmonised:
        n = len(run.used)
        run.used["manufacturer"] = np.array(["A", "B", "C"])[np.arange(n) // 2 % 3]
        run.features[FEATURES] += (
            3.0
            * (run.features["patient"].map(run.used.set_index("patient")["manufacturer"]) == "A").to_numpy()[:, None]
        )
        run.harmonisation = {"method": "combat", "batch": "manufacturer", "covariates": ["age"]}
    return run


def member_files(run: FoldRun) -> dict[str, str]:
    """Files of the outer fold by the name in `MemberFiles`; those that it has."""
    files = {"predictions": str(run.output("predictions.parquet")), "models": str(run.output("models"))}
    files |= {name: run.path(name) for name in ("selection", "volume")}
    if run.harmonisation is not None:
        files |= {
            "harmonisation": str(run.folder / "harmonisation.json"),
            "harmonisation_values": str(run.folder / "harmonisation.safetensors"),
        }
    return files | {name: run.table(FITS[0], name) for name in RADIOMICS}


def freeze_run(run: FoldRun, output: Path) -> Frozen:
    """Fit, and freeze into ``output/bundle`` and ``output/bundle.zip``."""
    run.fit()
    write_json(run.folder / "folds.json", {"name": PLACE.endpoint})
    write_table(run.path("summary"), _summary(run))
    absent: dict[str, list[str]] = {name: [] for name in OF_MEMBERS}
    members = absent | {name: [path] for name, path in member_files(run).items()}
    inputs = FreezeInputs(
        fits=[str(run.output("fits.json"))],
        folds=[run.path("folds")],
        facts=[str(run.folder / "folds.json")],
        **{name: run.path(name) for name in ("clinical", "used", "summary")},
        images=[],
        anatomy=None,
        embedding=run.path("embedding") if "embedding" in run.has else None,
        **members,
    )
    freeze(inputs, output / "bundle", output / "bundle.zip", BundleSettings(), config(), run.sets)
    return Frozen(run, output / "bundle")


def config() -> dict:
    """The configuration such a run would have."""
    raw = {
        "data": {"source": "features", "features": "/secret/place/features.csv"},
        "clinical": ClinicalSettings(
            table="/secret/place/clinical.csv",
            columns={**dict.fromkeys(KINDS, "baseline"), "dm": "outcome"},
            sets={"paper": ["age", "sex"], "staging": ["age", "sex", "n stage"]},
        ).model_dump(mode="json"),
        "endpoints": {"dm": {"column": "dm"}},
        "deep": {"pretrained": "/secret/place/weights.pt"},
        "patches": {"organ_groups": {"zinc": ["bone"], "air": ["air"]}},
    }
    return Config.model_validate(raw).model_dump(mode="json")


def _summary(run: FoldRun) -> pd.DataFrame:
    feature_sets = json.loads(run.output("fits.json").read_text())["feature_sets"]
    row = {f"{metric}{limit}": 0.5 for metric in METRICS for limit in ("", "_low", "_high")}
    row |= {f"{metric}_why": "" for metric in METRICS}
    return pd.DataFrame(
        [{"endpoint": "dm", "feature_set": feature_set, "classifier": "network", **row} for feature_set in feature_sets]
    )


@dataclass
class NewPatients:
    """Tables of the stages for new patients; change them, then `predict`."""

    clinical: pd.DataFrame
    features: pd.DataFrame
    used: pd.DataFrame
    excluded: tuple = ()
    embedding: Path | None = None

    @classmethod
    def of(cls, run: FoldRun, patients: list[str], named: dict[str, str] | None = None) -> "NewPatients":
        """Patients of the run, under other names where `named` gives them."""
        tables = []
        for table in (run.clinical, run.features, run.used):
            chosen = table[table["patient"].isin(patients)].copy()
            chosen["patient"] = [(named or {}).get(patient, patient) for patient in chosen["patient"]]
            tables.append(chosen)
        return cls(*tables)

    def predict(self, frozen: Frozen, folder: Path, member: str | None = None) -> pd.DataFrame:
        roles = {"roles": json.dumps(dict.fromkeys(KINDS, "baseline")), "kinds": json.dumps(KINDS)}
        write_table(folder / "clinical.parquet", self.clinical, roles)
        write_table(folder / "used.parquet", self.used)
        write_table(folder / "features.parquet", self.features)
        write_table(folder / "exclusions.parquet", public_table(self.excluded))
        write_table(folder / "problems.parquet", public_table([]))
        names = ("clinical", "used", "features", "exclusions")
        tables = {name: str(folder / f"{name}.parquet") for name in names}
        problems = [str(folder / "problems.parquet")]
        embedding = str(self.embedding) if self.embedding else None
        inputs = PredictionInputs(
            **tables, problems=problems, anatomy=None, embedding=embedding, patches=None, images=[], qc_images=[]
        )
        outputs = PredictionOutputs(
            **{name: str(folder / f"{name}.parquet") for name in ("table", "members", "contributions")},
            csv=str(folder / "table.csv"),
            facts=str(folder / "facts.json"),
            pages=str(folder / "pages"),
        )
        predict_patients(inputs, outputs, PredictSettings(bundle=str(frozen.bundle), member=member), Config().deep)
        return read_table(outputs.table).set_index("patient")


def blank_clinical(table: pd.DataFrame, patient: str) -> pd.DataFrame:
    """The table with nothing known of one patient."""
    found = table.copy()
    found.loc[found["patient"] == patient, ["age"]] = np.nan
    found.loc[found["patient"] == patient, ["sex", "n stage"]] = None
    return found


def without_feature(table: pd.DataFrame, patient: str, region: str) -> pd.DataFrame:
    """The table with one value of one region missing."""
    found = table.copy()
    found.loc[(found["patient"] == patient) & (found["region"] == region), FEATURES[0]] = np.nan
    return found
