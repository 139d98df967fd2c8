"""Does ComBat help? The radiomics feature set with and without, on simulated tables of features of four scanners.

    python -P benchmarks/harmonisation.py [--seeds 12] [--n 400] [--trees 100]

Each seed is a cohort of `n` patients with 300 features (preset ``batch``: scanners shift every feature).
Per training set: ComBat by scanner, selection of 36 tumour features, logistic regression with the middle penalty, as
the workflow does it on all training rows of a fold. Test AUC of metastasis within two years, lost patients left out:

- cross-validation: 5 folds, all scanners in each;
- unseen scanner: trained on three scanners, tested on the fourth (left alone), mean over the four;
- other case mix: trained on one cohort, tested on another of the same scanners whose centres' risks are exchanged, so
  that what a scanner told of the risk is now wrong.

Each with the preset's link of centre and risk (log hazard ratio .6) and without it. Printed: mean AUC over the seeds
and the mean paired difference with its standard error.
"""

import argparse
from functools import cache

import numpy as np
import pandas as pd

from metaswin.cohort.folds import make_folds
from metaswin.config.cohort import FoldsSettings
from metaswin.config.features import HarmonisationSettings, SelectionSettings
from metaswin.config.models import FusionSettings
from metaswin.features.combat import fit_combat
from metaswin.features.encoder import fit_encoder
from metaswin.features.selection import select
from metaswin.models.classifiers import fit_logistics
from metaswin.models.thresholds import auc
from metaswin.simulate import risk
from metaswin.simulate.options import PRESETS, SimulationOptions, preset_options
from metaswin.simulate.population import STREAM_COHORT, draw_patients, draw_uniforms
from metaswin.simulate.scanners import SCANNERS
from metaswin.simulate.tables import feature_table

LINKED = PRESETS["batch"]["coefficients"]["centre"]
DAYS = 730
MIN_BATCH = HarmonisationSettings().min_batch


def main() -> None:
    """Print a line a scenario."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--n", type=int, default=400)
    parser.add_argument("--trees", type=int, default=100)
    arguments = parser.parse_args()
    settings = SelectionSettings(trees=arguments.trees)
    scenarios = {"cross-validation": cross_validated, "unseen scanner": unseen, "other case mix": exchanged}
    for centre in (LINKED, 0.0):
        for name, scenario in scenarios.items():
            if name == "other case mix" and not centre:
                continue
            found = np.array([scenario(seed, arguments.n, centre, settings) for seed in range(1, arguments.seeds + 1)])
            difference = found[:, 1] - found[:, 0]
            error = difference.std(ddof=1) / len(difference) ** 0.5
            print(
                f"centre {centre:g}, {name}: without {found[:, 0].mean():.3f}, with {found[:, 1].mean():.3f}, "
                f"difference {difference.mean():+.3f} (standard error {error:.3f}), {len(found)} seeds",
                flush=True,
            )


def cohort(seed: int, n: int, centre: float) -> tuple[pd.DataFrame, pd.Series, np.ndarray]:
    """Tumour features, label (NaN: lost) and scanner of each patient."""
    options = options_of(seed, n, centre)
    uniforms = draw_uniforms(STREAM_COHORT, seed, n)
    patients = draw_patients(uniforms, options)
    outcome = risk.draw_outcome(patients, uniforms, options, baseline(centre))
    event = (outcome.dm_event == 1) & (outcome.dm_time_days <= DAYS)
    lost = ~event & (outcome.dm_event == 0) & (outcome.death_event == 0) & (outcome.followup_days < DAYS)
    features = feature_table(patients, options).set_index("patient_id")
    features = features[[name for name in features if name.startswith("tumor__")]].astype(float)
    label = pd.Series(np.where(lost, np.nan, event), index=features.index)
    return features, label, patients.scanner


def options_of(seed: int, n: int, centre: float) -> SimulationOptions:
    """Preset ``batch`` with a given effect of the centres."""
    return preset_options("batch", n=n, seed=seed, coefficients={"centre": centre}, level="table")


@cache
def baseline(centre: float) -> float:
    """Baseline hazard, which depends on the effects only."""
    return risk.baseline(options_of(1, 1, centre))


def test_aucs(
    features: pd.DataFrame,
    label: pd.Series,
    scanner: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    settings: SelectionSettings,
    seed: int,
) -> list[float]:
    """AUC of the test rows without and with ComBat fitted on the training rows."""
    nothing = np.empty((len(features), 0))
    known, values = features.index[train], features.to_numpy()
    counts = np.bincount(scanner[train], minlength=len(SCANNERS))
    batch = np.where(counts[scanner] >= MIN_BATCH, scanner, -1)
    combat = fit_combat(values[train], batch[train], len(SCANNERS), nothing[train], MIN_BATCH)
    found = []
    for table in (values, combat.apply(values, batch, nothing)):
        matrix = pd.DataFrame(table, index=features.index, columns=features.columns)
        selection = select(matrix, label, known.tolist(), settings, seed)
        chosen = matrix[selection.loc[selection["kept"], "feature"]]
        encoder = fit_encoder(chosen.loc[known], dict.fromkeys(chosen, "feature"), 2)
        penalties = FusionSettings().logistic_penalties
        model = fit_logistics([encoder.transform(chosen.loc[known])], label[known].to_numpy(), [middle(penalties)])
        found.append(auc(model.logits([encoder.transform(chosen[test])])[0], label[test].to_numpy()))
    return found


def middle(penalties: list[float]) -> float:
    return sorted(penalties)[len(penalties) // 2]


def cross_validated(seed: int, n: int, centre: float, settings: SelectionSettings) -> np.ndarray:
    features, label, scanner = cohort(seed, n, centre)
    outcome = pd.DataFrame({"patient": features.index, "label": pd.array(label, dtype="Int8")})
    folds = make_folds(outcome, pd.DataFrame(index=features.index), FoldsSettings(), seed, "dm")[0]
    fold = folds.set_index("patient").loc[features.index, "fold"].to_numpy()
    known = label.notna().to_numpy()
    parts = [(known & (fold != f), known & (fold == f)) for f in range(5)]
    return np.mean([test_aucs(features, label, scanner, *part, settings, seed) for part in parts], axis=0)


def unseen(seed: int, n: int, centre: float, settings: SelectionSettings) -> np.ndarray:
    features, label, scanner = cohort(seed, n, centre)
    known = label.notna().to_numpy()
    parts = [(known & (scanner != s), known & (scanner == s)) for s in range(len(SCANNERS))]
    return np.mean([test_aucs(features, label, scanner, *part, settings, seed) for part in parts], axis=0)


def exchanged(seed: int, n: int, centre: float, settings: SelectionSettings) -> np.ndarray:
    first, second = cohort(seed, n, centre), cohort(seed + 1000, n, -centre)
    features = pd.concat([first[0], second[0].add_prefix("other-", axis="index")])
    label = pd.Series(np.concatenate([first[1], second[1]]), index=features.index)
    scanner = np.concatenate([first[2], second[2]])
    known, ours = label.notna().to_numpy(), np.arange(len(label)) < n
    return np.array(test_aucs(features, label, scanner, known & ours, known & ~ours, settings, seed))


if __name__ == "__main__":
    main()
