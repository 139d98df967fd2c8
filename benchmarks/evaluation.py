"""Time and peak memory of the evaluation stage on drawn predictions, as large as RADCURE by default.

    python benchmarks/evaluation.py [--patients 3346] [--repeats 5] [--strata 8] [--profile]

One endpoint at a horizon, 12 feature sets with two classifiers each, five folds a repeat; strata of four levels.
"""

import argparse
import cProfile
import pstats
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from metaswin.cohort.folds import make_folds
from metaswin.config.cohort import FoldsSettings
from metaswin.config.evaluation import EvaluationSettings
from metaswin.core.files import write_json, write_table
from metaswin.evaluation.evaluate import EvaluationInputs, EvaluationOutputs, evaluate

HORIZON = 730.5
FEATURE_SETS = [
    "clinical:staging", "radiomics", "peri_radiomics", "deep", "clinical+radiomics", "clinical+peri_radiomics",
    "clinical+deep", "radiomics+peri_radiomics", "radiomics+deep", "peri_radiomics+deep",
    "clinical+radiomics+peri_radiomics+deep", "volume",
]  # fmt: skip
CLASSIFIERS = ("network", "logistic")
TABLES = [
    "predictions", "folds", "summary", "comparisons", "strata", "roc", "pr", "calibration", "decision", "delong",
    "sample_size", "deaths",
]  # fmt: skip


def draw(folder: Path, patients: int, repeats: int, strata: int) -> tuple[EvaluationInputs, EvaluationOutputs]:
    """Write the inputs; returns inputs and outputs as the rule would hand them over."""
    rng = np.random.default_rng(0)
    names = [f"P{i:05d}" for i in range(patients)]
    risk = rng.normal(size=patients)
    day, death, lost = (rng.exponential(scale, patients) for scale in (9000 * np.exp(-risk), 4000, 6000))
    event = np.select([day <= np.minimum(death, lost), death <= lost], [1, 2], 0)
    when = np.minimum(np.minimum(day, death), lost)
    known = np.where((event == 1) & (when <= HORIZON), 1.0, np.where((event == 0) & (when < HORIZON), np.nan, 0.0))
    outcome = pd.DataFrame({"patient": names, "label": pd.array(known, dtype="Int8"), "time": when})
    outcome["event"] = pd.array(event, dtype="Int8")
    none = pd.DataFrame(index=pd.Index(names))
    folds, notes = make_folds(outcome, none, FoldsSettings(k=5, repeats=repeats), 1, "dm")
    write_table(folder / "folds/dm.parquet", folds)
    counts = {"nonevent": {"events": int((known == 1).sum()), "nonevents": int((known == 0).sum())}}
    endpoint = {"horizon_days": HORIZON, "deaths": "nonevent"}
    write_json(folder / "folds/dm.json", {"name": "dm", "endpoint": endpoint, "counts": counts, "notes": notes})
    columns = {f"column{i}": pd.Series(rng.choice(list("abcd"), patients), dtype="str") for i in range(strata)}
    write_table(folder / "clinical.parquet", pd.DataFrame({"patient": names, **columns}))
    write_table(folder / "used.parquet", pd.DataFrame({"patient": names}))
    models = [folder / f"models/dm/as-is/r{r}/fold-{f}/fusion" for r in range(repeats) for f in range(5)]
    fit = {"columns": ["a"] * 20, "candidates": 20, "threshold": 0.15, "n_train": 2500, "events_train": 300}
    for place, model in enumerate(models):
        rows = folds[folds["repeat"] == place // 5].sort_values("patient")
        part = np.where(rows["fold"] == place % 5, "test", "inner")
        tables = []
        for feature_set in FEATURE_SETS:
            for classifier in CLASSIFIERS:
                score = 1 / (1 + np.exp(2 - risk * rng.uniform(0.3, 0.8) - rng.normal(size=patients)))
                tables.append(
                    pd.DataFrame(
                        {
                            "patient": names,
                            "feature_set": feature_set,
                            "classifier": classifier,
                            "part": part,
                            "probability": score,
                        }
                    )
                )
        write_table(model / "predictions.parquet", pd.concat(tables, ignore_index=True))
        feature_sets = {feature_set: dict.fromkeys(CLASSIFIERS, fit) for feature_set in FEATURE_SETS}
        write_json(model / "fits.json", {
            "endpoint": "dm", "repeat": place // 5, "fold": place % 5,
            "primary": FEATURE_SETS[-2], "modalities": [], "feature_sets": feature_sets, "warnings": [],
        })  # fmt: skip
    inputs = EvaluationInputs(
        predictions=[str(model / "predictions.parquet") for model in models],
        fits=[str(model / "fits.json") for model in models],
        folds=[str(folder / "folds/dm.parquet")],
        facts=[str(folder / "folds/dm.json")],
        clinical=str(folder / "clinical.parquet"),
        used=str(folder / "used.parquet"),
    )
    tables = {name: str(folder / f"evaluation/{name}.parquet") for name in TABLES}
    return inputs, EvaluationOutputs(**tables, facts=str(folder / "evaluation/facts.json"))


def main() -> None:
    """Print a line; with --profile where the time goes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=3346)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--strata", type=int, default=8)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        inputs, outputs = draw(Path(folder), arguments.patients, arguments.repeats, arguments.strata)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        settings = EvaluationSettings(strata=[f"column{i}" for i in range(arguments.strata)])
        profile = cProfile.Profile()
        start = np.array([time.perf_counter(), time.process_time()])
        if arguments.profile:
            profile.enable()
        evaluate(inputs, outputs, settings, {"staging": ["column0"]}, 1)
        profile.disable()
        wall, cpu = np.array([time.perf_counter(), time.process_time()]) - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{arguments.patients} patients, {len(FEATURE_SETS)} feature sets, {5 * arguments.repeats} folds, "
        f"{arguments.strata} strata: "
        f"{wall:.1f} s ({cpu:.1f} s of CPU), peak {peak:.0f} MB ({before:.0f} MB before)"
    )
    if arguments.profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(35)


if __name__ == "__main__":
    main()
