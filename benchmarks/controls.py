"""Time of one permutation of the outcome, on tables drawn at random.

    python benchmarks/controls.py [--patients 400] [--features 300] [--penalty fixed] [--classifier network]

Half of the features are the tumour's, half the ring's. They come in groups of six that are correlated, as radiomics
features are, so that the filter leaves about a sixth. `--features 0` has clinical columns alone. 5 folds, one endpoint.
"""

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from metaswin.cohort.folds import make_folds
from metaswin.config.cohort import FoldsSettings
from metaswin.config.evaluation import PermutationSettings
from metaswin.config.features import HarmonisationSettings, SelectionSettings, StabilitySettings
from metaswin.config.models import FusionSettings
from metaswin.core.files import write_json, write_table
from metaswin.evaluation.permutation import PermutationInputs, Refitting, permute_batch

CATEGORIES = {"sex": 2, "smoking": 3, "t": 4, "n": 4, "site": 6, "hpv": 2}
SETS = {"paper": ["age", "sex", "smoking"], "staging": ["age", *CATEGORIES]}
GROUP = 6


def draw(folder: Path, patients: int, features: int, rng: np.random.Generator) -> PermutationInputs:
    """Write the tables; paths as `permute_batch` reads them."""
    ids = [f"P{i:05d}" for i in range(patients)]
    label = (rng.random(patients) < 0.2).astype(int)
    outcome = pd.DataFrame(
        {"patient": ids, "label": pd.array(label, dtype="Int8"), "time": rng.exponential(2000, patients)}
    )
    outcome["event"] = pd.array(label, dtype="Int8")
    write_table(folder / "folds.parquet", make_folds(outcome, pd.DataFrame(index=ids), FoldsSettings(), 1, "dm")[0])
    write_json(folder / "facts.json", {"endpoint": {"horizon_days": 730}})
    clinical = pd.DataFrame({"patient": ids, "age": rng.normal(60, 9, patients)})
    for name, levels in CATEGORIES.items():
        clinical[name] = pd.Series(rng.choice([f"{name}{i}" for i in range(levels)], patients), dtype="str")
    kinds = {"age": "numeric", **dict.fromkeys(CATEGORIES, "category")}
    metadata = {"roles": json.dumps(dict.fromkeys(kinds, "baseline")), "kinds": json.dumps(kinds)}
    write_table(folder / "clinical.parquet", clinical, metadata)
    used = pd.DataFrame({"patient": ids})
    if features:
        used["volume_tumor_mm3"] = rng.lognormal(9, 1, patients)
        tables = [_features(ids, region, features // 2, rng) for region in ("tumor", "ring_0_10mm")]
        write_table(folder / "features.parquet", pd.concat(tables, ignore_index=True))
        for name in ("deep", "permuted"):
            write_table(folder / f"{name}.parquet", pd.DataFrame({"patient": ids, "score": rng.normal(size=patients)}))
    write_table(folder / "used.parquet", used)
    deep = [[str(folder / f"{name}.parquet")] * 5 if features else [] for name in ("deep", "permuted")]
    return PermutationInputs(
        **{name: str(folder / f"{name}.parquet") for name in ("folds", "clinical", "used")},
        facts=str(folder / "facts.json"),
        features=str(folder / "features.parquet") if features else None,
        anatomy=None,
        perturbed=None,
        deep=deep[0],
        deep_permuted=deep[1],
    )


def _features(ids: list[str], region: str, count: int, rng: np.random.Generator) -> pd.DataFrame:
    shared = np.repeat(rng.normal(size=(len(ids), -(-count // GROUP))), GROUP, axis=1)[:, :count]
    values = shared + 0.25 * rng.normal(size=shared.shape)
    return pd.DataFrame(values, columns=[f"f{i}" for i in range(count)]).assign(patient=ids, region=region, voxels=9)


def main() -> None:
    """Print processor and wall time a permutation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=400)
    parser.add_argument("--features", type=int, default=300)
    parser.add_argument("--penalty", default="fixed", choices=["fixed", "chosen"])
    parser.add_argument(
        "--classifier", default="network", choices=["network", "logistic"], help="of the primary feature set"
    )
    parser.add_argument("--permutations", type=int, default=3)
    arguments = parser.parse_args()
    settings = Refitting(
        FoldsSettings(),
        HarmonisationSettings(),
        SelectionSettings(),
        FusionSettings(clinical_set="staging"),
        PermutationSettings(penalty=arguments.penalty),
        seed=1,
        primary_classifier=arguments.classifier,
        has_deep=arguments.features > 0,
        stability=StabilitySettings(),
    )
    with TemporaryDirectory() as name:
        folder = Path(name)
        inputs = draw(folder, arguments.patients, arguments.features, np.random.default_rng(1))
        numbers = range(1, arguments.permutations + 1)
        start = np.array([time.process_time(), time.perf_counter()])
        permute_batch(inputs, str(folder / "out.parquet"), "dm", SETS, numbers, settings)
        cpu, wall = (np.array([time.process_time(), time.perf_counter()]) - start) / arguments.permutations
    print(f"{arguments.patients} patients, {arguments.features} features: {cpu:.2f} s of processor time a permutation "
          f"(wall {wall:.2f} s); 200 take {200 * cpu / 60:.0f} min of one core")  # fmt: skip


if __name__ == "__main__":
    main()
