"""Tables of evidence that only some runs have, drawn for the report's tests (a helper, not a test)."""

from pathlib import Path

import numpy as np
import pandas as pd
from synthetic_run import Run

from metaswin.core.files import read_json, read_table, write_json, write_table

CONTROLS = ("shuffled", "permuted", "leaky")


def draw_evidence(run: Run) -> list[str]:
    """Write every optional table of an evaluated run; returns their paths, as the rules would hand them over."""
    rng = np.random.default_rng(run.plan.seed)
    facts = read_json(run.evaluation_outputs.facts)["endpoints"]
    summary = read_table(run.evaluation_outputs.summary)
    predictions = read_table(run.evaluation_outputs.predictions)
    tables: dict[str, list[pd.DataFrame]] = {}
    for about in facts:
        name, suffix = about["name"], "_ipcw" if about["weighting"] == "ipcw" else ""
        feature_sets = summary[summary["endpoint"] == name]
        for key, table in _trust(feature_sets, about, suffix, rng).items():
            tables.setdefault(key, []).append(table.assign(endpoint=name))
        if about["horizon_days"]:
            for key, table in _survival(feature_sets, about, predictions, rng).items():
                tables.setdefault(key, []).append(table.assign(endpoint=name))
        folder = run.results / "explanation" / name
        for key, table in _shap(about, rng).items():
            write_table(folder / f"{key}.parquet", table)
    folder = run.results / "evaluation"
    for key, parts in tables.items():
        write_table(folder / f"{key}.parquet", pd.concat(parts, ignore_index=True))
    paths = [str(folder / f"{key}.parquet") for key in tables]
    names = [about["name"] for about in facts]
    return paths + [
        f"{run.results}/explanation/{n}/{k}.parquet" for n in names for k in ("shap_modalities", "shap_features")
    ]


def draw_qc_images(run: Run, patients: list[str], size: int = 48) -> list[str]:
    """A small QC image of each patient."""
    from PIL import Image

    paths = []
    for number, patient in enumerate(patients):
        path = run.results / f"qc-images/{patient}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(number)
        Image.fromarray(rng.integers(0, 255, (size, 3 * size), dtype=np.uint8)).save(path)
        paths.append(str(path))
    return paths


def draw_maps(run: Run) -> list[str]:
    """Maps of two patients of each endpoint."""
    paths = []
    for name in run.plan.endpoints:
        folder: Path = run.results / "explanation" / name
        qc_images = draw_qc_images(run, ["P0001", "P0002"])
        entries = []
        for source, why in zip(qc_images, ("highest risk", "most wrong"), strict=True):
            target = folder / "maps" / Path(source).name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(Path(source).read_bytes())
            entries.append({"patient": target.stem, "file": f"maps/{target.name}", "why": why, "method": "gradient"})
        write_json(folder / "maps.json", {"maps": entries})
        paths.append(str(folder / "maps.json"))
    return paths


def _trust(feature_sets: pd.DataFrame, about: dict, suffix: str, rng) -> dict[str, pd.DataFrame]:
    controls, permutations, optimism = [], [], []
    primary = about["primary"]
    names = [feature_set for feature_set in (primary, "radiomics") if feature_set in set(feature_sets["feature_set"])]
    for row in feature_sets[feature_sets["feature_set"].isin(names)].to_dict("records"):
        as_is = row[f"auc{suffix}"]
        for control, auc in zip(CONTROLS, (as_is - 0.01, 0.5, min(as_is + 0.12, 1.0)), strict=True):
            controls.append(
                {
                    "control": control,
                    "feature_set": row["feature_set"],
                    "classifier": row["classifier"],
                    "auc": auc,
                    "auc_low": auc - 0.08,
                    "auc_high": min(auc + 0.08, 1),
                    "auc_why": "",
                    "as_is": as_is,
                    "difference": as_is - auc,
                    "difference_why": "",
                    "refit": as_is - 0.01 if control == "permuted" else np.nan,
                    "difference_low": as_is - auc - 0.05,
                    "difference_high": as_is - auc + 0.05,
                    "p": 0.005 if control == "permuted" else np.nan,
                    "n": 200 if control == "permuted" else np.nan,
                    "note": "selection and fusion refitted, networks permuted once per fold",
                }
            )
        for number, auc in enumerate(np.clip(rng.normal(0.5, 0.05, 201), 0, 1)):
            permutations.append(
                {"permutation": number, "feature_set": row["feature_set"], "classifier": row["classifier"], "auc": auc}
            )
        for fold in range(5):
            optimism.append(
                {
                    "repeat": 0,
                    "fold": fold,
                    "feature_set": row["feature_set"],
                    "classifier": row["classifier"],
                    "auc_train": 0.9,
                    "auc_inner": 0.72,
                    "auc_test": 0.7 + 0.01 * fold,
                }
            )
    optimism.append(
        {
            "repeat": 0,
            "fold": 0,
            "feature_set": "deep_score",
            "classifier": "swin",
            "auc_train": 0.99,
            "auc_inner": 0.66,
            "auc_test": 0.65,
        }
    )
    site = {
        "column": "manufacturer",
        "levels": 3,
        "n": 90,
        "statistic": 4.2,
        "p": 0.12,
        "cramers_v": 0.2,
        "why": "",
        "test": "chi-squared",
        "counts": "SIEMENS: 30 of 90",
        "missing": 0,
    }
    return {
        "controls": pd.DataFrame(controls),
        "permutations": pd.DataFrame(permutations),
        "optimism": pd.DataFrame(optimism),
        "site": pd.DataFrame([site]),
    }


def _survival(feature_sets: pd.DataFrame, about: dict, predictions: pd.DataFrame, rng) -> dict[str, pd.DataFrame]:
    metrics, curves, calibration, tests = [], [], [], []
    times = np.linspace(0, 3000, 40)
    for feature_set in dict.fromkeys([about["primary"], "volume"]):
        for metric, value in [("c_index", 0.7), ("auc_t", 0.72), ("brier_t", 0.15), ("observed_expected", 1.1)]:
            metrics.append(
                {
                    "feature_set": feature_set,
                    "metric": metric,
                    "value": value,
                    "low": value - 0.05,
                    "high": value + 0.05,
                    "folds": 5,
                    "why": "",
                }
            )
        for group, rate in [("all", 0.3), ("low", 0.1), ("middle", 0.25), ("high", 0.5)]:
            for curve, factor in [("cif_dm", 1.0), ("cif_death", 0.4)]:
                value = factor * rate * (1 - np.exp(-times / 900))
                curves.append(
                    pd.DataFrame(
                        {
                            "feature_set": feature_set,
                            "curve": curve,
                            "group": group,
                            "time": times,
                            "value": value,
                            "low": np.maximum(value - 0.05, 0),
                            "high": value + 0.05,
                            "at_risk": 20,
                        }
                    )
                )
        for curve, speed in [("km_dm_free", 3000), ("km_overall", 5000)]:
            value = np.exp(-times / speed)
            curves.append(
                pd.DataFrame(
                    {
                        "feature_set": feature_set,
                        "curve": curve,
                        "group": "all",
                        "time": times,
                        "value": value,
                        "low": value - 0.04,
                        "high": np.minimum(value + 0.04, 1),
                        "at_risk": 20,
                    }
                )
            )
        predicted = np.array([0.1, 0.25, 0.5])
        calibration.append(
            pd.DataFrame(
                {
                    "feature_set": feature_set,
                    "bin": range(3),
                    "n": 30,
                    "predicted": predicted,
                    "observed": predicted + 0.03,
                    "low": predicted - 0.05,
                    "high": predicted + 0.1,
                    "why": "",
                }
            )
        )
        tests.append(
            {
                "feature_set": feature_set,
                "test": "gray",
                "groups": 3,
                "statistic": 12.3,
                "df": 2.0,
                "p": 0.002,
                "why": "",
            }
        )
    return {
        "survival": pd.DataFrame(metrics),
        "survival_curves": pd.concat(curves),
        "survival_calibration": pd.concat(calibration),
        "survival_tests": pd.DataFrame(tests),
    }


def _shap(about: dict, rng) -> dict[str, pd.DataFrame]:
    modalities = about["modalities"]
    shares, features = [], []
    for fold in range(5):
        raw = rng.random(len(modalities)) + 0.2
        for modality, value in zip(modalities, raw, strict=True):
            shares.append(
                {"repeat": 0, "fold": fold, "modality": modality, "mean_abs": value, "share": value / raw.sum()}
            )
    for modality in [m for m in modalities if m != "deep"]:
        for number in range(4):
            features.append(
                {
                    "modality": modality,
                    "feature": f"{modality}_{number}",
                    "folds": 5 - number,
                    "mean_abs": 0.4 / (number + 1),
                    "direction": "raises the risk",
                }
            )
    return {"shap_modalities": pd.DataFrame(shares), "shap_features": pd.DataFrame(features)}
