"""Which network should score the rows that fusion is fitted on: every `fusion.deep_score` on a known truth.

    python -P benchmarks/honest_fusion.py [--seeds 8] [--train 120] [--columns 512] [--signal 6] [--epochs 40]

Each seed draws `--train` training rows of the preset `reference` and 2,000 test rows. The "image" is `--columns`
numbers of noise with the latent texture and log volume along one direction each, `--signal` deviations strong; the
"backbone" is one hidden layer, trained and scored by the code of the real ones, and far more flexible than the rows
allow. Fusion is the workflow's own, on the clinical variables and the deep score. Test AUC and
calibration weight each test row by its true risk, so that they carry no noise of drawn outcomes.
"""

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

MODES = ("cross-fitted", "in-sample")
TEST, OTHERS, EDGE = 2000, 5, 8
FEATURE_SETS = ["clinical+deep", "deep", "clinical"]
CLINICAL = {"age": "numeric", "smoking": "category", "nodes": "category"}
BACKBONE = {
    "epochs": 40,
    "warmup_epochs": 2,
    "early_stopping_events": 10_000,
    "augmentation": {"flip": False, "rotate": 0, "scale": 0, "shift": 0, "noise": 0},
    "device": "cpu",
    "checkpoint_every": 1000,
}


def draw(seed: int, train: int, columns: int, signal: float) -> dict:
    """Patients with true risk, drawn training labels, clinical columns and "images" (rows, 1, x, y, z)."""
    import torch

    from metaswin.simulate.options import preset_options
    from metaswin.simulate.population import STREAM_COHORT, draw_patients, draw_uniforms
    from metaswin.simulate.risk import baseline, true_risk

    options = preset_options("reference", seed=seed)
    patients = draw_patients(draw_uniforms(STREAM_COHORT, seed, train + TEST), options)
    risk = true_risk(patients, options, baseline(options))
    rng = np.random.default_rng([seed, 1])
    directions = np.linalg.qr(rng.normal(size=(columns, 2)))[0].T
    latents = np.stack([patients.texture, patients.volume], axis=1)
    image = rng.normal(size=(train + TEST, columns)) + signal * latents @ directions
    names = np.array([f"P{i:05d}" for i in range(train + TEST)])
    clinical = pd.DataFrame({"patient": names, "age": patients.age})
    for name in ("smoking", "nodes"):
        clinical[name] = getattr(patients, "n_stage" if name == "nodes" else name).astype(str)
    label = (rng.random(train + TEST) < risk).astype(int)
    shape = (len(names), columns // EDGE**2, EDGE, EDGE, 1)
    return {
        "risk": risk,
        "clinical": clinical,
        "patches": torch.from_numpy(image).reshape(shape).half(),
        "folds": _folds(names, label, train, rng),
    }


def _folds(names: np.ndarray, label: np.ndarray, train: int, rng: np.random.Generator) -> pd.DataFrame:
    """Fold 0 holds the rows beyond `train`; the others are dealt to the other folds within each label."""
    fold = np.zeros(len(names), dtype=int)
    for value in (0, 1):
        rows = rng.permutation(np.flatnonzero(label[:train] == value))
        fold[rows] = 1 + np.arange(len(rows)) % OTHERS
    table = pd.DataFrame({"patient": names, "label": pd.array(label, dtype="Int8"), "repeat": 0, "fold": fold})
    return table.assign(time=np.nan, event=np.nan)


def network(columns: int):
    """The stand-in for a backbone, untrained."""
    from torch import nn

    from metaswin.models.backbones import Classifier

    return Classifier(nn.Sequential(nn.Flatten(), nn.Linear(columns, 64), nn.GELU()), 64, 0.2)


def scores(fitted, patches) -> np.ndarray:
    """Score of every row, as `metaswin.models.deep_features.score` defines it."""
    import torch

    with torch.inference_mode():
        return (fitted.eval()(patches.float())[0] - fitted.prior).numpy()


def train_networks(data: dict, folder: Path, seed: int) -> dict:
    """A trained network for each fit."""
    import torch

    from metaswin.cohort.folds import Folds, seed_of
    from metaswin.config.models import DeepSettings
    from metaswin.models.guidance import Targets
    from metaswin.models.training import Scratch, fit

    rows, trained = Folds.of(data["folds"], 0).outer(0), {}
    for name in rows.fits:
        own, chosen = seed_of(seed, name), rows.fitted(name)
        torch.manual_seed(own)
        trained[name] = network(data["patches"][0].numel())
        state = Scratch(folder / "scratch", {"network": name})
        targets = Targets.of_labels(rows.label[chosen])
        fit(trained[name], data["patches"][np.flatnonzero(chosen)], targets, DeepSettings(**BACKBONE), own, state)
    return trained


def score_table(networks: dict, data: dict, mode: str) -> pd.DataFrame:
    """The scores that `extract_deep_features` writes with a mode."""
    from metaswin.cohort.folds import Folds

    rows = Folds.of(data["folds"], 0).outer(0)
    found = {name: scores(fitted, data["patches"]) for name, fitted in networks.items()}
    score = found[rows.final]
    if mode == "cross-fitted":
        score = np.select([rows.scored(name) for name in rows.fits], [found[name] for name in rows.fits])
    return pd.DataFrame({"patient": rows.patients, "score": score})


def run_seed(seed: int, train: int, columns: int, signal: float, modes: list[str]) -> list[dict]:
    """Every mode on one draw."""
    from metaswin.cohort.folds import Place
    from metaswin.config.models import FusionSettings
    from metaswin.core.files import read_json, read_table, write_table
    from metaswin.features.modalities import ModalityFiles
    from metaswin.models.fusion import FoldOutputs, ThresholdRule, train_fusion

    data, records = draw(seed, train, columns, signal), []
    risk = pd.Series(data["risk"], index=data["folds"]["patient"])
    with TemporaryDirectory() as name:
        folder = Path(name)
        roles = json.dumps(dict.fromkeys(CLINICAL, "baseline"))
        write_table(folder / "clinical.parquet", data["clinical"], {"roles": roles, "kinds": json.dumps(CLINICAL)})
        write_table(folder / "folds.parquet", data["folds"])
        networks = train_networks(data, folder, seed)
        for mode in modes:
            settings = FusionSettings(feature_sets=FEATURE_SETS, primary_feature_set=FEATURE_SETS[0], deep_score=mode)
            write_table(folder / "deep.parquet", score_table(networks, data, mode))
            outputs = FoldOutputs(*(str(folder / mode / key) for key in ("predictions", "fits", "models")))
            files = ModalityFiles(str(folder / "clinical.parquet"), {}, deep=str(folder / "deep.parquet"))
            train_fusion(
                str(folder / "folds.parquet"),
                files,
                outputs,
                Place("dm", 0, 0),
                {"all": list(CLINICAL)},
                settings,
                ThresholdRule(),
                seed,
            )
            fits, predicted = read_json(outputs.fits)["feature_sets"], read_table(outputs.predictions)
            for (feature_set, classifier), rows in predicted[predicted["part"] == "test"].groupby(
                ["feature_set", "classifier"]
            ):
                found = test_metrics(rows["probability"].to_numpy(), risk[rows["patient"]].to_numpy())
                gap = fits[feature_set][classifier]["auc_train"] - found["auc"]
                records.append(
                    {
                        "seed": seed,
                        "mode": mode,
                        "feature_set": feature_set,
                        "classifier": classifier,
                        **found,
                        "gap": gap,
                    }
                )
    return records


def test_metrics(probability: np.ndarray, risk: np.ndarray) -> dict[str, float]:
    """AUC, calibration slope and Brier score of test rows, each an event with its true risk."""
    from sklearn.linear_model import LogisticRegression

    from metaswin.simulate.risk import weighted_auc

    logit = np.log(probability / (1 - probability))
    twice = np.concatenate([logit, logit])[:, None]
    label = np.repeat([1, 0], len(risk))
    slope = LogisticRegression(C=np.inf).fit(twice, label, np.concatenate([risk, 1 - risk])).coef_[0, 0]
    brier = np.mean(risk * (1 - probability) ** 2 + (1 - risk) * probability**2)
    return {"auc": weighted_auc(probability, risk), "slope": float(slope), "brier": float(brier)}


def main() -> None:
    """Print means over seeds, and differences to cross-fitted with their standard errors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--train", type=int, default=120)
    parser.add_argument("--columns", type=int, default=512)
    parser.add_argument("--signal", type=float, default=6.0)
    parser.add_argument("--epochs", type=int, default=BACKBONE["epochs"])
    parser.add_argument("--modes", nargs="*", default=list(MODES))
    arguments = parser.parse_args()
    BACKBONE["epochs"] = arguments.epochs
    start, records = time.process_time(), []
    for seed in range(1, arguments.seeds + 1):
        records += run_seed(seed, arguments.train, arguments.columns, arguments.signal, arguments.modes)
    table = pd.DataFrame(records)
    print(f"{arguments.seeds} seeds, {time.process_time() - start:.0f} s of CPU")
    for (feature_set, classifier), rows in table.groupby(["feature_set", "classifier"], sort=False):
        wide = rows.pivot(index="seed", columns="mode")
        for mode in arguments.modes:
            mean = {key: wide[key][mode].mean() for key in ("auc", "slope", "brier", "gap")}
            paired = wide["auc"][mode] - wide["auc"][arguments.modes[0]]
            print(
                f"{feature_set:14} {classifier:8} {mode:16} AUC {mean['auc']:.3f} "
                f"({paired.mean():+.3f} ± {paired.sem():.3f})  "
                f"slope {mean['slope']:.2f}  Brier {mean['brier']:.4f}  train - test {mean['gap']:+.3f}"
            )


if __name__ == "__main__":
    main()
