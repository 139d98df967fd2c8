"""Which selection of radiomic features loses least? Compared on simulated tables of features with known risk.

    python -P benchmarks/selection.py [--seeds 20] [--first 1] [--n 400] [--features 600] [--setting]

Each seed is a cohort of `n` patients (preset ``reference``, table level). All patients with a known label train; the
test is another cohort of 5,000 patients, each an event with its true risk, so that the AUC has little noise of its own.
Every selection begins with metaswin's filter (missing, constant, correlated beyond .9); its free choices and the
penalty of the logistic regression are made by the log loss of 4 inner folds. Modalities: tumour and ring features.

- forest K: the K features with the highest impurity importance of a random forest (36: the default, as in the paper);
- forest, inner K: K of 8, 16, 36 and 72 chosen by the inner folds;
- repeated forests: impurity importances averaged over 5 forests on bootstrap samples, 36 features;
- permutation: permutation importance of the 50 first features on held-out thirds, sum of 3 forests, 36 features;
- mRMR: maximum relevance (F statistic) divided by redundancy (mean absolute correlation), 36 features (Ding & Peng
  2005, J Bioinform Comput Biol 3:185-205; the quotient of Zhao et al. 2019);
- univariate: the 36 features with the highest AUC by themselves; with inner K: ``selection.method: auc``;
- elastic net: logistic regression with an elastic-net penalty (half L1) on all filtered features;
- ridge: logistic regression with a ridge penalty on all filtered features;
- oracle: the latent variables of the modality.

With ``--setting``, only ``selection.method: auc`` and the default are compared, by the function that the pipeline
calls. The whole selection is repeated in each inner fold that chooses the penalty.

Printed: mean test AUC over the seeds, and the mean paired difference from ``forest 36`` with its standard error.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from metaswin.config.features import SelectionSettings
from metaswin.features.selection import select
from metaswin.simulate import risk
from metaswin.simulate.options import SimulationOptions, preset_options
from metaswin.simulate.population import STREAM_COHORT, Patients, draw_patients, draw_uniforms
from metaswin.simulate.tables import feature_table

DAYS, SIZES, KEEP, TREES, CANDIDATES = 730, (8, 16, 36, 72), 36, 100, 50
RIDGE = [1.0, 4.0, 16.0, 64.0, 256.0]
ELASTIC = [4.0, 8.0, 16.0, 32.0]
MODALITIES = {"radiomics": ("tumor__", ["texture", "volume"]), "peri_radiomics": ("ring_", ["peritumoral"])}
Ranking = Callable[[NDArray, NDArray, int], NDArray]
RANKED: dict[tuple, NDArray] = {}


def cohort(options: SimulationOptions, base: float) -> tuple[Patients, pd.DataFrame, NDArray, NDArray]:
    """Patients, features, label (NaN: censored) and true risk."""
    uniforms = draw_uniforms(STREAM_COHORT, options.seed, options.n)
    patients = draw_patients(uniforms, options)
    outcome = risk.draw_outcome(patients, uniforms, options, base)
    event = (outcome.dm_event == 1) & (outcome.dm_time_days <= DAYS)
    lost = ~event & (outcome.dm_event == 0) & (outcome.death_event == 0) & (outcome.followup_days < DAYS)
    features = feature_table(patients, options).set_index("patient_id").astype(float)
    return patients, features, np.where(lost, np.nan, event), risk.true_risk(patients, options, base)


def forest(values: NDArray, label: NDArray, seed: int) -> NDArray:
    """Impurity importances."""
    return RandomForestClassifier(TREES, random_state=seed).fit(values, label).feature_importances_


def repeated(values: NDArray, label: NDArray, seed: int) -> NDArray:
    """Impurity importances averaged over forests on bootstrap samples."""
    rng = np.random.default_rng(seed)
    samples = [rng.integers(len(label), size=len(label)) for _ in range(5)]
    return np.mean([forest(values[rows], label[rows], seed + i) for i, rows in enumerate(samples)], axis=0)


def permutation(values: NDArray, label: NDArray, seed: int) -> NDArray:
    """Fall of the AUC on held-out rows when a feature is permuted, summed over three folds."""
    rng, found = np.random.default_rng(seed), np.zeros(values.shape[1])
    for train, test in StratifiedKFold(3, shuffle=True, random_state=seed).split(values, label):
        model = RandomForestClassifier(TREES // 2, random_state=seed).fit(values[train], label[train])
        whole = roc_auc_score(label[test], model.predict_proba(values[test])[:, 1])
        used = np.argsort(-model.feature_importances_)[:CANDIDATES]
        for feature in used:
            mixed = values[test].copy()
            mixed[:, feature] = rng.permutation(mixed[:, feature])
            found[feature] += whole - roc_auc_score(label[test], model.predict_proba(mixed)[:, 1])
    return found


def relevance(values: NDArray, label: NDArray, seed: int) -> NDArray:
    """AUC of each feature by itself, in either direction."""
    events = label == 1
    ranks = rankdata(values, axis=0)[events].sum(axis=0)
    n, m = int(events.sum()), int((~events).sum())
    return np.abs((ranks - n * (n + 1) / 2) / (n * m) - 0.5)


def mrmr(values: NDArray, label: NDArray, seed: int) -> NDArray:
    """Score that falls with the order in which minimum-redundancy-maximum-relevance takes features."""
    relevant = f_classif(values, label)[0]
    correlation = np.abs(np.corrcoef(values, rowvar=False))
    order, redundant = [int(np.argmax(relevant))], np.zeros(len(relevant))
    while len(order) < min(max(SIZES), len(relevant)):
        redundant += correlation[order[-1]]
        score = relevant / np.maximum(redundant / len(order), 1e-3)
        score[order] = -np.inf
        order.append(int(np.argmax(score)))
    found = np.zeros(len(relevant))
    found[order] = np.arange(len(order), 0, -1)
    return found


def best(rank: Ranking | None, sizes: tuple[int, ...]) -> Callable:
    """A fit that ranks features, keeps some of them, and regresses; all choices by inner folds of the training rows."""

    def fit(train: NDArray, label: NDArray, test: NDArray, seed: int) -> NDArray:
        losses: dict[tuple[int, float], float] = {}
        for inner, rest in StratifiedKFold(4, shuffle=True, random_state=seed).split(train, label):
            order = _order(train[inner], label[inner], rank, seed)
            for size in sizes:
                for penalty, p in _regress(train[inner][:, order[:size]], label[inner], train[rest][:, order[:size]]):
                    losses[size, penalty] = losses.get((size, penalty), 0.0) + log_loss(label[rest], p)
        size, penalty = min(losses, key=losses.__getitem__)
        order = _order(train, label, rank, seed)[:size]
        return dict(_regress(train[:, order], label, test[:, order], [penalty]))[penalty]

    return fit


def _order(values: NDArray, label: NDArray, rank: Ranking | None, seed: int) -> NDArray:
    if rank is None:
        return np.arange(values.shape[1])
    key = (rank, values.shape, values.tobytes(), seed)  # several methods rank the same rows
    if key not in RANKED:
        RANKED[key] = np.argsort(-rank(values, label, seed), kind="stable")
    return RANKED[key]


def _regress(train: NDArray, label: NDArray, test: NDArray, penalties: list[float] = RIDGE) -> list:
    model = LogisticRegression(solver="lbfgs", max_iter=2000)
    return [(one, model.set_params(C=1 / one).fit(train, label).predict_proba(test)[:, 1]) for one in penalties]


def elastic(train: NDArray, label: NDArray, test: NDArray, seed: int) -> NDArray:
    """Elastic net on all features, its penalty by inner folds."""

    def model(penalty: float) -> LogisticRegression:
        return LogisticRegression(solver="saga", l1_ratio=0.5, C=1 / penalty, max_iter=100, tol=1e-2)

    losses = dict.fromkeys(ELASTIC, 0.0)
    for inner, rest in StratifiedKFold(4, shuffle=True, random_state=seed).split(train, label):
        for penalty in ELASTIC:
            p = model(penalty).fit(train[inner], label[inner]).predict_proba(train[rest])[:, 1]
            losses[penalty] += log_loss(label[rest], p)
    return model(min(losses, key=losses.__getitem__)).fit(train, label).predict_proba(test)[:, 1]


def methods(width: int) -> dict[str, Callable]:
    """Name of each selection and its fit."""
    found = {f"forest {size}": best(forest, (size,)) for size in SIZES}
    found["forest, inner K"] = best(forest, SIZES)
    found["repeated forests"] = best(repeated, (KEEP,))
    found["permutation"] = best(permutation, (KEEP,))
    found["mRMR"] = best(mrmr, (KEEP,))
    found["mRMR, inner K"] = best(mrmr, SIZES)
    found["univariate"] = best(relevance, (KEEP,))
    found["univariate, inner K"] = best(relevance, SIZES)
    found["elastic net"] = elastic
    found["ridge"] = best(None, (width,))
    return found


def one_seed(seed: int, n: int, features: int, base: float) -> list[dict]:
    """Test AUC of every method and modality."""
    options = preset_options("reference", n=n, seed=seed, level="table", features=features)
    ours, train, label, _ = cohort(options, base)
    theirs, test, _, true = cohort(options.model_copy(update={"n": 5000, "seed": seed + 1000}), base)
    known = ~np.isnan(label)
    y = label[known].astype(int)
    rows = []
    for modality, (prefix, latents) in MODALITIES.items():
        names = [name for name in train if name.startswith(prefix)]
        settings = SelectionSettings(trees=1, keep=len(names))
        target = pd.Series(label, index=train.index)
        table = select(train[names], target, train.index[known].tolist(), settings, seed)
        names = table.loc[table["kept"], "feature"].tolist()
        spread = train.loc[known, names].std()
        inputs = [
            ((part[names] - train.loc[known, names].mean()) / spread).clip(-5, 5).to_numpy()
            for part in (train[known], test)
        ]
        fits = methods(len(names))
        RANKED.clear()
        true_inputs = [np.column_stack([getattr(who, name) for name in latents]) for who in (ours, theirs)]
        for name, fit in {**fits, "oracle": best(None, (len(latents),))}.items():
            a, b = (true_inputs[0][known], true_inputs[1]) if name == "oracle" else inputs
            start = time.process_time()
            auc = risk.weighted_auc(fit(a, y, b, seed), true)
            rows.append(
                {"modality": modality, "method": name, "seed": seed, "auc": auc, "s": time.process_time() - start}
            )
    return rows


def of_setting(seed: int, n: int, features: int, base: float) -> list[dict]:
    """Test AUC of both choices of ``selection.method``, selected by the pipeline's own function."""
    options = preset_options("reference", n=n, seed=seed, level="table", features=features)
    _, train, label, _ = cohort(options, base)
    _, test, _, true = cohort(options.model_copy(update={"n": 5000, "seed": seed + 1000}), base)
    known = train.index[~np.isnan(label)]
    target = pd.Series(label, index=train.index)
    y = target.loc[known].to_numpy(dtype=int)
    rows = []
    for modality, (prefix, _) in MODALITIES.items():
        matrix = train[[name for name in train if name.startswith(prefix)]]
        choices = {f"forest {KEEP}": SelectionSettings(), "setting auc": SelectionSettings(method="auc")}
        for name, settings in choices.items():

            def selected(patients: pd.Index, others: pd.DataFrame, settings=settings, matrix=matrix) -> list[NDArray]:
                table = select(matrix, target, patients.tolist(), settings, seed)
                chosen = table[table["kept"]].sort_values("rank")["feature"].tolist()
                own = matrix.loc[patients, chosen]
                parts = (own, others[chosen])
                return [((part - own.mean()) / own.std()).clip(-5, 5).to_numpy() for part in parts]

            start, losses = time.process_time(), dict.fromkeys(RIDGE, 0.0)
            for inner, rest in StratifiedKFold(4, shuffle=True, random_state=seed).split(y, y):
                for penalty, p in _regress(*_pair(selected(known[inner], matrix.loc[known[rest]]), y[inner])):
                    losses[penalty] += log_loss(y[rest], p)
            penalty = min(losses, key=losses.__getitem__)
            p = _regress(*_pair(selected(known, test), y), [penalty])[0][1]
            seconds = time.process_time() - start
            auc = risk.weighted_auc(p, true)
            rows.append({"modality": modality, "method": name, "seed": seed, "auc": auc, "s": seconds})
    return rows


def _pair(parts: list[NDArray], label: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    return parts[0], label, parts[1]


def main() -> None:
    """Print a table per modality."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--n", type=int, default=400)
    parser.add_argument("--features", type=int, default=600)
    parser.add_argument("--setting", action="store_true", help="compare the choices of the setting only")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message="The max_iter was reached")
    warnings.filterwarnings("ignore", category=FutureWarning)
    base = risk.baseline(preset_options("reference", n=1, seed=1, level="table"))
    rows = []
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        rows += (of_setting if arguments.setting else one_seed)(seed, arguments.n, arguments.features, base)
        report(pd.DataFrame(rows))


def report(table: pd.DataFrame) -> None:
    """Print the table of each modality over the seeds so far."""
    for modality, part in table.groupby("modality", sort=False):
        wide = part.pivot(index="seed", columns="method", values="auc")
        difference = wide.sub(wide[f"forest {KEEP}"], axis=0)
        found = pd.DataFrame(
            {
                "auc": wide.mean(),
                "difference": difference.mean(),
                "error": difference.sem(),
                "s": part.groupby("method")["s"].mean(),
            }
        ).loc[part["method"].unique()]
        print(f"\n{modality}, {len(wide)} seeds\n{found.round(4).to_string()}", flush=True)


if __name__ == "__main__":
    main()
