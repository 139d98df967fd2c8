"""The pipeline on simulated cohorts whose truth is known: does it find what is there, and nothing else?

    python benchmarks/simulated_truth.py --out runs/truth [--presets reference volume-only null] [--seeds 20] [-n 400]
        [--primary-only]

For every preset and seed a cohort at table level (`metaswin simulate --level table`) goes through the workflow of this
checkout, from the clinical table and the table of features to the evaluation. The rows of a cohort are kept in
OUT/<preset>/<seed>.csv; what is there already is not repeated. With --primary-only the feature sets are the primary one
and volume, which suffices to count how often the primary model is called better. Prints a Markdown table per preset,
with the power of a test that knows the standard deviation of the difference over cohorts (the oracle).
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
PRESETS = ["reference", "volume-only", "null"]
COLUMNS = ["age", "sex", "smoking_status", "alcohol", "t_stage", "n_stage", "hpv", "site"]
FUSED = "clinical+radiomics+peri_radiomics"
ALONE = ["clinical:staging", "radiomics", "peri_radiomics", "volume"]
CLASSIFIERS = ["network", "logistic"]


def configuration(primary_only: bool = False) -> dict:
    """The study: metastasis within two years, staging as the clinical set, defaults otherwise."""
    roles = dict.fromkeys(COLUMNS, "baseline") | dict.fromkeys(["dm_event", "death_event"], "outcome")
    roles |= dict.fromkeys(["dm_time_days", "death_time_days", "followup_days"], "time")
    return {
        "data": {"source": "features", "features": "data/features.csv"},
        "clinical": {
            "table": "data/clinical.csv",
            "columns": {**roles, "age": {"role": "baseline", "kind": "numeric", "range": [18, 110]}},
            "sets": {"staging": COLUMNS},
        },
        "endpoints": {
            "dm_2y": {
                "horizon_days": 730,
                "followup": "followup_days",
                "event": {"column": "dm_event", "time": "dm_time_days"},
                "death": {"column": "death_event", "time": "death_time_days"},
            }
        },
        "fusion": {"feature_sets": ["volume", "all"] if primary_only else [*ALONE, "all"]},
        "survival": {"enabled": not primary_only},
    }


def run(preset: str, seed: int, n: int, folder: Path, primary_only: bool) -> pd.DataFrame:
    """One cohort through the workflow.

    Returns
    -------
    DataFrame
        One row per feature set and classifier: AUC with its interval, the difference to volume alone with its interval,
        and the best AUC that any model could have in the population.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    cli = [sys.executable, "-c", "import sys; from metaswin.cli import main; sys.exit(main())"]
    options = ["--level", "table", "-n", str(n), "--preset", preset, "--seed", str(seed)]
    _call([*cli, "simulate", "--out", str(folder / "data"), *options], folder / "simulate.log")
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration(primary_only)))
    workflow = ["--snakefile", str(REPOSITORY / "Snakefile"), "--directory", str(folder), "--cores", "1"]
    configured = ["--configfile", str(folder / "config.yaml")]
    snakemake = [sys.executable, "-m", "snakemake", *workflow, *configured]
    _call([*snakemake, "--", "evaluation"], folder / "snakemake.log")
    tables = folder / "results/evaluation"
    summary = pd.read_parquet(tables / "summary.parquet")
    rows = summary[["feature_set", "classifier", "n", "events", "auc_ipcw", "auc_ipcw_low", "auc_ipcw_high"]]
    differences = pd.read_parquet(tables / "comparisons.parquet").query("metric == 'auc_ipcw' and against == 'volume'")
    differences = differences[differences["classifier"] == differences["against_classifier"]][
        ["feature_set", "classifier", "value", "low", "high"]
    ]
    differences = differences.rename(
        columns=lambda name: f"volume_{name}" if name in ("value", "low", "high") else name
    )
    best = pd.read_json(folder / "data/simulation.json", typ="series")["population"]["auc"]["true risk"]
    return rows.merge(differences, on=["feature_set", "classifier"], how="left").assign(
        preset=preset, seed=seed, best=best
    )


def _call(command: list[str], log: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "OMP_NUM_THREADS": "1"}
    with open(log, "w") as file:
        subprocess.run(command, env=environment, stdout=file, stderr=subprocess.STDOUT, check=True)


def summarise(preset: str, rows: pd.DataFrame) -> str:
    """What the cohorts of a preset have in common, as Markdown."""
    seeds, best = rows["seed"].nunique(), rows["best"].mean()
    lines = [
        f"Preset `{preset}`: {seeds} cohorts, best possible AUC {best:.3f}",
        "",
        "| feature set | classifier | mean AUC (SD over cohorts) | interval contains .5 | "
        "interval contains the best | better than volume: shown, by the oracle |",
        "|---|---|---|---|---|---|",
    ]
    for feature_set in [FUSED, *ALONE]:
        for classifier in CLASSIFIERS:
            found = rows[(rows["feature_set"] == feature_set) & (rows["classifier"] == classifier)]
            if found.empty:
                continue
            low, high = found["auc_ipcw_low"], found["auc_ipcw_high"]
            half, top = ((low <= value) & (value <= high) for value in (0.5, best))
            volume = _against_volume(found) if feature_set == FUSED else ""
            mean = f"{found['auc_ipcw'].mean():.3f} ({found['auc_ipcw'].std():.3f})"
            lines.append(
                f"| {feature_set} | {classifier} | {mean} | {int(half.sum())} of {seeds} | "
                f"{int(top.sum())} of {seeds} | {volume} |"
            )
    return "\n".join(lines)


def _against_volume(found: pd.DataFrame) -> str:
    """In how many cohorts the interval, and a test with the oracle's standard error, show the model to be better."""
    shown = int((found["volume_low"] > 0).sum())
    oracle = int((found["volume_value"] > 1.96 * found["volume_value"].std()).sum())
    return f"{shown}, {oracle} of {len(found)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("-n", type=int, default=400)
    parser.add_argument("--primary-only", action="store_true")
    arguments = parser.parse_args()
    for preset in arguments.presets:
        found = []
        for seed in range(1, arguments.seeds + 1):
            kept = arguments.out / preset / f"{seed}.csv"
            if not kept.is_file():
                rows = run(preset, seed, arguments.n, arguments.out / preset / str(seed), arguments.primary_only)
                rows.to_csv(kept, index=False)
            found.append(pd.read_csv(kept))
        print(summarise(preset, pd.concat(found, ignore_index=True)), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
