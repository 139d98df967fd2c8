"""How often is a model with selected features shown to be better than tumour volume, and how wide is the interval?

    python benchmarks/comparison.py [--cohorts 40] [--n 400] [--presets reference volume-only null] [--features 300]

Each cohort (table level) goes through 5 folds with the functions of the workflow: the filter and the forest select 36
tumour features and 36 ring features in every fit, and a logistic regression (penalty 16) joins them with nodes, smoking
and age. The baseline is a logistic regression on the log volume. Networks and tuning are left out to save time.

Printed for the AUC of the model and for the difference from volume: the mean true value of the fitted models (5,000
other patients, each an event with its true risk), coverage of the mean over cohorts of that value, median and 95th
percentile of the width divided by the oracle's (3.92 times the standard deviation of the estimate over cohorts), how
often the interval lies above 0 (.5 for the AUC), how often a test with the oracle's standard error shows the same, and
how often two one-sided tests say "equivalent within .05".
"""

import argparse
import time
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from selection import MODALITIES, cohort

from metaswin.cohort.folds import make_folds
from metaswin.config.cohort import FoldsSettings
from metaswin.config.features import SelectionSettings
from metaswin.evaluation.influence import linearised, variance
from metaswin.evaluation.intervals import FoldResults, mean_over_folds
from metaswin.features.encoder import fit_encoder
from metaswin.features.selection import select
from metaswin.models.classifiers import fit_logistics
from metaswin.simulate import risk
from metaswin.simulate.options import SimulationOptions, preset_options
from metaswin.simulate.tables import VOLUME_FEATURE

FOLDS, PENALTY, TREES, MARGIN = 5, 16.0, 100, 0.05
Z, ONE_SIDED = 1.959964, 1.644854


def scores(train: pd.DataFrame, tables: list[pd.DataFrame], label: pd.Series, seed: int) -> list[NDArray]:
    """Scores of the rows of every table by a model that selects, encodes and fits on the training rows."""
    settings = SelectionSettings(trees=TREES)
    names = [name for name in train if "__" not in name]
    for prefix, _ in MODALITIES.values():
        own = [name for name in train if name.startswith(prefix)]
        found = select(train[own], label, train.index.tolist(), settings, seed)
        names += found.loc[found["kept"], "feature"].tolist()
    return regress(train[names], [table[names] for table in tables], label)


def regress(train: pd.DataFrame, tables: list[pd.DataFrame], label: pd.Series) -> list[NDArray]:
    """Scores of a logistic regression on all columns."""
    encoder = fit_encoder(train, dict.fromkeys(train, "feature"), 2)
    model = fit_logistics([encoder.transform(train)], label[train.index].to_numpy(), [PENALTY])
    return [model.logits([encoder.transform(table)])[0] for table in tables]


def one_cohort(options: SimulationOptions, base: float) -> dict[str, tuple]:
    """Interval and mean true value of the AUC and of the difference from volume."""
    _, features, label, _ = with_clinical(options, base)
    _, others, _, true = with_clinical(options.model_copy(update={"n": 5000, "seed": options.seed + 1000}), base)
    outcome = pd.DataFrame({"patient": features.index, "label": pd.array(label, dtype="Int8")})
    table = make_folds(outcome, pd.DataFrame(index=features.index), FoldsSettings(k=FOLDS), options.seed, "dm")[0]
    place = table.set_index("patient").loc[features.index, "fold"].to_numpy()
    known, target = ~np.isnan(label), pd.Series(label, index=features.index)
    models = {"model": {}, "volume": {}}
    for fit in [(f,) for f in range(FOLDS)] + list(combinations(range(FOLDS), 2)):
        train = features[known & ~np.isin(place, fit)]
        tables = [features, others] if len(fit) == 1 else [features]
        models["model"][fit] = scores(train, tables, target, options.seed)
        volume = [np.log(one[[VOLUME_FEATURE]]) for one in [train, *tables]]
        models["volume"][fit] = regress(volume[0], volume[1:], target)
    tests = [known & (place == fold) for fold in range(FOLDS)]

    def results(name: str) -> tuple[NDArray, list[NDArray], NDArray, float]:
        made = models[name]
        own = [auc(made[f,][0][tests[f]], label[tests[f]]) for f in range(FOLDS)]
        refits = np.full((FOLDS, FOLDS), np.nan)
        for f, g in combinations(range(FOLDS), 2):
            for fold, other in ((f, g), (g, f)):
                refits[fold, other] = auc(made[f, g][0][tests[fold]], label[tests[fold]])[0]
        true_value = float(np.mean([risk.weighted_auc(made[f,][1], true) for f in range(FOLDS)]))
        return np.array([value for value, _ in own]), [influence for _, influence in own], refits, true_value

    ours, theirs = results("model"), results("volume")
    both = [a - b for a, b in zip(ours[1], theirs[1], strict=True)]
    found = {"AUC": ours, "difference": (ours[0] - theirs[0], both, ours[2] - theirs[2], ours[3] - theirs[3])}
    return {
        name: (interval(values, influences, refits, name == "difference"), truth)
        for name, (values, influences, refits, truth) in found.items()
    }


def with_clinical(options: SimulationOptions, base: float) -> tuple:
    """As `selection.cohort`, with nodes, smoking and age beside the features."""
    patients, features, label, true = cohort(options, base)
    z = patients.standardised()
    return patients, features.assign(nodes=z["nodes"], smoking=z["smoking"], age=z["age"]), label, true


def auc(score: NDArray, label: NDArray) -> tuple[float, NDArray]:
    """AUC and the influence of each row."""
    return linearised("auc", label == 1, score, np.ones(len(label)))


def interval(values: NDArray, influences: list[NDArray], refits: NDArray, signed: bool):
    variances = np.array([variance(one) for one in influences])
    found = FoldResults(values, np.zeros(FOLDS, dtype=int), variances, refits)
    return mean_over_folds(found, 1 / (FOLDS - 1), 0.95, signed=signed)


def main() -> None:
    """Print a table per preset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=40)
    parser.add_argument("--n", type=int, default=400)
    parser.add_argument("--features", type=int, default=300)
    parser.add_argument("--presets", nargs="+", default=["reference", "volume-only", "null"])
    arguments = parser.parse_args()
    start = time.process_time()
    for preset in arguments.presets:
        options = preset_options(preset, n=arguments.n, seed=1, level="table", features=arguments.features)
        base = risk.baseline(options)
        seeds = range(1, arguments.cohorts + 1)
        records = [one_cohort(options.model_copy(update={"seed": seed}), base) for seed in seeds]
        print(f"\n{preset}, {arguments.cohorts} cohorts of {arguments.n} patients")
        for name in ("AUC", "difference"):
            table = pd.DataFrame([{**vars(one[name][0]), "truth": one[name][1]} for one in records])
            oracle, null = table["value"].std(), 0.5 if name == "AUC" else 0.0
            width = (table["high"] - table["low"]) / (2 * Z * oracle)
            target = table["truth"].mean()
            reach = ONE_SIDED * table["error"]
            print(
                f"{name}: true {target:.3f}, mean {table['value'].mean():.3f}, "
                f"coverage {((table['low'] <= target) & (target <= table['high'])).mean():.3f}, "
                f"width {width.median():.2f} and {width.quantile(0.95):.2f}, above {null}: "
                f"{(table['low'] > null).sum()}, oracle {(table['value'] - null > Z * oracle).sum()}, "
                f"below: {(table['high'] < null).sum()}, "
                f"equivalent: {((table['value'] - reach > -MARGIN) & (table['value'] + reach < MARGIN)).sum()}",
                flush=True,
            )
    print(f"{(time.process_time() - start) / 60:.1f} minutes of CPU")


if __name__ == "__main__":
    main()
